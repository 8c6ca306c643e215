"""Flow report: closes a night with one report of all its chunks."""

from __future__ import annotations

import json
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact
from pydantic import BaseModel, Field

from flows._runtime import RETRYING, REVIEW, open_store_of
from flows._server import Wanted, start_runs
from flows.artifact import night_markdown


class ReportRun(BaseModel):
    """The report of one night. The last chunk of a night and the sweeper start it."""

    store: str = Field(description="a folder or s3://bucket/prefix")
    night: str = Field(description="the night's id, as in nights/<id>/", min_length=1)


@flow(name="report", flow_run_name="{asked.night} report", persist_result=False)
def report(asked: ReportRun) -> dict[str, int]:
    """Merge what the chunks left into report.json, report.html and the artifact, and ask people; returns the counts."""
    found = tell(asked)
    ask_people(asked, found)
    counts: dict[str, int] = found["counts"]
    return counts


@task(name="report", **RETRYING)
def tell(asked: ReportRun) -> dict[str, Any]:
    """The night's report, written now unless it is there."""
    from productshot.chunks import close_night, is_closed, read_night
    from productshot.contact import worst_of
    from productshot.run import utc_now

    store = open_store_of(asked.store)
    told = read_night(store, asked.night)
    if not is_closed(store, asked.night):
        close_night(store, told, utc_now())
    found: dict[str, Any] = json.loads(store.get(f"nights/{asked.night}/report.json"))
    worst = worst_of(store, found)
    markdown = night_markdown(found, f"nights/{asked.night}/report.html", told.gallery, worst)
    create_markdown_artifact(markdown, key="catalog-night", description=f"night {asked.night}")
    return found


@task(name="ask people", **RETRYING)
def ask_people(asked: ReportRun, found: dict[str, Any]) -> None:
    """Start a review for each sheet of pictures that wait for a person."""
    from productshot.contact import sheets_of

    place = {"store": asked.store, "night": asked.night}
    sheets = range(sheets_of(found))
    start_runs(
        [Wanted(REVIEW, f"{asked.night}/review/{n}", {"asked": {**place, "sheet": n}}) for n in sheets]
    )
