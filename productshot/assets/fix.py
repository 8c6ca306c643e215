"""Assets, the fix: a file of others brought to a slot's rules without inventing a pixel.

What it does, in this order: crop a frame off, whiten outside the product, frame the product anew, pad on white, shrink,
encode. It never enlarges, paints nothing but white, and never loses or makes up an AI marking: the statement of the
file is written into the new one, every other piece of metadata stays behind. What it cannot mend, the verdicts on its
own output say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple

import numpy as np

from catalog_schemas import AssetRecipe, Channel, Limit, Slot
from productshot.assets.check import check
from productshot.assets.compose import DEFAULT_FILL, Composed, packshot, product_box
from productshot.assets.encode import WRITTEN, decoded, encode
from productshot.assets.frame import frame_width
from productshot.assets.limits import (
    MEASURES,
    NAMES,
    Seen,
    Subject,
    colour_model,
    grown,
    kind_of,
    product_share,
)
from productshot.assets.marking import is_well_formed, read_source_type, xmp_packet
from productshot.assets.rules import Binding, RuleVerdict, bindings
from productshot.assets.white import border_is_white
from productshot.errors import GateRefused
from productshot.geometry import Box, Size, centred
from productshot.pixels import Pixels, lay, paste, resize, size_of

SMALLER = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3)
"""Shares of the size that are tried, one after the other, to meet a byte limit."""


class Fixed(NamedTuple):
    """A mended file: its bytes, format, what was done in words, and every rule's verdict on these bytes."""

    data: bytes
    kind: str
    done: tuple[str, ...]
    verdicts: list[RuleVerdict]
    matte: Pixels | None  # of the product in it, (h, w)

    @property
    def refused(self) -> list[RuleVerdict]:
        """What could not be mended."""
        return [verdict for verdict in self.verdicts if verdict.status == "refused"]


@dataclass(frozen=True)
class _Canvas:
    """The picture on its way: rgb (h, w, 3), the cutout (h, w, 4) at the same place or None, what was done."""

    rgb: Pixels
    cut: Pixels | None
    done: tuple[str, ...] = ()

    @property
    def matte(self) -> Pixels | None:
        return None if self.cut is None else self.cut[..., 3]

    def cropped(self, box: Box, why: str) -> _Canvas:
        part = np.s_[box.top : box.bottom, box.left : box.right]
        return _Canvas(self.rgb[part], None if self.cut is None else self.cut[part], (*self.done, why))

    def resized(self, size: Size, why: str) -> _Canvas:
        cut = None if self.cut is None else resize(self.cut, size)
        return _Canvas(resize(self.rgb, size), cut, (*self.done, why))


@dataclass(frozen=True)
class _Aim:
    """What the picture is to become."""

    slot: Slot
    limits: tuple[Limit, ...]  # all that it is to keep, advice included
    required: tuple[Limit, ...]
    recipe: AssetRecipe
    item: str
    where: str
    slack_px: int = 0  # by how much the cutout's outline may be off

    def broken(self, canvas: _Canvas, *subjects: str, required: bool = False) -> bool:
        """Whether the picture breaks a limit of these subjects now; with `required`, one that is no mere advice."""
        subject = Subject(b"", "png", Seen(canvas.rgb, slack_px=self.slack_px), canvas.matte, None)
        limits = self.required if required else self.limits
        found = (MEASURES[one.subject](subject, one).status for one in limits if one.subject in subjects)
        return "broken" in found

    def numbers(self, field: str) -> list[int]:
        """The values that the limits give a field."""
        return [value for one in self.limits if (value := getattr(one, field)) is not None]


class Source(NamedTuple):
    """The file to be mended."""

    data: bytes
    seen: Seen  # decoded by photos.Decoder
    cut: Pixels | None  # (h, w, 4): its product with clean edge colours; None: not known
    item: str  # its name in a refusal


