"""gc on every kind of store: the same goes and the same stays as in a folder."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from productshot.catalog import load_catalog
from productshot.folder import FolderStore
from productshot.gc import collect
from productshot.progress import silent
from productshot.purge import purge
from productshot.run import run_night
from productshot.store import Store
from tests.conftest import put_photo, write_catalog

LATER_S = 10 * 24 * 3600
COLOURS = [(190, 40, 35), (20, 120, 60), (40, 70, 160)]
SKUS = [{"sku": "mug-1", "noun": "mug"}]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder store after three nights with a changed photo each; its catalog lies beside it."""
    root = tmp_path_factory.mktemp("shop") / "store"
    path = write_catalog(root.parent / "catalog.yaml", skus=SKUS, night={"keep_nights": 1})
    for colour in COLOURS:
        put_photo(root, "mug-1", colour=colour, side=750)
        run_night(load_catalog(path), FolderStore(root), silent)
    return root


def keys(store: Store) -> set[str]:
    return {one.key for folder in ("work/", "catalog/") for one in store.list(folder)}


def test_the_same_goes_everywhere(shop: Path, store: Store) -> None:
    """Seven objects of the first picture go; purge takes the rest but the photos; twice is once."""
    source, catalog = FolderStore(shop), load_catalog(shop.parent / "catalog.yaml")
    for listed in source.list(""):
        if not listed.key.startswith("state/"):  # etags are another store's
            store.put(listed.key, source.get(listed.key), "application/octet-stream")
    before = keys(store)
    told = collect(catalog, store, time.time() + LATER_S, apply=True).as_json()
    counts = {kind: one["count"] for kind, one in told["kinds"].items()}
    assert counts == {"markers": 4, "cutouts": 1, "assets": 2}
    assert len(before - keys(store)) == 7
    assert collect(catalog, store, time.time() + LATER_S, apply=True).as_json()["count"] == 0
    purge(catalog, store, "mug-1", time.time(), apply=True)
    assert keys(store) == set()
    assert len(list(store.list("photos/mug-1/"))) == 2
