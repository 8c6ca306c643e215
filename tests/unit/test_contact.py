"""Contact sheets and the answers to them: only pictures for a person, each word recorded, bad ones refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from catalog_schemas import ReviewDecision
from productshot.catalog import load_catalog
from productshot.chunks import begin_night, close_night, due, run_stage
from productshot.contact import SHEET, Sheet, make_sheet, sheets_of, worst_of
from productshot.errors import StorageMissing
from productshot.folder import FolderStore
from productshot.keys import marker_key
from productshot.review import Answer, decisions_of, record
from tests.conftest import write_catalog
from tests.unit.test_chunks import FREE

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
NIGHT = "20261126T020000Z-ab12"


@pytest.fixture
def reviewed(root: Path) -> FolderStore:
    """A store with a night of two SKUs whose packshots wait for a person."""
    catalog = load_catalog(write_catalog(root.parent / "catalog.yaml", review={"policy": "person"}))
    store = FolderStore(root)
    told = begin_night(catalog, store, NIGHT, NOON)
    while items := due(store, told):
        for item in items:
            run_stage(store, told, item, FREE)
    close_night(store, told, NOON)
    return store


def entries(sheet: Sheet) -> list[dict[str, Any]]:
    """The pictures of a sheet as the report tells them."""
    return [one.entry for one in sheet.shown]


def decisions(store: FolderStore, sku: str) -> list[ReviewDecision]:
    """All decisions about a SKU's pictures, oldest first."""
    return [ReviewDecision.model_validate_json(store.get(one.key)) for one in store.list(f"review/{sku}/")]


def test_the_worst_scores_come_first(reviewed: FolderStore) -> None:
    """Pictures by their worst score, each with a thumbnail; one without scores, refused or gone is left out."""
    assert worst_of(reviewed, _report(reviewed)) == ()
    told = {"mug-1": {"delta_e": 1.0, "sharpness": 0.9}, "vase-2": {"delta_e": 2.9}}
    _rewrite(reviewed, lambda picture, sku: picture.update(numbers=told[sku]))
    worst = worst_of(reviewed, _report(reviewed))
    assert [one.entry["sku"] for one in worst] == ["vase-2", "mug-1"]
    assert worst[0].scores[0].number == 2.9
    assert all(reviewed.get(one.picture)[:2] == b"\xff\xd8" for one in worst)
    reviewed.delete(worst[0].picture)
    reviewed.delete(marker_key("vase-2", "renders", worst[0].entry["render"]))
    assert [one.entry["sku"] for one in worst_of(reviewed, _report(reviewed))] == ["mug-1"]
    _rewrite(reviewed, lambda picture, sku: picture["verdict"].update(status="refused"))
    assert worst_of(reviewed, _report(reviewed)) == ()


def _report(store: FolderStore) -> dict[str, Any]:
    """The night's report."""
    report: dict[str, Any] = json.loads(store.get(f"nights/{NIGHT}/report.json"))
    return report


def _rewrite(store: FolderStore, change: Callable[[dict[str, Any], str], None]) -> None:
    """Change each picture of the night's report, given with its SKU."""
    report = _report(store)
    for sku in report["skus"]:
        for picture in sku["pictures"]:
            change(picture, sku["sku"])
    store.put(f"nights/{NIGHT}/report.json", json.dumps(report).encode(), "application/json")


def test_sheet_shows_what_waits(reviewed: FolderStore) -> None:
    """Each waiting picture has its photo, cutout and picture as small files beside the report."""
    sheet = make_sheet(reviewed, NIGHT, 0)
    assert [one.entry["sku"] for one in sheet.shown] == ["mug-1", "vase-2"]
    first = sheet.shown[0]
    assert first.label == f"{first.entry['render'][:8]} mug-1 white-packshot packshot"
    for key in (sheet.shown[0].photo, sheet.shown[0].cutout, sheet.shown[0].picture):
        assert key is not None and reviewed.get(key)[:2] == b"\xff\xd8"
    assert sheet.refused == ()


def test_sheet_made_again_writes_nothing(reviewed: FolderStore) -> None:
    """A resumed run makes the same sheet from the thumbnails that are there."""
    first = make_sheet(reviewed, NIGHT, 0)
    before = {one.key: one.etag for one in reviewed.list("nights/")}
    assert make_sheet(reviewed, NIGHT, 0) == first
    assert {one.key: one.etag for one in reviewed.list("nights/")} == before


def test_gone_picture_is_told(reviewed: FolderStore) -> None:
    """A picture that was deleted since the night is not offered, and the sheet says so."""
    first = make_sheet(reviewed, NIGHT, 0).shown[0].entry
    for one in list(reviewed.list(f"nights/{NIGHT}/review/")):
        reviewed.delete(one.key)
    reviewed.delete(marker_key("mug-1", "renders", first["render"]))
    sheet = make_sheet(reviewed, NIGHT, 0)
    assert [one.entry["sku"] for one in sheet.shown] == ["vase-2"]
    assert sheet.refused == (
        f"mug-1 white-packshot packshot {first['render'][:8]} is gone from the store; the next night paints it again",
    )


