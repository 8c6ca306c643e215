"""Flow single-sku: one SKU now, all its stages in one run."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from pydantic import Field

from flows._runtime import RETRYING, load, open_store_of
from flows.artifact import night_markdown

if TYPE_CHECKING:
    from catalog_schemas import Catalog
    from productshot.night import Night
    from productshot.store import Store


@flow(name="single-sku", flow_run_name="sku-{sku}", persist_result=False)
def single_sku(
    sku: Annotated[str, Field(min_length=1)], catalog: str, store: str, gallery: str | None = None
) -> dict[str, int]:
    """Make, check and publish what is missing of one SKU. It waits for nobody: its queue has one run at a time.

    Args:
        sku: a SKU of the catalog
        catalog: path of the catalog file on the machine that runs this
        store: a folder or s3://bucket/prefix
        gallery: address under which browsers reach the store's pictures
    """
    from productshot.catalog import known_skus
    from productshot.night import Night
    from productshot.progress import silent
    from productshot.run import STEPS, utc_now

    began = utc_now()
    loaded, opened = open_all(catalog, store)
    with Night(loaded, opened, silent, known_skus(loaded, [sku])) as night:
        for step in STEPS:
            run_step(night, step)
        return tell(night, began, gallery)


@task(name="open", **RETRYING)
def open_all(catalog: str, store: str) -> tuple[Catalog, Store]:
    """The checked catalog and the proven store."""
    return load(catalog), open_store_of(store)


@task(name="stage", task_run_name="{step}", **RETRYING)
def run_step(night: Night, step: str) -> None:
    """One stage; a retry finds what is done."""
    made, adopted = night.ledger.made, night.ledger.adopted
    before = made.total(), adopted.total()
    getattr(night, step)()
    told = made.total() - before[0], adopted.total() - before[1]
    get_run_logger().info("%s: %d made, %d found done", step, *told)


@task(name="report", **RETRYING)
def tell(night: Night, began: datetime, gallery: str | None) -> dict[str, int]:
    """Write the report and its artifact; returns the counts."""
    from productshot.report import write_report
    from productshot.run import new_night_id, utc_now

    night_id = new_night_id(began)
    written = write_report(night, night_id, began, utc_now())
    markdown = night_markdown(written.report, written.html_key, gallery)
    create_markdown_artifact(markdown, key="single-sku", description=f"night {night_id}")
    counts: dict[str, int] = written.report["counts"]
    return counts
