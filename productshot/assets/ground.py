"""Assets, the ground: a low-resolution plate enlarged smoothly, with a contact shadow. Pure, in float."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from catalog_schemas import Shadow
from productshot.geometry import Box, Size
from productshot.keys import digest_bytes
from productshot.pixels import Pixels

Floats = NDArray[np.float32]
Window = tuple[float, float, float, float]
"""Left, top, right, bottom in px of the source, at sub-pixel positions."""

GRAIN_LEVELS = 1.3
"""Standard deviation of the film grain in 8-bit levels: it hides the steps of a slow gradient, no more."""


def enlarge(plate: Pixels, window: Window, size: Size) -> Floats:
    """The window of an RGB plate at that size, (h, w, 3) float32 0..255, without ringing or blocks.

    Doubled by linear interpolation as long as a doubling fits: repeated, that is Chaikin's corner cutting
    (1974), whose limit is the quadratic B-spline: smooth, and never beyond the values it started from.
    The last factor, below 2, is Lanczos. All in float, so a slow gradient keeps its slope.
    """
    channels = [_enlarge_channel(plate[..., index], window, size) for index in range(3)]
    return np.clip(np.stack(channels, axis=-1), 0, 255)


def _enlarge_channel(channel: Pixels, window: Window, size: Size) -> Floats:
    image = Image.fromarray(channel.astype(np.float32))
    left, top, right, bottom = window
    while 2 * (right - left) <= size.width and 2 * (bottom - top) <= size.height:
        image = image.resize((2 * image.width, 2 * image.height), Image.Resampling.BILINEAR)
        left, top, right, bottom = 2 * left, 2 * top, 2 * right, 2 * bottom
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS, box=(left, top, right, bottom)))


def add_grain(ground: Floats, plate: Pixels) -> Pixels:
    """The ground as (h, w, 3) uint8 with a whisper of grey film grain that follows from the plate's bytes."""
    seed = int(digest_bytes(plate.tobytes())[:16], 16)
    noise = np.random.Generator(np.random.PCG64(seed)).standard_normal(ground.shape[:2], np.float32)
    return np.clip(np.rint(ground + GRAIN_LEVELS * noise[..., None]), 0, 255).astype(np.uint8)


def cast_shadow(ground: Floats, matte: Pixels, product: Box, shadow: Shadow) -> Floats:
    """The ground darkened under the product; `matte` is its alpha on the same canvas, `product` its box.

    Two soft ellipses that hug the product's lower edge, multiplied onto the ground: a narrow dark one where
    the product touches, a wide weak one for the light that it keeps away.
    """
    if shadow.kind == "none" or shadow.strength == 0 or product.size.width < 2:
        return ground
    width = product.size.width
    top = max(0, round(product.bottom - 0.40 * width))
    bottom = min(ground.shape[0], round(product.bottom + 0.20 * width))
    touch, edge = _lower_edge(matte, product)
    below = np.arange(top, bottom, dtype=np.float32)[:, None] - edge[None, :]
    dark = 0.75 * _ellipse(touch, below, 0.015 * width, 0.011 * width)
    dark += 0.55 * _ellipse(touch, below, 0.070 * width, 0.045 * width)
    out = ground.copy()
    out[top:bottom] *= 1 - shadow.strength * np.minimum(dark, 1)[..., None]
    return out


def _lower_edge(matte: Pixels, product: Box) -> tuple[Floats, Floats]:
    """Per canvas column: how much the product touches the ground (0..1), and the y of its lower edge."""
    reach = max(2.0, 0.24 * product.size.width)  # a foot farther back stands higher in the picture
    rows = matte[product.top : product.bottom, product.left : product.right] >= 128
    lowest = product.bottom - np.argmax(rows[::-1], axis=0).astype(np.float32)
    lowest[~rows.any(axis=0)] = -np.inf
    nearness = np.clip(1.7 * (1 - (product.bottom - lowest) / reach), 0, 1)
    edge = np.maximum(lowest, product.bottom - reach)
    touch = np.zeros(matte.shape[1], np.float32)
    touch[product.left : product.right] = nearness
    around = (product.left, matte.shape[1] - product.right)
    return touch, _blur(np.pad(edge, around, mode="edge"), 0.03 * product.size.width)


def _ellipse(touch: Floats, below: Floats, sigma_x: float, sigma_y: float) -> Floats:
    """A soft ellipse around the touching columns: blurred along x, Gaussian in the distance to the edge."""
    soft = _blur(touch, sigma_x)[None, :] * np.exp(-0.5 * (below / sigma_y) ** 2)
    return np.asarray(soft, np.float32)


def _blur(line: Floats, sigma: float) -> Floats:
    """A row of numbers blurred by a Gaussian of that sigma (px); the ends are continued."""
    radius = max(1, round(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 0.3)) ** 2)
    padded = np.pad(line, radius, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid").astype(np.float32)
