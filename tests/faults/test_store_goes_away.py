"""A store that fails in mid-run stops the night with one line; the rerun ends as if nothing had happened."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from productshot.catalog import load_catalog
from productshot.errors import StorageRefused, StorageUnavailable
from productshot.folder import FolderStore
from productshot.progress import silent
from productshot.run import run_night
from productshot.store import Listed
from tests.conftest import put_photo, tree_of, write_catalog


class Failing:
    """A store that raises `error` at its nth write and at every later one."""

    def __init__(self, root: Path, writes: int, error: Exception) -> None:
        self._store, self._left, self._error = FolderStore(root), writes, error
        self.location = self._store.location

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise self._error

    def get(self, key: str) -> bytes:
        return self._store.get(key)

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self._spend()
        self._store.put(key, data, content_type)

    def create(self, key: str, data: bytes, content_type: str) -> bool:
        self._spend()
        return self._store.create(key, data, content_type)

    def head(self, key: str) -> Listed | None:
        return self._store.head(key)

    def list(self, prefix: str) -> Iterator[Listed]:
        return self._store.list(prefix)

    def list_prefixes(self, prefix: str) -> Iterator[str]:
        return self._store.list_prefixes(prefix)

    def delete(self, key: str) -> None:
        self._store.delete(key)

    def url(self, key: str, expires_s: int) -> str:
        return self._store.url(key, expires_s)


def shop(root: Path) -> Path:
    put_photo(root, "mug-1", side=700)
    return root


GONE = StorageUnavailable("store", "does not answer", "", "run it again")
FULL = StorageUnavailable("store", "has no room", "the disk is full", "free some")
FORBIDDEN = StorageRefused("store", "forbids to write", "", "get the permission")


@pytest.mark.parametrize(
    ("writes", "error"), [(0, FORBIDDEN), (1, GONE), (4, FULL), (6, GONE), (9, FULL)], ids=str
)
def test_a_failing_store_stops_the_night_and_loses_nothing(
    tmp_path: Path, writes: int, error: StorageUnavailable | StorageRefused
) -> None:
    """The error comes through as it is, and the next night ends with the bytes of an undisturbed one."""
    catalog = load_catalog(write_catalog(tmp_path / "c.yaml", skus=[{"sku": "mug-1", "noun": "mug"}]))
    calm, broken = shop(tmp_path / "a"), shop(tmp_path / "b")
    run_night(catalog, FolderStore(calm), silent)
    with pytest.raises(type(error), match=error.value):
        run_night(catalog, Failing(broken, writes, error), silent)
    run_night(catalog, FolderStore(broken), silent)
    assert tree_of(broken, "work", "catalog") == tree_of(calm, "work", "catalog")
