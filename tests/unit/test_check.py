"""The rules of a channel, computed on files with one planted violation each."""

from __future__ import annotations

import io
from datetime import date
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from catalog_schemas import AssetRecipe, Channel, Rule, Slot, channel_names, load_channel
from productshot.assets import RuleVerdict, check, encode_jpeg, packshot, srgb_profile, xmp_packet
from productshot.assets.limits import profile_name
from productshot.assets.marking import COMPOSITE_WITH_AI, DRAWN_BY_AI
from productshot.pixels import Pixels
from tests.unit.assets_builders import a_block, a_channel, a_scene_slot, a_slot


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
    data = encode_jpeg(made, slot, AssetRecipe(), xmp_packet(None, "mug-1"), "mug-1")
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