def fix(
    source: Source,
    channel: Channel,
    slot: Slot,
    recipe: AssetRecipe,
    kind: str | None = None,
    on: date | None = None,
) -> Fixed:
    """The file mended for a slot.

    `kind` asks for a format of WRITTEN; None: the file's own where the slot takes it, else the slot's.
    Advice of the channel is followed where it can be; its requirements must be. GateRefused: AI made it and the
    channel takes no such pictures, a marking that cannot be carried over truthfully, a product too small, or a byte
    limit that only a quality below `recipe.min_quality` would meet.
    """
    rules = bindings(channel, slot, on, ours=False)
    uri = _carried(source, rules)
    required = tuple(one.limit for one in rules if one.required)
    wished = tuple(one.limit for one in rules if one.required or one.written)
    plain, slack_px = recipe.model_copy(update={"max_upscale": 1.0}), source.seen.slack_px
    aim = _Aim(slot, wished, required, plain, source.item, f"{channel.name}/{slot.name}", slack_px)
    try:
        canvas, made, as_kind = _mended(source, aim, kind, uri)
    except GateRefused:
        if required == wished:
            raise
        canvas, made, as_kind = _mended(source, replace(aim, limits=required), kind, uri)
    again = decoded(made)._replace(ai_source=uri, slack_px=slack_px)
    verdicts = check(made, channel, slot, canvas.matte, seen=again, on=on)
    return Fixed(made, as_kind, canvas.done, verdicts, canvas.matte)


def _carried(source: Source, rules: Sequence[Binding]) -> str | None:
    """The AI marking that the new file must carry; GateRefused where that cannot be done truthfully."""
    data, seen, _, item = source
    said = read_source_type(data)
    if seen.ai_source and any(one.limit.ai == "none" for one in rules):
        remedy = "use a photographed packshot"
        raise GateRefused(item, f"says {seen.ai_source}", "the channel takes no picture made by AI", remedy)
    if said and not seen.ai_source and not is_well_formed(said):
        remedy = "write the full address, as http://cv.iptc.org/newscodes/digitalsourcetype/<term>, then run it again"
        raise GateRefused(
            item, f"says {said!r}", "that is no term of IPTC's list, so it cannot be carried over", remedy
        )
    return seen.ai_source


def _mended(source: Source, aim: _Aim, kind: str | None, uri: str | None) -> tuple[_Canvas, bytes, str]:
    """The picture after every step, its bytes and their format."""
    data, seen, cut, _ = source
    canvas = _Canvas(seen.rgb, cut, ("laid on white",) if seen.alpha is not None else ())
    steps: tuple[Callable[[_Canvas, _Aim], _Canvas], ...] = (_without_frame, _whitened, _framed, _shrunk)
    for step in steps:
        canvas = step(canvas, aim)
    if seen.profile in ("converted", "ignored") or colour_model(seen.mode) != "rgb":
        canvas = replace(canvas, done=(*canvas.done, "converted to RGB, sRGB"))
    canvas, made, chosen = _encoded(canvas, aim, _formats_for(kind_of(data), kind, aim), uri)
    if chosen != kind_of(data):
        canvas = replace(canvas, done=(*canvas.done, f"converted to {NAMES[chosen]}"))
    return canvas, made, chosen


def _without_frame(canvas: _Canvas, aim: _Aim) -> _Canvas:
    """The picture without the frame drawn around it, unless the product would be cut with it."""
    if not aim.broken(canvas, "border"):
        return canvas
    width, size = frame_width(canvas.rgb) + 2, size_of(canvas.rgb)
    box = Box(width, width, size.width - width, size.height - width)
    product = product_box(canvas.matte) if canvas.matte is not None else None
    if product and not _holds(box, product):
        return canvas
    return canvas.cropped(box, f"cropped a frame of {width} px off")


def _holds(outer: Box, inner: Box) -> bool:
    return (
        outer.left <= inner.left
        and outer.top <= inner.top
        and inner.right <= outer.right
        and inner.bottom <= outer.bottom
    )


def _whitened(canvas: _Canvas, aim: _Aim) -> _Canvas:
    """The product on pure white, where its outline is known."""
    if canvas.cut is None or not aim.broken(canvas, "white"):
        return canvas
    size = size_of(canvas.rgb)
    white = np.full_like(canvas.rgb, 255)
    rgb = paste(canvas.cut, white, Box(0, 0, size.width, size.height))
    return _Canvas(rgb, canvas.cut, (*canvas.done, "whitened outside the product"))


