"""Assets, a JPEG's segments: what its header says, read without decoding a pixel (ITU-T T.81, annex B)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from productshot.geometry import Size

XMP_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\x00"
ICC_SIGNATURE = b"ICC_PROFILE\x00"
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD9)}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class Header(NamedTuple):
    """What the segments before the first scan say."""

    size: Size
    components: int  # 1 grey, 3 colour, 4 CMYK
    block_px: int  # side of the blocks that share colour: 8, or 16 with halved chroma
    icc: bytes
    xmp: bytes


def is_jpeg(data: bytes) -> bool:
    """Whether the content (never the name) is a JPEG."""
    return data[:3] == b"\xff\xd8\xff"


def read_header(data: bytes) -> Header | None:
    """The header of a JPEG; None when it names no frame."""
    frame, xmp = b"", b""
    profile: dict[int, bytes] = {}
    for marker, body in _segments(data):
        if marker in _FRAMES and len(body) >= 6 + 3 * body[5]:
            frame = body
        elif marker == 0xE1 and body.startswith(XMP_SIGNATURE):
            xmp = xmp or body[len(XMP_SIGNATURE) :]
        elif marker == 0xE2 and body.startswith(ICC_SIGNATURE) and len(body) > len(ICC_SIGNATURE) + 2:
            profile[body[len(ICC_SIGNATURE)]] = body[len(ICC_SIGNATURE) + 2 :]
    if not frame:
        return None
    size = Size(int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big"))
    sampling = [frame[7 + 3 * index] for index in range(frame[5])]
    most = max((max(byte >> 4, byte & 15) for byte in sampling), default=1)
    icc = b"".join(profile[number] for number in sorted(profile))
    return Header(size, frame[5], 8 * most if frame[5] > 1 else 8, icc, xmp)


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Marker and body of each segment up to the first scan; ends where the bytes stop making sense."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker == 0xDA or length < 2 or at + 2 + length > len(data):
            return
        yield marker, data[at + 4 : at + 2 + length]
        at += 2 + length
