"""The gates room, its front: all measures of one picture, each with a number or the reason why it says nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from catalog_schemas.scene import Lane
from productshot.errors import InputRefused
from productshot.gates import colour, edge, ground, shape, structure
from productshot.gates.comparison import FAINT, Comparison, Mask, area, close_up, grown, solid
from productshot.pixels import Pixels
from productshot.records import Measures

Segment = Callable[[Pixels], Pixels]
"""(h, w, 3) uint8 to the (h, w) uint8 alpha of the salient thing in it."""
Likeness = Callable[[Pixels, Pixels], float]
"""Two cutouts (h, w, 4) uint8 to the cosine of what an image tower sees in them."""
Match = Callable[[Pixels, str], float]
"""A picture (h, w, 3) uint8 and words to the cosine of the two; InputRefused says why they are not compared."""

MIN_REFERENCE_IOU = 0.6
"""Below it the segmentation does not know this product even on a plain ground: in a scene it would guess."""
MIN_SECOND = 0.03
"""Share of the product's area from which another thing in the picture is looked at."""
MOST_SECOND = 4
"""So many other things are looked at, the largest."""
CLOSE_PX = 64
"""What is measured pixel by pixel is looked at this far around the product."""
AROUND_PX = 4
"""The ground begins this far from the product."""

PHOTOGRAPHED = "the product's pixels are the photographed ones"
NOT_PAINTED = "a packshot has no painted surroundings"
DRAWN = "the product is drawn, its pixels are not compared one by one with the photo's"
NOT_FOUND = "no product was found in the picture"
NO_SHADOW = "the scene asks for no shadow"
NO_GROUND = "there is no ground below the product, or it is too dark for a shadow"
ONE_COLOUR = "product and ground have the same colour"
NO_EDGE = "the product's outline leaves no room for the ground beside it"
PLAIN = "the product has neither print nor pattern"
NO_GRADIENT = "the product has no gradient at all"
NO_PLATE = "the picture has no plate"
NO_WORDS = "the picture has no prompt"

OF_SURROUNDINGS = ("object_expansion", "product_missing", "second_product", "other_things", "halo",
                   "outline_lost", "ground_range", "seam", "shadow_depth", "prompt_match")  # fmt: skip
OF_OUTLINES = ("object_expansion", "product_missing", "second_product", "other_things")
OF_PIXELS = ("colour_changed", "halo", "outline_lost", "moved", "print_kept", "sharpness")


@dataclass(frozen=True)
class Senses:
    """The models that look at the pictures."""

    segment: Segment
    likeness: Likeness
    match: Match


@dataclass
class Findings:
    """Numbers and reasons, while they are gathered."""

    numbers: dict[str, float] = field(default_factory=dict)
    not_valid: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, number: float, reason: str) -> None:
        """The number under its name; a NaN is no number but the reason."""
        if np.isnan(number):
            self.not_valid[name] = reason
        else:
            self.numbers[name] = number

    def skip(self, names: tuple[str, ...], reason: str) -> None:
        """These measures say nothing, for that reason."""
        self.not_valid |= dict.fromkeys(names, reason)


def measure_render(render: str, lane: Lane, seen: Comparison, senses: Senses) -> Measures:
    """What one render (its key) measures.

    keep: everything but subject_fidelity. draw: what needs no pixels of the photo. packshot: the product's pixels
    only, nothing in it is painted. A measure that says nothing here is named with the reason in not_valid.
    InputRefused: the comparison's product is empty.
    """
    found = Findings()
    if lane == "packshot":
        found.skip(OF_SURROUNDINGS, NOT_PAINTED)
        found.skip(("subject_fidelity",), PHOTOGRAPHED)
        _measure_pixels(found, close_up(seen, CLOSE_PX))
        return Measures(render=render, numbers=found.numbers, not_valid=found.not_valid)
    rendered = senses.segment(seen.picture)
    stands = seen.alpha if lane == "keep" else rendered
    _measure_shape(found, seen, rendered, stands, senses)
    if lane == "keep":
        found.skip(("subject_fidelity",), PHOTOGRAPHED)
        near = close_up(seen, CLOSE_PX)
        _measure_pixels(found, near)
        _measure_edge(found, near)
    else:
        found.skip(OF_PIXELS, DRAWN)
        _measure_drawn(found, seen, rendered, senses)
    _measure_ground(found, seen, stands)
    _measure_words(found, seen, senses)
    return Measures(render=render, numbers=found.numbers, not_valid=found.not_valid)