def _framed(canvas: _Canvas, aim: _Aim) -> _Canvas:
    """The product in its share and place of a frame of the slot's ratio."""
    white = aim.slot.background == "white" and canvas.cut is not None
    if white and aim.broken(canvas, "ratio", "fill", "centring"):
        return _composed(canvas, aim)
    ratio = next((one.ratio for one in aim.limits if one.ratio), None)
    if ratio is None or not aim.broken(canvas, "ratio"):
        return canvas
    size = size_of(canvas.rgb)
    if border_is_white(canvas.rgb):
        return _padded(canvas, _around(size, ratio))
    product = product_box(canvas.matte) if canvas.matte is not None else None
    box = _crop_for(size, ratio, product) if product else None
    return canvas if box is None else canvas.cropped(box, "cropped to the ratio around the product")


def _composed(canvas: _Canvas, aim: _Aim) -> _Canvas:
    """The cutout laid out anew on white, never enlarged: at the slot's fill, or else at the least that is allowed."""
    assert canvas.cut is not None
    usual = aim.slot.fill or DEFAULT_FILL
    lowest = max([one.min_fill for one in aim.limits if one.min_fill] or [product_share(canvas.cut[..., 3])])
    try:
        made = _laid_out(canvas.cut, aim, usual)
    except GateRefused:
        if lowest >= usual:
            raise
        made = _laid_out(canvas.cut, aim, lowest)
    cut = np.dstack([made.rgb, made.matte])
    return _Canvas(made.rgb, cut, (*canvas.done, "framed the product anew on white"))


def _laid_out(cut: Pixels, aim: _Aim, fill: float) -> Composed:
    """The cutout at that share of a frame within the limits' sizes; GateRefused: it would have to be enlarged."""
    least, most = _widths(aim)
    sizes = {"preferred_width": most, "min_width": least, "fill": fill, "min_fill": fill}
    return packshot(cut, aim.slot.model_copy(update=sizes), aim.recipe, aim.item, aim.where)


def _widths(aim: _Aim) -> tuple[int, int]:
    """The least and the greatest width that a picture of the slot's ratio may have."""
    ratio = aim.slot.ratio[0] / aim.slot.ratio[1]
    longer = min(1.0, ratio)  # width per px of the longer side
    least = [16.0]
    for one in aim.required:
        least += [one.min_width or 1, (one.min_height or 1) * ratio, (one.min_side or 1) * longer]
    most = [
        aim.slot.preferred_width,
        *aim.numbers("max_width"),
        *(value * ratio for value in aim.numbers("max_height")),
        *(value * longer for value in aim.numbers("max_side")),
        *((value * ratio) ** 0.5 for value in aim.numbers("max_pixels")),
    ]
    width = math.ceil(max(least) - 1e-9)
    return width, max(width, math.floor(min(most) + 1e-9))


def _around(size: Size, ratio: tuple[int, int]) -> Size:
    """The smallest size of that ratio around a picture."""
    width = max(size.width, round(size.height * ratio[0] / ratio[1]))
    return Size(width, max(size.height, round(width * ratio[1] / ratio[0])))


def _padded(canvas: _Canvas, size: Size) -> _Canvas:
    """The picture in the middle of a white one."""
    at = centred(size_of(canvas.rgb), size)
    rgb = np.full((size.height, size.width, 3), 255, np.uint8)
    rgb[at.top : at.bottom, at.left : at.right] = canvas.rgb
    cut = None if canvas.cut is None else lay(canvas.cut, size, at)
    return _Canvas(rgb, cut, (*canvas.done, f"padded with white to {size.width}x{size.height} px"))


