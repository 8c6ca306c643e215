"""`python -m flows.deploy CATALOG STORE CRON TIMEZONE GALLERY`: the work pool, its queues, all deployments.

One pool of process workers. Its queues, first come first served within each, the first of them before the others:

    urgent    single-sku, one run at a time beside whatever else goes on
    control   catalog-nightly, sweeper, report, review-batch: they never wait behind a night's chunks
    cpu       chunk-cutouts, chunk-assets
    gpu       chunk-adapters, chunk-renders; these also wait for their host's one GPU slot
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.deployments.runner import EntrypointType
from prefect.exceptions import PrefectHTTPStatusError
from prefect.flows import Flow
from prefect.utilities.processutils import command_to_string
from prefect.workers.process import ProcessWorker

from flows.catalog_nightly import catalog_nightly
from flows.chunk import chunk_adapters, chunk_assets, chunk_cutouts, chunk_renders
from flows.report import report
from flows.review_batch import review_batch
from flows.single_sku import single_sku
from flows.sweeper import sweeper
from flows.up import POOL

QUEUES: dict[str, int | None] = {"urgent": 1, "control": None, "cpu": 1, "gpu": 1}
"""Queue, in order of priority -> runs at once on one machine; more would only share its cores."""
ENGINE = [sys.executable, "-m", "prefect.engine"]
SWEEP_EVERY = timedelta(minutes=5)
SILENT_S = 120
"""Four heartbeats of `productshot up` (flows.up)."""
ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def deploy(
    catalog: str,
    store: str,
    cron: str,
    timezone: str,
    gallery: str | None,
    sweep_every: timedelta = SWEEP_EVERY,
) -> None:
    """Make the pool and the queues where they are missing, and write all deployments anew."""
    make_pool()
    here: dict[str, Any] = {"catalog": catalog, "store": store, "gallery": gallery}
    swept = {"asked": {"store": store, "silent_s": SILENT_S}}
    nightly = CronSchedule(cron=cron, timezone=timezone)
    _apply(catalog_nightly, "nightly", "control", {"asked": here}, schedule=nightly, concurrency_limit=1)
    _apply(single_sku, "now", "urgent", here)
    for stage, queue in (
        (chunk_cutouts, "cpu"),
        (chunk_adapters, "gpu"),
        (chunk_renders, "gpu"),
        (chunk_assets, "cpu"),
    ):
        _apply(stage, "chunk", queue, {})
    _apply(report, "report", "control", {})
    _apply(review_batch, "review", "control", {}, extra_tags=["review"])
    _apply(sweeper, "sweep", "control", swept, interval=sweep_every, concurrency_limit=ONE_AT_A_TIME)


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


def _apply(
    flow: Flow[..., Any],
    name: str,
    queue: str,
    parameters: dict[str, Any],
    extra_tags: Sequence[str] = (),
    **more: Any,
) -> None:
    """One deployment, run by this interpreter in this process's folder: a catalog's paths mean the same there.

    With a command of its own the worker starts it at once, without a process before it that looks for code to copy.
    """
    flow.to_deployment(
        name,
        parameters=parameters,
        tags=["productshot", *extra_tags],
        entrypoint_type=EntrypointType.MODULE_PATH,
        work_pool_name=POOL,
        work_queue_name=queue,
        job_variables={"working_dir": str(Path.cwd()), "command": command_to_string(ENGINE)},
        **more,
    ).apply()


if __name__ == "__main__":
    catalog, store, cron, timezone, gallery = sys.argv[1:]
    deploy(catalog, store, cron, timezone, gallery)
