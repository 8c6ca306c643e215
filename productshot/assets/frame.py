"""Assets, what stands around the product: a drawn frame, marks that look like text. Measured on pixels alone."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from productshot.geometry import Box
from productshot.pixels import Pixels

FRAME_SHARE = 0.06
"""A ring of one colour wider than this share of the shorter side is a ground, not a frame."""
ONE_COLOUR = 20
"""Levels by which the pixels of a frame may differ: JPEG blurs its edge."""
STEP = 24
"""Levels by which the picture inside must differ from its frame."""

CONTRAST = 28
"""Levels by which a mark differs from the mean around it."""
MANY_MARKS = 400
"""More small marks than this are a texture: nothing is suspected."""
LETTERS = 5
"""As many small marks in a row look like a word."""


def frame_width(rgb: Pixels) -> int:
    """Width in px of a one-coloured frame around the picture (h, w, 3); 0 when there is none.

    Rings from the outside in, as long as each is of the first one's colour; then, behind a px or two of blur, the
    picture must differ along most of all four sides. A ring that never ends within FRAME_SHARE is a ground.
    """
    deepest = int(FRAME_SHARE * min(rgb.shape[:2]))
    colour = np.median(_ring(rgb, 0), axis=0)
    for width in range(deepest + 1):
        away = np.abs(_ring(rgb, width).astype(np.int16) - colour).max(axis=1)
        if (away > ONE_COLOUR).mean() > 0.02:
            return width if width and _differs(rgb, width, colour) else 0
    return 0


def frame_lines(pixels: Pixels, depth: int) -> list[Pixels]:
    """The four lines of the picture's ring at a depth, without the corners inside it: top, bottom, left, right."""
    height, width = pixels.shape[:2]
    across, down = np.s_[depth : width - depth], np.s_[depth : height - depth]
    return [
        pixels[depth, across],
        pixels[height - 1 - depth, across],
        pixels[down, depth],
        pixels[down, width - 1 - depth],
    ]


def _ring(pixels: Pixels, depth: int) -> Pixels:
    return np.concatenate(frame_lines(pixels, depth))


def _differs(rgb: Pixels, width: int, colour: NDArray[np.float64]) -> bool:
    """Whether the picture, two px inside the frame, differs from its colour along most of each side."""
    lines = frame_lines(rgb, width + 2)
    return all((np.abs(line.astype(np.int16) - colour).max(axis=1) > STEP).mean() > 0.8 for line in lines)


def marks_like_text(rgb: Pixels, matte: Pixels | None) -> str | None:
    """Where small marks stand in a row outside the product, in words; None when none do. A suspicion, no proof.

    Connected patches darker, or lighter, than their surroundings, 6 to 60 thousandths of the picture high; LETTERS of
    like height whose middles lie on one line and that stand closer than three heights are a word.
    """
    from scipy import ndimage

    grey = rgb.astype(np.float32).mean(axis=2)
    above = grey - ndimage.uniform_filter(grey, max(9, min(grey.shape) // 20))
    near = np.zeros(grey.shape, bool) if matte is None else ndimage.binary_dilation(matte > 0, iterations=3)
    for ink in (above < -CONTRAST, above > CONTRAST):
        marks = _small_marks(ink & ~near)
        for row in _rows_of(marks) if len(marks) <= MANY_MARKS else ():
            if len(row) >= LETTERS:
                return f"{len(row)} marks in a row at {row[0].left},{row[0].top} px look like text"
    return None


def _small_marks(ink: NDArray[np.bool_]) -> list[Box]:
    """The boxes of connected patches of letter size, from left to right."""
    from scipy import ndimage

    least, most = max(4.0, 0.006 * ink.shape[0]), 0.06 * ink.shape[0]
    patches, _ = ndimage.label(ink)
    boxes = [
        Box(columns.start, rows.start, columns.stop, rows.stop)
        for rows, columns in ndimage.find_objects(patches)
    ]
    return sorted(box for box in boxes if least <= box.size.height <= most and box.size.width <= 2 * most)


def _rows_of(marks: list[Box]) -> Iterator[list[Box]]:
    """For each mark the row that begins with it: of like height, on one line, with no gap above three heights."""
    for first in marks:
        row, high = [first], first.size.height
        for mark in marks:
            aside = abs(mark.top + mark.bottom - first.top - first.bottom) / 2
            alike = aside <= 0.3 * high and 0.6 <= high / mark.size.height <= 1.6
            if (
                mark != first
                and alike
                and row[-1].right <= mark.left + 1
                and mark.left - row[-1].right <= 3 * high
            ):
                row.append(mark)
        yield row
