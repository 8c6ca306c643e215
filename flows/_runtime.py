"""What every flow shares: its parameters, the tasks that call one step each, and which errors are worth a retry."""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task
from pydantic import BaseModel, Field

from flows.artifact import night_markdown
from productshot.errors import ProductshotError


class CatalogRun(BaseModel):
    """One night over a catalog."""

    catalog: str = Field(description="path of the catalog file on the machine that runs this")
    store: str = Field(description="a folder or s3://bucket/prefix")
    redo: bool = Field(False, description="redo finished SKUs after a changed recipe or model")
    gallery: str | None = Field(None, description="address under which browsers reach the store's pictures")


class SkuRun(BaseModel):
    """One SKU now."""

    sku: str = Field(description="a SKU of the catalog")
    catalog: str = Field(description="path of the catalog file on the machine that runs this")
    store: str = Field(description="a folder or s3://bucket/prefix")
    gallery: str | None = Field(None, description="address under which browsers reach the store's pictures")


def is_retryable(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    """Only errors that may pass by themselves: the store or a server did not answer."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, ProductshotError) and error.retryable


RETRYING: dict[str, Any] = {
    "retries": 3,
    "retry_delay_seconds": [5, 30, 120],
    "retry_condition_fn": is_retryable,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}


@task(name="plan", **RETRYING)
def check_plan(night: Any, max_invalidated: float) -> None:
    """Refuse a night that would redo more than it may."""
    from productshot.plan import plan_night, refuse_large_redo
    from productshot.review import last_report

    refuse_large_redo(plan_night(night, last_report(night.ledger.store)), max_invalidated)


@task(name="stage", task_run_name="{step}", **RETRYING)
def run_step(night: Any, step: str) -> dict[str, int]:
    """One stage for all SKUs of the run."""
    getattr(night, step)()
    told = {"made": sum(night.ledger.made.values()), "found done": sum(night.ledger.adopted.values())}
    get_run_logger().info("%s: %s so far", step, told)
    return told


@task(name="report", **RETRYING)
def report(night: Any, night_id: str, began: datetime, key: str, gallery: str | None) -> dict[str, Any]:
    """Write the night's report and its artifact."""
    from productshot.report import write_report
    from productshot.run import utc_now

    written = write_report(night, night_id, began, utc_now())
    markdown = night_markdown(written.report, written.html_key, gallery)
    create_markdown_artifact(markdown, key=key, description=f"night {night_id}")
    counts: dict[str, Any] = written.report["counts"]
    return counts


def run_here(
    catalog: str, store: str, only: list[str] | None, redo: bool, key: str, gallery: str | None
) -> dict[str, Any]:
    """The steps of a night as tasks, one after the other; returns the report's counts."""
    from productshot.catalog import load_catalog
    from productshot.night import Night
    from productshot.progress import silent
    from productshot.run import STEPS, new_night_id, utc_now
    from productshot.store import open_store

    logging.getLogger("productshot").setLevel(logging.INFO)
    loaded, opened, began = load_catalog(Path(catalog)), open_store(store), utc_now()
    if only is None and not redo:
        with Night(loaded, opened, silent) as looked_at:
            check_plan(looked_at, loaded.night.max_invalidated)
    with Night(loaded, opened, silent, only) as night:
        for step in STEPS:
            run_step(night, step)
        return report(night, new_night_id(began), began, key, gallery)
