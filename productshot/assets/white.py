"""Assets, pure white: what a file on a white ground must hold after it was decoded again."""

from __future__ import annotations

import math
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from productshot.pixels import Pixels

NEAR_WHITE = 250
"""Least level beside the product, in blocks that a lossy format shares between product and ground."""

Mask = NDArray[np.bool_]
Kind = TypeVar("Kind", bound=np.generic)


def white_fault(rgb: Pixels, matte: Pixels, block_px: int = 8) -> str | None:
    """What breaks pure white in a decoded file, in words; None when it holds.

    Every block of `block_px` (JPEG: 8, or 16 with halved chroma) that the matte does not touch must be 255 in all
    channels; in the others every pixel outside the matte at least 250. `rgb` (h, w, 3), `matte` (h, w) uint8.
    """
    lowest = darkest(rgb)
    product = matte > 0
    far = ~np.repeat(np.repeat(_touched(product, block_px), block_px, axis=0), block_px, axis=1)
    far = far[: matte.shape[0], : matte.shape[1]]
    return _fault_of(lowest[far], lowest[~far & ~product])


def _fault_of(away: Pixels, beside: Pixels) -> str | None:
    """What breaks pure white among the levels of pixels away from the product, and of those beside it."""
    grey = int(np.count_nonzero(away != 255))
    if grey:
        return f"{grey} px away from the product are not 255 (down to {int(away.min())})"
    if beside.size and beside.min() < NEAR_WHITE:
        count = int(np.count_nonzero(beside < NEAR_WHITE))
        return f"{count} px beside the product are down to {int(beside.min())}"
    return None


class EdgeBlocks(NamedTuple):
    """The 8x8 blocks that decide whether a JPEG is pure white, laid side by side.

    A JPEG with full chroma codes each block by itself, so these decode as they do in the whole picture. The blocks
    that are all product, or all white, decide nothing; one of the white ones stands for all.
    """

    strip: Pixels  # (8 a, 8 b, 3)
    product: Mask  # (n, 8, 8): where the matte is, per block
    outside: Mask  # (n, 8, 8): pixels of the ground
    touched: Mask  # (n,): whether the matte touches the block

    def fault(self, decoded: Pixels) -> str | None:
        """What breaks pure white in the decoded strip, as white_fault says it of the whole picture."""
        lowest = _blocks(darkest(decoded))[: len(self.touched)]
        return _fault_of(
            lowest[self.outside & ~self.touched[:, None, None]],
            lowest[self.outside & self.touched[:, None, None]],
        )


def edge_blocks(rgb: Pixels, matte: Pixels) -> EdgeBlocks:
    """The deciding blocks of a picture (h, w, 3) and its matte (h, w); one at the edge is filled as JPEG fills it."""
    height, width = matte.shape
    fill = ((0, -height % 8), (0, -width % 8))
    inside = _blocks(np.pad(np.ones(matte.shape, bool), fill))
    product = _blocks(np.pad(matte > 0, fill))
    colours = _blocks(np.pad(rgb, (*fill, (0, 0)), mode="edge"))
    touched, outside = np.asarray(product.any(axis=(1, 2))), inside & ~product
    white = np.asarray(_blocks(np.pad(darkest(rgb) == 255, fill, mode="edge")).all(axis=(1, 2)))
    deciding = np.flatnonzero(outside.any(axis=(1, 2)) & (touched | ~white))
    chosen = [*deciding, *np.flatnonzero(white & ~touched)[:1]]
    columns = max(1, math.ceil(math.sqrt(len(chosen))))
    rows = max(1, math.ceil(len(chosen) / columns))
    tiles = np.full((rows * columns, 8, 8, 3), 255, np.uint8)
    tiles[: len(chosen)] = colours[chosen]
    strip = tiles.reshape(rows, columns, 8, 8, 3).swapaxes(1, 2).reshape(rows * 8, columns * 8, 3)
    return EdgeBlocks(strip, product[chosen], outside[chosen], touched[chosen])


def _blocks(pixels: NDArray[Kind]) -> NDArray[Kind]:
    """(h, w, ...) with sides of whole blocks -> (n, 8, 8, ...), row by row."""
    rows, columns = pixels.shape[0] // 8, pixels.shape[1] // 8
    split = pixels.reshape(rows, 8, columns, 8, *pixels.shape[2:])
    return split.swapaxes(1, 2).reshape(rows * columns, 8, 8, *pixels.shape[2:])


def darkest(rgb: Pixels) -> Pixels:
    """The lowest of the three channels, (h, w) uint8."""
    return np.minimum(np.minimum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])


def _touched(product: Mask, block_px: int) -> Mask:
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
