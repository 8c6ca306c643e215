"""The gates with the cutout model that ships: does its idea of "a product" tell a good picture from a bad one?"""

from __future__ import annotations

import numpy as np
import pytest

from catalog_schemas.recipes import Recipes
from productshot.cutout import coarse_alpha, open_session
from productshot.gates import Comparison, Senses, judge, measure_render
from productshot.geometry import Box, Size, fit_inside
from productshot.pixels import Pixels, lay, paste, resize, size_of
from productshot.pocket.studio import draw, frame_product, random_product, random_view
from productshot.records import Verdict
from productshot.render.eyes import open_eyes

SIDE = 512
CANVAS = Size(SIDE, SIDE)


def a_cutout(seed: int) -> Pixels:
    """A product of the studio as RGBA, cropped to its box."""
    rng = np.random.default_rng(seed)
    product = random_product(rng)
    drawing = draw(product, frame_product(product, random_view(rng)), SIDE)
    rows, columns = np.nonzero(drawing.mask)
    rgba = np.dstack([drawing.picture, drawing.mask])
    return np.ascontiguousarray(rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])


def standing(rgba: Pixels, height: int, centre: int) -> tuple[Pixels, Box]:
    """The product that high, on the line 440 px from the top."""
    small = resize(rgba, fit_inside(size_of(rgba), Size(SIDE, height)))
    width = size_of(small).width
    left, bottom = centre - width // 2, 440
    return small, Box(left, bottom - size_of(small).height, left + width, bottom)


def silent(picture: Pixels, words: str) -> float:
    """No prompt is given here."""
    raise AssertionError("nothing was asked")


def verdict_of(picture: Pixels, product: Pixels, at: Box) -> Verdict:
    """What the gates say of a keep picture with the product at that box."""
    session, eyes = open_session("pocket-matte"), open_eyes()
    reference = paste(product, np.full((SIDE, SIDE, 3), 128, np.uint8), at)
    seen = Comparison(picture, reference, lay(product[..., 3], CANVAS, at))
    look = Senses(lambda rgb: coarse_alpha(rgb, session), eyes.fidelity, silent)
    return judge(measure_render("key", "keep", seen, look), "keep", Recipes().limits)


@pytest.mark.parametrize("seed", [200, 204, 206])
def test_one_product_passes_and_a_second_beside_it_is_refused(seed: int) -> None:
    """In snow, on sand and on concrete."""
    rng = np.random.default_rng(seed)
    product = random_product(rng)
    scene = draw(None, frame_product(product, random_view(rng)), SIDE).picture
    kept, at = standing(a_cutout(seed), 200, 330)
    other, beside = standing(a_cutout(seed + 1000), 150, 110)
    assert verdict_of(paste(kept, scene, at), kept, at).status == "accepted"
    assert verdict_of(paste(kept, paste(other, scene, beside), at), kept, at).gate in {
        "second_product",
        "other_things",
    }


def test_photographed_pixels_that_changed_colour_are_refused() -> None:
    """A warm tint over product and scene alike is seen by CIEDE2000, not by the outline."""
    scene = draw(None, random_view(np.random.default_rng(1)), SIDE).picture
    kept, at = standing(a_cutout(200), 200, 256)
    tinted = np.clip(paste(kept, scene, at) * np.array([1.1, 1.0, 0.75]), 0, 255).astype(np.uint8)
    assert verdict_of(tinted, kept, at).gate == "delta_e"
