"""`python -m flows.deploy CATALOG STORE CRON TIMEZONE GALLERY`: one work pool, its queues, all of prefect.yaml.

One pool of process workers, as one worker serves one pool. Its queues, first come first served within each, the first
of them before the others:

    urgent    one run at a time beside whatever else goes on
    control   never waits behind a night's chunks
    cpu       chunks that need no GPU
    gpu       these also wait for their host's one GPU slot
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig
from prefect.deployments.runner import EntrypointType
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flows import Flow
from prefect.schedules import Cron, Interval, Schedule
from prefect.utilities.processutils import command_to_string
from prefect.workers.process import ProcessWorker

from flows.automation import write_automation
from flows.up import POOL

DEPLOYMENTS = Path(__file__).with_name("prefect.yaml")
QUEUES: dict[str, int | None] = {"urgent": 1, "control": None, "cpu": 1, "gpu": 1}
"""Queue, in order of priority -> runs at once on one machine; more would only share its cores."""
ENGINE = [sys.executable, "-m", "prefect.engine"]
SILENT_S = 120
"""Four heartbeats of `productshot up` (flows.up)."""


def deploy(
    catalog: str,
    store: str,
    cron: str,
    timezone: str,
    gallery: str | None,
    sweep_every: timedelta | None = None,
) -> None:
    """Make the pool and the queues where they are missing, and write all deployments and the automation anew."""
    make_pool()
    told = read_deployments(
        {
            "PRODUCTSHOT_CATALOG": catalog,
            "PRODUCTSHOT_STORE": store,
            "PRODUCTSHOT_CRON": cron,
            "PRODUCTSHOT_TIMEZONE": timezone,
            "PRODUCTSHOT_GALLERY": gallery,
        }
    )
    told["sweeper"]["parameters"]["asked"]["silent_s"] = SILENT_S
    if sweep_every is not None:
        told["sweeper"]["schedules"] = [{"interval": sweep_every.total_seconds()}]
    for one in told.values():
        _apply(one)
    write_automation()


def read_deployments(values: Mapping[str, str | None]) -> dict[str, dict[str, Any]]:
    """What prefect.yaml says of each deployment, by its entrypoint's name, with these values for its variables."""
    told = _filled(yaml.safe_load(DEPLOYMENTS.read_text("utf-8"))["deployments"], values)
    return {one["entrypoint"].rpartition(":")[2]: one for one in told}


def _filled(value: Any, values: Mapping[str, str | None]) -> Any:
    """The value with each text "{{ $NAME }}" in it replaced."""
    match value:
        case dict():
            return {name: _filled(one, values) for name, one in value.items()}
        case list():
            return [_filled(one, values) for one in value]
        case str() if found := re.fullmatch(r"\{\{ \$(\w+) \}\}", value):
            return values[found[1]]
    return value


def make_pool() -> None:
    """The pool and its queues; what is there stays as somebody may have set it."""
    template = ProcessWorker.get_default_base_job_template()
    _create("/work_pools/", {"name": POOL, "type": "process", "base_job_template": template})
    for priority, (name, at_once) in enumerate(QUEUES.items(), 1):
        queue = {"name": name, "priority": priority, "concurrency_limit": at_once}
        _create(f"/work_pools/{POOL}/queues", queue)


def _create(path: str, body: dict[str, Any]) -> None:
    with get_client(sync_client=True) as client:
        try:
            client.request("POST", path, json=body)  # type: ignore[arg-type]
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 409:
                raise


def _apply(told: Mapping[str, Any]) -> None:
    """One deployment, run by this interpreter in this process's folder: a catalog's paths mean the same there.

    With a command of its own the worker starts it at once, without a process before it that looks for code to copy.
    """
    limit = told.get("concurrency_limit")
    flow_of(told["entrypoint"]).to_deployment(
        told["name"],
        parameters=told.get("parameters", {}),
        tags=told["tags"],
        schedules=[_schedule(**one) for one in told.get("schedules", [])],
        concurrency_limit=ConcurrencyLimitConfig(**limit) if limit else None,
        entrypoint_type=EntrypointType.MODULE_PATH,
        work_pool_name=POOL,
        work_queue_name=told["work_pool"]["work_queue_name"],
        job_variables={"working_dir": str(Path.cwd()), "command": command_to_string(ENGINE)},
    ).apply()


def flow_of(entrypoint: str) -> Flow[..., Any]:
    """The flow that an entrypoint as flows/report.py:report means."""
    file, _, name = entrypoint.partition(":")
    found: Flow[..., Any] = getattr(import_module(file.removesuffix(".py").replace("/", ".")), name)
    return found


def _schedule(cron: str = "", timezone: str = "UTC", interval: float = 0) -> Schedule:
    return Cron(cron, timezone=timezone) if cron else Interval(timedelta(seconds=interval))


if __name__ == "__main__":
    catalog, store, cron, timezone, gallery = sys.argv[1:]
    deploy(catalog, store, cron, timezone, gallery)
