"""What the flows ask of the Prefect server: runs that start once, runs that died, and a host's GPU.

Requests are written out: prefect 3.8's Python client sends nulls in filters that the server refuses.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import NAMESPACE_URL, UUID, uuid5

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.concurrency.sync import concurrency
from prefect.events.schemas.automations import AutomationCore
from prefect.exceptions import PrefectHTTPStatusError

from productshot.errors import ConfigInvalid, StorageUnavailable

AT_ONCE = 100
"""The server's own limit of runs per bulk call."""
BULK_PAUSES_S = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)
LEASE_S = 60
"""A GPU that a killed run held is free again after so long; the server takes no shorter lease."""
LISTED = 200
"""The server's own limit of runs per page."""
AT_WORK = ("PENDING", "RUNNING")
PENDING_TIMES = 3
"""A run that is about to start may be silent longer than one that works: a container is fetched first."""

Run = dict[str, Any]
"""A flow run as the API tells it."""


class Wanted(NamedTuple):
    """A run of a deployment. The server makes one run per key, however often it is asked."""

    deployment: str  # flow/name
    key: str
    parameters: dict[str, Any]


def start_runs(wanted: Sequence[Wanted]) -> list[str]:
    """The ids of the runs, started now or before.

    ConfigInvalid: no such deployment, or wrong parameters. StorageUnavailable: the server could not do it now.
    """
    ids: dict[str, str] = {}
    with _client() as client:
        for deployment in dict.fromkeys(one.deployment for one in wanted):
            mine = [one for one in wanted if one.deployment == deployment]
            there = f"/deployments/{_deployment_id(client, deployment)}/create_flow_run/bulk"
            for start in range(0, len(mine), AT_ONCE):
                ids |= _start_some(client, there, mine[start : start + AT_ONCE])
    return [ids[one.key] for one in wanted]


def _start_some(client: SyncPrefectClient, path: str, wanted: Sequence[Wanted]) -> dict[str, str]:
    """Run ids by key, of a bulk call. Its 200 hides failures, so each item's status is read.

    On SQLite a neighbour's write fails an item at once ("database is locked"): such items are asked for again.
    """
    ids: dict[str, str] = {}
    for pause_s in BULK_PAUSES_S:
        time.sleep(pause_s)
        missing = [one for one in wanted if one.key not in ids]
        body = [
            {"idempotency_key": one.key, "parameters": one.parameters, "name": one.key.replace("/", " ")}
            for one in missing
        ]
        results = _ask(client, "POST", path, body)["results"]
        for one, result in zip(missing, results, strict=True):
            error = (result["error"] or "").partition("[SQL")[0].strip()
            if result["status"] == "CREATED":
                ids[one.key] = result["flow_run_id"]
            elif error.startswith("Parameter validation failed"):
                raise ConfigInvalid(f"run {one.key}", error, "", "deploy the flows of this version")
        if len(ids) == len(wanted):
            return ids
    raise StorageUnavailable("Prefect server", f"did not start run {one.key}: {error}", "", "ask again")


def find_deployment(name: str) -> UUID:
    """The id of a deployment. ConfigInvalid: the server has none; StorageUnavailable: it does not answer."""
    with _client() as client:
        return UUID(_deployment_id(client, name))


def _deployment_id(client: SyncPrefectClient, deployment: str) -> str:
    found = _ask(client, "GET", f"/deployments/name/{deployment}", missing_ok=True)
    if found is None:
        remedy = "start `productshot up`, or run infra/pools.sh"
        raise ConfigInvalid(f"deployment {deployment}", "is not on the Prefect server", "", remedy)
    return str(found["id"])


def runs_by_key(keys: Sequence[str]) -> dict[str, Run]:
    """The runs that were started with these keys."""
    found: dict[str, Run] = {}
    with _client() as client:
        for start in range(0, len(keys), AT_ONCE):
            some = {"idempotency_key": {"any_": list(keys[start : start + AT_ONCE])}}
            runs = _ask(client, "POST", "/flow_runs/filter", {"flow_runs": some, "limit": AT_ONCE})
            found |= {run["idempotency_key"]: run for run in runs}
    return found


def recent_runs(flows: Sequence[str], states: Sequence[str], since: datetime) -> list[Run]:
    """The runs of these flows that were to begin since then and are in one of these states."""
    wanted = {
        "flows": {"name": {"any_": list(flows)}},
        "flow_runs": {
            "state": {"type": {"any_": list(states)}},
            "expected_start_time": {"after_": since.isoformat()},
        },
    }
    with _client() as client:
        return _all_runs(client, wanted)


def unfinished_runs(pool: str) -> list[Run]:
    """The runs of a work pool that are at work or about to be, as the server believes."""
    wanted = {
        "work_pools": {"name": {"any_": [pool]}},
        "flow_runs": {"state": {"type": {"any_": list(AT_WORK)}}},
    }
    with _client() as client:
        return _all_runs(client, wanted)


