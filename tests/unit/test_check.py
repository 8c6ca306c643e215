"""The rules of a channel, computed on files with one planted violation each."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import date
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw
from PIL.PngImagePlugin import PngInfo

from catalog_schemas import AssetRecipe, Channel, Rule, Slot, channel_names, load_channel
from productshot.assets import (
    RuleVerdict,
    Seen,
    check,
    encode,
    packshot,
    read_source_type,
    srgb_profile,
    unreadable,
    xmp_packet,
)
from productshot.assets.encode import ENCODERS, LOSSLESS
from productshot.assets.limits import profile_name
from productshot.assets.marking import COMPOSITE_WITH_AI, DRAWN_BY_AI
from productshot.inspection import ANY_SIZE
from productshot.photos import Decoder
from productshot.pixels import Pixels
from tests.unit.assets_builders import a_block, a_channel, a_scene_slot, a_slot

DATED = {"text": "x", "status": "required", "checked": "file", "authority": "shop", "address": "https://example.org",
         "read": "2026-11-22"}  # fmt: skip


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def a_file(
    size: tuple[int, int] = (200, 200), product: int = 174, ground: int = 255, **save: Any
) -> tuple[bytes, Pixels]:
    """A red square in the middle of a ground, as JPEG of quality 100, and its matte."""
    matte = np.zeros((size[1], size[0]), np.uint8)
    top, left = (size[1] - product) // 2, (size[0] - product) // 2
    matte[top : top + product, left : left + product] = 255
    rgb = np.full((*matte.shape, 3), ground, np.uint8)
    rgb[matte > 0] = (200, 30, 30)
    buffer = io.BytesIO()
    options = {"format": "JPEG", "quality": 100, "subsampling": 0, **save}
    Image.fromarray(rgb).convert(options.pop("mode", "RGB")).save(buffer, **options)
    return buffer.getvalue(), matte


def verdict_of(rule: str, verdicts: list[RuleVerdict]) -> RuleVerdict:
    return next(verdict for verdict in verdicts if verdict.rule == rule)


def refused(verdicts: list[RuleVerdict]) -> list[str]:
    return [verdict.rule for verdict in verdicts if verdict.status == "refused"]


PACKSHOTS = [
    (channel, slot)
    for channel in map(load_channel, channel_names())
    for slot in channel.slots
    if slot.lanes == ("packshot",)
]


@pytest.mark.parametrize(("channel", "slot"), PACKSHOTS, ids=[f"{c.name}-{s.name}" for c, s in PACKSHOTS])
def test_our_own_packshot_passes_every_channel(channel: Channel, slot: Slot) -> None:
    """What compose and encode make for a channel's packshots obeys all its rules."""
    slot = slot.model_copy(update={"preferred_width": slot.min_width})
    cutout = a_block(900, 800)
    if slot.min_bytes:  # a flat red block is too small a file for a channel with a least size
        cutout[..., :3] = np.random.default_rng(3).integers(120, 128, (800, 900, 3))
    made = packshot(cutout, slot, AssetRecipe(), "mug-1")
    data = encode(made, slot, AssetRecipe(), xmp_packet(None, "mug-1"), "mug-1")
    verdicts = check(data, channel, slot, made.matte, "packshot", None)
    assert refused(verdicts) == []
    assert {"format", "max-bytes", "ratio", "min-size", "colour", "white", "lane", "ai-marking"} <= {
        verdict.rule for verdict in verdicts if verdict.status == "accepted"
    }


@pytest.mark.parametrize(
    ("rule", "planted"),
    [
        ("min-size", {"size": (90, 90), "product": 80}),
        ("ratio", {"size": (200, 202), "product": 174}),
        ("white", {"ground": 254}),
        ("fill", {"product": 140}),
        ("colour", {"mode": "L"}),
        ("format", {"format": "PNG"}),
    ],
)
def test_each_planted_violation_is_found(rule: str, planted: dict[str, Any]) -> None:
    """One wrong thing, one rule that refuses it, with a remedy."""
    data, matte = a_file(**planted)
    verdicts = check(data, a_channel(), a_slot(), matte)
    assert refused(verdicts) == [rule]
    assert verdict_of(rule, verdicts).remedy


