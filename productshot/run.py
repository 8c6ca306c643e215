"""Run a whole night here, in this process: the embedded default, and what a Prefect flow does task by task."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from catalog_schemas import Catalog
from productshot.night import Night
from productshot.plan import plan_night, refuse_large_redo
from productshot.progress import ReportProgress
from productshot.report import Written, write_report
from productshot.review import last_report
from productshot.store import Store

STEPS = ("photos", "cutouts", "adapters", "renders", "assets")


def new_night_id(now: datetime) -> str:
    """Sorts by time; two nights in one second differ."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def utc_now() -> datetime:
    """The clock of everything that a report tells."""
    return datetime.now(UTC)


def run_night(
    catalog: Catalog,
    store: Store,
    report: ReportProgress,
    clock: Callable[[], datetime] = utc_now,
    only: Sequence[str] | None = None,
    redo: bool = False,
) -> Written:
    """One night over the catalog (or over the SKUs of `only`), from photos to published assets and the report.

    ConfigInvalid when a changed recipe or model would redo more of the catalog than `max_invalidated`, unless `redo`.
    """
    began = clock()
    with Night(catalog, store, report, only) as night:
        if not redo and only is None:
            refuse_large_redo(plan_night(night, last_report(store)), catalog.night.max_invalidated)
        for step in STEPS:
            getattr(night, step)()
        return write_report(night, new_night_id(began), began, clock())
