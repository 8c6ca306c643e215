"""Assets, pure white: what a file on a white ground must hold after it was decoded again."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from productshot.pixels import Pixels

NEAR_WHITE = 250
"""Least level beside the product, in blocks that a lossy format shares between product and ground."""

Mask = NDArray[np.bool_]


def white_fault(rgb: Pixels, matte: Pixels, block_px: int = 8) -> str | None:
    """What breaks pure white in a decoded file, in words; None when it holds.

    Every block of `block_px` (JPEG: 8, or 16 with halved chroma) that the matte does not touch must be 255 in all
    channels; in the others every pixel outside the matte at least 250. `rgb` (h, w, 3), `matte` (h, w) uint8.
    """
    blocks = _deciding(rgb, matte, block_px)
    return blocks.fault(blocks.colours)


class _Blocks(NamedTuple):
    """The blocks that decide whether a picture is pure white; those all product, or all white, decide nothing."""

    colours: Pixels  # (n, side, side, 3)
    outside: Mask  # (n, side, side): pixels of the ground; false beyond the picture's edge
    touched: Mask  # (n, 1, 1): whether the matte touches the block

    def fault(self, colours: Pixels) -> str | None:
        """What breaks pure white when the blocks show these colours."""
        lowest = darkest(colours)
        away = lowest[self.outside & ~self.touched]
        grey = int(np.count_nonzero(away != 255))
        if grey:
            return f"{grey} px away from the product are not 255 (down to {int(away.min())})"
        beside = lowest[self.outside & self.touched]
        if beside.size and beside.min() < NEAR_WHITE:
            count = int(np.count_nonzero(beside < NEAR_WHITE))
            return f"{count} px beside the product are down to {int(beside.min())}"
        return None


def _deciding(rgb: Pixels, matte: Pixels, side: int, whites: int = 0) -> _Blocks:
    """The deciding blocks of a picture, row by row, and behind them the first `whites` that are white ground alone."""
    height, width = matte.shape
    colours, product = _filled(rgb, side), _filled(matte, side)
    touched = _per_block(np.maximum, product, side) > 0
    shared = touched & (_per_block(np.minimum, product, side) == 0)
    white = _per_block(np.minimum, colours, side) == 255
    deciding, plain = np.argwhere(shared | ~touched & ~white), np.argwhere(~touched & white)[:whites]
    rows, columns = np.concatenate([deciding, plain]).T
    at = np.arange(side)
    inside = (rows[:, None] * side + at < height)[:, :, None] & (columns[:, None] * side + at < width)[
        :, None
    ]
    return _Blocks(
        _split(colours, side)[rows, :, columns],
        inside & (_split(product, side)[rows, :, columns] == 0),
        touched[rows, columns][:, None, None],
    )


class EdgeBlocks(NamedTuple):
    """The 8x8 blocks that decide whether a JPEG is pure white, laid side by side; a white one stands for all white.

    A JPEG with full chroma codes each block by itself, so these decode as they do in the whole picture.
    """

    strip: Pixels  # (8 a, 8 b, 3)
    blocks: _Blocks

    def fault(self, decoded: Pixels) -> str | None:
        """What breaks pure white in the decoded strip, as white_fault says it of the whole picture."""
        tiles = _split(decoded, 8).swapaxes(1, 2).reshape(-1, 8, 8, 3)
        return self.blocks.fault(tiles[: len(self.blocks.touched)])


def edge_blocks(rgb: Pixels, matte: Pixels) -> EdgeBlocks:
    """The deciding blocks of a picture (h, w, 3) and its matte (h, w); one at the edge is filled as JPEG fills it."""
    blocks = _deciding(rgb, matte, 8, whites=1)
    count = len(blocks.touched)
    columns = max(1, math.ceil(math.sqrt(count)))
    rows = max(1, math.ceil(count / columns))
    tiles = np.full((rows * columns, 8, 8, 3), 255, np.uint8)
    tiles[:count] = blocks.colours
    strip = tiles.reshape(rows, columns, 8, 8, 3).swapaxes(1, 2).reshape(rows * 8, columns * 8, 3)
    return EdgeBlocks(strip, blocks)


def _filled(pixels: Pixels, side: int) -> Pixels:
    """The (h, w, ...) array with its last row and column repeated up to whole blocks."""
    height, width = pixels.shape[:2]
    fill = ((0, -height % side), (0, -width % side), *((0, 0),) * (pixels.ndim - 2))
    return np.pad(pixels, fill, mode="edge") if height % side or width % side else pixels


def _split(pixels: Pixels, side: int) -> Pixels:
    """(h, w, ...) with sides of whole blocks -> (rows, side, columns, side, ...), a view where it can be."""
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    return pixels.reshape(rows, side, columns, side, *pixels.shape[2:])


def _per_block(extreme: np.ufunc, pixels: Pixels, side: int) -> Pixels:
    """The extreme of each block, (rows, columns); both times over the first axis, which NumPy does in wide steps."""
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    lines = extreme.reduce(pixels.reshape(rows, side, -1), axis=1)
    across = np.ascontiguousarray(lines.reshape(rows * columns, -1).T)
    return np.asarray(extreme.reduce(across, axis=0)).reshape(rows, columns)


def darkest(rgb: Pixels) -> Pixels:
    """The lowest of the three channels, (..., 3) -> (...)."""
    return np.minimum(np.minimum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])


def border_is_white(rgb: Pixels, width_px: int = 4) -> bool:
    """Whether the outer ring of the picture is 255 everywhere."""
    inner = np.zeros(rgb.shape[:2], bool)
    inner[width_px:-width_px, width_px:-width_px] = True
    return bool((rgb[~inner] == 255).all())
