"""Flow catalog-nightly: plan a night, write its chunks, start their first runs, end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prefect import flow, get_run_logger, task
from prefect.runtime import flow_run
from pydantic import BaseModel, Field

from flows._runtime import RETRYING, load, open_store_of, runs_due
from flows._server import start_runs

if TYPE_CHECKING:
    from productshot.chunks import ChunkedNight


class NightRun(BaseModel):
    """One night over the whole catalog."""

    catalog: str = Field(description="path of the catalog file on the machine that runs this")
    store: str = Field(description="a folder or s3://bucket/prefix")
    redo: bool = Field(
        False, description="redo finished SKUs after a changed recipe or model, however many they are"
    )
    gallery: str | None = Field(None, description="address under which browsers reach the store's pictures")


@flow(name="catalog-nightly", persist_result=False)
def catalog_nightly(asked: NightRun) -> str:
    """Dispatch everything that is missing; chunk runs make, check and publish it. Run again, it resumes.

    Returns the night's id; it follows from the run, so a run that is queued again goes on with its own night.
    """
    from productshot.night import night_id

    began = datetime.fromtimestamp(
        flow_run.scheduled_start_time.timestamp(), UTC
    )  # Prefect's own type loses its zone
    night = night_id(began, str(flow_run.id)[-4:])
    told = begin(asked, night, began)
    dispatch(asked.store, told)
    return night


@task(name="plan", **RETRYING)
def begin(asked: NightRun, night: str, began: datetime) -> ChunkedNight:
    """Plan the night and write its chunks, unless that is done."""
    from productshot.chunks import begin_night

    catalog, store = load(asked.catalog), open_store_of(asked.store)
    told = begin_night(catalog, store, night, began, asked.redo, asked.gallery, source=asked.catalog)
    get_run_logger().info("night %s: %d chunks, %d SKUs left out", night, told.chunks, len(told.left))
    return told


@task(name="dispatch", **RETRYING)
def dispatch(store: str, told: ChunkedNight) -> None:
    """Start what is due, each run once."""
    from productshot.chunks import due

    start_runs(runs_due(store, told, due(open_store_of(store), told)))
