"""Flow catalog-nightly: one night over the whole catalog."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows._runtime import CatalogRun, run_here


@flow(name="catalog-nightly", persist_result=False)
def catalog_nightly(run: CatalogRun) -> dict[str, Any]:
    """Make, check and publish everything that is missing; run again, it resumes."""
    return run_here(run.catalog, run.store, None, run.redo, "catalog-night", run.gallery)
