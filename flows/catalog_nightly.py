"""Flow catalog-nightly: one night over the whole catalog."""

from __future__ import annotations

from prefect import flow

from flows._runtime import Run, run_here


@flow(name="catalog-nightly", persist_result=False)
def catalog_nightly(
    catalog: str, store: str, redo: bool = False, gallery: str | None = None
) -> dict[str, int]:
    """Make, check and publish everything that is missing; run again, it resumes.

    Args:
        catalog: path of the catalog file on the machine that runs this
        store: a folder or s3://bucket/prefix
        redo: redo finished SKUs after a changed recipe or model, however many they are
        gallery: address under which browsers reach the store's pictures
    """
    return run_here(Run(catalog, store, gallery, redo=redo))
