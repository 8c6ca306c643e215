"""The channels as data: limits, days, sources, and the page made from them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from catalog_schemas import Channel, Limit, Rule, channel_names, load_channel
from catalog_schemas.table import page
from productshot.assets.rules import age_verdict, bindings
from productshot.catalog import find_slot
from productshot.errors import ConfigInvalid
from tests.unit.assets_builders import a_channel, a_slot

HOUSE = Path(__file__).parents[2]
SECOND_HAND = ("trade page", "productfeedspec.com", "pages that cite", "a page that quotes", "digest of")


def a_rule(**fields: Any) -> Rule:
    told = {"id": "min-size", "text": "x", "status": "required", "checked": "file", "authority": "shop"}
    return Rule.model_validate({**told, "address": "https://example.org", "read": "2026-11-22", **fields})


def test_a_dozen_channels_and_thirty_slots_ship() -> None:
    """Every required rule has an address that can be opened and the day it was read."""
    channels = [load_channel(name) for name in channel_names()]
    rules = [rule for channel in channels for slot in channel.slots for rule in slot.rules]

    assert len(channels) >= 12
    assert sum(len(channel.slots) for channel in channels) >= 30
    assert all(rule.address.startswith("https://") for rule in rules)


def test_what_was_read_second_hand_only_advises() -> None:
    """No trade page binds anybody."""
    for name in channel_names():
        for slot in load_channel(name).slots:
            second = [rule for rule in slot.rules if rule.authority.startswith(SECOND_HAND)]
            assert all(rule.status == "advised" for rule in second), name


@pytest.mark.parametrize("name", channel_names())
def test_what_we_make_keeps_the_required_rules(name: str) -> None:
    """A slot's own sizes and bytes lie within the limits that its channel requires, at once and from any later day."""
    for slot in load_channel(name).slots:
        for limit in (rule.limit for rule in slot.rules if rule.limit and rule.status == "required"):
            least = slot.min_width, slot.height(slot.min_width)
            most = slot.preferred_width, slot.height(slot.preferred_width)
            assert least[0] >= (limit.min_width or 0) and least[1] >= (limit.min_height or 0)
            assert max(least) >= (limit.min_side or 0)
            assert most[0] <= (limit.max_width or 10_000) and most[1] <= (limit.max_height or 10_000)
            assert slot.max_bytes <= (limit.max_bytes or slot.max_bytes)
            assert slot.min_bytes >= (limit.min_bytes or 0) or slot.role == "swatch"
            assert not limit.formats or slot.format in limit.formats


def test_the_page_is_made_from_the_data() -> None:
    """docs/channels.md is what python -m catalog_schemas.table prints now."""
    assert (HOUSE / "docs/channels.md").read_text("utf-8") == page()


@pytest.mark.parametrize(
    ("day", "least"),
    [(date(2026, 11, 26), 100), (date(2027, 1, 30), 100), (date(2027, 1, 31), 500), (None, 500)],
)
def test_a_floor_that_rises_is_two_rules_with_dates(day: date | None, least: int) -> None:
    """Google's 100 px hold until the day before 500 do; without a day the rule without an end holds."""
    google = load_channel("google")
    floors = [one for one in bindings(google, google.slots[0], day, ours=False) if one.rule == "min-size"]

    assert [one.limit.min_width for one in floors if not one.later] == [least]


def test_old_rules_ask_to_be_read_again() -> None:
    """The verdict names the oldest rule and its address."""
    slot = a_slot(rules=(a_rule(), a_rule(id="max-size", read="2026-01-01")))
    verdict = age_verdict(slot, date(2026, 11, 26), 180)

    assert verdict is not None and verdict.status == "advised"
    assert verdict.value == "1 of 2 rules, first max-size, were read up to 329 days ago"
    assert age_verdict(slot, date(2026, 11, 26), 400) is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "a limit speaks of one subject, this one of none"),
        ({"formats": ["jpeg"], "max_bytes": 9}, "this one of format, bytes"),
        ({"min_bytes": 10, "max_bytes": 9}, "min_bytes 10 is above max_bytes 9"),
        ({"max_with": 9}, "did you mean 'max_width'"),
    ],
)
def test_a_limit_that_says_nothing_or_two_things_is_refused(fields: dict[str, Any], told: str) -> None:
    """One rule, one thing to measure."""
    with pytest.raises(ValidationError, match=told):
        Limit.model_validate(fields)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"id": "fancy"}, "rule fancy has no limit"),
        ({"limit": {"white": True}}, "rule min-size limits white; that is not checked by file"),
        ({"effective_from": "2027-01-02", "effective_until": "2027-01-01"}, "before it begins"),
    ],
)
def test_a_rule_that_nothing_can_check_is_refused(fields: dict[str, Any], told: str) -> None:
    """It would look as if it were checked."""
    with pytest.raises(ValidationError, match=told):
        a_rule(**fields)


def test_a_rule_cannot_lean_on_a_field_that_is_not_set() -> None:
    """A least size in bytes without a number would never be checked."""
    with pytest.raises(ValidationError, match="rule min-bytes has no limit, and slot main sets none"):
        a_slot(rules=(a_rule(id="min-bytes"),))


def test_an_allowed_thing_is_no_rule_to_break() -> None:
    """momo's main picture may carry a watermark: nothing is measured, nothing asked."""
    momo = load_channel("momo")

    assert "corner-watermark" not in {one.rule for one in bindings(momo, momo.slots[0], None, ours=False)}


def test_a_channel_of_ones_own_is_a_file(tmp_path: Path) -> None:
    """check and fix take its path; a mistake in it names file, key and mend."""
    path = tmp_path / "mine.yaml"
    path.write_text(a_channel().model_dump_json(exclude_defaults=True), "utf-8")
    assert find_slot(str(path), "main") == (a_channel(), a_channel().slots[0])

    path.write_text("name: mine\ntitel: Mine\n", "utf-8")
    with pytest.raises(ConfigInvalid, match="mine.yaml unknown key 'titel'; did you mean 'title'"):
        find_slot(str(path), "main")


def test_the_bans_of_a_channel_reach_its_slots() -> None:
    """Etsy shows the item itself: no slot of it takes a generated picture."""
    etsy = load_channel("etsy")

    assert not etsy.generated
    assert isinstance(etsy, Channel) and all(set(slot.lanes) <= {"packshot"} for slot in etsy.slots)
