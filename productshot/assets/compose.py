"""Assets, the picture: a product fitted on white, or pasted at photo resolution into a painted scene. Pure.

The width of a file is the largest up to the slot's preferred one at which the product's own pixels are
enlarged at most `max_upscale` times; below the slot's minimum the picture is refused with the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from catalog_schemas import AssetRecipe, Shadow, Slot
from productshot.assets.ground import add_grain, cast_shadow, enlarge
from productshot.assets.levels import SOLID, Levels, Window
from productshot.assets.sharpen import sharpened
from productshot.errors import GateRefused
from productshot.geometry import Box, Size
from productshot.pixels import Pixels, box_of, lay, paste

DEFAULT_FILL = 0.85
"""Share of the frame for a packshot in a slot that names none."""

DRAW_LARGER = "render larger (renders.size_px and a base model that can), or use lane keep"
"""What helps a drawn picture that is too small for a slot."""


@dataclass(frozen=True)
class Composed:
    """A picture ready to be encoded: rgb (h, w, 3) uint8, the product's matte (h, w) uint8."""

    rgb: Pixels
    matte: Pixels
    upscale: float  # of the product's own pixels; below 1 they were shrunk
    product: Box | None  # of the solid product in the file, px; None: the model drew it


def product_box(alpha: Pixels) -> Box | None:
    """The box of the solid part of an (h, w) alpha; None when nothing is solid."""
    return box_of(alpha >= SOLID)


def packshot(
    cutout: Pixels | Levels, slot: Slot, recipe: AssetRecipe, item: str, place: str = ""
) -> Composed:
    """The product centred on white 255, its longer relative side the slot's `fill` of the frame.

    `cutout` is (h, w, 4) uint8 with straight alpha; Levels of it where several sizes are made. `item` names the
    product in a refusal, `place` the slot ("amazon/main"; without it the slot's own name). GateRefused: an empty
    cutout, or one too small.
    """
    levels = levels_of(cutout, recipe)
    solid = _solid_part(levels, item)

    def upscale(width: int) -> float:
        return _fitted_scale(solid.size, Size(width, slot.height(width)), slot)

    width = _largest_width(upscale, slot, recipe)
    if width < slot.min_width:
        raise _too_small(solid.size, upscale(slot.min_width), recipe, item, f"slot {place or slot.name}")
    frame = Size(width, slot.height(width))
    scale = upscale(width)
    left = _middle(frame.width, solid.size.width * scale) - solid.left * scale
    top = _middle(frame.height, solid.size.height * scale) - solid.top * scale
    layer, at = _resampled(levels, scale, left, top, recipe)
    rgb = paste(layer, np.full((frame.height, frame.width, 3), 255, np.uint8), at)
    matte = lay(layer[..., 3], frame, at)
    return Composed(rgb, matte, scale, product_box(matte))


