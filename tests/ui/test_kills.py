"""A night whose processes are killed one after another ends by itself, and its bucket shows nothing of it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import put_photo, write_catalog
from tests.ui.kills import KINDS, bucket, differing, finished, kill, markers, sweep_often, written_again
from tests.ui.started import RUN_S, Running, patiently

pytestmark = pytest.mark.ui
SKUS = [f"mug-{number}" for number in range(6)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of a night of six packshots that one process made without Prefect; its photos and catalog beside it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    store = folder / "store"
    for number, sku in enumerate(SKUS):
        put_photo(store, sku, shift=10 * number)
    shutil.copytree(store, folder / "photos-only")
    skus = [{"sku": sku, "noun": "mug"} for sku in SKUS]
    catalog = write_catalog(folder / "catalog.yaml", skus=skus, night={"chunk_size": 3, "attempts": 5})
    command = [Path(sys.executable).with_name("productshot"), "night", catalog, "--store", store]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return store


def test_a_night_survives_every_kill(running: Running, undisturbed: Path, tmp_path: Path) -> None:
    """SIGKILL to a run, the worker, both and the server in one night: nothing is lost, or made twice."""
    store = tmp_path / "store"
    shutil.copytree(undisturbed.parent / "photos-only", store)
    up, asked = replace(running, store=store), {"store": str(store)}
    sweep_often(up, every_s=10, delay_s=0, silent_s=45, **asked)
    catalog = str(undisturbed.parent / "catalog.yaml")
    night = up.night_of(up.run("catalog-nightly/nightly", {"asked": {"catalog": catalog, **asked}}))
    before: dict[Path, Any] = {}
    for number, kind in enumerate(KINDS):
        wait_for_quarters(number, store, undisturbed)
        before |= finished(store)
        assert kill(kind, up, night) > 0
    report = store / "nights" / night / "report.json"
    patiently(lambda: report.exists() or None, RUN_S)
    said = json.loads(report.read_text())
    assert (said["counts"]["done"], said["chunks"]["given_up"], said["chunks"]["late"]) == (6, 0, 0)
    assert differing(bucket(store), bucket(undisturbed)) == set()
    assert written_again(before) == set()


def wait_for_quarters(number: int, store: Path, reference: Path) -> None:
    """Return when so many quarters of a night's markers are there."""
    wanted = number * len(markers(reference)) // 4
    patiently(lambda: len(markers(store)) >= wanted or None, RUN_S, pause_s=0.2)
