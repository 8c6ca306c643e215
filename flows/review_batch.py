"""Flow review-batch: asks a person about the pictures of a night that the gates could not decide.

It suspends as its first act, so nobody's process waits; resumed, it runs from the top, and what stands before the
question is cheap the second time: thumbnails are in the store, the sheet follows from the night's report.
"""

from __future__ import annotations

from datetime import timedelta

from prefect import flow, get_run_logger, task
from prefect.artifacts import create_markdown_artifact
from prefect.flow_runs import suspend_flow_run
from prefect.runtime import flow_run
from pydantic import BaseModel, Field

from flows._runtime import RETRYING, SINGLE_SKU, open_store_of
from flows._server import Wanted, start_runs
from flows.sheet import form_of, outcome_markdown, sheet_markdown

OPEN_FOR = timedelta(days=7)
"""Then the run fails, and the pictures go on waiting: the next night asks again."""
FIELDS = ("reject", "redo", "vary")


class ReviewRun(BaseModel):
    """One contact sheet of a night. The night's report starts these."""

    store: str = Field(description="a folder or s3://bucket/prefix")
    night: str = Field(description="the night's id, as in nights/<id>/", min_length=1)
    sheet: int = Field(0, description="which sheet of the night, 50 pictures each", ge=0)


@flow(name="review-batch", flow_run_name="{asked.night} review {asked.sheet}", persist_result=False)
def review_batch(asked: ReviewRun) -> dict[str, int]:
    """Show the sheet, wait for the answer, record it, and start what follows; returns the decisions by word."""
    from productshot.chunks import read_night
    from productshot.contact import make_sheet
    from productshot.review import Answer, record
    from productshot.run import utc_now

    store = open_store_of(asked.store)
    told, sheet = read_night(store, asked.night), make_sheet(store, asked.night, asked.sheet)
    if not sheet.shown:
        get_run_logger().info("nothing to decide; %s", "; ".join(sheet.refused) or "no picture waits")
        return {}
    markdown = sheet_markdown(sheet, asked.night, told.gallery)
    if flow_run.run_count == 1:
        create_markdown_artifact(markdown, key="contact-sheet", description=f"night {asked.night}")
    form = form_of(sheet).with_initial_data(description=markdown)
    said = suspend_flow_run(wait_for_input=form, timeout=round(OPEN_FOR.total_seconds()))
    render_of = {one.label: one.entry["render"] for one in sheet.shown}
    words = {name: [render_of[label] for label in getattr(said, name)] for name in FIELDS}
    answer = Answer(said.reviewer.strip(), **words, rest=said.rest, reason=said.reason, more=said.more)
    done = record(store, [one.entry for one in sheet.shown], answer, utc_now())
    create_markdown_artifact(outcome_markdown(done), key="review-outcome", description=f"night {asked.night}")
    where = {"store": asked.store, "gallery": told.gallery} | (
        {"catalog": told.source} if told.source else {}
    )
    run_again(str(flow_run.id), list(done.skus), where)
    return done.counts


@task(name="dispatch", **RETRYING)
def run_again(review: str, skus: list[str], where: dict[str, str | None]) -> None:
    """One run per SKU that somebody decided on: it publishes, takes out, or paints again."""
    start_runs([Wanted(SINGLE_SKU, f"{review}/{sku}", {"sku": sku, **where}) for sku in skus])
