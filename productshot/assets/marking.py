"""Assets, the marking: whether AI made the picture, as IPTC DigitalSourceType in XMP, written and read back.

Values: cv.iptc.org/newscodes/digitalsourcetype. The full address is written: the short word resolves to nothing.
"""

from __future__ import annotations

import re
from html import unescape
from xml.sax.saxutils import escape

from catalog_schemas.scene import Lane
from productshot.assets.chunks import xmp_of

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMPOSITE_WITH_AI = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
DRAWN_BY_AI = SOURCE_TYPES + "trainedAlgorithmicMedia"
AI_WORDS = (
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "compositeSynthetic",
    "algorithmicMedia",
)
IPTC_WORDS = (
    *AI_WORDS,
    "digitalCapture",
    "computationalCapture",
    "negativeFilm",
    "positiveFilm",
    "print",
    "humanEdits",
    "minorHumanEdits",
    "algorithmicallyEnhanced",
    "digitalCreation",
    "digitalArt",
    "dataDrivenMedia",
    "screenCapture",
    "virtualRecording",
    "composite",
    "compositeCapture",
)
"""IPTC's list as of November 2026, with the two terms that were retired: files that carry them stay readable."""

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" \
xmlns:xmp="http://ns.adobe.com/xap/1.0/" \
xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/">
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt></dc:description>
<xmp:CreatorTool>{tool}</xmp:CreatorTool>
{source}</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="r"?>"""
_SOURCE = "<Iptc4xmpExt:DigitalSourceType>{uri}</Iptc4xmpExt:DigitalSourceType>\n"
_MENTION = re.compile(
    r"<\w+:DigitalSourceType\s*>\s*([^<]{1,300}?)\s*</"
    r"|<\w+:DigitalSourceType\s[^<>]{0,200}?rdf:resource\s*=\s*[\"']([^\"'<>]{1,300})[\"']"
    r"|\s\w+:DigitalSourceType\s*=\s*[\"']([^\"'<>]{1,300})[\"']"
)


def source_type(lane: Lane, photo_ai_source: str | None) -> str | None:
    """The DigitalSourceType of what was really done; None: no AI took part.

    keep: AI painted around photographed pixels. draw: AI made the picture. packshot: what the photo says of
    itself. A photo that AI made passes that on to a keep picture, where nothing photographed is left.
    """
    if lane == "packshot":
        return photo_ai_source
    return DRAWN_BY_AI if lane == "draw" or photo_ai_source == DRAWN_BY_AI else COMPOSITE_WITH_AI


def xmp_packet(uri: str | None, description: str, tool: str = "productshot 0.1.0") -> bytes:
    """The XMP packet of an asset, UTF-8; every value is escaped, characters that XML forbids are dropped."""
    source = _SOURCE.format(uri=_as_text(uri)) if uri else ""
    return _PACKET.format(description=_as_text(description), tool=_as_text(tool), source=source).encode()


def _as_text(value: str) -> str:
    """The value as XML text; control characters, lone surrogates and U+FFFE/U+FFFF are no XML characters."""
    return escape(re.sub("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "", value))


def read_source_type(data: bytes) -> str | None:
    """The DigitalSourceType that the XMP of a JPEG, PNG, WebP or AVIF names, in any form; None: it names none."""
    found = _MENTION.search(xmp_of(data).decode("utf-8", "replace"))
    return unescape(next(group for group in found.groups() if group)).strip() if found else None


def is_well_formed(uri: str) -> bool:
    """Whether a DigitalSourceType is a full address of IPTC's list; a short or misspelt word resolves to nothing."""
    start, _, word = uri.rpartition("/")
    return f"{start}/".replace("https://", "http://") == SOURCE_TYPES and word in IPTC_WORDS


def says_ai(uri: str | None) -> bool:
    """Whether a DigitalSourceType (full address or short word) says that AI took part."""
    return uri is not None and uri.rstrip("/").rsplit("/", 1)[-1] in AI_WORDS