def _crop_for(size: Size, ratio: tuple[int, int], product: Box) -> Box | None:
    """The largest box of that ratio in a picture around its product; None when the product does not fit in it."""
    width = min(size.width, int(size.height * ratio[0] / ratio[1]))
    height = min(size.height, round(width * ratio[1] / ratio[0]))
    if product.size.width > width or product.size.height > height:
        return None
    left = min(max((product.left + product.right - width) // 2, 0), size.width - width)
    top = min(max((product.top + product.bottom - height) // 2, 0), size.height - height)
    box = Box(left, top, left + width, top + height)
    return box if _holds(box, product) else None


def _shrunk(canvas: _Canvas, aim: _Aim) -> _Canvas:
    """The picture no larger than the limits allow."""
    size = size_of(canvas.rgb)
    scales = [
        1.0,
        *(most / size.width for most in aim.numbers("max_width")),
        *(most / size.height for most in aim.numbers("max_height")),
        *(most / max(size) for most in aim.numbers("max_side")),
        *((most / (size.width * size.height)) ** 0.5 for most in aim.numbers("max_pixels")),
    ]
    return canvas if min(scales) >= 1 else _scaled(canvas, min(scales), aim, "shrunk")


def _scaled(canvas: _Canvas, scale: float, aim: _Aim, why: str) -> _Canvas:
    """The picture times a scale below 1, in whole px, to the ratio where the limits name one."""
    size = size_of(canvas.rgb)
    width = max(1, int(size.width * scale + 1e-9))
    ratio = next((one.ratio for one in aim.limits if one.ratio), (size.width, size.height))
    kept = ratio if not aim.broken(canvas, "ratio") else (size.width, size.height)
    to = Size(width, max(1, round(width * kept[1] / kept[0])))
    return canvas.resized(to, f"{why} to {to.width}x{to.height} px")


def _formats_for(has: str, asked: str | None, aim: _Aim) -> tuple[str, ...]:
    """The formats to try, in order: the one asked for; else the file's own, the slot's and JPEG, as far as taken."""
    taken = [one.formats for one in aim.limits if one.subject == "format"]
    allowed = [kind for kind in WRITTEN if all(kind in formats for formats in taken)]
    if asked is not None and asked not in allowed:
        told = ", ".join(NAMES[kind] for kind in allowed) or "none of the formats that fix writes"
        value = f"is asked for as {NAMES[asked]}"
        raise GateRefused(aim.item, value, f"slot {aim.where} takes {told}", "name the output so")
    if not allowed:
        raise GateRefused(
            aim.item, "cannot be written", f"slot {aim.where} takes no JPEG, PNG, WebP or AVIF", ""
        )
    tried = [asked] if asked else [kind for kind in (has, aim.slot.format, *allowed[:1]) if kind in allowed]
    return tuple(dict.fromkeys(tried))


def _encoded(canvas: _Canvas, aim: _Aim, kinds: Sequence[str], uri: str | None) -> tuple[_Canvas, bytes, str]:
    """The file within its byte limits and its format: the largest of SMALLER at which no least size is broken."""
    xmp = xmp_packet(uri, "") if uri else None
    refusal: GateRefused | None = None
    for share in SMALLER:
        tried = canvas if share == 1 else _scaled(canvas, share, aim, "shrunk for its bytes")
        if share < 1 and aim.broken(tried, "size", "product", required=True):
            break
        for kind in kinds:
            try:
                return tried, _file_of(tried, aim, kind, xmp), kind
            except GateRefused as error:
                refusal = refusal or error
    assert refusal is not None
    raise refusal


def _file_of(canvas: _Canvas, aim: _Aim, kind: str, xmp: bytes | None) -> bytes:
    """The picture as a file of that format; GateRefused when it does not fit its byte limits."""
    most = min(aim.numbers("max_bytes") or [aim.slot.max_bytes])
    least = max(aim.numbers("min_bytes") or [0])
    whole = canvas.matte is not None and not aim.broken(canvas, "white")
    ground = "white" if whole and any(one.white for one in aim.limits) else "any"
    slot = aim.slot.model_copy(
        update={"format": kind, "max_bytes": most, "min_bytes": least, "background": ground}
    )
    empty = np.zeros(canvas.rgb.shape[:2], np.uint8)
    matte = empty if canvas.matte is None else grown(canvas.matte, aim.slack_px)
    return encode(Composed(canvas.rgb, matte, 1.0, None), slot, aim.recipe, xmp, aim.item, aim.where)
