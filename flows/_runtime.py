"""What both flows share: the tasks, each one call of the library's own night, and which errors are worth a retry."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from flows.artifact import night_markdown
from productshot.errors import ProductshotError

if TYPE_CHECKING:
    from catalog_schemas import Catalog
    from productshot.night import Night
    from productshot.store import Store


@dataclass(frozen=True)
class Run:
    """What a flow run was asked for; `sku` None means the whole catalog."""

    catalog: str
    store: str
    gallery: str | None = None
    sku: str | None = None
    redo: bool = False


def is_retryable(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Only errors that may pass by themselves: the store or a server did not answer."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ProductshotError) and error.retryable


RETRYING: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": [5, 30, 120],
    "retry_condition_fn": is_retryable,
    "cache_policy": NO_CACHE,  # the truth about a SKU is in the store, never in task states
    "persist_result": False,
}


@task(name="open", **RETRYING)
def open_all(catalog: str, store: str) -> tuple[Catalog, Store]:
    """The checked catalog and the proven store."""
    from productshot.catalog import load_catalog
    from productshot.store import open_store

    return load_catalog(Path(catalog)), open_store(store)


@task(name="plan", **RETRYING)
def plan(night: Night, redo: bool) -> None:
    """Refuse a night that would redo, or take down, more than it may."""
    from productshot.run import check_plan

    check_plan(night, redo)


@task(name="stage", task_run_name="{step}", **RETRYING)
def run_step(night: Night, step: str) -> None:
    """One stage for all SKUs of the run; a retry finds what is done."""
    made, adopted = night.ledger.made, night.ledger.adopted
    before = made.total(), adopted.total()
    getattr(night, step)()
    told = made.total() - before[0], adopted.total() - before[1]
    get_run_logger().info("%s: %d made, %d found done", step, *told)


@task(name="report", **RETRYING)
def tell(night: Night, night_id: str, began: datetime, gallery: str | None, key: str) -> dict[str, int]:
    """Write the night's report and its artifact; returns the counts."""
    from productshot.report import write_report
    from productshot.run import utc_now

    written = write_report(night, night_id, began, utc_now())
    markdown = night_markdown(written.report, written.html_key, gallery)
    create_markdown_artifact(markdown, key=key, description=f"night {night_id}")
    counts: dict[str, int] = written.report["counts"]
    return counts


def run_here(run: Run) -> dict[str, int]:
    """A night's steps as tasks, one after the other, in this process; returns the report's counts."""
    from productshot.catalog import known_skus
    from productshot.night import Night
    from productshot.progress import silent
    from productshot.run import STEPS, new_night_id, utc_now

    logging.getLogger("productshot").setLevel(logging.INFO)
    began = utc_now()
    night_id, key = new_night_id(began), "single-sku" if run.sku else "catalog-night"
    catalog, store = open_all(run.catalog, run.store)
    only = None if run.sku is None else known_skus(catalog, [run.sku])
    with Night(catalog, store, silent, only) as night:
        if only is None:
            plan(night, run.redo)
        for step in STEPS:
            run_step(night, step)
        return tell(night, night_id, began, run.gallery, key)