def scene_picture(
    plate: Pixels,
    frame: Box,
    product: Box | None,
    cutout: Pixels | Levels | None,
    shadow: Shadow,
    slot: Slot,
    recipe: AssetRecipe,
    item: str,
    place: str = "",
) -> Composed:
    """The frame of a plate at the slot's size, the photographed product standing in it at photo resolution.

    `plate` is (h, w, 3) uint8; `frame` and `product` are boxes in plate px. keep: `product` is the box of the
    whole `cutout` (h, w, 4); a slot with a `fill` shows it that large, as far as that takes no width from the file.
    draw: both are None and the plate's own pixels count as the product's.
    GateRefused: too few pixels for the slot, or a product that reaches out of the frame.
    """
    where = f"slot {place or slot.name}"
    if cutout is None or product is None:
        return _drawn_picture(plate, frame, slot, recipe, item, where)
    levels = levels_of(cutout, recipe)
    _solid_part(levels, item)
    window = _window(frame, slot)
    _stands_inside(product, window, item, where)
    has = levels.size
    per_plate_px = max(product.size.width / has.width, product.size.height / has.height)
    if slot.fill:
        enough = slot.preferred_width * per_plate_px / recipe.max_upscale * (1 + 1e-9)
        window = _closer(window, product, slot.fill, enough)

    def upscale(width: int) -> float:
        return per_plate_px * width / (window[2] - window[0])

    width = _largest_width(upscale, slot, recipe)
    if width < slot.min_width:
        raise _too_small(has, upscale(slot.min_width), recipe, item, where)
    size, zoom, scale = Size(width, slot.height(width)), width / (window[2] - window[0]), upscale(width)
    left = ((product.left + product.right) / 2 - window[0]) * zoom - has.width * scale / 2
    top = (product.bottom - window[1]) * zoom - has.height * scale
    layer, at = _resampled(levels, scale, left, top, recipe)
    matte = lay(layer[..., 3], size, at)
    stands = product_box(matte)
    ground = enlarge(plate, window, size)
    if stands:
        ground = cast_shadow(ground, matte, stands, shadow)
    return Composed(paste(layer, add_grain(ground, plate), at), matte, scale, stands)


def _drawn_picture(
    plate: Pixels, frame: Box, slot: Slot, recipe: AssetRecipe, item: str, where: str
) -> Composed:
    """The frame of a picture whose product the model drew: the plate's pixels are all there is."""
    window = _window(frame, slot)

    def upscale(width: int) -> float:
        return width / (window[2] - window[0])

    width = _largest_width(upscale, slot, recipe)
    if width < slot.min_width:
        told = f"is {frame.size.width} px wide in the render"
        raise GateRefused(item, told, drawn_limit(slot, where, recipe), DRAW_LARGER)
    size = Size(width, slot.height(width))
    rgb = add_grain(enlarge(plate, window, size), plate)
    return Composed(rgb, np.zeros((size.height, size.width), np.uint8), upscale(width), None)


def drawn_width(slot: Slot, recipe: AssetRecipe) -> int:
    """How many px wide a drawn picture must be in the slot's frame: its own pixels count as the product's."""
    return math.ceil(slot.min_width / recipe.max_upscale)


def drawn_limit(slot: Slot, where: str, recipe: AssetRecipe) -> str:
    """The same in the words of a refusal; `where` names the slot."""
    return f"{where} needs at least {drawn_width(slot, recipe)} px at upscale {recipe.max_upscale:g}"


def levels_of(cutout: Pixels | Levels, recipe: AssetRecipe) -> Levels:
    """The cutout ready for many sizes, in the light that the recipe names."""
    return cutout if isinstance(cutout, Levels) else Levels(cutout, recipe.linear_light)


def _solid_part(levels: Levels, item: str) -> Box:
    solid = levels.solid
    if solid is None:
        raise GateRefused(
            item, "is empty: no pixel is opaque", "", "look at the cutout, or bring a mask beside the photo"
        )
    return solid


def _fitted_scale(product: Size, frame: Size, slot: Slot) -> float:
    """The scale at which the product's longer relative side is its share of the frame, in whole px.

    Rounded down, so the share is never exceeded; up only where `min_fill` asks for it.
    """
    fill, least = Fraction(str(slot.fill or DEFAULT_FILL)), Fraction(str(slot.min_fill or 0))
    wide = product.width * frame.height >= product.height * frame.width
    side, of = (product.width, frame.width) if wide else (product.height, frame.height)
    return max(math.floor(fill * of), math.ceil(least * of)) / side


def _largest_width(upscale: Callable[[int], float], slot: Slot, recipe: AssetRecipe) -> int:
    """The largest width up to the preferred one within `max_upscale`; 0 when that is below the minimum."""
    width = slot.preferred_width
    while width >= slot.min_width and (factor := upscale(width)) > recipe.max_upscale:
        width = min(width - 1, math.ceil(width * recipe.max_upscale / factor))
    return width if width >= slot.min_width else 0


