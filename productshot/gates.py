"""The gates room: what a rendered picture measures, and what the limits say of it. Pure functions.

All pictures of one measurement have one size, the compare size; lengths in px are px of that size.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from catalog_schemas.recipes import GateRecipe
from productshot.errors import InputRefused
from productshot.pixels import Pixels
from productshot.records import Measures, Verdict

Lane = Literal["packshot", "keep", "draw"]
Segment = Callable[[Pixels], Pixels]
"""(h, w, 3) uint8 to the (h, w) uint8 alpha of the salient thing in it."""
Likeness = Callable[[Pixels, Pixels], float]
"""Two cutouts (h, w, 4) uint8 to the cosine of what an image tower sees in them."""

SOLID = 128
"""Alpha from which a pixel belongs to the product."""
TOLERANCE_PX = 2
"""A segmented outline is never surer than this."""
INNER_PX = 3
"""Colours are compared this far inside the outline, where no ground mixes in."""
MIN_REFERENCE_IOU = 0.6
"""Below it the segmentation does not know this product even on a plain ground: in a scene it would guess."""
PHOTOGRAPHED = "the product's pixels are the photographed ones"
NO_PROMPT = "the gates are not given the prompt yet"


@dataclass(frozen=True)
class Comparison:
    """A picture beside the truth, at the compare size."""

    picture: Pixels  # (h, w, 3) uint8, as rendered, product included
    reference: Pixels  # (h, w, 3) uint8, the same product at the same place on plain mid-grey
    alpha: Pixels  # (h, w) uint8, where the product is in the reference


def expansion(rendered_alpha: Pixels, reference_alpha: Pixels) -> float:
    """Area of the rendered product outside the reference dilated by 2 px, as share of the reference's area.

    Object expansion after Eshratifar et al. 2024, "Salient Object-Aware Background Generation using
    Text-Guided Diffusion Models"; the dilation forgives an unsure outline. Both (h, w) uint8. InputRefused:
    the reference is empty.
    """
    rendered, reference = _solid(rendered_alpha), _solid(reference_alpha)
    return float((rendered & ~_grown(reference)).sum() / _area(reference))


def missing(rendered_alpha: Pixels, reference_alpha: Pixels) -> float:
    """Area of the reference outside the rendered product dilated by 2 px, as share of the reference."""
    rendered, reference = _solid(rendered_alpha), _solid(reference_alpha)
    return float((reference & ~_grown(rendered)).sum() / _area(reference))


def overlap(one: Pixels, other: Pixels) -> float:
    """Intersection over union of two alphas, 0..1; two empty ones overlap fully."""
    a, b = _solid(one), _solid(other)
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def colour_shift(picture: Pixels, reference: Pixels, alpha: Pixels) -> float:
    """Median CIEDE2000 between two pictures, pixel by pixel, inside the product's outline.

    InputRefused: the product is empty.
    """
    from skimage.color import deltaE_ciede2000

    inner = _inner(_solid(alpha))
    _area(inner)
    return float(np.median(deltaE_ciede2000(_lab(picture[inner]), _lab(reference[inner]))))


def mean_colour_shift(picture: Pixels, found: Pixels, reference: Pixels, alpha: Pixels) -> float:
    """CIEDE2000 between the mean Lab colours of what was found in the picture and of the reference's product.

    InputRefused: one of the two is empty.
    """
    from skimage.color import deltaE_ciede2000

    seen, true = _inner(_solid(found)), _inner(_solid(alpha))
    _area(seen), _area(true)
    return float(deltaE_ciede2000(_lab(picture[seen]).mean(axis=0), _lab(reference[true]).mean(axis=0)))


def measure_render(
    render: str, lane: Lane, seen: Comparison, segment: Segment, likeness: Likeness
) -> Measures:
    """What one render (its key) measures: object_expansion, product_missing, reference_iou, delta_e, and of a drawn
    product subject_fidelity.

    A measure that says nothing here is named with the reason in not_valid. Of a packshot only the colours are
    measured, nothing in it is painted. InputRefused: the comparison's product is empty.
    """
    numbers: dict[str, float] = {}
    not_valid = {"prompt_match": NO_PROMPT}
    if lane != "draw":
        not_valid["subject_fidelity"] = PHOTOGRAPHED
    if lane == "packshot":
        reason = "a packshot has no painted surroundings"
        not_valid |= {"object_expansion": reason, "product_missing": reason}
        numbers["delta_e"] = colour_shift(seen.picture, seen.reference, seen.alpha)
        return Measures(render=render, numbers=numbers, not_valid=not_valid)
    found = segment(seen.picture)
    shape, why_not = _measure_shape(seen, found, segment)
    numbers |= shape
    not_valid |= why_not
    if lane == "keep":
        numbers["delta_e"] = colour_shift(seen.picture, seen.reference, seen.alpha)
    elif _solid(found).any():
        numbers["delta_e"] = mean_colour_shift(seen.picture, found, seen.reference, seen.alpha)
        drawn, true = np.dstack([seen.picture, found]), np.dstack([seen.reference, seen.alpha])
        numbers["subject_fidelity"] = likeness(drawn, true)
    else:
        not_valid["delta_e"] = not_valid["subject_fidelity"] = "no product was found in the picture"
    return Measures(render=render, numbers=numbers, not_valid=not_valid)


def judge(measures: Measures, lane: Lane, limits: GateRecipe) -> Verdict:
    """Accepted, or refused by the first gate above its limit; a measure that is not valid judges nothing.

    Whether an accepted draw picture still needs a person is the caller's policy.
    """
    max_delta_e = limits.max_draw_delta_e if lane == "draw" else limits.max_delta_e
    gates = (
        ("product_missing", limits.max_missing, "another seed, or a longer trained adapter"),
        ("object_expansion", limits.max_expansion, "another seed, or a scene with fewer things"),
        ("delta_e", max_delta_e, "another seed, or look whether the photo's colours are right"),
    )
    for gate, limit, remedy in gates:
        number = measures.numbers.get(gate)
        if number is not None and number > limit:
            return Verdict(
                status="refused", gate=gate, value=f"{number:.3f}", limit=f"at most {limit:g}", remedy=remedy
            )
    return Verdict(status="accepted")


def _measure_shape(
    seen: Comparison, found: Pixels, segment: Segment
) -> tuple[dict[str, float], dict[str, str]]:
    """Numbers and reasons of the gates on outlines; both outlines come from the same segmentation."""
    reference = segment(seen.reference)
    iou = overlap(reference, seen.alpha)
    if iou < MIN_REFERENCE_IOU:
        told = f"the segmentation finds this product on a plain ground with IoU {iou:.2f}"
        reason = f"{told}; at least {MIN_REFERENCE_IOU} is needed"
        return {"reference_iou": iou}, {"object_expansion": reason, "product_missing": reason}
    numbers = {
        "reference_iou": iou,
        "object_expansion": expansion(found, reference),
        "product_missing": missing(found, reference),
    }
    return numbers, {}


def _solid(alpha: Pixels) -> NDArray[np.bool_]:
    return alpha >= SOLID


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask dilated by TOLERANCE_PX in all eight directions."""
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(mask, structure=np.ones((3, 3)), iterations=TOLERANCE_PX))


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask eroded by INNER_PX; of a product too thin for that, the whole mask."""
    from scipy.ndimage import binary_erosion

    inner = np.asarray(binary_erosion(mask, structure=np.ones((3, 3)), iterations=INNER_PX))
    return inner if inner.any() else mask


def _area(mask: NDArray[np.bool_]) -> int:
    """Pixels of the mask; an empty one is refused."""
    area = int(mask.sum())
    if not area:
        raise InputRefused("the product", "has no pixel at the compare size", "", "compare at a larger size")
    return area


def _lab(rgb: Pixels) -> NDArray[np.float64]:
    """(n, 3) uint8 sRGB as CIE Lab, D65."""
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(rgb[:, None]), np.float64)[:, 0]
