"""The night's artifact: counts first, then what waits for somebody, then the pictures; all foreign text escaped."""

from __future__ import annotations

from typing import Any

import pytest

from flows.artifact import (
    MAX_COLUMNS,
    MAX_GROUPS,
    MAX_LINES,
    MAX_OF_GROUP,
    MAX_ROWS,
    escaped,
    night_markdown,
)
from productshot.contact import Shown
from productshot.gates import Score

HTML_KEY = "nights/20261122T020000Z-ab12/report.html"
GALLERY = "http://127.0.0.1:4201"


def an_asset(sku: str, channel: str = "google", slot: str = "main") -> dict[str, Any]:
    """An asset as report.json tells it."""
    return {
        "channel": channel,
        "slot": slot,
        "key": f"catalog/{channel}/{sku}/{slot}-1-0123456789ab.jpg",
        "thumb": "nights/n/thumbs/0123456789abcdef.jpg",
    }


def a_sku(name: str = "mug-1", **told: Any) -> dict[str, Any]:
    """A SKU as report.json tells it."""
    return {"sku": name, "assets": [], "pictures": [], "refusals": [], **told}


def a_report(*skus: dict[str, Any], **counts: int) -> dict[str, Any]:
    """A report with these SKUs."""
    zero = dict.fromkeys(("skus", "done", "assets", "pictures", "person", "refusals"), 0)
    stage = {"stage": "photos", "made": 2, "adopted": 1, "doubled": 0, "refused": 0, "seconds": 0.25}
    return {"seconds": 12.5, "counts": {**zero, **counts}, "stages": [stage], "skus": list(skus)}


def a_picture(status: str) -> dict[str, Any]:
    """A judged picture as report.json tells it."""
    verdict = {"status": status, "gate": "draw_delta_e", "value": "14.2", "limit": "at most 12"}
    return {"scene": "sandy-beach", "lane": "draw", "verdict": verdict}


def a_refusal(told: str, remedy: str = "") -> dict[str, str]:
    """A refusal as report.json tells it."""
    return {"stage": "photos", "remedy": remedy, "told": told}


def test_counts_come_first() -> None:
    """The first line says how many SKUs have assets, the next the other counts."""
    lines = night_markdown(a_report(skus=3, done=2, assets=6, refusals=1), HTML_KEY, GALLERY).splitlines()
    assert lines[0] == "# 2 of 3 SKUs have assets"
    assert lines[2].startswith("**6** assets, **0** pictures, **0** need a person, **1** refusals, 12.5 s")
    assert f"[Open the whole report]({GALLERY}/{HTML_KEY})" in lines


def test_thumbnail_opens_its_asset() -> None:
    """A SKU's row shows each slot's thumbnail as a link to the asset."""
    asset = an_asset("mug-1")
    markdown = night_markdown(a_report(a_sku(assets=[asset])), HTML_KEY, GALLERY)
    picture = f"![google/main]({GALLERY}/{asset['thumb']})"
    assert f"| **mug\\-1** | [{picture}]({GALLERY}/{asset['key']}) |" in markdown


def test_slot_tells_how_many_more() -> None:
    """A slot with three pictures shows one and says that there are two more."""
    assets = [an_asset("mug-1", slot="additional") for _ in range(3)]
    markdown = night_markdown(a_report(a_sku(assets=assets)), HTML_KEY, GALLERY)
    assert markdown.count("![") == 1
    assert ") and 2 more |" in markdown


def test_empty_slot_is_a_dash() -> None:
    """A SKU without a picture for a slot that others fill has a dash there."""
    both = a_sku("mug-1", assets=[an_asset("mug-1"), an_asset("mug-1", "amazon")])
    one = a_sku("mug-2", assets=[an_asset("mug-2")])
    assert night_markdown(a_report(both, one), HTML_KEY, GALLERY).count("| – |") == 1


def test_chunks_that_did_not_end_are_told() -> None:
    """A night of which chunks are missing says so under its counts; a whole one says nothing of chunks."""
    missing = {**a_report(), "chunks": {"total": 5, "given_up": 1, "late": 2}}
    told = "Of **5** chunks **1** were given up and **2** are late."
    assert told in night_markdown(missing, HTML_KEY, GALLERY)
    whole = {**a_report(), "chunks": {"total": 5, "given_up": 0, "late": 0}}
    assert "chunks" not in night_markdown(whole, HTML_KEY, GALLERY)


def test_without_gallery_nothing_is_linked() -> None:
    """Without an address for browsers there are counts and words, but no link and no picture."""
    sku = a_sku(assets=[an_asset("mug-1")], pictures=[a_picture("person")])
    markdown = night_markdown(a_report(sku), HTML_KEY, None)
    assert "](" not in markdown
    assert "**mug\\-1** sandy\\-beach, draw: 14\\.2; at most 12" in markdown


