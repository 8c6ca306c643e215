"""Assets, the limits: what a file shows of each subject that a limit can speak of, and whether it keeps the limit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Literal, NamedTuple

import numpy as np

from catalog_schemas import Limit
from productshot.assets.compose import product_box
from productshot.assets.frame import frame_lines, frame_width
from productshot.assets.jpeg import read_header
from productshot.assets.marking import is_well_formed, says_ai
from productshot.assets.white import NEAR_WHITE, border_is_white, darkest, white_fault
from productshot.decode import type_of
from productshot.pixels import Pixels, size_of

NAMES = {
    "jpeg": "JPEG", "png": "PNG", "webp": "WebP", "gif": "GIF", "tiff": "TIFF", "bmp": "BMP", "avif": "AVIF",
    "heic": "HEIC", "psd": "PSD", "svg": "SVG",
}  # fmt: skip
ENDINGS = {
    ".jpg": "jpeg", ".jpeg": "jpeg", ".jpe": "jpeg", ".jfif": "jpeg", ".png": "png", ".webp": "webp", ".gif": "gif",
    ".tif": "tiff", ".tiff": "tiff", ".bmp": "bmp", ".avif": "avif", ".heic": "heic",
}  # fmt: skip
"""What a file name's ending promises."""


def ending_of(kind: str) -> str:
    """The usual ending of a format's files, with its dot: ".jpg" for jpeg."""
    return next(ending for ending, promised in ENDINGS.items() if promised == kind)


GREY, RGB = ("1", "L", "LA", "I", "I;16", "I;16B"), ("P", "PA", "RGB", "RGBA", "RGBX", "RGBa", "YCbCr")
LOSSY_BLOCK_PX = {"webp": 32, "avif": 64}
"""Side of the blocks whose colours a lossy file mixes, filters across their edges included; lossless counts too."""


class Seen(NamedTuple):
    """What a file of others shows, decoded by photos.Decoder: pixels laid on white, and what it says of itself."""

    rgb: Pixels
    alpha: Pixels | None = None
    mode: str = "RGB"
    profile: str = "none"
    ai_source: str | None = None  # its own statement, from XMP or C2PA
    name: str | None = None  # the file's name, where it has one
    slack_px: int = 0  # by how much the outline of the matte may be off; 0: it is exact


class Subject(NamedTuple):
    """The file as all limits see it."""

    data: bytes
    kind: str  # format by content: jpeg, png, ...; "" when unknown
    seen: Seen
    matte: Pixels | None
    said: str | None  # DigitalSourceType as it stands in the file


class Finding(NamedTuple):
    """What a file shows of one subject, and how that stands to the limit."""

    status: Literal["holds", "broken", "person", "not-checked"]
    value: str
    limit: str
    remedy: str = ""


def kind_of(data: bytes) -> str:
    """The format by content, in lower case as Limit.formats has it; "" when unknown, or a JPEG without a picture."""
    kind = type_of(data).lower().replace("photoshop", "psd")
    return "" if kind == "jpeg" and read_header(data) is None else kind


def format_finding(data: bytes, limit: Limit) -> Finding:
    """Whether the content is of a format taken; needs no pixel."""
    kind = kind_of(data)
    torn = type_of(data) == "JPEG" and not kind
    value = "starts like a JPEG but names no picture" if torn else (NAMES.get(kind) or type_of(data))
    wanted = " or ".join(", ".join(NAMES.get(one, one.upper()) for one in limit.formats).rsplit(", ", 1))
    remedy = "export it again" if torn else f"export it as {wanted}; the name's ending changes nothing"
    return _judged(kind in limit.formats, value or "no known picture format", wanted, remedy)


def bytes_finding(data: bytes, limit: Limit) -> Finding:
    """Whether the file is small, or large, enough; needs no pixel."""
    value = f"{len(data):,} bytes"
    if limit.min_bytes is not None and len(data) < limit.min_bytes:
        return Finding(
            "broken", value, f"at least {limit.min_bytes:,} bytes", "save it at a higher quality or size"
        )
    if limit.max_bytes is None:
        return Finding("holds", value, f"at least {limit.min_bytes:,} bytes")
    remedy = "save it at a lower JPEG quality or a smaller size"
    return _judged(len(data) <= limit.max_bytes, value, f"at most {limit.max_bytes:,} bytes", remedy)


def ending_finding(subject: Subject) -> Finding | None:
    """Whether the file name's ending says what the content is; None without a name, or for an unknown ending."""
    promised = ENDINGS.get(PurePath(subject.seen.name or "").suffix.lower())
    if promised is None or not subject.kind:
        return None
    value = f"{PurePath(subject.seen.name or '').suffix} holds {NAMES.get(subject.kind, subject.kind)}"
    return _judged(
        promised == subject.kind, value, "the ending that the content has", "rename it, or export it again"
    )


def _judged(holds: bool, value: str, limit: str, remedy: str) -> Finding:
    return Finding("holds", value, limit) if holds else Finding("broken", value, limit, remedy)


def _format(subject: Subject, limit: Limit) -> Finding:
    return format_finding(subject.data, limit)


