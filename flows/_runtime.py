"""What the flows share: which errors are worth a retry, a night's place in the store, and who starts what."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.tasks import Task

from flows._server import Wanted
from productshot.errors import ProductshotError

if TYPE_CHECKING:
    from catalog_schemas import Catalog
    from productshot.chunks import ChunkedNight, Due
    from productshot.store import Store

REPORT = "report/report"
REVIEW = "review-batch/review"
SINGLE_SKU = "single-sku/now"


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


def open_store_of(store: str) -> Store:
    """The store, proven; the library's own log goes to the run's log from here on."""
    from productshot.store import open_store

    logging.getLogger("productshot").setLevel(logging.INFO)
    return open_store(store)


def load(catalog: str) -> Catalog:
    """The checked catalog."""
    from productshot.catalog import load_catalog

    return load_catalog(Path(catalog))


def chunk_run(store: str, night: str, item: Due) -> Wanted:
    """The run of a chunk's stage; its key is the same whoever asks for it."""
    asked = {"store": store, "night": night, "chunk": item.chunk}
    return Wanted(f"chunk-{item.stage}/chunk", f"{night}/{item.stage}/{item.chunk}", {"asked": asked})


def report_run(store: str, night: str) -> Wanted:
    """The run that closes a night."""
    return Wanted(REPORT, f"{night}/report", {"asked": {"store": store, "night": night}})


def runs_due(store: str, told: ChunkedNight, items: Sequence[Due]) -> list[Wanted]:
    """What a night needs now: its due stages, or its report when none is left."""
    return [chunk_run(store, told.night, item) for item in items] or [report_run(store, told.night)]
