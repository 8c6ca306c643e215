"""Review: pictures wait for a person, decisions are kept, the last one wins."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from catalog_schemas import ReviewDecision
from productshot.catalog import load_catalog
from productshot.errors import ConfigInvalid
from productshot.folder import FolderStore
from productshot.progress import silent
from productshot.report import Written
from productshot.review import decide, decisions_of, find_pending, pending
from productshot.run import run_night
from productshot.store import Store
from tests.conftest import write_catalog

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def night(root: Path) -> Written:
    """A night whose pictures all go to a person."""
    path = write_catalog(root.parent / "catalog.yaml", review={"policy": "person"})
    return run_night(load_catalog(path), FolderStore(root), silent)


def said(store: Store, name: str, sku: str = "mug-1", minute: int = 0) -> ReviewDecision:
    (entry,) = [entry for entry in pending(store) if entry["sku"] == sku]
    decision = ReviewDecision.model_validate(
        {"sku": sku, "render": entry["render"], "decision": name, "reviewer": "Ada"}
    )
    decide(store, decision, NOON.replace(minute=minute))
    return decision


def test_pictures_wait_and_nothing_is_published(root: Path, store: Store) -> None:
    """With policy person no slot is filled until someone approves."""
    assert night(root).report["counts"]["person"] == 2
    assert len(pending(store)) == 2
    assert not (root / "catalog").exists()


def test_an_approval_publishes_with_the_next_night(root: Path, store: Store) -> None:
    """Approved: the next night fills the slots of that SKU and of no other."""
    night(root)
    said(store, "approve")
    report = night(root).report
    assert [len(sku["assets"]) for sku in report["skus"]] == [1, 0]
    assert [entry["sku"] for entry in pending(store)] == ["vase-2"]


def test_a_rejected_picture_is_never_published(root: Path, store: Store) -> None:
    """Rejected: refused with the reviewer's name."""
    night(root)
    said(store, "reject")
    (picture,) = night(root).report["skus"][0]["pictures"]
    assert picture["verdict"]["status"] == "refused"
    assert picture["verdict"]["value"] == "rejected by Ada: no reason given"


def test_the_last_decision_wins_and_all_are_kept(root: Path, store: Store) -> None:
    """Decisions are appended; the latest by time counts."""
    night(root)
    first = said(store, "approve")
    decide(store, first.model_copy(update={"decision": "reject"}), NOON.replace(minute=5))
    assert decisions_of(store, "mug-1")[first.render].decision == "reject"
    assert len(list(store.list("review/mug-1/"))) == 2


def test_an_unknown_render_is_one_line(root: Path, store: Store) -> None:
    """The message says where to look."""
    night(root)
    with pytest.raises(ConfigInvalid, match="means no waiting picture; see `productshot review list`"):
        find_pending(store, "ffff")
