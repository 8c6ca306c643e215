"""Assets, the boxes of AVIF: the XMP item of a file, found without decoding a pixel.

ISO/IEC 14496-12 (base media file format), 8.11: a `meta` box lists the items (`iinf`, one `infe` each) and where
their bytes lie (`iloc`); XMP is the item of type `mime` whose content type is application/rdf+xml.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

XMP_TYPE = b"application/rdf+xml"
MAX_ITEMS = 1_000
"""A still picture has a handful of items; a list longer than this is not read to its end."""


class _Extent(NamedTuple):
    """A piece of an item: in the file (`idat` false), or in the meta box's own `idat`."""

    offset: int
    length: int
    idat: bool


class _Reader:
    """Big-endian numbers one after the other; beyond the end they are 0 and `torn` says so."""

    def __init__(self, data: bytes, at: int = 0) -> None:
        self.data, self.at, self.torn = data, at, False

    def number(self, size: int) -> int:
        value = self.data[self.at : self.at + size]
        self.at += size
        self.torn = self.torn or len(value) < size
        return int.from_bytes(value, "big")

    def word(self) -> bytes:
        """The bytes up to the next zero byte."""
        end = self.data.find(b"\0", self.at)
        self.torn = self.torn or end < 0
        value = self.data[self.at : end] if end >= 0 else b""
        self.at = end + 1 if end >= 0 else len(self.data)
        return value


def is_avif(data: bytes) -> bool:
    """Whether the content (never the name) is an AVIF picture."""
    return data[4:8] == b"ftyp" and b"avif" in data[8 : min(int.from_bytes(data[:4], "big"), 256)]


def avif_xmp(data: bytes, most: int) -> bytes:
    """The XMP packet of an AVIF, at most that many bytes; empty when it has none or is torn."""
    meta = next((body for name, body in boxes(data) if name == b"meta"), b"")
    parts = dict(boxes(meta[4:]))
    number = next((item for item in _xmp_items(parts.get(b"iinf", b""))), None)
    if number is None:
        return b""
    packet = b""
    for offset, length, idat in _extents(parts.get(b"iloc", b""), number):
        source = parts.get(b"idat", b"") if idat else data
        packet += source[offset : offset + min(length, most - len(packet))]
    return packet


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Name and body of each box, one after the other; ends where the bytes stop making sense."""
    at = 0
    while at + 8 <= len(data):
        length, head = int.from_bytes(data[at : at + 4], "big"), 8
        if length == 1:  # a 64-bit length follows
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        length = length or len(data) - at  # 0: to the end of the file
        if length < head or at + length > len(data):
            return
        yield data[at + 4 : at + 8], data[at + head : at + length]
        at += length


def _xmp_items(iinf: bytes) -> Iterator[int]:
    """The numbers of the items that hold XMP."""
    entries = iinf[6:] if iinf[:1] == b"\0" else iinf[8:]
    for name, body in boxes(entries):
        if name != b"infe" or body[:1] not in (b"\2", b"\3"):
            continue
        entry = _Reader(body, at=4)
        item = entry.number(2 if body[0] == 2 else 4)
        entry.number(2)  # protection
        kind = entry.number(4).to_bytes(4, "big")
        entry.word()  # name
        if kind == b"mime" and entry.word() == XMP_TYPE and not entry.torn:
            yield item


def _extents(iloc: bytes, wanted: int) -> list[_Extent]:
    """Where the bytes of an item lie; empty when that is not told."""
    if not iloc or iloc[0] > 2:
        return []
    version, box = iloc[0], _Reader(iloc, at=4)
    sizes = box.number(2)
    offset_size, length_size, base_size = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15
    index_size = sizes & 15 if version else 0
    for _ in range(min(box.number(2 if version < 2 else 4), MAX_ITEMS)):
        item = box.number(2 if version < 2 else 4)
        idat = bool(version) and box.number(2) & 15 == 1
        box.number(2)  # data reference: this file
        base = box.number(base_size)
        found = []
        for _ in range(min(box.number(2), MAX_ITEMS)):
            box.number(index_size)
            offset = box.number(offset_size)
            found.append(_Extent(base + offset, box.number(length_size), idat))
        if box.torn:
            return []
        if item == wanted:
            return found
    return []
