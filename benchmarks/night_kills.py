"""Nights whose processes are killed: `python -m benchmarks.night_kills [--kinds flow worker both server] [--times 5]`.

`productshot up` runs a night of 12 products in chunks of 6: a keep and a draw scene, adapters of 10 steps, pictures of
10 steps. At a random moment (so many outputs are there) SIGKILL takes

    flow     the process of a run of the night
    worker   the worker
    both     the worker and all its runs
    server   the Prefect server
    none     nothing; a product that is new to the catalog is asked for instead: when its run begins, when its first
             asset is there, beside what a turn of training (a fleet's time: 6 products) holds the GPU

Nobody helps: `up` starts again what died, and the sweeper queues what stopped. So that a measurement takes minutes it
sweeps every 20 s here and lets a dead run begin after 5 s; as shipped it is 5 minutes and one. A row is sound when the
night has its report, the bucket without nights/ is byte for byte that of a night of one process without Prefect, and
no file that a marker named at the time of the kill was written again. `doubled` counts outputs that two runs made.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from productshot.keys import shard_of
from tests.conftest import put_photo, write_catalog
from tests.ui.kills import KINDS, bucket, differing, finished, kill, markers, sweep_often, written_again
from tests.ui.started import Running, brought_up, patiently

SKUS = 12
RECIPES: dict[str, Any] = {
    "adapters": {"steps": 10, "batch": 1, "prior_images": 1, "look_every": 0},
    "renders": {"steps": 10, "upscale": 1, "batch": 1},
    "gates": {"max_missing": 1, "max_expansion": 50, "max_delta_e": 100, "max_draw_delta_e": 100},
}
"""So few steps that every picture is noise, and gates that let it by; a drawn one is too small, and kept instead."""
NIGHT = {"chunk_size": 6, "slots": 1, "checkpoint_every_s": 0.001}
"""With one slot a product trains alone, however many are left to train after a kill."""
SWEEP_S, DELAY_S, SILENT_S = 20, 5, 90
NIGHT_S = 1200
LATE = "late-1"


def catalog_at(path: Path, *more: str) -> Path:
    """The catalog of 12 products, and of more."""
    names = [*(f"mug-{number:02d}" for number in range(SKUS)), *more]
    skus = [{"sku": name, "noun": "mug"} for name in names]
    return write_catalog(
        path, skus=skus, scenes=["wooden-table", "sandy-beach"], recipes=RECIPES, night=NIGHT
    )


def undisturbed(folder: Path) -> Path:
    """The store of a night that one process made without Prefect."""
    store = folder / "store"
    for number in range(SKUS):
        put_photo(store, f"mug-{number:02d}", shift=8 * number, side=700)
    shutil.copytree(store, folder / "photos-only")
    command = [Path(sys.executable).with_name("productshot"), "night", catalog_at(folder / "catalog.yaml")]
    subprocess.run([*command, "--store", store], check=True, stdout=subprocess.DEVNULL)
    return store


def disturbed(kind: str, after: int, folder: Path, reference: Path) -> dict[str, Any]:
    """One row: a night that is disturbed once so many outputs are there."""
    store = folder / "store"
    shutil.copytree(reference.parent / "photos-only", store)
    shutil.copy(reference.parent / "catalog.yaml", folder / "catalog.yaml")
    with brought_up(folder, folder / "catalog.yaml", store) as up:
        sweep_often(up, SWEEP_S, delay_s=DELAY_S, silent_s=SILENT_S)
        began = time.monotonic()
        night = up.night_of(up.run("catalog-nightly/nightly", {}))
        patiently(lambda: len(markers(store)) >= after or None, NIGHT_S)
        before = finished(store)
        told = dict(late_run(up, folder)) if kind == "none" else {"killed": kill(kind, up, night)}
        report = store / "nights" / night / "report.json"
        patiently(lambda: report.exists() or None, NIGHT_S)
        seconds = time.monotonic() - began
    said = json.loads(report.read_text())
    left_out = LATE, f"state/{shard_of(LATE)}.jsonl.zst"  # whose shard holds others too
    here, there = bucket(store, *left_out), bucket(reference, *left_out)
    return {
        "kind": kind,
        "after_outputs": after,
        **told,
        "night_s": round(seconds),
        "differing_files": len(differing(here, there)),
        "files": len(there),
        "finished_then": len(before),
        "written_again": len(written_again(before)),
        "fleet_s": fleet_s(store, night),
        "doubled": sum(stage["doubled"] for stage in said["stages"]),
        "done": said["counts"]["done"],
    }


def fleet_s(store: Path, night: str) -> float:
    """Seconds that a turn of training held the GPU, the median of the night's."""
    turns = (store / "nights" / night / "gpu").glob("*-adapters-*")
    return round(median(int(turn.name.rpartition("-")[2]) for turn in turns) / 1000, 1)


def late_run(up: Running, folder: Path) -> Iterator[tuple[str, float]]:
    """How long a product that is new to the catalog waits for its run, and for its end."""
    put_photo(up.store, LATE, side=700)
    catalog_at(folder / "catalog.yaml", LATE)
    deployment = up.api("deployments/name/single-sku/now")
    began = time.monotonic()
    run = up.api(f"deployments/{deployment['id']}/create_flow_run", {"parameters": {"sku": LATE}})

    def in_state(*names: str) -> bool | None:
        return up.api(f"flow_runs/{run['id']}")["state_type"] in names or None

    slots = up.store / "catalog" / "google" / LATE / "slots.json"
    patiently(lambda: in_state("RUNNING", "COMPLETED"), NIGHT_S)
    yield "late_starts_after_s", round(time.monotonic() - began, 1)
    patiently(lambda: slots.exists() or None, NIGHT_S, pause_s=0.2)
    yield "late_first_asset_after_s", round(time.monotonic() - began, 1)
    patiently(lambda: in_state("COMPLETED"), NIGHT_S)
    yield "late_ends_after_s", round(time.monotonic() - began, 1)


def main() -> None:
    """Print a row for each disturbed night; exit code 1 where one is not sound."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", default=["none", *KINDS], choices=["none", *KINDS])
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    moments, sound = random.Random(chosen.seed), True
    with TemporaryDirectory() as place:
        began = time.monotonic()
        reference = undisturbed(Path(place))
        total = len(markers(reference))
        print(json.dumps({"outputs": total, "one_process_s": round(time.monotonic() - began)}), flush=True)
        for number in range(chosen.times):
            for kind in chosen.kinds:
                folder = Path(place) / f"{kind}-{number}"
                folder.mkdir()
                row = disturbed(kind, moments.randint(1, total - 2), folder, reference)
                print(json.dumps(row), flush=True)
                sound &= row["differing_files"] == row["written_again"] == 0 and row["done"] == SKUS
    sys.exit(not sound)


if __name__ == "__main__":
    main()
