"""Assets, the check: a channel's rules computed on a finished file, one verdict a rule.

Limits come from the slot's fields; its dated rules say from when they hold and what only a person can judge.
Our own assets pass through here after their last encode, and so does any file of a shop.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Literal, NamedTuple

import numpy as np

from catalog_schemas import Channel, Rule, Slot
from catalog_schemas.scene import Lane
from productshot.assets.compose import product_box
from productshot.assets.encode import decoded
from productshot.assets.jpeg import Header, is_jpeg, read_header
from productshot.assets.marking import read_source_type, says_ai
from productshot.assets.white import NEAR_WHITE, border_is_white, darkest, white_fault
from productshot.geometry import Size
from productshot.pixels import Pixels, size_of
from productshot.records import Record

MAX_SIDE_PX = 10_000
"""Longest side that any channel read so far takes (Amazon)."""

MAX_PIXELS = 64_000_000
"""Most pixels that any channel read so far takes (Google)."""

_SIGNATURES = (
    (b"\x89PNG", "PNG"),
    (b"GIF8", "GIF"),
    (b"RIFF", "WebP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
)


class RuleVerdict(Record):
    """What one rule says of one file."""

    rule: str
    status: Literal["accepted", "refused", "person", "not-checked"]
    value: str = ""
    limit: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        told = "; ".join(part for part in (self.value, self.limit, self.remedy) if part)
        return f"{self.rule}: {self.status}" + (f" ({told})" if told else "")


class _Subject(NamedTuple):
    """The file as all rules see it."""

    data: bytes
    header: Header
    rgb: Pixels
    matte: Pixels | None


def check(
    data: bytes,
    channel: Channel,
    slot: Slot,
    matte: Pixels | None = None,
    lane: Lane | None = None,
    expected: str | None = None,
    rgb: Pixels | None = None,
    on: date | None = None,
) -> list[RuleVerdict]:
    """One verdict per rule of the slot for the bytes of a file.

    `matte` (h, w) uint8 is the product's alpha in the file; None or empty: white and fill go to a person. With
    a `lane` the picture is ours and its marking must be `expected`. `rgb` (h, w, 3) are the decoded pixels:
    give them for a file of others (photos.Decoder); without, `data` was encoded here and is decoded here. On
    a day `on` a rule that is not in force refuses nothing; None: all are. ValueError: matte and file differ
    in size.
    """
    format_verdict = _format(data)
    header = read_header(data) if format_verdict.status == "accepted" else None
    verdicts = [format_verdict, _bytes(data, slot)]
    if header is not None:
        pixels = decoded(data) if rgb is None else rgb
        if matte is not None and matte.shape != pixels.shape[:2]:
            raise ValueError(f"the matte is {size_of(matte)}, the file {size_of(pixels)}")
        subject = _Subject(data, header, pixels, matte if matte is not None and matte.any() else None)
        verdicts += _sizes(size_of(pixels), slot)
        verdicts.append(_colour(header))
        if slot.background == "white":
            verdicts += [_white(subject), *_fill(subject, slot)]
        verdicts += _origin(data, channel, slot, lane, expected)
    return [_on_that_day(verdict, slot, on) for verdict in verdicts] + list(_for_a_person(slot, on))


def _format(data: bytes) -> RuleVerdict:
    if is_jpeg(data) and read_header(data):
        return RuleVerdict(rule="format", status="accepted", value="JPEG")
    if is_jpeg(data):
        value, remedy = "starts like a JPEG but names no picture", "export it again"
    else:
        value = next(
            (name for start, name in _SIGNATURES if data.startswith(start)), "no known picture format"
        )
        remedy = "export it as JPEG; the name's ending changes nothing"
    return RuleVerdict(rule="format", status="refused", value=value, limit="JPEG", remedy=remedy)


def _bytes(data: bytes, slot: Slot) -> RuleVerdict:
    limit = f"at most {slot.max_bytes:,} bytes"
    if len(data) <= slot.max_bytes:
        return RuleVerdict(rule="max-bytes", status="accepted", value=f"{len(data):,} bytes", limit=limit)
    remedy = "save it at a lower JPEG quality or a smaller size"
    return RuleVerdict(
        rule="max-bytes", status="refused", value=f"{len(data):,} bytes", limit=limit, remedy=remedy
    )


def _sizes(size: Size, slot: Slot) -> Iterator[RuleVerdict]:
    """Ratio to a pixel, smallest and largest size."""
    value = f"{size.width}x{size.height} px"
    height = slot.height(size.width)
    yield _judged(
        "ratio",
        abs(size.height - height) <= 1,
        value,
        f"{slot.ratio[0]}:{slot.ratio[1]}, as {size.width}x{height} px",
        "crop or pad it to the slot's ratio",
    )
    least = Size(slot.min_width, slot.height(slot.min_width))
    yield _judged(
        "min-size",
        size.width >= least.width and size.height >= least.height,
        value,
        f"at least {least.width}x{least.height} px",
        "export it larger, from a larger photo",
    )
    yield _judged(
        "max-size",
        max(size) <= MAX_SIDE_PX and size.width * size.height <= MAX_PIXELS,
        value,
        f"at most {MAX_SIDE_PX:,} px a side and {MAX_PIXELS // 1_000_000} megapixels",
        "export it smaller",
    )


def _judged(rule: str, holds: bool, value: str, limit: str, remedy: str) -> RuleVerdict:
    """Accepted, or refused with the remedy."""
    if holds:
        return RuleVerdict(rule=rule, status="accepted", value=value, limit=limit)
    return RuleVerdict(rule=rule, status="refused", value=value, limit=limit, remedy=remedy)


def _colour(header: Header) -> RuleVerdict:
    """RGB in sRGB; a file without a profile is read as sRGB everywhere."""
    model = {1: "grey", 3: "RGB", 4: "CMYK"}.get(header.components, f"{header.components} components")
    name = profile_name(header.icc) if header.icc else "no profile, read as sRGB"
    holds = header.components == 3 and (not header.icc or "srgb" in name.lower())
    return _judged("colour", holds, f"{model}, {name}", "RGB, sRGB", "convert it to sRGB")


def profile_name(icc: bytes) -> str:
    """The description of an ICC profile (ICC.1:2022, 7.3 and 10.15; v2: textDescriptionType)."""
    for index in range(min(int.from_bytes(icc[128:132], "big"), 100)):
        entry = icc[132 + 12 * index : 144 + 12 * index]
        if entry[:4] != b"desc":
            continue
        at, length = int.from_bytes(entry[4:8], "big"), int.from_bytes(entry[8:12], "big")
        tag = icc[at : at + min(length, 2_000)]
        encoding = "utf-16-be" if tag[:4] == b"mluc" else "latin-1"
        text = tag[28:] if tag[:4] == b"mluc" else tag[12:].split(b"\0")[0]
        return "".join(char for char in text.decode(encoding, "replace") if char.isprintable())[:80]
    return "a profile without a name"


def _white(subject: _Subject) -> RuleVerdict:
    """Pure white outside the matte; without a matte the border must be white and a person looks at the rest."""
    limit = "255, 255, 255 outside the product"
    remedy = "cut the product out and lay it on pure white"
    if subject.matte is not None:
        fault = white_fault(subject.rgb, subject.matte, subject.header.block_px)
        return _judged("white", fault is None, fault or "pure white", limit, remedy)
    if not border_is_white(subject.rgb):
        return _judged("white", False, "the border is not 255 everywhere", limit, remedy)
    value = "the border is white; without the product's matte the inside is not judged"
    return RuleVerdict(rule="white", status="person", value=value, limit=limit)


def _fill(subject: _Subject, slot: Slot) -> Iterator[RuleVerdict]:
    """The product's longer relative side; without a matte an estimate from what is not white, for a person."""
    if slot.min_fill is None:
        return
    known = subject.matte is not None
    matte = subject.matte if subject.matte is not None else _not_white(subject.rgb)
    box, frame = product_box(matte), size_of(matte)
    share = max(box.size.width / frame.width, box.size.height / frame.height) if box else 0.0
    limit = f"at least {slot.min_fill:.1%} of the frame"
    if known:
        remedy = "crop closer, or compose the packshot again"
        yield _judged("fill", share >= slot.min_fill, f"{share:.1%}", limit, remedy)
    else:
        yield RuleVerdict(rule="fill", status="person", value=f"about {share:.1%}", limit=limit)


