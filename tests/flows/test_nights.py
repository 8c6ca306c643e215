"""Nights in chunks on a real Prefect server and worker: the bucket of a local night, whatever dies on the way."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import psutil
import pytest
from prefect.settings import PREFECT_API_URL
from shop import Shop, ask

from flows._runtime import chunk_run, load, runs_due
from flows._server import Run, Wanted, gpu_slot, is_silent, runs_by_key, start_runs
from flows.report import ReportRun, report
from flows.sweeper import Sweep, bury_silent, look_after, sweep_night, sweeper
from flows.up import bury_dead
from productshot.chunks import ChunkedNight, Due, begin_night, due, find_done, given_up, read_night
from productshot.errors import ConfigInvalid
from productshot.folder import FolderStore
from productshot.progress import silent
from productshot.review import last_report
from productshot.run import run_night
from productshot.store import Store
from tests.conftest import tree_of

PATIENCE_S = 900
"""For a night on a machine that does other work too."""
T = TypeVar("T")


def patiently(look: Callable[[], T | None]) -> T:
    """What `look` finds, once it finds something."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(1)
    raise TimeoutError(f"nothing within {PATIENCE_S} s")


def start_night(shop: Shop, store: Store, key: str) -> ChunkedNight:
    """A night that a deployment's run has dispatched."""
    asked = {"catalog": shop.catalog, "store": shop.store, "gallery": "http://127.0.0.1:4201"}
    start_runs([Wanted("catalog-nightly/nightly", key, {"asked": asked})])

    def begun() -> ChunkedNight | None:
        found = [prefix for prefix in store.list_prefixes("nights/") if store.head(f"{prefix}night.json")]
        return read_night(store, found[0].split("/")[1]) if found else None

    return patiently(begun)


def report_of(store: Store) -> dict[str, Any]:
    """The night's report, once it is written."""
    return patiently(lambda: last_report(store))


def chunk_runs(told: ChunkedNight) -> dict[str, Run]:
    """All runs of the night's chunks by key."""
    items = [Due(chunk, stage) for chunk in range(told.chunks) for stage in told.stages]
    return runs_by_key([chunk_run("", told.night, item).key for item in items])


@pytest.fixture
def one_process(shop: Shop, tmp_path: Path) -> Path:
    """The folder of a store in which a night of one process, without Prefect, has made the same photos."""
    copy = tmp_path / "one-process"
    shutil.copytree(shop.store, copy)
    run_night(load(shop.catalog), FolderStore(copy), silent)
    return copy


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_night_makes_the_bucket_of_a_local_night(shop: Shop, store: Store, one_process: Path) -> None:
    """Three SKUs in chunks of one: the same objects, one report, and each stage of each chunk ran once."""
    told = start_night(shop, store, f"night of {shop.store}")
    start_runs(runs_due(shop.store, told, [Due(chunk, "cutouts") for chunk in range(3)]))  # dispatched again
    found = report_of(store)
    assert tree_of(Path(shop.store), "work", "catalog") == tree_of(one_process, "work", "catalog")
    assert sorted(tree_of(Path(shop.store), "state")) == sorted(tree_of(one_process, "state"))
    assert (found["counts"]["skus"], found["counts"]["done"], found["counts"]["refusals"]) == (3, 2, 1)
    assert found["chunks"] == {"total": 3, "given_up": 0, "late": 0}
    runs = chunk_runs(told)
    assert len(runs) == 9  # packshots: no adapters
    assert {run["run_count"] for run in runs.values()} == {1}
    artifact = patiently(lambda: night_artifact(told.night))
    assert artifact.startswith("# 2 of 3 SKUs have assets")
    assert "](http://127.0.0.1:4201/nights/" in artifact


def night_artifact(night: str) -> str | None:
    """The markdown of a night's artifact."""
    wanted = {"artifacts": {"key": {"any_": ["catalog-night"]}}}
    found = [one for one in ask("/artifacts/filter", wanted) if one["description"] == f"night {night}"]
    return str(found[0]["data"]) if found else None