def test_gone_photo_leaves_the_picture(reviewed: FolderStore) -> None:
    """A photo that left the store is shown as gone; its picture can still be decided."""
    reviewed.delete("photos/mug-1/front.jpg")
    assert make_sheet(reviewed, NIGHT, 0).shown[0].photo is None


def test_sheets_are_counted() -> None:
    """Fifty pictures a sheet; accepted and refused ones need none."""
    waits, fine = {"verdict": {"status": "person"}}, {"verdict": {"status": "accepted"}}
    assert sheets_of({"skus": [{"sku": "a", "pictures": [fine]}]}) == 0
    assert sheets_of({"skus": [{"sku": "a", "pictures": [waits] * SHEET + [fine]}]}) == 1
    assert sheets_of({"skus": [{"sku": "a", "pictures": [waits] * (SHEET + 1)}]}) == 2


def test_sheet_needs_a_report(root: Path) -> None:
    """A night without a report has no sheet."""
    with pytest.raises(StorageMissing):
        make_sheet(FolderStore(root), NIGHT, 0)


def test_the_rest_is_approved_or_held(reviewed: FolderStore) -> None:
    """What is named in no list is approved where the answer says so, and left alone where not."""
    mug, vase = entries(make_sheet(reviewed, NIGHT, 0))
    held = record(reviewed, [mug, vase], Answer("Ada", reject=[mug["render"]]), NOON)
    assert (held.skus, held.counts) == (("mug-1",), {"reject": 1})
    assert decisions(reviewed, "vase-2") == []
    later = Answer("Ada", reject=[mug["render"]], rest="approve", reason="chipped")
    assert record(reviewed, [mug, vase], later, NOON + timedelta(hours=1)).counts == {
        "reject": 1,
        "approve": 1,
    }
    (approved,) = decisions(reviewed, "vase-2")
    assert (approved.decision, approved.reviewer, approved.reason) == ("approve", "Ada", "chipped")


def test_earlier_word_is_noted(reviewed: FolderStore) -> None:
    """A second answer about the same picture is recorded too, counts from now on, and says whose it replaces."""
    mug, _ = entries(make_sheet(reviewed, NIGHT, 0))
    record(reviewed, [mug], Answer("Ada", reject=[mug["render"]]), NOON)
    again = record(reviewed, [mug], Answer("Grace", rest="approve"), NOON + timedelta(hours=1))
    assert again.noted[0].endswith(": Ada said reject before; approve counts now")
    assert [one.decision for one in decisions(reviewed, "mug-1")] == ["reject", "approve"]
    assert decisions_of(reviewed, "mug-1").last[mug["render"]].reviewer == "Grace"


def test_contradiction_ends_in_redo(reviewed: FolderStore) -> None:
    """Rejected and sent back: both are recorded, redo counts, and a person is told."""
    mug, _ = entries(make_sheet(reviewed, NIGHT, 0))
    painted = {**mug, "lane": "keep"}
    both = Answer("Ada", reject=[mug["render"]], redo=[mug["render"]], vary=[mug["render"]], more=2)
    done = record(reviewed, [painted], both, NOON)
    assert done.counts == {"reject": 1, "redo": 1, "vary": 1}
    assert "was both rejected and sent back: redo counts" in done.noted[0]
    said = decisions_of(reviewed, "mug-1")
    assert (said.last[mug["render"]].decision, said.more[mug["render"]]) == ("redo", 2)


def test_impossible_words_are_refused(reviewed: FolderStore) -> None:
    """A packshot is not painted again and a picture that is gone is not decided; the others are recorded."""
    mug, vase = entries(make_sheet(reviewed, NIGHT, 0))
    gone = {**vase, "render": "0" * 64}
    answer = Answer("Ada", redo=[mug["render"]], reject=[gone["render"]], rest="approve")
    done = record(reviewed, [mug, gone, vase], answer, NOON)
    assert done.counts == {"approve": 1}
    assert "cannot be asked to redo; a packshot has no seed; reject it instead" in done.refused[0]
    assert "00000000 is gone from the store; the next night paints it again" in done.refused[1]
    assert decisions(reviewed, "mug-1") == []


def test_report_names_what_the_sheet_shows(reviewed: FolderStore) -> None:
    """A sheet offers exactly the report's pictures with verdict person."""
    report = json.loads(reviewed.get(f"nights/{NIGHT}/report.json"))
    assert report["counts"]["person"] == len(make_sheet(reviewed, NIGHT, 0).shown) == 2
