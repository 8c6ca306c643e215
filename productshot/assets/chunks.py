"""Assets, the XMP packet of a file, found without decoding a pixel; here the chunks of PNG and WebP.

PNG: an iTXt chunk named XML:com.adobe.xmp (PNG, third edition, 11.3.3.4; XMP specification part 3, 1.1.5). WebP: the
chunk "XMP " of the RIFF container (WebP container specification, "Metadata").
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from productshot.assets.boxes import avif_xmp, is_avif
from productshot.assets.jpeg import is_jpeg, read_header

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
PNG_KEYWORD = b"XML:com.adobe.xmp"
MAX_PACKET_BYTES = 1 << 20
"""A packet is read, and unpacked, up to here: a marking is a few hundred bytes."""


def xmp_of(data: bytes) -> bytes:
    """The XMP packet of a JPEG, PNG, WebP or AVIF by its bytes; empty when it has none or is torn."""
    if is_jpeg(data):
        header = read_header(data)
        return header.xmp if header else b""
    if data.startswith(PNG_SIGNATURE):
        return next(
            (text for name, body in png_chunks(data) if name == b"iTXt" and (text := _text(body))), b""
        )
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return next((body for name, body in webp_chunks(data) if name == b"XMP "), b"")[:MAX_PACKET_BYTES]
    return avif_xmp(data, MAX_PACKET_BYTES) if is_avif(data) else b""


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk; ends where the bytes stop making sense."""
    at = len(PNG_SIGNATURE)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        if at + 12 + length > len(data):
            return
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def webp_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each chunk; an odd body is followed by a byte of padding."""
    at = 12
    while at + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        if at + 8 + length > len(data):
            return
        yield data[at : at + 4], data[at + 8 : at + 8 + length]
        at += 8 + length + length % 2


def _text(body: bytes) -> bytes:
    """The text of an iTXt chunk that holds XMP; empty for another one."""
    keyword, _, rest = body.partition(b"\0")
    if keyword != PNG_KEYWORD or len(rest) < 2:
        return b""
    text = rest[2:].split(b"\0", 2)[-1]  # behind the language tag and the translated keyword
    if not rest[0]:
        return text[:MAX_PACKET_BYTES]
    try:
        return zlib.decompressobj().decompress(text, MAX_PACKET_BYTES)
    except zlib.error:
        return b""
