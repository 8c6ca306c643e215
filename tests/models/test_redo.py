"""What people ask of a painted picture is painted by the next night, by the models that ship."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from catalog_schemas import ReviewDecision
from productshot.catalog import load_catalog
from productshot.folder import FolderStore
from productshot.progress import silent
from productshot.review import decide, find_painted, last_report
from productshot.run import run_night
from productshot.store import Store
from tests.conftest import put_photo, write_catalog

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LENIENT = {"max_missing": 1, "max_expansion": 50, "max_delta_e": 100, "max_draw_delta_e": 100}


def pictures(store: Store, catalog: Path) -> list[dict[str, Any]]:
    """The painted pictures of a night, in its report's order."""
    run_night(load_catalog(catalog), store, silent)
    report = last_report(store)
    assert report is not None
    return [entry for sku in report["skus"] for entry in sku["pictures"]]


def test_redo_and_vary_are_painted_by_the_next_night(tmp_path: Path) -> None:
    """The picture sent back is refused and painted anew, two more stand beside it; a third night makes nothing."""
    put_photo(tmp_path / "store", "mug-1", side=600)
    store = FolderStore(tmp_path / "store")
    recipes = {"renders": {"steps": 2}, "gates": LENIENT}
    skus = [{"sku": "mug-1", "noun": "mug"}]
    catalog = write_catalog(tmp_path / "catalog.yaml", skus=skus, scenes=["wooden-table"], recipes=recipes)
    (first,) = pictures(store, catalog)
    entry = find_painted(store, first["render"][:12])
    for minute, decision in enumerate(("vary", "redo")):
        fields = {"sku": "mug-1", "render": entry["render"], "reviewer": "Ada", "count": 2}
        decide(
            store,
            ReviewDecision.model_validate({**fields, "decision": decision}),
            NOON.replace(minute=minute),
        )
    second = pictures(store, catalog)
    assert second[0]["render"] == first["render"]
    assert second[0]["verdict"]["value"] == "sent back by Ada: no reason given"
    assert [one["verdict"]["status"] for one in second[1:]] == ["accepted"] * 3
    assert len({one["render"] for one in second}) == 4
    painted = sorted(path.name for path in (tmp_path / "store" / "work").rglob("*.png"))
    assert [one["render"] for one in pictures(store, catalog)] == [one["render"] for one in second]
    assert sorted(path.name for path in (tmp_path / "store" / "work").rglob("*.png")) == painted
