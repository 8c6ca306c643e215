"""Assets, the file: JPEG, PNG, WebP or AVIF within the slot's bytes, its white still white. No clock, no chance.

Every file carries an sRGB profile and the XMP packet. The settings are the best that Pillow offers at a speed for
nights: baseline JPEG with optimised Huffman tables, WebP method 4, AVIF speed 8 with full chroma.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, cached_property

import numpy as np
from PIL import Image, ImageCms, PngImagePlugin

from catalog_schemas import AssetRecipe, Slot
from productshot.assets.compose import Composed
from productshot.assets.limits import LOSSY_BLOCK_PX, NAMES, Seen
from productshot.assets.white import EdgeBlocks, edge_blocks, white_fault
from productshot.errors import GateRefused
from productshot.pixels import Pixels

WRITTEN = ("jpeg", "png", "webp", "avif")
"""Formats that productshot writes."""

FULL_COLOUR_QUALITY = 90
"""From this JPEG quality on, and on white always, every pixel keeps its own colour (4:4:4)."""

LOSSLESS = 101
"""Stands for the quality of a lossless file: PNG's only one, and WebP's best."""


def encode(
    composed: Composed, slot: Slot, recipe: AssetRecipe, xmp: bytes | None, item: str, place: str = ""
) -> bytes:
    """The picture as a file of the slot's format; the same input gives the same bytes.

    The best quality from `recipe.quality` down to `min_quality` that fits `slot.max_bytes`. On a white slot the
    quality rises instead until the decoded file is pure white outside the product: up to 100, WebP up to lossless.
    GateRefused when neither can be had, or when the file stays below `slot.min_bytes` at every quality.
    """
    order = _Order(composed, slot, recipe, xmp, item, f"slot {place or slot.name}")
    if slot.format == "png":
        return _in_bounds(order, LOSSLESS)
    start = _white_quality(order, recipe.quality) if order.white else recipe.quality
    if len(order.file(start)) <= slot.max_bytes:
        return _large_enough(order, start)
    if start > recipe.quality:
        raise order.too_many_bytes(start, ", needed for pure white")
    fits = _best_fitting(order)
    if order.white and (pure := _white_quality(order, fits)) > fits:
        if len(order.file(pure)) > slot.max_bytes:
            raise order.too_many_bytes(pure, ", needed for pure white")
        fits = pure
    return _large_enough(order, fits)


@dataclass(frozen=True)
class _Order:
    """One picture to be encoded for one slot; each quality is encoded once."""

    composed: Composed
    slot: Slot
    recipe: AssetRecipe
    xmp: bytes | None
    item: str
    where: str
    _files: dict[int, bytes] = field(default_factory=dict)

    @property
    def white(self) -> bool:
        return self.slot.background == "white"

    def file(self, quality: int) -> bytes:
        """The file at that quality."""
        if quality not in self._files:
            self._files[quality] = self._encoded(quality)
        return self._files[quality]

    def _encoded(self, quality: int) -> bytes:
        if self.slot.format == "jpeg":
            full_colour = self.white or quality >= FULL_COLOUR_QUALITY
            return _jpeg(self.composed.rgb, quality, self.xmp, full_colour)
        return ENCODERS[self.slot.format](self.composed.rgb, self.xmp, quality)

    def white_fault(self, quality: int) -> str | None:
        """What breaks pure white at that quality. JPEG: how its coefficients are packed changes no pixel."""
        if self.slot.format == "jpeg":
            buffer = io.BytesIO()
            Image.fromarray(self._edge.strip).save(buffer, "JPEG", quality=quality, subsampling=0)
            return self._edge.fault(pixels_of(buffer.getvalue()))
        if quality == LOSSLESS:
            return white_fault(self.composed.rgb, self.composed.matte, 1)
        block_px = LOSSY_BLOCK_PX[self.slot.format]
        return white_fault(pixels_of(self.file(quality)), self.composed.matte, block_px)

    @cached_property
    def _edge(self) -> EdgeBlocks:
        return edge_blocks(self.composed.rgb, self.composed.matte)

    def named(self, quality: int) -> str:
        """A quality in words: "JPEG quality 92", "lossless WebP", "PNG"."""
        name = NAMES[self.slot.format]
        if self.slot.format == "png":
            return name
        return f"lossless {name}" if quality == LOSSLESS else f"{name} quality {quality}"

    def too_many_bytes(self, quality: int, why: str) -> GateRefused:
        return GateRefused(
            self.item,
            f"has {len(self.file(quality)):,} bytes at {self.named(quality)}{why}",
            f"{self.where} takes at most {self.slot.max_bytes:,} bytes",
            "lower the slot's preferred_width, or ask for JPEG"
            if quality == LOSSLESS
            else "lower the slot's preferred_width, or allow a lower min_quality",
        )


def _white_quality(order: _Order, fails: int) -> int:
    """The quality `fails` where it decodes to pure white, or by bisection a higher one that does."""
    if not order.white_fault(fails):
        return fails
    holds = LOSSLESS if order.slot.format == "webp" else 100
    if fault := order.white_fault(holds):
        name, limit = NAMES[order.slot.format], f"{order.where} asks for 255 outside the product"
        told = f"is not on pure white as {'an' if name == 'AVIF' else 'a'} {name}: {fault}"
        raise GateRefused(order.item, told, limit, "look at the cutout's edge")
    if holds == LOSSLESS:  # lossy WebP halves its chroma: no quality below keeps an edge of any colour white
        return holds
    while holds - fails > 1:
        middle = (fails + holds) // 2
        fails, holds = (middle, holds) if order.white_fault(middle) else (fails, middle)
    return holds


def _best_fitting(order: _Order) -> int:
    """The highest allowed quality below the recipe's whose file fits the byte limit, by bisection."""
    fits, over = min(order.recipe.min_quality, order.recipe.quality), order.recipe.quality
    if len(order.file(fits)) > order.slot.max_bytes:
        raise order.too_many_bytes(fits, ", the lowest allowed")
    while over - fits > 1:
        middle = (fits + over) // 2
        fits, over = (middle, over) if len(order.file(middle)) <= order.slot.max_bytes else (fits, middle)
    return fits