def _too_small(has: Size, upscale: float, recipe: AssetRecipe, item: str, where: str) -> GateRefused:
    """The refusal of a product that would have to be enlarged `upscale` times to reach the slot's minimum."""
    side, word = (has.width, "wide") if has.width >= has.height else (has.height, "high")
    needed = math.ceil(side * upscale / recipe.max_upscale)
    return GateRefused(
        item,
        f"is {side} px {word}",
        f"{where} needs at least {needed} px at upscale {recipe.max_upscale:g}",
        "add a larger photo, or allow a higher max_upscale",
    )


def _window(frame: Box, slot: Slot) -> Window:
    """The middle of the frame in exactly the slot's ratio, so that a rounded frame stretches nothing."""
    width = min(frame.size.width, frame.size.height * slot.ratio[0] / slot.ratio[1])
    height = width * slot.ratio[1] / slot.ratio[0]
    left, top = (frame.left + frame.right - width) / 2, (frame.top + frame.bottom - height) / 2
    return left, top, left + width, top + height


def _closer(window: Window, product: Box, fill: float, least_width: float) -> Window:
    """The window closed in on the product, until that is its share of the frame; no narrower than `least_width`.

    The product's middle keeps its place in the picture; of the way from there to the nearest edge, relative to the
    product, `fill` is the product's. A window that is closer already stays.
    """
    left, top, right, bottom = window
    x, y = (product.left + product.right) / 2, (product.top + product.bottom) / 2
    across = product.size.width / 2 / min(x - left, right - x)
    down = product.size.height / 2 / min(y - top, bottom - y)
    by = max(across / fill, down / fill, least_width / (right - left))
    if by >= 1:
        return window
    return x - (x - left) * by, y - (y - top) * by, x + (right - x) * by, y + (bottom - y) * by


def _stands_inside(product: Box, window: Window, item: str, where: str) -> None:
    """GateRefused when the product reaches out of the window by more than one plate px."""
    left, top, right, bottom = window
    if (
        product.left < left - 1
        or product.top < top - 1
        or product.right > right + 1
        or product.bottom > bottom + 1
    ):
        raise GateRefused(
            item,
            f"stands at {product.left},{product.top} to {product.right},{product.bottom} px of the plate",
            f"the frame of {where} shows {left:g},{top:g} to {right:g},{bottom:g} px",
            "make the placement smaller, or let the plate be outpainted for this ratio",
        )


def _middle(frame: int, product: float) -> float:
    """Where a product of that length starts to stand in the middle; whole lengths start on a whole px."""
    whole = round(product)
    return float((frame - whole) // 2) if math.isclose(product, whole) else (frame - product) / 2


def _resampled(
    levels: Levels, scale: float, left: float, top: float, recipe: AssetRecipe
) -> tuple[Pixels, Box]:
    """The cutout times `scale` with its corner at (left, top), sharpened where it was shrunk and the recipe says so.

    Returns the RGBA layer and its whole-pixel box on the canvas. Traces of alpha that Lanczos throws beyond
    an edge are cleared, and those missing inside it filled.
    """
    margin = 4  # px of the file: more than the reach of Lanczos when enlarging
    at = Box(
        math.floor(left) - margin,
        math.floor(top) - margin,
        math.ceil(left + levels.size.width * scale) + margin,
        math.ceil(top + levels.size.height * scale) + margin,
    )
    window = (
        (at.left - left) / scale,
        (at.top - top) / scale,
        (at.right - left) / scale,
        (at.bottom - top) / scale,
    )
    layer = levels.resampled(scale, window, at.size)
    if recipe.sharpen and scale < 1:
        layer[..., :3] = sharpened(layer, recipe.sharpen)
    alpha = layer[..., 3]
    alpha[alpha < 8] = 0
    alpha[alpha > 247] = 255
    return layer, at
