"""The marking of AI content: truthful, escaped, and still there after the last encode."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from catalog_schemas import AssetRecipe
from productshot.assets import encode, packshot, read_source_type, says_ai, source_type, xmp_packet
from productshot.assets.marking import COMPOSITE_WITH_AI, DRAWN_BY_AI
from tests.unit.assets_builders import a_disc, a_slot

HOSTILE = 'mug</rdf:li>\x00<Iptc4xmpExt:DigitalSourceType>none</x> & "quotes" \ud800'


def a_jpeg(xmp: bytes | None) -> bytes:
    made = packshot(a_disc(240), a_slot(), AssetRecipe(), "mug-1")
    return encode(made, a_slot(), AssetRecipe(), xmp, "mug-1")


@pytest.mark.parametrize(
    ("lane", "photo", "says"),
    [
        ("packshot", None, None),
        ("packshot", DRAWN_BY_AI, DRAWN_BY_AI),
        ("keep", None, COMPOSITE_WITH_AI),
        ("keep", DRAWN_BY_AI, DRAWN_BY_AI),
        ("draw", None, DRAWN_BY_AI),
    ],
)
def test_the_source_type_says_what_was_done(lane: str, photo: str | None, says: str | None) -> None:
    """Each lane has its value, and what a photo says of itself is passed on."""
    assert source_type(lane, photo) == says  # type: ignore[arg-type]


def test_the_marking_survives_the_last_encode() -> None:
    """Written through the encoder, read back from the file's bytes."""
    assert read_source_type(a_jpeg(xmp_packet(COMPOSITE_WITH_AI, "mug-1, table"))) == COMPOSITE_WITH_AI


def test_a_packshot_carries_no_marking() -> None:
    """Without AI there is a packet, but no DigitalSourceType in it."""
    assert read_source_type(a_jpeg(xmp_packet(None, "mug-1"))) is None


def test_a_hostile_description_stays_text() -> None:
    """A description cannot close its element or forge a marking; the packet stays well-formed XML."""
    packet = xmp_packet(None, HOSTILE)
    body = packet.decode().split("?>", 1)[1].rsplit("<?", 1)[0]
    texts = [element.text for element in ElementTree.fromstring(body).iter() if element.tag.endswith("}li")]
    assert texts == ['mug</rdf:li><Iptc4xmpExt:DigitalSourceType>none</x> & "quotes" ']
    assert read_source_type(a_jpeg(packet)) is None


def test_a_hostile_source_type_round_trips() -> None:
    """What a photo says of itself is data too: escaped when written, the same when read."""
    uri = 'http://example.org/?a=1&b="<x>"'
    assert read_source_type(a_jpeg(xmp_packet(uri, "mug-1"))) == uri


@pytest.mark.parametrize(
    "spelling", ['<a:B Iptc4xmpExt:DigitalSourceType="{}"/>', "<p:DigitalSourceType rdf:resource='{}'/>"]
)
def test_other_spellings_are_read(spelling: str) -> None:
    """Other programs write the property as an attribute or as a resource."""
    assert read_source_type(a_jpeg(spelling.format(DRAWN_BY_AI).encode())) == DRAWN_BY_AI


def test_a_resave_that_drops_the_packet_is_seen() -> None:
    """Most libraries drop XMP: then nothing is read."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(a_jpeg(xmp_packet(DRAWN_BY_AI, "mug-1")))) as image:
        Image.fromarray(np.asarray(image)).save(buffer, "JPEG")
    assert read_source_type(buffer.getvalue()) is None


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\xff\xd8\xff\xe1\xff\xff123", b"\x89PNG\r\n", b"\xff" * 99]
)
def test_broken_bytes_name_nothing(data: bytes) -> None:
    """A torn or foreign file has no marking and is no reason to crash."""
    assert read_source_type(data) is None


def test_full_address_and_short_word_both_say_ai() -> None:
    """digitalCapture is no AI; a composite with it is."""
    assert says_ai(COMPOSITE_WITH_AI) and says_ai("trainedAlgorithmicMedia")
    assert not says_ai("http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture")
    assert not says_ai(None)
