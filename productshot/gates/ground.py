"""The gates room, the ground: is anything painted, does a seam show, does the product stand on it?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from productshot.gates.comparison import Mask, area, luma, solid
from productshot.geometry import Box
from productshot.pixels import Pixels

SEAM_FLOOR = 2.0
"""Levels: nobody sees a smaller step, so a smooth picture's seam is measured against this."""
BESIDE = 3
"""Lines at each side that a step is compared with."""
DARK = 16.0
"""Levels of luma below which no shadow can be seen."""


def ground_range(picture: Pixels, around: Mask) -> float:
    """Range of the luma from the 1st to the 99th percentile in `around` (h, w), 0..1; 0 for a black or plain one.

    InputRefused: nothing is around.
    """
    area(around)
    low, high = np.percentile(luma(picture)[around], (1, 99))
    return float((high - low) / 255)


def seam(plate: Pixels, master: Box) -> float:
    """The largest step at a border of the master inside the plate, over the plate's own 95th percentile of steps.

    Above 1 the border is a line such as the picture itself hardly has; a natural horizon that runs exactly along
    the border cannot be told from it. 0 when the master is the whole plate.
    """
    levels = plate.astype(np.float32)
    ratios = [0.0]
    for lines, borders in ((levels, (master.left, master.right)),
                           (levels.swapaxes(0, 1), (master.top, master.bottom))):  # fmt: skip
        steps = line_steps(lines)
        usual = max(float(np.percentile(steps, 95)), SEAM_FLOOR)
        ratios += [float(steps[at - 1]) / usual for at in borders if 0 < at < lines.shape[1]]
    return max(ratios)


def line_steps(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """(w - 1,) how far each column of (h, w, 3) levels steps to the next, beyond what its neighbours step; 0 or more.

    A step is the length of the median colour difference: what most of the line does alike. A slope steps at its
    neighbours too, a seam at one line.
    """
    steps = np.linalg.norm(np.median(np.diff(levels, axis=1), axis=0), axis=-1)
    padded = np.pad(steps, BESIDE, mode="edge")
    shifts = [each for each in range(2 * BESIDE + 1) if each != BESIDE]
    beside = np.median([padded[each : each + len(steps)] for each in shifts], axis=0)
    return np.asarray(np.maximum(steps - beside, 0), np.float32)


def shadow_depth(picture: Pixels, alpha: Pixels) -> float:
    """How much darker the ground is just below the product's contact line than around it; below 0: brighter.

    1 - (luma below) / (luma of the ground at both sides and farther below), medians; NaN where there is no
    ground to look at or it is too dark. InputRefused: the product is empty.
    """
    product = solid(alpha)
    area(product)
    columns = np.flatnonzero(product.any(axis=0))
    left, width = int(columns[0]), len(columns)
    lowest = product.shape[0] - np.argmax(product[::-1], axis=0)  # the first row below the product
    bottom = int(lowest[columns].max())
    touching = columns[lowest[columns] >= bottom - 0.08 * width]
    y = luma(picture)
    deep = max(3, round(0.03 * width))
    below = _strips(y, touching, lowest[touching] + 2, deep)
    beneath = _strips(y, touching, lowest[touching] + round(0.2 * width), deep)
    rows = slice(max(bottom - deep, 0), bottom + deep)
    away = round(0.15 * width)
    sides = (y[rows, max(left - 3 * away, 0) : max(left - away, 0)],
             y[rows, columns[-1] + away : columns[-1] + 3 * away])  # fmt: skip
    grounds = [float(np.median(part)) for part in (beneath, *sides) if part.size >= 4 * deep]
    if below.size < 4 * deep or not grounds or np.mean(grounds) < DARK:
        return float("nan")
    return 1 - float(below.mean() / np.mean(grounds))


def _strips(
    y: NDArray[np.float32], columns: NDArray[np.int64], tops: NDArray[np.int64], deep: int
) -> NDArray[np.float32]:
    """The luma of `deep` rows from each column's top on; what lies below the frame is left out."""
    rows = tops[:, None] + np.arange(deep)
    kept = rows < y.shape[0]
    return np.asarray(y[rows[kept], np.broadcast_to(columns[:, None], rows.shape)[kept]])
