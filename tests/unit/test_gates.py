"""Gates: areas and colours of drawn pictures are known exactly, so every number is asserted, not approximated."""

from __future__ import annotations

import numpy as np
import pytest

from catalog_schemas.recipes import GateRecipe, Recipes
from productshot.errors import InputRefused
from productshot.gates import (
    Comparison,
    Score,
    Senses,
    attached,
    colour_shift,
    expansion,
    judge,
    mean_colour_shift,
    measure_render,
    missing,
    overlap,
    telling,
)
from productshot.gates.measure import Segment
from productshot.pixels import Pixels
from productshot.records import Measures

GREY, RED = (128, 128, 128), (200, 40, 40)
SPOTTED = (90, 120, 128)
UNPAINTED = GateRecipe(min_ground_range=0)
"""The pictures here stand on a plain ground."""


def a_square(left: int, top: int, right: int, bottom: int, size: int = 100) -> Pixels:
    """(size, size) alpha, 255 in the box."""
    alpha = np.zeros((size, size), np.uint8)
    alpha[top:bottom, left:right] = 255
    return alpha


def a_picture(
    alpha: Pixels, colour: tuple[int, int, int] = RED, ground: tuple[int, int, int] = GREY
) -> Pixels:
    """The alpha's shape in one colour on a plain ground."""
    return np.where(alpha[..., None] > 0, np.uint8(colour), np.uint8(ground))


def not_ground(picture: Pixels) -> Pixels:
    """A segmentation that finds whatever differs from the plain ground."""
    return np.where((picture != np.uint8(GREY)).any(axis=2), np.uint8(255), np.uint8(0))


def reddish(picture: Pixels) -> Pixels:
    """A segmentation that finds whatever is red."""
    red = picture[..., 0].astype(int) - picture[..., 1] > 100
    return np.where(red, np.uint8(255), np.uint8(0))


def strong(picture: Pixels) -> Pixels:
    """A segmentation that finds whatever has a strong colour."""
    return np.where(np.ptp(picture.astype(int), axis=2) > 100, np.uint8(255), np.uint8(0))


def blind(picture: Pixels) -> Pixels:
    """A segmentation that finds nothing, ever."""
    return np.zeros(picture.shape[:2], np.uint8)


def same_mean(one: Pixels, other: Pixels) -> float:
    """A tower that sees nothing but the mean colour of each product."""
    seen, true = (cutout[cutout[..., 3] > 0].mean(axis=0) for cutout in (one, other))
    return float(np.allclose(seen, true))


def no_words(picture: Pixels, words: str) -> float:
    """A word tower that refuses whatever it is asked."""
    raise InputRefused("the prompt", "has words that nobody knows")


def looking(segment: Segment) -> Senses:
    """Models that see like this and otherwise nothing but mean colours."""
    return Senses(segment, same_mean, no_words)


def test_the_same_outline_has_not_grown() -> None:
    """A product that stands as in the reference has expansion 0 and misses nothing."""
    alpha = a_square(30, 30, 70, 70)
    assert (expansion(alpha, alpha), missing(alpha, alpha)) == (0, 0)


def test_two_pixels_of_growth_are_forgiven() -> None:
    """An outline is never surer than 2 px, so that much growth counts nothing."""
    assert expansion(a_square(28, 28, 72, 72), a_square(30, 30, 70, 70)) == 0


def test_growth_is_the_area_beyond_the_tolerance() -> None:
    """40 x 40 grown by 10 px to the right: 8 px of them lie beyond the tolerance, 320 of 1,600 px."""
    assert expansion(a_square(30, 30, 80, 70), a_square(30, 30, 70, 70)) == 320 / 1600


def test_a_second_product_counts_as_growth() -> None:
    """20 x 20 px of another thing far away are 400 of 1,600 px."""
    both = a_square(30, 30, 70, 70) | a_square(0, 0, 20, 20)
    assert expansion(both, a_square(30, 30, 70, 70)) == 400 / 1600


def test_a_missing_half_is_counted() -> None:
    """Of 40 x 40 px the right 20 columns are gone, 2 of them forgiven: 18 x 40 of 1,600 px."""
    assert missing(a_square(30, 30, 50, 70), a_square(30, 30, 70, 70)) == 720 / 1600


def test_an_empty_reference_is_refused() -> None:
    """Growth of nothing is no number."""
    with pytest.raises(InputRefused, match="the product has no pixel at the compare size"):
        expansion(a_square(0, 0, 9, 9), a_square(0, 0, 0, 0))


def test_overlap_is_intersection_over_union() -> None:
    """Two 40 x 40 squares shifted by half share a third of their union."""
    assert overlap(a_square(10, 10, 50, 50), a_square(30, 10, 70, 50)) == 1 / 3


def test_the_same_pixels_have_no_colour_shift() -> None:
    """The ground around the product may be any: only the inside is compared."""
    alpha = a_square(30, 30, 70, 70)
    assert colour_shift(a_picture(alpha, ground=(0, 90, 0)), a_picture(alpha), alpha) == 0


