"""What dispatching a night costs on a real server: `python -m benchmarks.night_dispatch [--skus 20000] [--runs 50]`.

A Prefect server on a PostgreSQL of its own (Debian: apt-get install postgresql; as root it runs as user postgres),
all deployments, no worker. A night of packshots that nobody has made yet is planned from a recorded listing, its
chunks are written and its first runs started, as flow catalog-nightly does it. Then what a run leaves in the database
is measured on runs of two tasks, as a chunk's has; and, on a folder, how often a SKU of a packshot and a painted scene
asks the store.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.night_kills import RECIPES
from benchmarks.night_scale import Recording, catalog_of
from productshot.folder import FolderStore
from productshot.keys import STAGE_FORMATS
from productshot.store import Listed

DATABASE = "prefect"
SCENES = ["white-packshot", "wooden-table"]
QUICK = {**RECIPES, "renders": {"steps": 2}}
SETTLE_S = 60
"""So long the server may take to write down what it was told."""


@contextmanager
def postgres(folder: Path, port: int) -> Iterator[str]:
    """A PostgreSQL in `folder`; yields the address of its database, as user postgres without a password."""
    (binaries,) = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:] or [Path("/usr/bin")]
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_user:
        subprocess.run(["chown", "-R", "postgres", folder], check=True)

    def run(name: str, *arguments: str) -> None:
        command = [*as_user, str(binaries / name), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/")

    data = str(folder / "data")
    run("initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
    run("pg_ctl", "--pgdata", data, "--log", str(folder / "log"), "--options", options, "--wait", "start")
    try:
        run("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", DATABASE)
        yield f"postgresql+asyncpg://postgres@127.0.0.1:{port}/{DATABASE}"
    finally:
        run("pg_ctl", "--pgdata", data, "--mode", "immediate", "stop")


@contextmanager
def prefect(folder: Path, port: int, database: str) -> Iterator[None]:
    """A Prefect server on that database, with all deployments; this process talks to it from here on."""
    from flows.up import Part, prefect_environment, wait_healthy

    told = {"PREFECT_HOME": str(folder), "PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
    os.environ |= prefect_environment(port) | told | {"PREFECT_LOGGING_LEVEL": "ERROR"}
    server = Part("Prefect server", ["-m", "prefect", "server", "start", "--port", str(port)], os.environ)
    try:
        wait_healthy(os.environ["PREFECT_API_URL"], server, threading.Event())
        deploy = [sys.executable, "-m", "flows.deploy", "nowhere", "nowhere", "0 2 29 2 *", "UTC", ""]
        subprocess.run(deploy, check=True, stdout=subprocess.DEVNULL)
        yield
    finally:
        server.end()


class Bucket(Recording):
    """The recording, listed as a bucket is."""

    def list(self, prefix: str) -> Iterator[Listed]:
        if prefix.startswith("photos/"):
            yield from super().list(prefix)
            return
        self.calls += 1
        for key in sorted(key for key in self.objects if key.startswith(prefix)):
            yield Listed(key, "", len(self.objects[key]))


def dispatch(skus: int) -> dict[str, float]:
    """Seconds to plan a night of so many new SKUs and to start its first runs."""
    from flows._runtime import runs_due
    from flows._server import start_runs
    from productshot.chunks import begin_night, due
    from productshot.night import night_id

    catalog = catalog_of(skus)
    bucket: Any = Bucket([sku.sku for sku in catalog.skus], {})
    now = datetime.now(UTC)
    began = time.monotonic()
    told = begin_night(catalog, bucket, night_id(now, "0000"), now)
    planned = time.monotonic()
    runs = start_runs(runs_due("recording", told, due(bucket, told)))
    return {
        "skus": skus,
        "chunks": told.chunks,
        "runs_started": len(set(runs)),
        "planned_s": round(planned - began, 1),
        "started_s": round(time.monotonic() - planned, 1),
        "client_peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def requests(skus: int) -> dict[str, object]:
    """Calls of the store per SKU in a chunk of so many that is made from nothing, and in one where all is done."""
    from productshot.catalog import load_catalog
    from productshot.chunks import begin_night, close_night, due, run_stage
    from productshot.night import night_id
    from tests.conftest import put_photo, write_catalog

    with TemporaryDirectory() as place:
        root, rows = Path(place) / "store", {}
        names = [f"mug-{number}" for number in range(skus)]
        for number, name in enumerate(names):
            put_photo(root, name, side=700, shift=3 * number)
        told = [{"sku": name, "noun": "mug"} for name in names]
        catalog = load_catalog(
            write_catalog(Path(place) / "catalog.yaml", skus=told, scenes=SCENES, recipes=QUICK)
        )
        for what in ("new", "done"):
            store, now = Counting(root), datetime.now(UTC)
            night = begin_night(catalog, store, night_id(now, "0000"), now)
            while items := due(store, night):
                for item in items:
                    run_stage(store, night, item, nullcontext)
            close_night(store, night, now)
            rows[what] = {name: round(count / skus, 1) for name, count in store.calls.most_common()}
    return {"skus": skus, "calls_per_sku": rows}


class Counting(FolderStore):
    """A folder store that counts its calls."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        self.calls["get"] += 1
        return super().get(key)

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.calls["put"] += 1
        super().put(key, data, content_type)

    def create(self, key: str, data: bytes, content_type: str) -> bool:
        self.calls["create"] += 1
        return super().create(key, data, content_type)

    def head(self, key: str) -> Listed | None:
        self.calls["head"] += 1
        return super().head(key)

    def list(self, prefix: str) -> Iterator[Listed]:
        self.calls["list"] += 1
        return super().list(prefix)

    def list_prefixes(self, prefix: str) -> Iterator[str]:
        self.calls["list"] += 1
        return super().list_prefixes(prefix)


