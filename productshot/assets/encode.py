"""Assets, the file: a JPEG under the slot's byte limit whose white is still white; PNG, WebP. No clock, no chance."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import numpy as np
from PIL import Image, ImageCms, ImageFile, PngImagePlugin

from catalog_schemas import AssetRecipe, Slot
from productshot.assets.compose import Composed
from productshot.assets.limits import Seen
from productshot.assets.white import white_fault
from productshot.errors import GateRefused
from productshot.pixels import Pixels

FULL_COLOUR_QUALITY = 90
"""From this quality on, and on white always, every pixel keeps its own colour (4:4:4)."""


def encode_jpeg(
    composed: Composed, slot: Slot, recipe: AssetRecipe, xmp: bytes | None, item: str, place: str = ""
) -> bytes:
    """The picture as a progressive JPEG with an sRGB profile and the XMP packet; same input, same bytes.

    The best quality from `recipe.quality` down to `min_quality` that fits `slot.max_bytes`; on a white slot
    the quality then rises, up to 100, until the decoded file is pure white outside the product. GateRefused
    when neither can be had, or when the file stays below `slot.min_bytes` at every quality.
    """
    where = f"slot {place or slot.name}"
    quality, data = _best_fitting(composed, slot, recipe, xmp, item, where)
    if slot.background == "white":
        quality, data = _purely_white(composed, (quality, data), xmp, item, where)
        if len(data) > slot.max_bytes:
            raise _too_many_bytes(data, f"JPEG quality {quality}, needed for pure white", slot, item, where)
    return data if len(data) >= slot.min_bytes else _large_enough(composed, slot, quality, xmp, item, where)


def _large_enough(
    composed: Composed, slot: Slot, quality: int, xmp: bytes | None, item: str, where: str
) -> bytes:
    """The file of the lowest quality above that one whose bytes reach the slot's least; GateRefused: none does."""
    for better in range(quality + 1, 101):
        data = _encoded(composed.rgb, better, xmp, full_colour=True)
        if slot.min_bytes <= len(data) <= slot.max_bytes:
            return data
    raise GateRefused(
        item,
        f"has {len(data):,} bytes at JPEG quality 100",
        f"{where} takes files of {slot.min_bytes:,} to {slot.max_bytes:,} bytes",
        "raise the slot's preferred_width, or add a larger photo",
    )


def _purely_white(
    composed: Composed, first: tuple[int, bytes], xmp: bytes | None, item: str, where: str
) -> tuple[int, bytes]:
    """The first (quality, file), or by bisection one of higher quality that decodes to pure white."""
    fails = first[0]
    if not _fault_at(fails, composed):
        return first
    if fault := _fault_at(100, composed):
        limit = f"{where} asks for 255 outside the product"
        raise GateRefused(
            item, f"is not on pure white as a JPEG: {fault}", limit, "look at the cutout's edge"
        )
    holds = 100
    while holds - fails > 1:
        middle = (fails + holds) // 2
        fails, holds = (middle, holds) if _fault_at(middle, composed) else (fails, middle)
    return holds, _encoded(composed.rgb, holds, xmp, full_colour=True)


def _fault_at(quality: int, composed: Composed) -> str | None:
    """What breaks pure white at that quality; how the coefficients are packed afterwards changes no pixel."""
    buffer = io.BytesIO()
    Image.fromarray(composed.rgb).save(buffer, "JPEG", quality=quality, subsampling=0)
    return white_fault(pixels_of(buffer.getvalue()), composed.matte)


def _best_fitting(
    composed: Composed, slot: Slot, recipe: AssetRecipe, xmp: bytes | None, item: str, where: str
) -> tuple[int, bytes]:
    """The highest allowed quality whose file fits the byte limit, by bisection, and the file."""
    white = slot.background == "white"

    def encoded(quality: int) -> bytes:
        return _encoded(composed.rgb, quality, xmp, full_colour=white or quality >= FULL_COLOUR_QUALITY)

    data = encoded(recipe.quality)
    if len(data) <= slot.max_bytes:
        return recipe.quality, data
    fits, over = min(recipe.min_quality, recipe.quality), recipe.quality
    data = encoded(fits)
    if len(data) > slot.max_bytes:
        raise _too_many_bytes(data, f"JPEG quality {fits}, the lowest allowed", slot, item, where)
    while over - fits > 1:
        middle = (fits + over) // 2
        candidate = encoded(middle)
        if len(candidate) <= slot.max_bytes:
            fits, data = middle, candidate
        else:
            over = middle
    return fits, data


def _too_many_bytes(data: bytes, quality: str, slot: Slot, item: str, where: str) -> GateRefused:
    return GateRefused(
        item,
        f"has {len(data):,} bytes at {quality}",
        f"{where} takes at most {slot.max_bytes:,} bytes",
        "lower the slot's preferred_width, or allow a lower min_quality",
    )


def _encoded(rgb: Pixels, quality: int, xmp: bytes | None, full_colour: bool) -> bytes:
    buffer = io.BytesIO()
    with _blocks_of(2 * rgb.size):
        Image.fromarray(rgb).save(
            buffer,
            "JPEG",
            quality=quality,
            subsampling=0 if full_colour else 2,
            optimize=True,
            progressive=True,
            icc_profile=srgb_profile(),
            xmp=xmp or b"",
        )
    return buffer.getvalue()


@contextmanager
def _blocks_of(size: int) -> Iterator[None]:
    """Within it Pillow's buffer has at least so many bytes: it guesses too small for an optimized busy picture.

    Afterwards it is as before: the buffer cuts a PNG into blocks, so the bytes of cutouts would hang on it.
    """
    before = ImageFile.MAXBLOCK
    ImageFile.MAXBLOCK = max(before, size)
    try:
        yield
    finally:
        ImageFile.MAXBLOCK = before


def encode_png(rgb: Pixels, xmp: bytes | None) -> bytes:
    """(h, w, 3) as PNG with an sRGB profile and the XMP packet; same input, same bytes."""
    told = PngImagePlugin.PngInfo()
    if xmp:
        told.add_itxt("XML:com.adobe.xmp", xmp.decode())
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", optimize=True, icc_profile=srgb_profile(), pnginfo=told)
    return buffer.getvalue()


def encode_webp(rgb: Pixels, xmp: bytes | None, quality: int | None) -> bytes:
    """(h, w, 3) as WebP with an sRGB profile and the XMP packet; quality 0..100, None: lossless."""
    how = {"lossless": True} if quality is None else {"quality": quality}
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "WEBP", icc_profile=srgb_profile(), xmp=xmp or b"", method=4, **how)
    return buffer.getvalue()


def pixels_of(data: bytes) -> Pixels:
    """Pixels (h, w, 3) of a JPEG that productshot encoded itself (never of a shop's file)."""
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        return np.asarray(image.convert("RGB"))


def decoded(data: bytes) -> Seen:
    """What a JPEG, PNG or WebP shows that productshot encoded itself (never a shop's file)."""
    with Image.open(io.BytesIO(data), formats=["JPEG", "PNG", "WEBP"]) as image:
        profile = "srgb" if image.info.get("icc_profile") else "none"
        return Seen(np.asarray(image.convert("RGB")), mode=image.mode, profile=profile)


@cache
def srgb_profile() -> bytes:
    """An sRGB ICC profile; the time that littleCMS stamps into its header is replaced by a fixed date."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    fixed_date = b"".join(part.to_bytes(2, "big") for part in (2026, 1, 1, 0, 0, 0))
    return profile[:24] + fixed_date + profile[36:]