def test_a_colour_shift_is_the_ciede2000_of_the_two_colours() -> None:
    """White against L* 73 (sRGB 179): CIEDE2000 of two greys is dL / S_L, computed by hand from the paper."""
    alpha = a_square(30, 30, 70, 70)
    lightness = 116 * (((179 / 255 + 0.055) / 1.055) ** 2.4) ** (1 / 3) - 16
    half = ((100 + lightness) / 2 - 50) ** 2
    expected = (100 - lightness) / (1 + 0.015 * half / (20 + half) ** 0.5)
    measured = colour_shift(a_picture(alpha, (255,) * 3), a_picture(alpha, (179,) * 3), alpha)
    assert measured == pytest.approx(expected, abs=0.01)


def test_mean_colours_compare_wherever_the_product_stands() -> None:
    """A drawn product may stand elsewhere: its mean colour is compared, not its pixels."""
    here, there = a_square(10, 10, 40, 40), a_square(50, 50, 90, 90)
    assert mean_colour_shift(a_picture(there), there, a_picture(here), here) == pytest.approx(0, abs=1e-9)


def test_a_kept_product_measures_clean_and_is_accepted() -> None:
    """The reference itself as picture: nothing grown, nothing missing, no colour shift."""
    alpha = a_square(30, 30, 70, 70)
    seen = Comparison(a_picture(alpha), a_picture(alpha), alpha)
    measures = measure_render("key", "keep", seen, looking(not_ground))
    clean = {"object_expansion": 0, "product_missing": 0, "second_product": 0, "delta_e": 0, "moved": 0}
    clean |= {"colour_changed": 0, "outline_lost": 0, "reference_iou": 1}
    assert {name: measures.numbers[name] for name in clean} == clean
    assert measures.numbers["halo"] == pytest.approx(0, abs=1e-4)
    assert judge(measures, "keep", UNPAINTED).status == "accepted"


def test_a_measure_that_says_nothing_tells_why() -> None:
    """Photographed pixels have no fidelity to measure, and a packshot's ground is not painted."""
    alpha = a_square(30, 30, 70, 70)
    seen = Comparison(a_picture(alpha), a_picture(alpha), alpha)
    reasons = measure_render("key", "packshot", seen, looking(blind)).not_valid
    assert reasons["subject_fidelity"] == "the product's pixels are the photographed ones"
    assert reasons["prompt_match"] == "a packshot has no painted surroundings"
    assert reasons["object_expansion"] == "a packshot has no painted surroundings"


def test_an_unsure_segmentation_invalidates_the_outline_gates_only() -> None:
    """A network that misses the product on plain grey says so with its IoU; the colours are still judged."""
    alpha = a_square(30, 30, 70, 70)
    seen = Comparison(a_picture(alpha, (40, 40, 200)), a_picture(alpha), alpha)
    measures = measure_render("key", "keep", seen, looking(blind))
    assert "with IoU 0.00; at least 0.6 is needed" in measures.not_valid["object_expansion"]
    assert measures.not_valid["second_product"] == measures.not_valid["object_expansion"]
    assert judge(measures, "keep", UNPAINTED).gate == "delta_e"


def test_a_second_product_is_refused_with_value_limit_and_remedy() -> None:
    """The verdict names the gate, what was measured, what is allowed and what to do."""
    alpha = a_square(30, 30, 70, 70)
    seen = Comparison(a_picture(alpha | a_square(0, 0, 20, 20), ground=SPOTTED), a_picture(alpha), alpha)
    measures = measure_render("key", "keep", seen, looking(reddish))
    verdict = judge(measures, "keep", Recipes().limits)
    assert (verdict.status, verdict.gate, verdict.value) == ("refused", "second_product", "1.000")
    assert verdict.limit.startswith("at most")
    assert "another seed" in verdict.remedy


def test_another_thing_is_no_second_product_but_is_counted() -> None:
    """A blue thing of 400 px beside a red product of 1,600 px: unlike it, no growth of it, a quarter of its area."""
    alpha = a_square(30, 30, 70, 70)
    picture = a_picture(alpha, ground=SPOTTED)
    picture[:20, :20] = (30, 30, 220)
    numbers = measure_render(
        "key", "keep", Comparison(picture, a_picture(alpha), alpha), looking(strong)
    ).numbers
    assert (numbers["second_product"], numbers["object_expansion"], numbers["other_things"]) == (0, 0, 0.25)


def test_what_is_overlooked_on_grey_is_no_growth() -> None:
    """A product of which the segmentation sees three quarters on grey and all in the scene has not grown."""
    alpha = a_square(30, 30, 70, 70)
    seen = Comparison(a_picture(alpha, ground=SPOTTED), a_picture(alpha), alpha)
    on_grey = looking(
        lambda picture: reddish(picture) & a_square(30, 30, 70, 60 if (picture == GREY).any() else 70)
    )
    numbers = measure_render("key", "keep", seen, on_grey).numbers
    assert (numbers["reference_iou"], numbers["object_expansion"]) == (0.75, 0)


