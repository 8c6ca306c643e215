"""Nights whose processes are killed: `python -m benchmarks.night_kills [--kinds flow worker both server] [--times 5]`.

`productshot up` runs a night of 12 products in chunks of 6: a keep and a draw scene, adapters of 10 steps, pictures of
10 steps. At a random moment (so many outputs are there) SIGKILL takes

    flow     the process of a chunk's run
    worker   the worker
    both     the worker and all its runs
    server   the Prefect server
    none     nothing; a product that is new to the catalog is asked for instead, and waits for its run

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
from tempfile import TemporaryDirectory
from typing import Any

import psutil

from productshot.keys import shard_of
from tests.conftest import put_photo, write_catalog
from tests.ui.started import START_S, Running, brought_up, patiently

SKUS = 12
RECIPES: dict[str, Any] = {
    "adapters": {"steps": 10, "batch": 2, "prior_images": 1, "look_pictures": 1},
    "renders": {"steps": 10, "upscale": 1, "batch": 1},
    "gates": {"max_missing": 1, "max_expansion": 50, "max_delta_e": 100, "max_draw_delta_e": 100},
}
"""So few steps that every picture is noise, and gates that let it by."""
NIGHT = {"chunk_size": 6, "slots": 1, "checkpoint_every_s": 0.001}
"""With one slot a product trains alone, however many are left to train after a kill."""
KINDS = ("flow", "worker", "both", "server")
SWEEP_S, DELAY_S, SILENT_S = 20, 5, 90
NIGHT_S = 1200
LATE = "late-1"

Stamp = tuple[int, int]
"""Inode and time of the last write: a file that was written again has others."""


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


def bucket(store: Path) -> dict[str, bytes]:
    """Key -> bytes of all but nights/ and what belongs to the late product; its shard holds others too.

    Of a state shard its name alone: it tells inodes of the photos' files, which differ in a copy.
    """
    left_out = {"nights", f"state/{shard_of(LATE)}.jsonl.zst"}
    found = {}
    for path in store.rglob("*"):
        key = path.relative_to(store)
        if path.is_file() and not {key.parts[0], str(key)} & left_out and LATE not in key.parts:
            found[str(key)] = b"" if key.parts[0] == "state" else path.read_bytes()
    return found


def finished(store: Path) -> dict[Path, Stamp]:
    """The markers that are there and the data that they name, each with its stamp."""
    found = {}
    for marker in store.glob("work/*/*/*.json"):
        record = json.loads(marker.read_text()).get("record", {})
        named = marker.parent.glob(f"{record['digest']}.*") if record.get("digest") else ()
        found |= {path: _stamp(path) for path in (marker, *named)}
    return found


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


def outputs(store: Path) -> int:
    """Markers so far."""
    return sum(1 for _ in store.glob("work/*/*/*.json"))


def runs_of(worker: psutil.Process) -> list[psutil.Process]:
    """The processes in which a worker's flow runs are at work."""
    found = []
    for process in worker.children(recursive=True):
        try:
            if "PREFECT__FLOW_RUN_ID" in process.environ():
                found.append(process)
        except psutil.Error:  # it has just ended
            continue
    return found


def kill(kind: str, up: Running) -> int:
    """SIGKILL to what the kind says; how many processes."""
    server, worker = up.parts()
    flows = patiently(lambda: runs_of(worker) or None, START_S)
    victims = {"flow": flows[:1], "worker": [worker], "both": [worker, *flows], "server": [server]}[kind]
    for process in victims:
        process.kill()
    return len(victims)


def sweep_often(up: Running) -> None:
    """Have the sweeper come every 20 s."""
    deployment = patiently(lambda: up.api("deployments/name/sweeper/sweep"), START_S)
    asked = deployment["parameters"]["asked"] | {"delay_s": DELAY_S, "silent_s": SILENT_S}
    there = f"deployments/{deployment['id']}"
    up.api(there, {"parameters": {"asked": asked}}, "PATCH")
    (schedule,) = deployment["schedules"]
    often = {"schedule": {"interval": SWEEP_S}, "active": True}
    up.api(f"{there}/schedules/{schedule['id']}", often, "PATCH")


def disturbed(kind: str, after: int, folder: Path, reference: Path) -> dict[str, Any]:
    """One row: a night that is disturbed once so many outputs are there."""
    store = folder / "store"
    shutil.copytree(reference.parent / "photos-only", store)
    shutil.copy(reference.parent / "catalog.yaml", folder / "catalog.yaml")
    with brought_up(folder, folder / "catalog.yaml", store) as up:
        sweep_often(up)
        began = time.monotonic()
        night = up.night_of(up.run("catalog-nightly/nightly", {}))
        patiently(lambda: outputs(store) >= after or None, NIGHT_S)
        before = finished(store)
        told = dict(late_run(up, folder)) if kind == "none" else {"killed": kill(kind, up)}
        report = store / "nights" / night / "report.json"
        patiently(lambda: report.exists() or None, NIGHT_S)
        seconds = time.monotonic() - began
    said = json.loads(report.read_text())
    here, there = bucket(store), bucket(reference)
    return {
        "kind": kind,
        "after_outputs": after,
        **told,
        "night_s": round(seconds),
        "differing_files": len({key for key in {*here, *there} if here.get(key) != there.get(key)}),
        "files": len(there),
        "finished_then": len(before),
        "written_again": sum(_stamp(path) != stamp for path, stamp in before.items()),
        "doubled": sum(stage["doubled"] for stage in said["stages"]),
        "done": said["counts"]["done"],
    }


def late_run(up: Running, folder: Path) -> Iterator[tuple[str, float]]:
    """How long a product that is new to the catalog waits for its run, and for its end."""
    put_photo(up.store, LATE, side=700)
    catalog_at(folder / "catalog.yaml", LATE)
    deployment = up.api("deployments/name/single-sku/now")
    began = time.monotonic()
    run = up.api(f"deployments/{deployment['id']}/create_flow_run", {"parameters": {"sku": LATE}})

    def in_state(*names: str) -> bool | None:
        return up.api(f"flow_runs/{run['id']}")["state_type"] in names or None

    patiently(lambda: in_state("RUNNING", "COMPLETED"), NIGHT_S)
    yield "late_starts_after_s", round(time.monotonic() - began, 1)
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
        total = outputs(reference)
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