def test_a_refusal_reads_as_one_line() -> None:
    """Rule, status, value, limit, remedy."""
    data, matte = a_file(product=140)
    line = str(verdict_of("fill", check(data, a_channel(), a_slot(), matte)))
    assert (
        line
        == "fill: refused (70.0%; at least 85.0% of the frame; crop closer, or compose the packshot again)"
    )


def test_cmyk_and_another_profile_are_refused() -> None:
    """Only RGB in sRGB passes; a profile is known by its description."""
    cmyk, _ = a_file(mode="CMYK")
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    other, matte = a_file(icc_profile=lab)
    assert (
        verdict_of("colour", check(cmyk, a_channel(), a_scene_slot())).value
        == "CMYK, no profile, read as sRGB"
    )
    assert refused(check(other, a_channel(), a_slot(), matte)) == ["colour"]
    assert profile_name(srgb_profile()) == "sRGB built-in"


def test_too_many_bytes_and_too_many_pixels_are_refused() -> None:
    """The byte limit and the longest side."""
    data, matte = a_file()
    assert refused(check(data, a_channel(), a_slot(max_bytes=1_000), matte)) == ["max-bytes"]
    wide, _ = a_file((10_010, 100), 50)
    long_slot = a_scene_slot(ratio=(1001, 10), preferred_width=10_000)
    assert refused(check(wide, a_channel(), long_slot)) == ["max-size"]


def test_a_stripped_marking_is_refused() -> None:
    """A keep picture without its marking hides that AI took part."""
    data, _ = a_file()
    verdicts = check(data, a_channel(), a_scene_slot(), None, "keep", COMPOSITE_WITH_AI)
    assert refused(verdicts) == ["ai-marking"]
    assert verdict_of("ai-marking", verdicts).value == "no DigitalSourceType"


def test_a_false_marking_is_refused() -> None:
    """A drawn picture that calls itself a composite is refused too."""
    data, _ = a_file(xmp=xmp_packet(COMPOSITE_WITH_AI, "mug-1"))
    assert refused(check(data, a_channel(), a_scene_slot(), None, "draw", DRAWN_BY_AI)) == ["ai-marking"]


def test_a_lane_that_the_slot_does_not_take_is_refused() -> None:
    """A keep picture never fills a main slot."""
    data, matte = a_file(xmp=xmp_packet(COMPOSITE_WITH_AI, "mug-1"))
    assert refused(check(data, a_channel(), a_slot(), matte, "keep", COMPOSITE_WITH_AI)) == ["lane"]


def test_a_channel_without_generated_pictures_refuses_a_marked_file() -> None:
    """A foreign file that says AI made it does not enter a channel that bans such pictures."""
    data, matte = a_file(xmp=xmp_packet(DRAWN_BY_AI, "mug-1"))
    channel = a_channel(a_slot(), generated=False)
    assert refused(check(data, channel, channel.slots[0], matte)) == ["ai-marking"]


def test_without_a_matte_a_person_judges_white_and_fill() -> None:
    """The border is measured, the inside is not; a grey border is refused at once."""
    slot = a_slot()
    verdicts = check(a_file()[0], a_channel(), slot)
    assert {verdict.rule for verdict in verdicts if verdict.status == "person"} == {"white", "fill"}
    assert verdict_of("fill", verdicts).value.startswith("about 8")
    assert "white" in refused(check(a_file(ground=254)[0], a_channel(), slot))


def test_a_rule_of_tomorrow_refuses_nothing_today() -> None:
    """Before its day a rule warns, from its day on it refuses."""
    rule = Rule(
        id="min-size",
        text="100 px",
        status="required",
        checked="file",
        authority="shop",
        address="https://example.org",
        read=date(2026, 11, 22),
        effective_from=date(2027, 1, 31),
    )
    data, matte = a_file((90, 90), 80)
    slot = a_slot(rules=(rule,))
    early = verdict_of("min-size", check(data, a_channel(), slot, matte, on=date(2027, 1, 30)))
    assert (early.status, early.limit) == (
        "advised",
        "at least 100x100 px, in force from 2027-01-31 to further notice",
    )
    assert refused(check(data, a_channel(), slot, matte, on=date(2027, 1, 31))) == ["min-size"]


