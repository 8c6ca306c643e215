"""Assets, the levels of a cutout: decoded once, premultiplied once, halved as often as its sizes need.

The sizes of one picture share these, whatever thread makes them: a slot a sixth as wide reads a ninth of the pixels.
"""

from __future__ import annotations

import threading
from functools import cached_property

import numpy as np
from PIL import Image

from productshot.geometry import Box, Size
from productshot.pixels import Pixels, box_of, linear_light, size_of, srgb_levels

SOLID = 128
"""The product is where the alpha is at least this; a fainter fringe belongs to its edge."""

GAP = 1.5
"""A level has at least this many px for one of the file, so that Lanczos, not the halving, decides what is seen."""

PAD = 24
"""Clear px around each level: more than Lanczos reaches, at the smallest scale in which a level is read."""

Window = tuple[float, float, float, float]
"""Left, top, right, bottom in px of the source, at sub-pixel positions."""


class Levels:
    """A cutout (h, w, 4) uint8, straight alpha, ready to be brought to many sizes. Safe to share between threads.

    `linear_light`: pixels are averaged as light, not as sRGB numbers; slower, and truer for fine bright patterns.
    """

    def __init__(self, cutout: Pixels, linear_light: bool = False) -> None:
        self.size = size_of(cutout)
        self.linear_light = linear_light
        self._cutout = cutout
        self._lock = threading.Lock()
        self._made: list[list[Image.Image]] = []

    @cached_property
    def solid(self) -> Box | None:
        """The box of the solid part of the product; None when nothing is solid."""
        return box_of(self._cutout[..., 3] >= SOLID)

    def resampled(self, scale: float, window: Window, size: Size) -> Pixels:
        """The window of the cutout at that size, (h, w, 4) with straight alpha; `scale` is px of the file per px.

        One premultiplied Lanczos resample of the smallest level that has GAP px for one; what lies beyond the cutout
        is clear, up to PAD px of a level.
        """
        halvings = 0
        while scale * 2 ** (halvings + 1) * GAP <= 1:
            halvings += 1
        planes, shrunk = self._level(halvings), 2.0**-halvings
        left, top, right, bottom = (edge * shrunk + PAD for edge in window)
        made = [
            plane.resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom)) for plane in planes
        ]
        return _as_srgb(made) if self.linear_light else np.array(made[0].convert("RGBA"))

    def _level(self, halvings: int) -> list[Image.Image]:
        """The planes of a level: one of mode RGBa, or in linear light four of mode F; each level is made once."""
        with self._lock:
            if not self._made:
                self._made.append(
                    _light(self._cutout) if self.linear_light else [_premultiplied(self._cutout)]
                )
            while len(self._made) <= halvings:
                self._made.append([_halved(plane) for plane in self._made[-1]])
            return self._made[halvings]


def _premultiplied(cutout: Pixels) -> Image.Image:
    return Image.fromarray(_padded(cutout)).convert("RGBa")


def _padded(cutout: Pixels) -> Pixels:
    return np.pad(cutout, ((PAD, PAD), (PAD, PAD), (0, 0)))


def _halved(plane: Image.Image) -> Image.Image:
    """The plane at half its size, its clear border at its full width again; an odd row or column counts as clear."""
    inner = plane.crop((PAD, PAD, plane.width - PAD, plane.height - PAD))
    even = inner.crop((0, 0, inner.width + inner.width % 2, inner.height + inner.height % 2))
    half = even.reduce(2)
    return half.crop((-PAD, -PAD, half.width + PAD, half.height + PAD))


def _light(cutout: Pixels) -> list[Image.Image]:
    """Premultiplied linear red, green and blue (0..1 times alpha) and alpha (0..1), as planes of mode F."""
    alpha = cutout[..., 3].astype(np.float32) / 255
    light = linear_light(cutout[..., :3]) * alpha[..., None]
    planes = [*np.moveaxis(light, -1, 0), alpha]
    return [Image.fromarray(np.pad(plane, PAD)) for plane in planes]


def _as_srgb(planes: list[Image.Image]) -> Pixels:
    """Straight RGBA uint8 of planes as _light makes them."""
    red, green, blue, alpha = (np.asarray(plane) for plane in planes)
    solid = np.clip(alpha, 1e-4, 1)
    light = np.clip(np.stack([red, green, blue], axis=-1) / solid[..., None], 0, 1)
    straight = np.concatenate([srgb_levels(light), np.clip(alpha, 0, 1)[..., None]], axis=-1)
    return np.asarray(np.rint(straight * 255), np.uint8)