def test_what_is_half_seen_is_no_thing() -> None:
    """A patch of the ground's own colour does not stand out, however sure the segmentation is."""
    alpha = a_square(30, 30, 70, 70)
    seen = Comparison(a_picture(alpha, ground=SPOTTED), a_picture(alpha), alpha)
    ghosts = looking(lambda picture: strong(picture) | a_square(0, 0, 20, 20))
    assert measure_render("key", "keep", seen, ghosts).numbers["other_things"] == 0


def test_what_meets_the_product_nowhere_has_not_made_it_grow() -> None:
    """Patches apart from the reference are dropped, patches that meet it stay whole."""
    reference = a_square(30, 30, 70, 70)
    long, far = a_square(60, 30, 90, 70), a_square(0, 0, 10, 10)
    assert (attached(reference | long | far, reference) == reference | long).all()


def test_a_drawn_picture_without_the_product_is_refused() -> None:
    """Nothing is found where the product should be: all of it is missing, and its colour is no number."""
    alpha = a_square(30, 30, 70, 70)
    seen = Comparison(np.full((100, 100, 3), GREY, np.uint8), a_picture(alpha), alpha)
    measures = measure_render("key", "draw", seen, looking(not_ground))
    assert measures.not_valid["delta_e"] == "no product was found in the picture"
    assert judge(measures, "draw", UNPAINTED).gate == "product_missing"


def test_a_drawn_product_is_compared_with_its_cutout() -> None:
    """The tower is shown what was found in the picture and the cutout, wherever they stand."""
    here, there = a_square(10, 10, 40, 40), a_square(50, 50, 90, 90)
    seen = Comparison(a_picture(there), a_picture(here), here)
    assert measure_render("key", "draw", seen, looking(not_ground)).numbers["subject_fidelity"] == 1.0


def test_draw_and_keep_have_their_own_colour_limits() -> None:
    """A shift of 8 passes a drawn picture and refuses photographed pixels."""
    measures = Measures(render="key", numbers={"delta_e": 8.0}, not_valid={})
    assert judge(measures, "draw", GateRecipe()).status == "accepted"
    assert judge(measures, "keep", GateRecipe()).value == "8.000"


def test_words_that_the_tower_cannot_read_are_a_reason() -> None:
    """A refusal of the word tower is told as it is, and judges nothing."""
    alpha = a_square(30, 30, 70, 70)
    picture = a_picture(alpha)
    seen = Comparison(picture, picture, alpha, described=picture, prompt="a photo of a zorb")
    reasons = measure_render("key", "keep", seen, looking(not_ground)).not_valid
    assert reasons["prompt_match"] == "the prompt has words that nobody knows"


def test_a_question_is_asked_only_when_nothing_is_refused() -> None:
    """A seam goes to a person; with another colour too, the picture is refused for the colour."""
    seam = Measures(render="key", numbers={"seam": 9.0}, not_valid={})
    both = Measures(render="key", numbers={"seam": 9.0, "delta_e": 9.0}, not_valid={})
    assert judge(seam, "keep", GateRecipe()).status == "person"
    assert judge(both, "keep", GateRecipe()).gate == "delta_e"


def test_a_limit_may_be_met_exactly() -> None:
    """At most and at least include the limit itself."""
    numbers = {"halo": GateRecipe().max_halo, "print_kept": GateRecipe().min_print_kept}
    assert (
        judge(Measures(render="key", numbers=numbers, not_valid={}), "keep", GateRecipe()).status
        == "accepted"
    )


def test_cosines_of_other_eyes_wait_for_a_limit() -> None:
    """The eyes that ship bring limits for their cosines; with others a cosine is stored and judged by none."""
    measures = Measures(render="key", numbers={"second_product": 0.99}, not_valid={})
    assert judge(measures, "keep", Recipes().limits).gate == "second_product"
    assert judge(measures, "keep", Recipes(eyes="some/clip").limits).status == "accepted"
    own = Recipes(eyes="some/clip", gates=GateRecipe(max_second_likeness=0.9)).limits
    assert judge(measures, "keep", own).gate == "second_product"


def test_scores_that_broke_or_nearly_broke_their_limit_come_first() -> None:
    """Beyond first, then nearest, whichever way the limit bounds; what no limit judges in this lane is left out."""
    limits = GateRecipe(max_seam=4, max_halo=10, min_sharpness=0.6, max_moved=0, min_prompt_match=None)
    numbers = {
        "halo": 1.0,
        "moved": 0.0,
        "prompt_match": 0.1,
        "reference_iou": 0.9,
        "seam": 5.0,
        "sharpness": 0.7,
    }
    told = telling(numbers, "keep", limits)
    assert [score.measure for score in told] == ["seam", "moved", "sharpness", "halo"]
    assert told[0] == Score("seam", 5.0, "at most", 4)
