"""Flow sweeper: finds what stopped without a word, and lets it go on.

Prefect starts a crashed run never again, and one whose worker died with it stays Running for ever and holds its
queue's place. The sweeper writes down that silent runs have crashed, and queues again what is still to do, at most as
often as the night's `attempts` say and a while later, so that a run which kills its machine does not loop. It also
starts what the store says is due, though nobody did, and the report at the deadline.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from prefect import flow, get_run_logger
from pydantic import BaseModel, Field

from flows._runtime import chunk_run, open_store_of, report_run
from flows._server import AT_WORK, Run, bury, is_silent, queue_again, recent_runs, runs_by_key, start_runs

if TYPE_CHECKING:
    from productshot.chunks import ChunkedNight
    from productshot.store import Store

LOOSE_FLOWS = ("catalog-nightly", "single-sku")
"""Flows whose runs belong to no chunk."""
MORTAL_FLOWS = (
    *LOOSE_FLOWS,
    "chunk-cutouts",
    "chunk-adapters",
    "chunk-renders",
    "chunk-assets",
    "report",
    "sweeper",
)
"""Flows whose silent runs are dead; a review, which waits for a person, is none."""
LOOSE_FOR = timedelta(hours=12)
ATTEMPTS = 3
"""How often such a run may begin."""

Fate = Literal["alive", "queued again", "lost"]


class Sweep(BaseModel):
    """Looks after the runs of all open nights."""

    store: str = Field(description="a folder or s3://bucket/prefix")
    silent_s: float = Field(240, ge=30, description="a run without a heartbeat for so many seconds is dead")
    delay_s: float = Field(60, ge=0, description="seconds before a dead run begins again")


@flow(name="sweeper", persist_result=False)
def sweeper(asked: Sweep) -> dict[str, int]:
    """Queue dead runs again, start what is due; returns how many of each.

    No tasks: it runs every few minutes, and each task would be three more records.
    """
    from productshot.chunks import open_nights
    from productshot.run import utc_now

    now, store, told = utc_now(), open_store_of(asked.store), Counter[str]()
    bury_silent(asked, now)
    for run in recent_runs(LOOSE_FLOWS, ("CRASHED", *AT_WORK), now - LOOSE_FOR):
        told[look_after(run, asked, now, ATTEMPTS)] += 1
    for night in open_nights(store, now):
        told += sweep_night(store, night, asked, now)
    get_run_logger().info("swept: %s", dict(told) or "nothing to do")
    return dict(told)


def bury_silent(asked: Sweep, now: datetime) -> None:
    """Write down that silent runs have crashed, those too whose work is done."""
    for run in recent_runs(MORTAL_FLOWS, AT_WORK, now - LOOSE_FOR):
        if is_silent(run, now, asked.silent_s):
            bury(run, f"it gave no sign for {asked.silent_s:g} s")


def sweep_night(store: Store, told: ChunkedNight, asked: Sweep, now: datetime) -> Counter[str]:
    """What became of a night's due stages, or of its report when none is due or the deadline has passed."""
    from productshot.chunks import due, give_up

    items = [] if now >= told.deadline else due(store, told)
    wanted = [chunk_run(asked.store, told.night, item) for item in items]
    if not wanted:
        return _sweep_report(told, asked, now)
    runs = runs_by_key([one.key for one in wanted])
    missing = [one for one in wanted if one.key not in runs]
    start_runs(missing)
    counts = Counter[str](started=len(missing))
    for one, item in zip(wanted, items, strict=True):
        if one.key not in runs:
            continue
        fate = look_after(runs[one.key], asked, now, told.attempts)
        counts[fate] += 1
        if fate == "lost":
            give_up(store, told.night, item, _why(runs[one.key]))
    return +counts


def _sweep_report(told: ChunkedNight, asked: Sweep, now: datetime) -> Counter[str]:
    wanted = report_run(asked.store, told.night)
    run = runs_by_key([wanted.key]).get(wanted.key)
    if run is None:
        start_runs([wanted])
        return Counter(started=1)
    return Counter([look_after(run, asked, now, told.attempts)])


def look_after(run: Run, asked: Sweep, now: datetime, attempts: int) -> Fate:
    """Queue a dead run again unless it has begun too often; a run that a person cancelled is lost at once."""
    kind = run["state"]["type"]
    if kind in ("CANCELLED", "CANCELLING"):
        return "lost"
    if kind not in ("CRASHED", "FAILED"):
        return "alive"
    if run["run_count"] >= attempts:
        return "lost"
    at = now + timedelta(seconds=asked.delay_s)
    queue_again(run, at, f"{run['state']['name']}; run {run['run_count'] + 1} of {attempts}")
    return "queued again"


def _why(run: Run) -> str:
    """Why a run is lost, in words for the report."""
    state = run["state"]
    message = " ".join((state.get("message") or "without a message").split())
    return f"its run ended {state['name']} after {run['run_count']} attempts: {message}"
