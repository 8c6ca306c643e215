"""Flow single-sku: one SKU now."""

from __future__ import annotations

from typing import Annotated

from prefect import flow
from pydantic import Field

from flows._runtime import Run, run_here


@flow(name="single-sku", flow_run_name="sku-{sku}", persist_result=False)
def single_sku(
    sku: Annotated[str, Field(min_length=1)], catalog: str, store: str, gallery: str | None = None
) -> dict[str, int]:
    """Make, check and publish what is missing of one SKU.

    Args:
        sku: a SKU of the catalog
        catalog: path of the catalog file on the machine that runs this
        store: a folder or s3://bucket/prefix
        gallery: address under which browsers reach the store's pictures
    """
    return run_here(Run(catalog, store, gallery, sku=sku))