def what_runs_leave(runs: int, port: int) -> dict[str, float]:
    """Rows and bytes that a run of two tasks leaves in the database, the mean of some."""
    from prefect import flow, task

    @task
    def stage() -> int:
        return len(STAGE_FORMATS)

    @flow
    def chunk() -> None:
        stage()
        stage()

    def counted(sql: str) -> int:
        told = subprocess.run(
            [*_psql(port), sql], check=True, capture_output=True, text=True, cwd="/"
        ).stdout.strip()
        return int(told)

    def all_recorded() -> bool:
        return counted("select count(*) from task_run where state_type = 'COMPLETED'") >= 2 * runs

    size = "select sum(pg_total_relation_size(relid)) from pg_stat_user_tables"
    before = counted("select count(*) from events"), counted(size)
    began = time.monotonic()
    for _ in range(runs):
        chunk()
    flows_s = time.monotonic() - began
    deadline = time.monotonic() + SETTLE_S
    while not all_recorded() and time.monotonic() < deadline:
        time.sleep(1)
    return {
        "runs": runs,
        "run_s": round(flows_s / runs, 2),
        "all_recorded": all_recorded(),
        "events_per_run": round((counted("select count(*) from events") - before[0]) / runs, 1),
        "bytes_per_run": round((counted(size) - before[1]) / runs),
    }


def _psql(port: int) -> Sequence[str]:
    return [
        "psql",
        "--host=127.0.0.1",
        f"--port={port}",
        "--username=postgres",
        f"--dbname={DATABASE}",
        "--tuples-only",
        "--no-align",
        "--command",
    ]


def main() -> None:
    """Print the measurements."""
    from tests.ui.started import free_ports

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skus", type=int, nargs="+", default=[100, 1_000, 5_000, 20_000])
    parser.add_argument("--runs", type=int, default=50)
    chosen = parser.parse_args()
    print(json.dumps(requests(6)), flush=True)
    with TemporaryDirectory() as place:
        database, home = Path(place) / "postgres", Path(place) / "prefect"
        Path(place).chmod(0o755)
        database.mkdir()
        home.mkdir()
        with postgres(database, free_ports()) as address, prefect(home, free_ports(), address):
            for skus in chosen.skus:
                print(json.dumps(dispatch(skus)), flush=True)
            port = int(address.rpartition(":")[2].partition("/")[0])
            print(json.dumps(what_runs_leave(chosen.runs, port)), flush=True)


if __name__ == "__main__":
    main()
