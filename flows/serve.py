"""`python -m flows.serve CATALOG STORE CRON GALLERY`: serves both deployments to the server of PREFECT_API_URL."""

from __future__ import annotations

import sys

from prefect import serve
from prefect.deployments.runner import EntrypointType

from flows.catalog_nightly import catalog_nightly
from flows.single_sku import single_sku

RUNS_AT_ONCE = 2
"""A night and one urgent SKU beside it; more would only share the same machine."""


def main(catalog: str, store: str, cron: str, gallery: str) -> None:
    """Create both deployments and run what is scheduled or triggered, until a signal ends it."""
    here = {"catalog": catalog, "store": store, "gallery": gallery}
    nightly = catalog_nightly.to_deployment(
        "nightly",
        cron=cron,
        concurrency_limit=1,
        parameters=here,
        tags=["productshot"],
        entrypoint_type=EntrypointType.MODULE_PATH,
    )
    now = single_sku.to_deployment(
        "now", parameters=here, tags=["productshot"], entrypoint_type=EntrypointType.MODULE_PATH
    )
    serve(nightly, now, limit=RUNS_AT_ONCE)


if __name__ == "__main__":
    main(*sys.argv[1:])