def test_waiting_picture_links_to_its_card() -> None:
    """What needs a person is named with its reason, linked to the SKU's card in the report."""
    sku = a_sku(pictures=[a_picture("person"), a_picture("accepted")])
    markdown = night_markdown(a_report(sku), HTML_KEY, GALLERY)
    assert markdown.count("sandy\\-beach") == 1
    assert f"- [**mug\\-1**]({GALLERY}/{HTML_KEY}#mug-1) sandy\\-beach, draw: 14\\.2" in markdown


def test_refusals_are_told_in_words() -> None:
    """A refusal's whole sentence is there."""
    told = "SKU mug-1 has no photo in photos/mug-1/; add one"
    markdown = night_markdown(a_report(a_sku(refusals=[a_refusal(told)])), HTML_KEY, GALLERY)
    assert f"- {escaped(told)}" in markdown.splitlines()


def test_refusals_stand_with_their_like() -> None:
    """By stage and remedy, the largest group first."""
    few, many = a_refusal("one", remedy="add one"), a_refusal("other", remedy="mend it")
    markdown = night_markdown(
        a_report(a_sku(refusals=[few, many]), a_sku("mug-2", refusals=[many])), HTML_KEY, GALLERY
    )
    lines = [line for line in markdown.splitlines() if line.startswith(("- o", "**2** in", "**1** in"))]
    assert lines == ["**2** in photos: mend it", "- other", "- other", "**1** in photos: add one", "- one"]


def test_worst_scores_stand_beside_their_pictures() -> None:
    """Thumbnail, name, score and verdict in a row; without a gallery words only."""
    entry = {"render": "0123456789ab", "sku": "mug-1", **a_picture("person")}
    score = Score("halo", 12.5, "at most", 10)
    worst = [Shown(entry, None, "nights/n/c.jpg", "nights/n/p.jpg", (score,))]
    with_pictures = night_markdown(a_report(), HTML_KEY, GALLERY, worst)
    name = "01234567 mug\\-1 sandy\\-beach draw"
    row = f"| {name} | halo 12.5, at most 10 | person |"
    assert f"| ![{name}]({GALLERY}/nights/n/p.jpg) {row}" in with_pictures.splitlines()
    assert row in night_markdown(a_report(), HTML_KEY, None, worst).splitlines()


def test_accepted_pictures_have_a_cost() -> None:
    """The seconds of all stages over the pictures that were accepted; nothing where none was."""
    sku = a_sku(pictures=[a_picture("accepted"), a_picture("accepted"), a_picture("refused")])
    assert "0.125 s for each of 2 accepted pictures." in night_markdown(a_report(sku), HTML_KEY, GALLERY)
    assert "accepted" not in night_markdown(a_report(), HTML_KEY, GALLERY)


def test_large_night_stays_readable() -> None:
    """A large catalog's artifact has limits, and says what is left out."""
    slots = [f"slot-{index}" for index in range(MAX_COLUMNS + 2)]
    skus = [
        a_sku(
            f"s{index}",
            assets=[an_asset(f"s{index}", slot=slot) for slot in slots],
            pictures=[a_picture("person")],
            refusals=[a_refusal("no"), a_refusal("no", remedy=f"remedy {index}")],
        )
        for index in range(MAX_ROWS + 5)
    ]
    markdown = night_markdown(a_report(*skus), HTML_KEY, GALLERY)
    assert markdown.count("![") == MAX_ROWS * MAX_COLUMNS
    assert "and 5 more SKUs in the report, and 2 more slots in the report" in markdown
    assert f"- and {MAX_ROWS + 5 - MAX_LINES} more in the report" in markdown
    assert f"- and {MAX_ROWS + 5 - MAX_OF_GROUP} more in the report" in markdown
    assert f"and {MAX_ROWS + 5 - (MAX_GROUPS - 1)} of other kinds in the report" in markdown


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "[x](javascript:alert(1))",
        "a|b",
        "# tall",
        "`code`",
        "![i](http://x/y.png)",
    ],
)
def test_hostile_names_are_text(name: str) -> None:
    """No name of a bucket becomes mark-up: every character that markdown reads has a backslash."""
    sku = a_sku(name, refusals=[a_refusal(name)], assets=[an_asset("x")])
    markdown = night_markdown(a_report(sku), HTML_KEY, GALLERY)
    assert markdown.count(escaped(name)) == 2
    assert name not in markdown.replace(escaped(name), "")


def test_escaped_keeps_one_printable_line() -> None:
    """Line breaks become spaces, and what turns text around becomes a replacement character."""
    assert escaped("a\nb\t- c") == "a b \\- c"
    assert escaped("a\u202egpj") == "a\N{REPLACEMENT CHARACTER}gpj"