def _large_enough(order: _Order, quality: int) -> bytes:
    """The file, or that of the lowest quality above it whose bytes reach the slot's least; GateRefused: none does."""
    if len(order.file(quality)) >= order.slot.min_bytes or quality == LOSSLESS:
        return _in_bounds(order, quality)
    for better in range(quality + 1, 101):
        if order.slot.min_bytes <= len(order.file(better)) <= order.slot.max_bytes:
            return order.file(better)
    return _in_bounds(order, 100)


def _in_bounds(order: _Order, quality: int) -> bytes:
    """The file at that quality; GateRefused when its bytes are too few or too many."""
    data, slot = order.file(quality), order.slot
    if len(data) > slot.max_bytes:
        raise order.too_many_bytes(quality, "")
    if len(data) < slot.min_bytes:
        raise GateRefused(
            order.item,
            f"has {len(data):,} bytes at {order.named(quality)}",
            f"{order.where} takes files of {slot.min_bytes:,} to {slot.max_bytes:,} bytes",
            "raise the slot's preferred_width, or add a larger photo",
        )
    return data


def _jpeg(rgb: Pixels, quality: int, xmp: bytes | None, full_colour: bool) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(
        buffer,
        "JPEG",
        quality=quality,
        subsampling=0 if full_colour else 2,
        optimize=True,
        icc_profile=srgb_profile(),
        xmp=xmp or b"",
    )
    return buffer.getvalue()


def _png(rgb: Pixels, xmp: bytes | None, quality: int) -> bytes:
    told = PngImagePlugin.PngInfo()
    if xmp:
        told.add_itxt("XML:com.adobe.xmp", xmp.decode())
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG", optimize=True, icc_profile=srgb_profile(), pnginfo=told)
    return buffer.getvalue()


def _webp(rgb: Pixels, xmp: bytes | None, quality: int) -> bytes:
    how = {"lossless": True} if quality == LOSSLESS else {"quality": quality}
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "WEBP", icc_profile=srgb_profile(), xmp=xmp or b"", method=4, **how)
    return buffer.getvalue()


def _avif(rgb: Pixels, xmp: bytes | None, quality: int) -> bytes:
    """One thread an asset: the night makes several at a time, and the bytes follow from the picture alone."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(
        buffer,
        "AVIF",
        quality=quality,
        subsampling="4:4:4",
        speed=8,
        max_threads=1,
        autotiling=False,
        icc_profile=srgb_profile(),
        xmp=xmp or b"",
    )
    return buffer.getvalue()


ENCODERS: dict[str, Callable[[Pixels, bytes | None, int], bytes]] = {
    "png": _png,
    "webp": _webp,
    "avif": _avif,
}
"""(h, w, 3), XMP packet, quality -> file; JPEG also needs its chroma named."""


def pixels_of(data: bytes) -> Pixels:
    """Pixels (h, w, 3) of a file that productshot encoded itself (never of a shop's file)."""
    return decoded(data).rgb


def decoded(data: bytes) -> Seen:
    """What a file of WRITTEN shows that productshot encoded itself (never a shop's file)."""
    with Image.open(io.BytesIO(data), formats=[kind.upper() for kind in WRITTEN]) as image:
        profile = "srgb" if image.info.get("icc_profile") else "none"
        shown = image if image.mode == "RGB" else image.convert("RGB")
        return Seen(np.asarray(shown), mode=image.mode, profile=profile)


@cache
def srgb_profile() -> bytes:
    """An sRGB ICC profile; the time that littleCMS stamps into its header is replaced by a fixed date."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    fixed_date = b"".join(part.to_bytes(2, "big") for part in (2026, 1, 1, 0, 0, 0))
    return profile[:24] + fixed_date + profile[36:]