def _all_runs(client: SyncPrefectClient, wanted: dict[str, Any]) -> list[Run]:
    found: list[Run] = []
    while True:
        page = {**wanted, "sort": "START_TIME_ASC", "limit": LISTED, "offset": len(found)}
        more = _ask(client, "POST", "/flow_runs/filter", page)
        found += more
        if len(more) < LISTED:
            return found


def is_silent(run: Run, now: datetime, silent_s: float) -> bool:
    """Whether a run that should be at work has given no sign for so long: its process and its worker are gone."""
    state, patience = run["state"], timedelta(seconds=silent_s)
    if state["type"] == "PENDING":
        patience *= PENDING_TIMES
    if state["type"] not in AT_WORK:
        return False
    if now - datetime.fromisoformat(state["timestamp"]) < patience:
        return False
    beats = {
        "filter": {
            "occurred": {"since": (now - patience).isoformat(), "until": (now + patience).isoformat()},
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{run['id']}"]},
        },
        "limit": 1,
    }
    with _client() as client:
        return not _ask(client, "POST", "/events/filter", beats)["events"]


def queue_again(run: Run, at: datetime, why: str) -> None:
    """Let a worker run it once more from that time on; it keeps its id and parameters."""
    state = {
        "type": "SCHEDULED",
        "name": "AwaitingRetry",
        "message": why,
        "state_details": {"scheduled_time": at.isoformat()},
    }
    with _client() as client:
        _ask(client, "POST", f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})


def bury(run: Run, why: str) -> None:
    """Write down that a run has died; as long as it counts as Running it holds its queue's place and its slots."""
    state = {"type": "CRASHED", "name": "Crashed", "message": why}
    with _client() as client:
        _ask(client, "POST", f"/flow_runs/{run['id']}/set_state", {"state": state, "force": True})


def find_automation(name: str) -> str:
    """The id of an automation. ConfigInvalid: the server has none; StorageUnavailable: it does not answer."""
    with _client() as client:
        found = _automations(client, name)
    if not found:
        remedy = "start `productshot up`, or run infra/pools.sh"
        raise ConfigInvalid(f"automation {name!r}", "is not on the Prefect server", "", remedy)
    return str(found[0]["id"])


def create_or_replace_automation(told: AutomationCore) -> None:
    """Write an automation; one of its name is replaced, and stays disabled where somebody disabled it."""
    with _client() as client:
        found = _automations(client, told.name)
        body = told.model_dump(mode="json", exclude={"owner_resource"})  # which a PUT may not name
        if found:
            body["enabled"] = found[0]["enabled"]
            _ask(client, "PUT", f"/automations/{found[0]['id']}", body)
        else:
            _ask(client, "POST", "/automations/", body)


def _automations(client: SyncPrefectClient, name: str) -> list[dict[str, Any]]:
    named = {"automations": {"name": {"any_": [name]}}}
    found: list[dict[str, Any]] = _ask(client, "POST", "/automations/filter", named)
    return found


def tell_event(event: str, resource: str, payload: dict[str, str], key: str) -> None:
    """Give the server an event; when this returns it has it, which `emit_event`, that queues, does not promise.

    The same key is the same event.
    """
    told = {
        "id": str(uuid5(NAMESPACE_URL, f"{event}/{key}")),
        "occurred": datetime.now(UTC).isoformat(),
        "event": event,
        "resource": {"prefect.resource.id": resource},
        "payload": payload,
    }
    with _client() as client:
        _ask(client, "POST", "/events", [told])


@contextmanager
def gpu_slot() -> Iterator[None]:
    """The GPU of this host, for one run at a time; PRODUCTSHOT_GPU_HOST names the host where a container hides it.

    The lease renews itself. A renewal that fails costs at most a neighbour on the GPU; ending the run would cost
    its work, so it goes on.
    """
    name = f"gpu:{os.environ.get('PRODUCTSHOT_GPU_HOST') or socket.gethostname()}"
    with _client() as client:
        if _ask(client, "GET", f"/v2/concurrency_limits/{name}", missing_ok=True) is None:
            _ask(client, "POST", "/v2/concurrency_limits/", {"name": name, "limit": 1}, exists_ok=True)
    with concurrency(name, lease_duration=LEASE_S, strict=True, raise_on_lease_renewal_failure=False):
        yield


@contextmanager
def _client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


def _ask(
    client: SyncPrefectClient,
    method: str,
    path: str,
    body: Any = None,
    missing_ok: bool = False,
    exists_ok: bool = False,
) -> Any:
    """What the API answers as JSON; None for a 404 or 409 that is expected. StorageUnavailable: it does not answer."""
    expected = {404: missing_ok, 409: exists_ok}
    try:
        answer = client.request(method, path, json=body)  # type: ignore[arg-type]
        return answer.json() if answer.content else None
    except PrefectHTTPStatusError as error:
        code = error.response.status_code
        if expected.get(code):
            return None
        told = f"answers {code} to {path}"
        raise StorageUnavailable("Prefect server", told, "", "see the server's log; run it again") from error
    except httpx.HTTPError as error:
        told = f"does not answer: {type(error).__name__}"
        raise StorageUnavailable("Prefect server", told, "", "is it running? run it again") from error
