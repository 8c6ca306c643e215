"""Starts a SKU for the receiver of bucket notifications."""

from __future__ import annotations

from collections.abc import Callable

from prefect.settings import PREFECT_API_URL

from flows._server import Wanted, refuse_missing, start_runs
from productshot.errors import ConfigInvalid


def open_trigger(deployment: str) -> Callable[[str, str], None]:
    """What starts a run of `deployment` ("single-sku/now") for a SKU under an idempotency key.

    ConfigInvalid: no server is named, or it has no such deployment. StorageUnavailable: it does not answer, now or
    when a run is started.
    """
    refuse_no_server()
    refuse_missing(deployment)

    def start(sku: str, key: str) -> None:
        start_runs([Wanted(deployment, key, {"sku": sku})])

    return start


def refuse_no_server() -> None:
    """ConfigInvalid when no server is named: Prefect would start a throw-away one of its own."""
    if not PREFECT_API_URL.value():
        remedy = "set it, as http://127.0.0.1:4200/api"
        raise ConfigInvalid("PREFECT_API_URL", "is not set", "runs are started on a Prefect server", remedy)
