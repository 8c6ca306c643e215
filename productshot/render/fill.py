"""The render room's continuation of colours into unknown pixels: smooth, without a model, numpy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from productshot.pixels import Pixels

Floats = NDArray[np.floating]


def extend(rgb: Pixels, known: NDArray[np.bool_]) -> Pixels:
    """The picture with every pixel outside `known` (h, w) replaced by a smooth continuation of the others.

    Push-pull over a pyramid of halved pictures (Gortler et al. 1996, "The Lumigraph"). Known pixels stay
    exactly; a picture without any known pixel comes back unchanged.
    """
    if not known.any():
        return rgb.copy()
    filled = np.rint(continued(rgb.astype(np.float32), known)).clip(0, 255).astype(np.uint8)
    return np.where(known[..., None], rgb, filled)


def continued(values: Floats, known: NDArray[np.bool_]) -> Floats:
    """The same of any numbers (h, w, c), float32; somewhere `known` (h, w) is True."""
    weight = known[..., None].astype(np.float32)
    return _pull(values * weight, weight)


def _pull(colour: Floats, weight: Floats) -> Floats:
    """Colours (h, w, 3), premultiplied by weights (h, w, 1) in 0..1, filled from the next coarser picture."""
    height, width = weight.shape[:2]
    if weight.min() >= 1 or (height, width) == (1, 1):
        return colour / np.maximum(weight, 1e-6)
    coarse_weight = _halve(weight)
    trusted = np.minimum(np.float32(1), 4 * coarse_weight)  # one known pixel of four is enough
    coarse = _pull(_halve(colour) * trusted / np.maximum(coarse_weight, 1e-6), trusted)
    return colour + (np.float32(1) - weight) * _enlarge(coarse, height, width)


def _halve(values: Floats) -> Floats:
    """Means of 2 x 2; an odd last row or column meets zeros, which weigh nothing."""
    height, width = values.shape[:2]
    even = np.pad(values, ((0, height % 2), (0, width % 2), (0, 0)))
    quads: Floats = even.reshape(even.shape[0] // 2, 2, even.shape[1] // 2, 2, -1)
    return np.asarray(quads.mean(axis=(1, 3)), np.float32)


def _enlarge(values: Floats, height: int, width: int) -> Floats:
    """Twice the size, linear between the centres of the coarse pixels, cut to (height, width)."""
    rows = _between(values, height)
    return _between(rows.swapaxes(0, 1), width).swapaxes(0, 1)


def _between(values: Floats, length: int) -> Floats:
    """The first axis doubled: each new value is 3/4 of its parent and 1/4 of the neighbour on its side."""
    at = (np.arange(length) + 0.5) / 2 - 0.5
    low = np.floor(at).astype(int)
    share = (at - low).astype(np.float32)[:, None, None]
    last = len(values) - 1
    return values[low.clip(0, last)] * (1 - share) + values[(low + 1).clip(0, last)] * share