@pytest.mark.slow
def test_killed_run_is_swept(shop: Shop, store: Store, one_process: Path, worker: psutil.Process) -> None:
    """The process of a chunk run is killed while it waits for the GPU: swept, it is run again, and nothing is lost."""
    with gpu_slot():
        told = start_night(shop, store, f"killed night of {shop.store}")
        item = Due(0, "renders")
        key = chunk_run(shop.store, told.night, item).key
        patiently(lambda: find_done(store, told.night, Due(0, "cutouts")))
        run = patiently(lambda: started(key))
        patiently(lambda: kill_process_of(run, worker))
        patiently(lambda: crashed(key))
        swept = sweeper(Sweep(store=shop.store, delay_s=0))
    assert swept["queued again"] == 1
    found = patiently(lambda: report_of_swept(shop, store, key))
    assert runs_by_key([key])[key]["run_count"] == 2
    assert {stage["stage"]: stage["made"] for stage in found["stages"]}["cutouts"] == 2
    assert tree_of(Path(shop.store), "work", "catalog") == tree_of(one_process, "work", "catalog")


def started(key: str) -> Run | None:
    """The run when its process works."""
    run = runs_by_key([key]).get(key)
    return run if run and run["state"]["type"] == "RUNNING" else None


def crashed(key: str) -> Run | None:
    """The run when its worker has told that it crashed."""
    run = runs_by_key([key])[key]
    return run if run["state"]["type"] == "CRASHED" else None


def report_of_swept(shop: Shop, store: Store, key: str) -> dict[str, Any] | None:
    """The night's report, if it is written; a run that its worker told a second time to have crashed is swept again."""
    if crashed(key):
        sweeper(Sweep(store=shop.store, delay_s=0))
    return last_report(store)


def kill_process_of(run: Run, worker: psutil.Process) -> bool | None:
    """SIGKILL to the process that works on a run; None while there is none."""
    for process in worker.children(recursive=True):
        if process.environ().get("PREFECT__FLOW_RUN_ID") == run["id"]:
            process.kill()
            return True
    return None


@pytest.fixture
def told(shop: Shop, store: Store) -> ChunkedNight:
    """A night that was planned, but of which no run was started."""
    began = datetime.now(UTC)
    return begin_night(load(shop.catalog), store, f"{began:%Y%m%dT%H%M%SZ}-{id(store) % 65536:04x}", began)


RunInState = Callable[[Due, str], Run]


