"""Assets, pure white: what a file on a white ground must hold after it was decoded again."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from productshot.pixels import Pixels

NEAR_WHITE = 250
"""Least level beside the product, in blocks that JPEG shares between product and ground."""


def white_fault(rgb: Pixels, matte: Pixels, block_px: int = 8) -> str | None:
    """What breaks pure white in a decoded file, in words; None when it holds.

    Every block of `block_px` (8, or 16 with halved chroma) that the matte does not touch must be 255 in all
    channels; in the others every pixel outside the matte at least 250. `rgb` (h, w, 3), `matte` (h, w) uint8.
    """
    lowest = darkest(rgb)
    product = matte > 0
    far = ~np.repeat(np.repeat(_touched(product, block_px), block_px, axis=0), block_px, axis=1)
    far = far[: matte.shape[0], : matte.shape[1]]
    grey = int(np.count_nonzero(lowest[far] != 255))
    if grey:
        return f"{grey} px away from the product are not 255 (down to {int(lowest[far].min())})"
    beside = lowest[~far & ~product]
    if beside.size and beside.min() < NEAR_WHITE:
        count = int(np.count_nonzero(beside < NEAR_WHITE))
        return f"{count} px beside the product are down to {int(beside.min())}"
    return None


def darkest(rgb: Pixels) -> Pixels:
    """The lowest of the three channels, (h, w) uint8."""
    return np.minimum(np.minimum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])


def _touched(product: NDArray[np.bool_], block_px: int) -> NDArray[np.bool_]:
    """Per block (rows, columns): whether any pixel of the product lies in it."""
    height, width = product.shape
    padded = np.pad(product, ((0, -height % block_px), (0, -width % block_px)))
    rows, columns = padded.shape[0] // block_px, padded.shape[1] // block_px
    blocks = padded.reshape(rows, block_px, columns, block_px)
    return np.asarray(blocks.any(axis=(1, 3)), np.bool_)


def border_is_white(rgb: Pixels, width_px: int = 4) -> bool:
    """Whether the outer ring of the picture is 255 everywhere."""
    inner = np.zeros(rgb.shape[:2], bool)
    inner[width_px:-width_px, width_px:-width_px] = True
    return bool((rgb[~inner] == 255).all())
