"""The gates room, what is compared: a picture beside the truth at one size, and the masks that every measure uses."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from productshot.errors import InputRefused
from productshot.geometry import Box
from productshot.pixels import Pixels, box_of

Mask = NDArray[np.bool_]
Floats = NDArray[np.floating]

SOLID = 128
"""Alpha from which a pixel belongs to the product."""
FAINT = 8
"""Alpha below which a pixel shows nothing of the product."""
TOLERANCE_PX = 2
"""A segmented outline is never surer than this."""
INNER_PX = 3
"""Colours are compared this far inside the outline, where no ground mixes in."""


@dataclass(frozen=True)
class Comparison:
    """A picture beside the truth, at the compare size."""

    picture: Pixels  # (h, w, 3) uint8, as rendered, product and shadow included
    reference: Pixels  # (h, w, 3) uint8, the same product at the same place on plain mid-grey
    alpha: Pixels  # (h, w) uint8, where the product is in the reference
    bare: Pixels | None = None  # (h, w, 3) uint8, the painting alone, without a pasted product and its shadow
    plate: Pixels | None = None  # (h, w, 3) uint8, the whole painting at its own size
    master: Box | None = None  # the first painting inside the plate, which the picture shows; px of the plate
    shadow: float = 0.0  # how dark the scene wants the contact shadow, 0..1; 0: none
    described: Pixels | None = (
        None  # (h, w, 3) uint8, what the prompt speaks of: the place alone, or all of it
    )
    prompt: str = ""  # in words


def close_up(seen: Comparison, margin_px: int) -> Comparison:
    """The part of the pictures around the product, that wide, as far as the frame goes. InputRefused: no product."""
    box = product_box(seen.alpha >= FAINT)
    window = np.s_[
        max(box.top - margin_px, 0) : box.bottom + margin_px,
        max(box.left - margin_px, 0) : box.right + margin_px,
    ]
    return replace(
        seen, picture=seen.picture[window], reference=seen.reference[window], alpha=seen.alpha[window]
    )


def solid(alpha: Pixels) -> Mask:
    """(h, w), True where the alpha says product."""
    return alpha >= SOLID


def grown(mask: Mask, reach_px: int = TOLERANCE_PX) -> Mask:
    """The mask dilated by that many px in all eight directions."""
    from scipy.ndimage import binary_dilation

    return np.asarray(binary_dilation(mask, structure=np.ones((3, 3)), iterations=reach_px))


def inner(mask: Mask) -> Mask:
    """The mask eroded by INNER_PX; of a product too thin for that, the whole mask."""
    from scipy.ndimage import binary_erosion

    core = np.asarray(binary_erosion(mask, structure=np.ones((3, 3)), iterations=INNER_PX))
    return core if core.any() else mask


def area(mask: Mask) -> int:
    """Pixels of the mask; InputRefused when there is none."""
    count = int(mask.sum())
    if not count:
        raise _no_product()
    return count


def product_box(mask: Mask) -> Box:
    """The box of the mask; InputRefused when it is empty."""
    box = box_of(mask)
    if box is None:
        raise _no_product()
    return box


def _no_product() -> InputRefused:
    return InputRefused("the product", "has no pixel at the compare size", "", "compare at a larger size")


def lab(rgb: Pixels) -> NDArray[np.float64]:
    """(..., 3) uint8 sRGB as CIE Lab, D65."""
    from skimage.color import rgb2lab

    return np.asarray(rgb2lab(rgb), np.float64)


def luma(rgb: Pixels) -> NDArray[np.float32]:
    """(..., 3) uint8 sRGB as luma 0..255 (Rec. 601 weights)."""
    weights = np.array((0.299, 0.587, 0.114), np.float32)
    return np.asarray(rgb.astype(np.float32) @ weights, np.float32)


def longer_side(mask: Mask) -> int:
    """The longer side of the mask's box, px; InputRefused when the mask is empty."""
    return max(product_box(mask).size)