@pytest.fixture
def run_in_state(shop: Shop, told: ChunkedNight) -> Iterator[RunInState]:
    """Makes a chunk's run that stands in a state without a process, and ends it: it would hold its queue's place."""
    made: list[str] = []

    def make(item: Due, state: str) -> Run:
        wanted = chunk_run(shop.store, told.night, item)
        deployment = ask(f"/deployments/name/{wanted.deployment}")
        body = {"idempotency_key": wanted.key, "parameters": wanted.parameters, "state": {"type": state}}
        made.append(ask(f"/deployments/{deployment['id']}/create_flow_run", body)["id"])
        return runs_by_key([wanted.key])[wanted.key]

    yield make
    for run in made:
        ask(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLED"}, "force": True})


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_silent_run_is_swept(shop: Shop, store: Store, told: ChunkedNight, run_in_state: RunInState) -> None:
    """A run that says Running though its worker is gone is queued again; what nobody started is started."""
    run_in_state(Due(1, "cutouts"), "RUNNING")
    asked, now = Sweep(store=shop.store, silent_s=120, delay_s=0), datetime.now(UTC)
    assert sweep_night(store, told, asked, now) == {"started": 2, "alive": 1}
    later = now + timedelta(seconds=121)
    bury_silent(asked, later)
    again = sweep_night(store, told, asked, later)  # due for the worker then, too
    assert again["queued again"] == 1
    assert report_of(store)["counts"]["done"] == 2


@pytest.mark.usefixtures("worker")
def test_silent_runs_whose_work_is_done_are_buried(store: Store, run_in_state: RunInState) -> None:
    """They would hold their queue's one place, though nothing of them is due."""
    run = run_in_state(Due(0, "assets"), "RUNNING")
    asked, later = Sweep(store=store.location, silent_s=120), datetime.now(UTC) + timedelta(seconds=121)
    bury_silent(asked, datetime.now(UTC))
    assert state_of(run)["type"] == "RUNNING"
    bury_silent(asked, later)
    assert state_of(run) | {"type": "CRASHED", "message": "it gave no sign for 120 s"} == state_of(run)


@pytest.mark.usefixtures("worker")
def test_runs_die_with_their_worker(run_in_state: RunInState) -> None:
    """Before `up` starts a worker it writes down which runs have no process any more; others go on."""
    dead, alive = run_in_state(Due(0, "assets"), "RUNNING"), run_in_state(Due(1, "assets"), "RUNNING")
    ask(f"/flow_runs/{alive['id']}", {"infrastructure_pid": str(os.getpid())}, "PATCH")
    bury_dead(str(PREFECT_API_URL.value()))
    assert (state_of(dead)["type"], state_of(alive)["type"]) == ("CRASHED", "RUNNING")


def test_a_server_that_is_away_leaves_the_dead_to_the_sweeper(caplog: pytest.LogCaptureFixture) -> None:
    """One line, and `up` goes on."""
    bury_dead("http://127.0.0.1:9/api")
    assert "dead runs are left to the sweeper: Prefect server does not answer" in caplog.text


def state_of(run: Run) -> dict[str, Any]:
    """A run's state now."""
    state: dict[str, Any] = ask(f"/flow_runs/{run['id']}")["state"]
    return state


@pytest.mark.usefixtures("worker")
def test_heartbeat_is_a_sign_of_life(run_in_state: RunInState) -> None:
    """A run is silent after `silent_s` without a heartbeat, and alive with one."""
    run = run_in_state(Due(0, "assets"), "RUNNING")
    later = datetime.now(UTC) + timedelta(minutes=10)
    assert is_silent(run, later, 240)
    assert not is_silent(run, datetime.now(UTC), 240)
    event = {
        "event": "prefect.flow-run.heartbeat",
        "resource": {"prefect.resource.id": f"prefect.flow-run.{run['id']}"},
        "occurred": (later - timedelta(seconds=100)).isoformat(),
        "id": run["id"],
    }
    tell_event(event)
    patiently(lambda: None if is_silent(run, later, 240) else True)


def tell_event(event: dict[str, Any]) -> None:
    """Send an event as a client without a websocket does."""
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        client.request("POST", "/events", json=[event])  # type: ignore[arg-type]


@pytest.mark.usefixtures("worker")
def test_cancelled_chunk_is_given_up(
    shop: Shop, store: Store, told: ChunkedNight, run_in_state: RunInState
) -> None:
    """What a person cancelled is not run again: the night ends without it, and the report says so."""
    for item in due(store, told):
        run_in_state(item, "CANCELLED")
    assert sweep_night(store, told, Sweep(store=shop.store), datetime.now(UTC)) == {"lost": 3}
    said = given_up(store, told.night, 0)
    assert said is not None and said.told.startswith("its run ended Cancelled after 0 attempts")
    assert due(store, told) == []
    counts = report(ReportRun(store=shop.store, night=told.night))
    assert (counts["done"], counts["refusals"]) == (0, 3)
    artifact = night_artifact(told.night)
    assert artifact is not None and "was not finished" in artifact


@pytest.mark.usefixtures("worker")
def test_crashes_are_bounded(shop: Shop, run_in_state: RunInState) -> None:
    """A run that has begun as often as it may is lost."""
    run = run_in_state(Due(0, "assets"), "CRASHED")
    asked, now = Sweep(store=shop.store, delay_s=3600), datetime.now(UTC)
    assert look_after({**run, "run_count": 3}, asked, now, attempts=3) == "lost"
    assert look_after({**run, "run_count": 2}, asked, now, attempts=3) == "queued again"
    queued = runs_by_key([run["idempotency_key"]])[run["idempotency_key"]]
    assert (queued["state"]["type"], queued["state"]["name"]) == ("SCHEDULED", "AwaitingRetry")


@pytest.mark.usefixtures("worker")
def test_wrong_parameters_are_refused() -> None:
    """The bulk call answers 200, yet an item that it refused is an error with the reason."""
    wanted = Wanted(
        "chunk-cutouts/chunk", "wrong parameters", {"asked": {"store": "s", "night": "n", "chunk": -1}}
    )
    with pytest.raises(ConfigInvalid, match="run wrong parameters .*less than the minimum of 0"):
        start_runs([wanted])


@pytest.mark.usefixtures("prefect_server")
def test_missing_deployment_is_refused() -> None:
    """A deployment that nobody made is named with the remedy."""
    with pytest.raises(
        ConfigInvalid, match="deployment report/none is not on the Prefect server; start `productshot"
    ):
        start_runs([Wanted("report/none", "k", {})])