def _bytes(subject: Subject, limit: Limit) -> Finding:
    return bytes_finding(subject.data, limit)


def _size(subject: Subject, limit: Limit) -> Finding:
    width, height = size_of(subject.seen.rgb)
    value = f"{width}x{height} px"
    least = (limit.min_width or 1, limit.min_height or 1)
    if width < least[0] or height < least[1] or max(width, height) < (limit.min_side or 1):
        told = (
            f"at least {limit.min_side:,} px on the longer side"
            if limit.min_side
            else f"at least {_pair(*least)}"
        )
        return Finding("broken", value, told, "export it larger, from a larger photo")
    too_large = [
        limit.max_width is not None and width > limit.max_width,
        limit.max_height is not None and height > limit.max_height,
        limit.max_side is not None and max(width, height) > limit.max_side,
        limit.max_pixels is not None and width * height > limit.max_pixels,
    ]
    return _judged(not any(too_large), value, size_words(limit), "export it smaller")


def _pair(width: int | None, height: int | None) -> str:
    return f"{width or 'any'}x{height or 'any'} px"


def size_words(limit: Limit) -> str:
    """A size limit in words: "at least 600x600 px", "at most 10,000 px a side and 64 megapixels"."""
    told = []
    if limit.min_width or limit.min_height:
        told.append(f"at least {_pair(limit.min_width, limit.min_height)}")
    if limit.min_side:
        told.append(f"at least {limit.min_side:,} px on the longer side")
    if limit.max_width or limit.max_height:
        told.append(f"at most {_pair(limit.max_width, limit.max_height)}")
    if limit.max_side:
        told.append(f"at most {limit.max_side:,} px a side")
    if limit.max_pixels:
        told.append(f"{'' if limit.max_side else 'at most '}{limit.max_pixels / 1e6:g} megapixels")
    return " and ".join(told)


def _ratio(subject: Subject, limit: Limit) -> Finding:
    assert limit.ratio is not None
    width, height = size_of(subject.seen.rgb)
    wanted = round(width * limit.ratio[1] / limit.ratio[0])
    allowed = max(1.0, limit.ratio_tolerance * wanted)
    told = f"{limit.ratio[0]}:{limit.ratio[1]}, as {width}x{wanted} px"
    remedy = "crop or pad it to the slot's ratio"
    return _judged(abs(height - wanted) <= allowed, f"{width}x{height} px", told, remedy)


def colour_model(mode: str) -> str:
    """grey, rgb or cmyk of a file by Pillow's name of its mode; another name as it is."""
    return "grey" if mode in GREY else "rgb" if mode in RGB else mode.lower()


def _colour(subject: Subject, limit: Limit) -> Finding:
    """The colour model, and the profile where the limit asks for sRGB; without one a file is read as sRGB."""
    model, profile = colour_model(subject.seen.mode), _profile(subject)
    shown = model if model == "grey" else model.upper()
    holds = (not limit.colours or model in limit.colours) and (not limit.srgb or "srgb" in profile.lower())
    wanted = " or ".join(one if one == "grey" else one.upper() for one in limit.colours)
    told = ", ".join(part for part in (wanted, "sRGB" if limit.srgb else "") if part)
    return _judged(
        holds and subject.seen.profile != "ignored", f"{shown}, {profile}", told, "convert it to sRGB"
    )


def _profile(subject: Subject) -> str:
    if subject.seen.profile == "ignored":
        return "a profile that is broken or of other colours"
    header = read_header(subject.data) if subject.kind == "jpeg" else None
    if header and header.icc:
        name = profile_name(header.icc)
        lies = subject.seen.profile == "converted" and "srgb" in name.lower()
        return "a profile that calls itself by the name and has other primaries" if lies else name
    words = {"none": "no profile, read as sRGB", "srgb": "sRGB", "converted": "a profile other than sRGB"}
    return words.get(subject.seen.profile, subject.seen.profile)


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


def _white(subject: Subject, limit: Limit) -> Finding:
    """Pure white outside the matte; without a matte the border must be white and a person looks at the rest."""
    told, remedy = "255, 255, 255 outside the product", "cut the product out and lay it on pure white"
    rgb, slack = subject.seen.rgb, subject.seen.slack_px
    if subject.matte is not None:
        fault = white_fault(rgb, grown(subject.matte, slack), block_px(subject.data, subject.kind))
        return _judged(fault is None, fault or "pure white", told, remedy)
    if not border_is_white(rgb):
        return Finding("broken", "the border is not 255 everywhere", told, remedy)
    value = "the border is white; without the product's matte the inside is not judged"
    return Finding("person", value, told)


def grown(matte: Pixels, by_px: int) -> Pixels:
    """The matte with its outline moved out by that many px."""
    if not by_px:
        return matte
    from scipy.ndimage import maximum_filter

    return np.asarray(maximum_filter(matte, 2 * by_px + 1), np.uint8)


def block_px(data: bytes, kind: str) -> int:
    """Side of the blocks in which a file's format mixes product and ground; 1 for a lossless one."""
    header = read_header(data) if kind == "jpeg" else None
    return header.block_px if header else LOSSY_BLOCK_PX.get(kind, 1)


