"""The gates room, shapes: has the product grown, is some of it gone, is there a second one? By segmentation."""

from __future__ import annotations

import numpy as np

from productshot.gates.comparison import FAINT, Mask, area, grown, lab, solid
from productshot.pixels import Pixels

SURE = 0.72 * 255
"""Mean alpha of a thing that the segmentation is sure of."""
CLEAR = 12.0
"""Lab distance from its surroundings of a thing that stands out."""
RING_PX = (2, 6)
"""The surroundings of a thing lie between these distances."""
REACH_PX = 8
SHADOW_PX = 14
"""How far the product's mask is widened, and moved down, before what is in it is taken out of the picture."""


def expansion(rendered_alpha: Pixels, reference_alpha: Pixels) -> float:
    """Area of the rendered product outside the reference dilated by 2 px, as share of the reference's area.

    Object expansion after Eshratifar et al. 2024, "Salient Object-Aware Background Generation using
    Text-Guided Diffusion Models"; the dilation forgives an unsure outline. Both (h, w) uint8. InputRefused:
    the reference is empty.
    """
    rendered, reference = solid(rendered_alpha), solid(reference_alpha)
    return float((rendered & ~grown(reference)).sum() / area(reference))


def missing(rendered_alpha: Pixels, reference_alpha: Pixels) -> float:
    """Area of the reference outside the rendered product dilated by 2 px, as share of the reference."""
    rendered, reference = solid(rendered_alpha), solid(reference_alpha)
    return float((reference & ~grown(rendered)).sum() / area(reference))


def overlap(one: Pixels, other: Pixels) -> float:
    """Intersection over union of two alphas, 0..1; two empty ones overlap fully."""
    a, b = solid(one), solid(other)
    union = int((a | b).sum())
    return float((a & b).sum() / union) if union else 1.0


def attached(rendered_alpha: Pixels, reference_alpha: Pixels) -> Pixels:
    """The rendered alpha without the patches that meet the reference nowhere: those are other things."""
    from scipy.ndimage import label

    patches, _ = label(solid(rendered_alpha))
    own = np.unique(patches[grown(solid(reference_alpha))])
    return np.where(np.isin(patches, own[own > 0]), rendered_alpha, 0).astype(np.uint8)


def apart(rendered_alpha: Pixels, own: Mask, least: float) -> list[Mask]:
    """The connected patches of an alpha outside the `own` mask, each of at least that area in px, largest first."""
    from scipy.ndimage import label

    patches, count = label(solid(rendered_alpha) & ~own)
    areas = np.bincount(patches.ravel(), minlength=count + 1)
    areas[0] = 0
    return [np.asarray(patches == number) for number in np.argsort(-areas) if areas[number] >= max(least, 1)]


def is_clear(picture: Pixels, rendered_alpha: Pixels, thing: Mask, own: Mask) -> bool:
    """Whether the segmentation is sure of a thing (h, w) and its mean colour differs from the ground beside it.

    What it half sees in a plain ground or in a pattern is neither.
    """
    if rendered_alpha[thing].mean() < SURE:
        return False
    beside = grown(thing, RING_PX[1]) & ~grown(thing, RING_PX[0]) & ~own
    if not beside.any():
        return False
    return bool(np.linalg.norm(lab(picture[thing]).mean(axis=0) - lab(picture[beside]).mean(axis=0)) >= CLEAR)


def without_product(picture: Pixels, own: Mask) -> Pixels:
    """The picture with the `own` mask filled by a smooth continuation of its surroundings.

    A segmentation names one thing first; with that gone it names the next.
    """
    from productshot.render.fill import extend

    return extend(picture, ~own)


def with_shadow(alpha: Pixels) -> Mask:
    """(h, w), where the product and the darkest part of its shadow lie, generously."""
    product = grown(alpha >= FAINT, REACH_PX)
    lower = np.zeros_like(product)
    lower[SHADOW_PX:] = product[:-SHADOW_PX]
    return product | lower
