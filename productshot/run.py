"""Run a whole night here, in this process: the embedded default, and what a Prefect flow does task by task."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from catalog_schemas import Catalog
from productshot.night import Night, night_id
from productshot.plan import Plan, plan_night, refuse_large_departure, refuse_large_redo
from productshot.progress import ReportProgress
from productshot.report import Written, write_report
from productshot.review import last_report
from productshot.store import Store

STEPS = ("photos", "cutouts", "adapters", "renders", "assets", "departures")


def new_night_id(now: datetime) -> str:
    """The id of a night that begins now; two that begin in one microsecond differ."""
    return night_id(now, secrets.token_hex(2))


def utc_now() -> datetime:
    """The clock of everything that a report tells."""
    return datetime.now(UTC)


def check_plan(night: Night, redo: bool) -> Plan:
    """What the night would do.

    ConfigInvalid when it would take down more than `max_unpublished`, or redo more than `max_invalidated`; the second
    is allowed with `redo`.
    """
    planned, settings = plan_night(night, last_report(night.ledger.store)), night.catalog.night
    refuse_large_departure(planned, settings.max_unpublished)
    if not redo:
        refuse_large_redo(planned, settings.max_invalidated)
    return planned


def run_night(
    catalog: Catalog,
    store: Store,
    report: ReportProgress,
    clock: Callable[[], datetime] = utc_now,
    only: Sequence[str] | None = None,
    redo: bool = False,
) -> Written:
    """One night over the catalog (or over the SKUs of `only`), from photos to published assets and the report.

    ConfigInvalid as `check_plan` says.
    """
    began = clock()
    with Night(catalog, store, report, only) as night:
        if only is None:
            check_plan(night, redo)
        for step in STEPS:
            getattr(night, step)()
        return write_report(night, new_night_id(began), began, clock())
