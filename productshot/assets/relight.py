"""Assets, the light: a photographed product brought a little towards the light of its scene, within a limit. Pure.

Only light changes, smoothly from side to side: every pixel is multiplied in linear light by a gain that is the
exponential of a plane over the product. No pixel's colour moves by more than MAX_DELTA_E.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from productshot.geometry import Box, Size
from productshot.pixels import Pixels, linear_light, size_of, srgb_levels

Floats = NDArray[np.floating]

MAX_DELTA_E = 2.0
"""CIEDE2000 (Sharma et al. 2005) between a product's pixel and itself relit, at amount 1; a gate refuses 3."""
SLOPE, LEVEL, TINT = 0.6, 0.25, 0.1
"""Shares of the ground's log light that a product takes on: its fall from side to side, how bright it is, its hue."""
AVERAGE = 0.18
"""Linear luminance of an average picture, to which cameras expose: a scene as bright asks for no other level."""
LUMINANCE = np.array((0.2126, 0.7152, 0.0722))
"""Of linear red, green and blue (IEC 61966-2-1)."""
FIRST_LOOK = 20_000
"""So many pixels find the gain's strength; then all are measured."""


@dataclass(frozen=True)
class Light:
    """The logarithm of a gain in linear light: at the product's middle, and how it rises from there to two sides."""

    middle: Floats  # (3,) of red, green and blue
    across: float  # to the right side
    down: float  # to the bottom

    def over(self, size: Size) -> NDArray[np.float32]:
        """(h, w, 3) the logarithm over the product's box."""
        x = np.linspace(-1, 1, size.width)[None, :, None]
        y = np.linspace(-1, 1, size.height)[:, None, None]
        return np.asarray(self.across * x + self.down * y + self.middle, np.float32)


@dataclass(frozen=True)
class Relit:
    """A cutout in other light: rgba (h, w, 4) uint8, its alpha as before, and how far its colours moved."""

    rgba: Pixels
    delta_e: float  # the largest CIEDE2000 of a pixel that shows


def in_scene(cutout: Pixels, plate: Pixels, product: Box, amount: float) -> Relit:
    """The cutout (h, w, 4) in the light of the plate (h, w, 3) in which it stands at `product`, see `relight`."""
    return relight(cutout, light_of(plate, product), amount) if amount else Relit(cutout, 0.0)


def light_of(plate: Pixels, product: Box) -> Light:
    """What a product standing at `product` (px of the plate, may overhang) takes on from the plate (h, w, 3).

    A plane fitted to the logarithm of the luminance around it, half its longer side far.
    """
    reach = max(product.size) // 2
    left, top = max(product.left - reach, 0), max(product.top - reach, 0)
    part = linear_light(plate[top : product.bottom + reach, left : product.right + reach])
    luma = np.log(part @ LUMINANCE + 0.01)
    x = (left + np.arange(luma.shape[1]) + 0.5 - product.left) / product.size.width * 2 - 1
    y = (top + np.arange(luma.shape[0]) + 0.5 - product.top) / product.size.height * 2 - 1
    grid = np.stack([np.ones_like(luma), *np.broadcast_arrays(x[None, :], y[:, None])], axis=-1).reshape(
        -1, 3
    )
    (level, across, down), *_ = np.linalg.lstsq(grid, luma.ravel(), rcond=None)
    mean = part.reshape(-1, 3).mean(axis=0) + 0.01
    hue = np.log(mean / (mean @ LUMINANCE))
    return Light(LEVEL * (level - np.log(AVERAGE)) + TINT * hue, SLOPE * float(across), SLOPE * float(down))


def relight(cutout: Pixels, light: Light, amount: float) -> Relit:
    """The cutout (h, w, 4) in that light, as far as no pixel's colour moves by more than `amount` of MAX_DELTA_E.

    The gain is weakened as a whole until that holds of every pixel that shows, so it stays smooth. Amount 0, or no
    pixel that shows: the cutout itself.
    """
    limit = amount * MAX_DELTA_E
    seen = cutout[..., 3] > 0
    if limit <= 0 or not seen.any():
        return Relit(cutout, 0.0)
    before, gains = cutout[..., :3][seen], light.over(size_of(cutout))[seen]
    every = -(-len(before) // FIRST_LOOK)
    share = _strongest(before[::every], gains[::every], limit)
    while (moved := _moved(before, gains, share)) > limit:
        share *= 0.95 * limit / moved
    out = cutout.copy()
    out[seen, :3] = _lit(before, gains, share)
    return Relit(out, moved)


def _strongest(before: Pixels, gains: Floats, limit: float) -> float:
    """The largest share of the gains, 0..1, to a hundredth, that moves none of the colours (n, 3) beyond the limit."""
    low, high = 0.0, 1.0
    if _moved(before, gains, high) <= limit:
        return high
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if _moved(before, gains, middle) <= limit else (low, middle)
    return low


def _moved(before: Pixels, gains: Floats, share: float) -> float:
    """The largest CIEDE2000 between colours (n, 3) and themselves in that share of the light."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    return float(deltaE_ciede2000(rgb2lab(before), rgb2lab(_lit(before, gains, share))).max())


def _lit(rgb: Pixels, gains: Floats, share: float) -> Pixels:
    """uint8 sRGB times a share of the gain, whose logarithms are given."""
    light = linear_light(rgb) * np.exp(np.float32(share) * gains)
    return np.asarray(np.rint(255 * srgb_levels(np.clip(light, 0, 1))), np.uint8)
