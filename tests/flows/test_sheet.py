"""The contact sheet and its form: thumbnails by address, foreign text escaped, one label per picture."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from flows.sheet import form_of, outcome_markdown, sheet_markdown
from productshot.contact import Sheet, Shown
from productshot.gates import Score
from productshot.review import Recorded

GALLERY = "http://127.0.0.1:4201"


def shown(sku: str = "mug-1", render: str = "ab" * 32, photo: str | None = "nights/n/review/p.jpg") -> Shown:
    """A waiting picture as the report tells it."""
    verdict = {"status": "person", "gate": "seam", "value": "seam 7.1", "limit": "at most 5"}
    entry: dict[str, Any] = {
        "sku": sku,
        "scene": "beach",
        "lane": "keep",
        "render": render,
        "verdict": verdict,
    }
    scores = (Score("seam", 7.1, "at most", 5), Score("halo", 0.25, "at most", 10))
    return Shown(entry, photo, "nights/n/review/c.jpg", "nights/n/review/r.jpg", scores)


def test_thumbnails_are_addresses() -> None:
    """Photo, cutout and picture come through the gallery; nothing is embedded."""
    text = sheet_markdown(Sheet((shown(),), ()), "n", GALLERY)
    assert text.count(f"]({GALLERY}/nights/n/review/") == 6  # each a picture in a link
    assert "data:" not in text
    assert "seam 7\\.1; at most 5" in text and "halo 0\\.25\\, at most 10" in text


def test_gone_photo_has_no_address() -> None:
    """Where the photo is gone a word stands in its place."""
    assert "| gone |" in sheet_markdown(Sheet((shown(photo=None),), ()), "n", GALLERY)


def test_without_gallery_there_are_words() -> None:
    """Without an address for browsers nothing is linked."""
    assert "](" not in sheet_markdown(Sheet((shown(),), ("gone",)), "n", None)


@pytest.mark.parametrize("name", ["<script>", "a|b", "[x](javascript:1)", "![i](http://x)"])
def test_hostile_names_are_text(name: str) -> None:
    """A SKU's name cannot become mark-up, in the sheet or in its outcome."""
    text = sheet_markdown(Sheet((shown(name),), (name,)), "n", GALLERY)
    text += outcome_markdown(Recorded((name,), {"reject": 1}, (name,), (name,)))
    assert name not in text


def test_form_takes_only_what_is_offered() -> None:
    """A picture that is not on the sheet, a missing name and an unknown word are refused by the form."""
    form = form_of(Sheet((shown("a", "1" * 64), shown("b", "2" * 64)), ()))
    good = form(reviewer="Ada", reject=["11111111 a beach keep"])
    assert (good.reject, good.redo, good.rest) == (["11111111 a beach keep"], [], "hold")  # type: ignore[attr-defined]
    for bad in ({"reviewer": ""}, {"reviewer": "Ada", "redo": ["c"]}, {"reviewer": "Ada", "rest": "publish"}):
        with pytest.raises(ValidationError):
            form(**bad)


def test_outcome_tells_counts_and_refusals() -> None:
    """Counts first, then refusals and oddities in words."""
    text = outcome_markdown(Recorded(("mug-1",), {"reject": 2, "redo": 1}, ("x is gone",), ("y was both",)))
    assert text.startswith("# **2** reject, **1** redo")
    assert "## Refused\n\n- x is gone" in text
    assert "## Worth knowing\n\n- y was both" in text