def test_what_no_file_tells_is_named() -> None:
    """Rules for a person's eye are listed as not checked."""
    amazon = load_channel("amazon")
    data, matte = a_file()
    verdict = verdict_of("plain-product", check(data, amazon, amazon.slots[0], matte))
    assert verdict.status == "not-checked"
    assert verdict.limit.startswith("no text, logo")


def test_a_matte_of_another_size_is_an_error() -> None:
    """Judging with the wrong matte would prove nothing."""
    with pytest.raises(ValueError, match="the matte is"):
        check(a_file()[0], a_channel(), a_slot(), np.zeros((10, 10), np.uint8))


# ---- any file of a shop


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(seconds=30) as opened:
        yield opened


def look(data: bytes, decoder: Decoder, name: str | None = None, slack_px: int = 0) -> Seen:
    got = decoder.pixels(data, "a", ANY_SIZE)
    return Seen(got.rgb, got.alpha, got.mode, got.profile, got.ai_source, name, slack_px)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "AVIF", "BMP"])
def test_every_format_gets_every_verdict(kind: str, decoder: Decoder) -> None:
    """A format that the slot does not take is refused, and the other rules are judged all the same."""
    data, matte = a_file(format=kind, subsampling="4:4:4")
    verdicts = check(data, a_channel(), a_slot(), matte, seen=look(data, decoder))

    assert {
        "format",
        "max-bytes",
        "ratio",
        "min-size",
        "colour",
        "white",
        "fill",
        "centring",
        "ai-marking",
    } <= {verdict.rule for verdict in verdicts}
    assert ("format" in refused(verdicts)) == (kind != "JPEG")


def test_an_ending_that_lies_is_refused(decoder: Decoder) -> None:
    """.png with a JPEG inside; an unknown ending says nothing."""
    data, matte = a_file()

    def ending(name: str) -> list[str]:
        verdicts = check(data, a_channel(), a_slot(), matte, seen=look(data, decoder, name))
        return [f"{one.status}: {one.value}" for one in verdicts if one.rule == "extension"]

    assert ending("a.PNG") == ["refused: .PNG holds JPEG"]
    assert ending("a.jpeg") == ["accepted: .jpeg holds JPEG"]
    assert ending("a") == []


def test_a_profile_that_lies_is_refused(decoder: Decoder) -> None:
    """A broken profile, or one of other colours, shows differently in every program."""
    data, matte = a_file(icc_profile=b"no profile" * 30)
    verdict = verdict_of("colour", check(data, a_channel(), a_slot(), matte, seen=look(data, decoder)))

    assert (verdict.status, verdict.value) == ("refused", "RGB, a profile that is broken or of other colours")


def test_a_profile_that_calls_itself_srgb_must_be_it(decoder: Decoder) -> None:
    """With red and blue exchanged behind the name sRGB, the name is not believed."""
    swapped = srgb_profile().replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    data, matte = a_file(icc_profile=swapped)
    verdict = verdict_of("colour", check(data, a_channel(), a_slot(), matte, seen=look(data, decoder)))

    assert verdict.status == "refused"
    assert verdict.value == "RGB, a profile that calls itself by the name and has other primaries"


def test_a_slip_of_an_estimated_outline_is_forgiven(decoder: Decoder) -> None:
    """An outline 3 px too small refuses when it is exact; when it may be off by 4 px it does not, and fill asks."""
    data, matte = a_file(product=172)
    inner = np.zeros_like(matte)
    inner[17:183, 17:183] = 255

    exact = check(data, a_channel(), a_slot(), inner, seen=look(data, decoder))
    slack = check(data, a_channel(), a_slot(), inner, seen=look(data, decoder, slack_px=4))
    assert refused(exact) == ["white", "fill"]
    assert refused(slack) == [] and verdict_of("fill", slack).status == "person"


