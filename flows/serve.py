"""Serves both deployments to the Prefect server of PREFECT_API_URL: `python -m flows.serve CATALOG STORE CRON GALLERY`."""

from __future__ import annotations

import sys

from prefect import serve

from flows._runtime import CatalogRun
from flows.catalog_nightly import catalog_nightly
from flows.single_sku import single_sku


def main(catalog: str, store: str, cron: str, gallery: str) -> None:
    """Create both deployments and run what is scheduled or triggered, until a signal ends it."""
    run = CatalogRun(catalog=catalog, store=store, gallery=gallery)
    nightly = catalog_nightly.to_deployment(
        "nightly",
        cron=cron,
        concurrency_limit=1,
        parameters={"run": run.model_dump()},
        tags=["productshot"],
    )
    defaults = {"sku": "", "catalog": catalog, "store": store, "gallery": gallery}
    single = single_sku.to_deployment("now", parameters={"run": defaults}, tags=["productshot"])
    serve(nightly, single, limit=2)


if __name__ == "__main__":
    main(*sys.argv[1:])