def _measure_shape(
    found: Findings, seen: Comparison, rendered: Pixels, stands: Pixels, senses: Senses
) -> None:
    """Outlines by segmentation: both come from the same network, which must know the product on a plain ground."""
    reference = senses.segment(seen.reference)
    iou = shape.overlap(reference, seen.alpha)
    found.numbers["reference_iou"] = iou
    if iou < MIN_REFERENCE_IOU:
        told = f"the segmentation finds this product on a plain ground with IoU {iou:.2f}"
        reason = f"{told}; at least {MIN_REFERENCE_IOU} is needed"
        found.skip(OF_OUTLINES, reason)
        return
    product = shape.attached(rendered, reference)
    whole = np.maximum(
        reference, seen.alpha
    )  # what the segmentation overlooks on grey is no growth in a scene
    found.numbers["object_expansion"] = shape.expansion(product, whole)
    found.numbers["product_missing"] = shape.missing(product, reference)
    others = other_things(seen, rendered, stands, senses.segment)
    found.numbers["second_product"] = most_alike(seen, others.things, senses.likeness)
    found.numbers["other_things"] = others.clear_area / area(solid(seen.alpha))


@dataclass(frozen=True)
class Others:
    """What else is in the picture."""

    things: list[Mask]  # (h, w) each, largest first
    clear_area: int  # px of those that stand out from the ground


def other_things(seen: Comparison, rendered: Pixels, stands: Pixels, segment: Segment) -> Others:
    """Things apart from the product, each of at least MIN_SECOND of its area.

    `rendered` (h, w) is what the segmentation finds in the picture, `stands` where the product is. Looked at is what
    was found apart from the product, and what is found once the product is taken out of the picture.
    """
    least = MIN_SECOND * area(solid(seen.alpha))
    near, own = grown(stands >= FAINT, AROUND_PX), shape.with_shadow(stands)
    next_found = segment(shape.without_product(seen.picture, own))
    things, clear = [], np.zeros(seen.alpha.shape, bool)
    for seen_as, apart_from in ((rendered, near), (next_found, own)):
        for thing in shape.apart(seen_as, apart_from, least):
            things.append(thing)
            if shape.is_clear(seen.picture, seen_as, thing, apart_from):
                clear |= thing
    things.sort(key=lambda thing: -int(thing.sum()))
    return Others(things[:MOST_SECOND], int(clear.sum()))


def most_alike(seen: Comparison, things: list[Mask], likeness: Likeness) -> float:
    """Likeness, -1..1, of the product and that thing that is most like it; 0 without any."""
    true = np.dstack([seen.reference, seen.alpha])
    cutouts = [np.dstack([seen.picture, np.where(thing, 255, 0).astype(np.uint8)]) for thing in things]
    return max((likeness(cutout, true) for cutout in cutouts), default=0.0)


def _measure_pixels(found: Findings, seen: Comparison) -> None:
    """The photographed product, pixel by pixel."""
    pair = (seen.picture, seen.reference, seen.alpha)
    found.numbers["delta_e"] = colour.colour_shift(*pair)
    found.numbers["colour_changed"] = colour.colour_changed(*pair)
    found.numbers["moved"] = structure.moved(*pair)
    found.add("print_kept", structure.print_kept(*pair), PLAIN)
    found.add("sharpness", structure.sharpness(*pair), NO_GRADIENT)


def _measure_edge(found: Findings, seen: Comparison) -> None:
    outline = edge.read_edge(seen.picture, seen.alpha)
    found.add("outline_lost", edge.outline_lost(outline), ONE_COLOUR)
    found.add("halo", edge.halo(outline), NO_EDGE)


def _measure_drawn(found: Findings, seen: Comparison, rendered: Pixels, senses: Senses) -> None:
    """A drawn product beside its cutout: mean colour and what the image tower says."""
    if not solid(rendered).any():
        found.skip(("delta_e", "subject_fidelity"), NOT_FOUND)
        return
    found.numbers["delta_e"] = colour.mean_colour_shift(seen.picture, rendered, seen.reference, seen.alpha)
    drawn, true = np.dstack([seen.picture, rendered]), np.dstack([seen.reference, seen.alpha])
    found.numbers["subject_fidelity"] = senses.likeness(drawn, true)


def _measure_ground(found: Findings, seen: Comparison, stands: Pixels) -> None:
    """What was painted; `stands` (h, w): the product in the picture."""
    around = ~grown(stands >= FAINT, AROUND_PX)
    spread = ground.ground_range(seen.picture, around) if around.any() else float("nan")
    found.add("ground_range", spread, NO_EDGE)
    if seen.plate is None or seen.master is None:
        found.skip(("seam",), NO_PLATE)
    else:
        found.numbers["seam"] = ground.seam(seen.plate, seen.master)
    if seen.shadow == 0:
        found.skip(("shadow_depth",), NO_SHADOW)
    elif not solid(stands).any():
        found.skip(("shadow_depth",), NOT_FOUND)
    else:
        found.add("shadow_depth", ground.shadow_depth(seen.picture, stands), NO_GROUND)


def _measure_words(found: Findings, seen: Comparison, senses: Senses) -> None:
    if not seen.prompt or seen.described is None:
        found.skip(("prompt_match",), NO_WORDS)
        return
    try:
        found.numbers["prompt_match"] = senses.match(seen.described, seen.prompt)
    except InputRefused as reason:
        found.not_valid["prompt_match"] = str(reason)