def product_share(matte: Pixels) -> float:
    """The product's longer relative side, as a share of the frame; `matte` (h, w) uint8."""
    box, frame = product_box(matte), size_of(matte)
    return max(box.size.width / frame.width, box.size.height / frame.height) if box else 0.0


def _fill(subject: Subject, limit: Limit) -> Finding:
    """The product's share of the frame; without a matte an estimate from what is not white, for a person."""
    known = subject.matte is not None
    share = product_share(subject.matte if subject.matte is not None else not_white(subject.seen.rgb))
    least, most = limit.min_fill or 0.0, limit.max_fill or 1.0
    told = " and ".join(
        [f"at least {least:.1%}"] * bool(limit.min_fill) + [f"at most {most:.1%}"] * bool(limit.max_fill)
    )
    told = f"{told} of the frame"
    slack = 2 * subject.seen.slack_px / min(size_of(subject.seen.rgb))
    outside = share < least or share > most
    if not known or (outside and least - slack <= share <= most + slack):
        return Finding("person", f"about {share:.1%}", told)
    closer = "crop closer, or compose the packshot again"
    wider = "leave more room around it, or compose the packshot again"
    return _judged(not outside, f"{share:.1%}", told, closer if share < least else wider)


def not_white(rgb: Pixels) -> Pixels:
    """255 where a pixel is not nearly white, else 0: (h, w) uint8."""
    return np.where(darkest(rgb) < NEAR_WHITE, 255, 0).astype(np.uint8)


def _product(subject: Subject, limit: Limit) -> Finding:
    """The longer side of the product itself; without a matte an estimate, for a person."""
    matte = subject.matte if subject.matte is not None else not_white(subject.seen.rgb)
    box = product_box(matte)
    side = max(box.size) if box else 0
    told = f"at least {limit.min_product_side} px without the ground"
    if subject.matte is None:
        return Finding("person", f"about {side} px", told)
    return _judged(
        side >= (limit.min_product_side or 0), f"{side} px", told, "crop closer, or give a larger photo"
    )


def _centring(subject: Subject, limit: Limit) -> Finding:
    """How far the middle of the product lies beside the middle of the frame."""
    assert limit.max_off_centre is not None
    told = f"at most {limit.max_off_centre:.0%} beside the middle"
    box = product_box(subject.matte) if subject.matte is not None else None
    if box is None:
        return Finding("not-checked", "without the product's matte its place is not known", told)
    frame = size_of(subject.seen.rgb)
    aside = max(
        abs(box.left + box.right - frame.width) / 2 / frame.width,
        abs(box.top + box.bottom - frame.height) / 2 / frame.height,
    )
    return _judged(
        aside <= limit.max_off_centre, f"{aside:.1%} beside the middle", told, "move it to the middle"
    )


def _border(subject: Subject, limit: Limit) -> Finding:
    """A frame drawn around the picture; a product that fills the frame evenly is none, where the matte says so."""
    width = frame_width(subject.seen.rgb)
    told, remedy = "no frame around the picture", "crop the frame off"
    if not width:
        return Finding("holds", "no frame", told)
    if subject.matte is not None:
        lines = frame_lines(subject.matte, width + 2)
        if min((line > 0).mean() for line in lines) > 0.5:
            return Finding("holds", "no frame; the product reaches that far", told)
        return Finding("broken", f"a frame of {width} px", told, remedy)
    if border_is_white(subject.seen.rgb, width):
        return Finding("person", f"a white frame of {width} px, or a product on white", told)
    return Finding("broken", f"a frame of {width} px", told, remedy)


def _marking(subject: Subject, limit: Limit) -> Finding:
    """What a file of others says of itself: a marking that resolves to nothing hides what it means."""
    said = subject.said or subject.seen.ai_source
    shown = said or "no DigitalSourceType"
    ai = says_ai(said) or subject.seen.ai_source is not None
    if limit.ai == "none" and ai:
        return Finding("broken", shown, "no picture made by AI", "use a photographed packshot")
    if subject.said is not None and not is_well_formed(subject.said):
        remedy = "write the full address, as http://cv.iptc.org/newscodes/digitalsourcetype/<term>"
        return Finding("broken", shown, "a full address of IPTC's list", remedy)
    if ai:
        return Finding("holds", shown, "says that AI took part")
    return Finding("not-checked", f"{shown}; how it was made is not known", "")


MEASURES: dict[str, Callable[[Subject, Limit], Finding]] = {
    "format": _format,
    "bytes": _bytes,
    "size": _size,
    "ratio": _ratio,
    "colour": _colour,
    "white": _white,
    "fill": _fill,
    "product": _product,
    "centring": _centring,
    "border": _border,
    "marking": _marking,
}
"""How each subject of a limit is measured on a file that could be decoded."""

WITHOUT_PIXELS: dict[str, Callable[[bytes, Limit], Finding]] = {
    "format": format_finding,
    "bytes": bytes_finding,
}
"""What can be said of bytes that nothing decodes."""