def test_a_frame_is_found_and_a_product_that_fills_the_frame_is_none(decoder: Decoder) -> None:
    """The same pixels: a dark ring around a scene, and a scene whose product is a rectangle."""
    rule = Rule.model_validate({**DATED, "id": "no-border", "limit": {"border": "none"}})
    slot = a_scene_slot(rules=(rule,))
    data, matte = a_file((320, 320), 300, ground=20)

    found = verdict_of(
        "no-border", check(data, a_channel(slot), slot, np.zeros_like(matte), seen=look(data, decoder))
    )
    assert (found.status, found.value) == ("refused", "a frame of 10 px")
    filled = verdict_of("no-border", check(data, a_channel(slot), slot, matte, seen=look(data, decoder)))
    assert filled.status == "accepted"


def test_marks_in_a_row_ask_a_person(decoder: Decoder) -> None:
    """A word beside the product is a suspicion, never a refusal; the product's own print is none."""
    scene = Image.new("RGB", (640, 640), (150, 170, 160))
    ImageDraw.Draw(scene).text((60, 560), "SUMMER SALE -50%", fill=(10, 10, 10), font_size=28)
    data, slot = (
        saved(scene),
        a_scene_slot(rules=(Rule.model_validate({**DATED, "checked": "person", "id": "text"}),)),
    )
    matte = np.zeros((640, 640), np.uint8)
    beside = check(data, a_channel(slot), slot, matte, seen=look(data, decoder))
    matte[540:620, 40:500] = 255
    printed = check(data, a_channel(slot), slot, matte, seen=look(data, decoder))

    assert [one.status for one in beside if "look like text" in one.value] == ["person"]
    assert not [one for one in printed if "look like text" in one.value]


@pytest.mark.parametrize(
    ("uri", "status"),
    [
        (DRAWN_BY_AI, "accepted"),
        ("trainedAlgorithmicMedia", "refused"),
        (DRAWN_BY_AI.replace("trained", "trianed"), "refused"),
        (None, "not-checked"),
    ],
)
def test_a_marking_that_resolves_to_nothing_is_refused(
    uri: str | None, status: str, decoder: Decoder
) -> None:
    """A short or misspelt word tells no program that AI took part."""
    data, _ = a_file(xmp=xmp_packet(uri, "x"))
    slot = a_scene_slot(preferred_width=200)

    assert (
        verdict_of("ai-marking", check(data, a_channel(slot), slot, seen=look(data, decoder))).status
        == status
    )


def test_the_marking_is_read_from_every_container() -> None:
    """JPEG, PNG (plain and packed), WebP and AVIF."""
    packet, rgb = xmp_packet(COMPOSITE_WITH_AI, "x"), np.zeros((20, 20, 3), np.uint8)
    packed = PngInfo()
    packed.add_itxt("XML:com.adobe.xmp", packet.decode(), zip=True)
    files = [
        ENCODERS["png"](rgb, packet, LOSSLESS),
        ENCODERS["webp"](rgb, packet, LOSSLESS),
        ENCODERS["webp"](rgb, packet, 80),
        ENCODERS["avif"](rgb, packet, 80),
        saved(Image.fromarray(rgb), "PNG", pnginfo=packed),
        saved(Image.fromarray(rgb), "JPEG", xmp=packet),
    ]
    assert [read_source_type(data) for data in files] == [COMPOSITE_WITH_AI] * 6
    assert [read_source_type(data[:60]) for data in files] == [None] * 6


def test_bytes_that_nothing_decodes_are_judged_by_format_and_size() -> None:
    """A torn file has a format and a size, no more."""
    verdicts = unreadable(b"%PDF-1.7" + bytes(2_000), a_channel(), a_slot(max_bytes=1_000))

    assert refused(verdicts) == ["format", "max-bytes"]
    assert verdict_of("format", verdicts).value == "PDF"
