"""Flow single-sku: one SKU now."""

from __future__ import annotations

from typing import Any

from prefect import flow

from flows._runtime import SkuRun, run_here


@flow(name="single-sku", flow_run_name="sku-{run.sku}", persist_result=False)
def single_sku(run: SkuRun) -> dict[str, Any]:
    """Make, check and publish what is missing of one SKU."""
    return run_here(run.catalog, run.store, [run.sku], True, "single-sku", run.gallery)
