"""Nights that are disturbed: who is killed, who comes to help, and whether the store shows any of it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from tests.ui.started import RUN_S, START_S, Running, patiently

KINDS = ("flow", "worker", "both", "server")
"""The process of a run of the night; the worker; the worker and all its runs; the Prefect server."""

Stamp = tuple[int, int]
"""Inode and time of the last write: a file that was written again has others."""


def bucket(store: Path, *left_out: str) -> dict[str, bytes]:
    """Key -> bytes of all but nights/ and the keys, or parts of keys, that are left out.

    Of a state shard its name alone: it tells inodes of the photos' files, which differ in a copy.
    """
    found = {}
    for path in store.rglob("*"):
        key = path.relative_to(store)
        if path.is_file() and not {"nights", *left_out} & {*key.parts, str(key)}:
            found[str(key)] = b"" if key.parts[0] == "state" else path.read_bytes()
    return found


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> set[str]:
    """The keys that are not in both with the same bytes."""
    return {key for key in {*one, *other} if one.get(key) != other.get(key)}


def finished(store: Path) -> dict[Path, Stamp]:
    """The markers that are there and the data that they name, each with its stamp."""
    found = {}
    for marker in markers(store):
        record = json.loads(marker.read_text()).get("record", {})
        named = marker.parent.glob(f"{record['digest']}.*") if record.get("digest") else ()
        found |= {path: _stamp(path) for path in (marker, *named)}
    return found


def written_again(before: dict[Path, Stamp]) -> set[Path]:
    """Of what was finished then, what was written anew since, or is gone."""
    return {path for path, stamp in before.items() if not path.exists() or _stamp(path) != stamp}


def _stamp(path: Path) -> Stamp:
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


def markers(store: Path) -> list[Path]:
    """The markers so far."""
    return list(store.glob("work/*/*/*.json"))


def processes_of_runs(worker: psutil.Process) -> dict[str, psutil.Process]:
    """The processes in which a worker's flow runs are at work, by the run's id."""
    found = {}
    for process in worker.children(recursive=True):
        try:
            found[process.environ()["PREFECT__FLOW_RUN_ID"]] = process
        except (psutil.Error, KeyError):  # it has just ended, or works on no run
            continue
    return found


def kill(kind: str, up: Running, night: str) -> int:
    """SIGKILL to what the kind says, while a run of the night is at work; how many processes."""
    server, worker = up.parts()
    run = patiently(lambda: at_work(up, worker, night), RUN_S, pause_s=0.2)
    runs = [*processes_of_runs(worker).values()]
    victims = {"flow": [run], "worker": [worker], "both": [worker, *runs], "server": [server]}[kind]
    for process in victims:
        process.kill()
    return len(victims)


def at_work(up: Running, worker: psutil.Process, night: str) -> psutil.Process | None:
    """The process of a run of the night that has begun; None while there is none."""
    for run, process in processes_of_runs(worker).items():
        told = up.api(f"flow_runs/{run}")
        if told["name"].startswith(night) and told["state_type"] == "RUNNING":
            return process
    return None


def sweep_often(up: Running, every_s: float, **asked: float | str) -> None:
    """Have the sweeper come so often, with other parameters."""
    deployment = patiently(lambda: up.api("deployments/name/sweeper/sweep"), START_S)
    there = f"deployments/{deployment['id']}"
    (schedule,) = deployment["schedules"]
    often = {"schedule": {"interval": every_s}, "active": True}
    for path, body in (
        (there, {"parameters": {"asked": deployment["parameters"]["asked"] | asked}}),
        (f"{there}/schedules/{schedule['id']}", often),
    ):
        patiently(partial(_changed, up, path, body), START_S)


def _changed(up: Running, path: str, body: dict[str, Any]) -> bool:
    """True once the server has taken the change, to which it answers nothing."""
    up.api(path, body, "PATCH")
    return True
