"""Operations on pixels that several stages share. All arrays HWC uint8 sRGB; alpha straight, 0..255."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from productshot.geometry import Box, Size

Pixels = NDArray[np.uint8]

ImageFile.MAXBLOCK = 1 << 27
"""Bytes that Pillow gives an encoder at a time: one value for the process, because PNG files are cut by it.

libjpeg needs an optimized file in one piece, and Pillow's own guess is too small for a busy picture.
"""


def size_of(pixels: Pixels) -> Size:
    """Width and height of an (h, w, ...) array."""
    return Size(pixels.shape[1], pixels.shape[0])


def box_of(mask: NDArray[np.bool_]) -> Box | None:
    """The smallest box that holds every True of an (h, w) mask; None when there is none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def resize(pixels: Pixels, size: Size) -> Pixels:
    """(h, w), RGB or RGBA resampled by Lanczos; RGBA with premultiplied alpha, so no edge colour leaks in."""
    if size_of(pixels) == size:
        return pixels
    if pixels.ndim == 3 and pixels.shape[2] == 4:
        image = Image.fromarray(pixels, "RGBA").convert("RGBa").resize(size, Image.Resampling.LANCZOS)
        return np.asarray(image.convert("RGBA"))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def paste(rgba: Pixels, ground: Pixels, at: Box) -> Pixels:
    """A copy of the RGB ground with the RGBA laid over it at the box (of the RGBA's size; may overhang)."""
    out, over = Image.fromarray(ground), Image.fromarray(rgba)
    out.paste(over, (at.left, at.top), over)
    return np.array(out)


def lay(pixels: Pixels, canvas: Size, at: Box) -> Pixels:
    """The (h, w) alpha or (h, w, 4) RGBA on an empty canvas at the box; what overhangs is cut."""
    out = np.zeros((canvas.height, canvas.width, *pixels.shape[2:]), np.uint8)
    left, top = max(at.left, 0), max(at.top, 0)
    right, bottom = min(at.right, canvas.width), min(at.bottom, canvas.height)
    if left < right and top < bottom:
        out[top:bottom, left:right] = pixels[top - at.top : bottom - at.top, left - at.left : right - at.left]
    return out


def linear_light(rgb: Pixels) -> NDArray[np.float32]:
    """Linear light, 0..1, of sRGB (..., 3) uint8 (IEC 61966-2-1)."""
    level = np.arange(256) / 255
    light = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)[rgb]


def srgb_levels(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """sRGB, 0..1, of linear light, 0..1 (IEC 61966-2-1)."""
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def png_bytes(pixels: Pixels) -> bytes:
    """The picture as PNG, the same bytes for the same pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def from_png(data: bytes) -> Pixels:
    """Pixels of a PNG that productshot wrote itself (never of a shop's file: photos.py decodes those)."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        return np.asarray(image)


def smooth_step(share: NDArray[np.floating]) -> NDArray[np.floating]:
    """From 0 where the share is 0 or less to 1 where it is 1 or more, level at both ends: 3 s^2 - 2 s^3."""
    s = np.clip(share, 0, 1)
    return np.asarray(s * s * (3 - 2 * s))