def _not_white(rgb: Pixels) -> Pixels:
    return np.where(darkest(rgb) < NEAR_WHITE, 255, 0).astype(np.uint8)


def _origin(
    data: bytes, channel: Channel, slot: Slot, lane: Lane | None, expected: str | None
) -> Iterator[RuleVerdict]:
    """How the picture was made: its lane is allowed here, and its marking says the truth."""
    lanes = [name for name in slot.lanes if channel.generated or name == "packshot"]
    found = read_source_type(data)
    said = found or "no DigitalSourceType"
    if lane is not None:
        yield _judged(
            "lane", lane in lanes, lane, f"one of {', '.join(lanes)}", "fill the slot from an allowed lane"
        )
        limit = expected or "no DigitalSourceType"
        yield _judged(
            "ai-marking", found == expected, said, limit, "write the XMP again, after the last encode"
        )
    elif says_ai(found) and not channel.generated:
        yield _judged("ai-marking", False, said, "no picture made by AI", "use a photographed packshot")
    elif says_ai(found) and lanes == ["packshot"]:
        yield RuleVerdict(rule="ai-marking", status="person", value=said, limit="a photographed product")
    else:
        yield RuleVerdict(
            rule="ai-marking", status="not-checked", value=f"{said}; how it was made is not known"
        )


def _in_force(rule: Rule, on: date | None) -> bool:
    begun = on is None or rule.effective_from is None or rule.effective_from <= on
    return begun and (on is None or rule.effective_until is None or on <= rule.effective_until)


def _on_that_day(verdict: RuleVerdict, slot: Slot, on: date | None) -> RuleVerdict:
    """The verdict; a refusal by a rule that is not in force on that day becomes a warning."""
    dated = next((rule for rule in slot.rules if rule.id == verdict.rule and not _in_force(rule, on)), None)
    if dated is None or verdict.status != "refused":
        return verdict
    span = (
        f"in force from {dated.effective_from or 'the start'} to {dated.effective_until or 'further notice'}"
    )
    return verdict.model_copy(update={"status": "accepted", "limit": f"{verdict.limit}, {span}"})


def _for_a_person(slot: Slot, on: date | None) -> Iterator[RuleVerdict]:
    """The rules that no file tells."""
    for rule in slot.rules:
        if rule.checked == "person" and _in_force(rule, on):
            yield RuleVerdict(
                rule=rule.id, status="not-checked", value="only a person can see it", limit=rule.text
            )
