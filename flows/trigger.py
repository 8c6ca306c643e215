"""Starts a SKU for the receiver of bucket notifications."""

from __future__ import annotations

from collections.abc import Callable

from prefect.settings import PREFECT_API_URL

from flows._server import Wanted, find_automation, find_deployment, start_runs, tell_event
from flows.automation import NAME, RESOURCE, SETTLED
from productshot.errors import ConfigInvalid


def open_trigger(deployment: str) -> Callable[[str, str], None]:
    """What starts a run of `deployment` ("single-sku/now") for a SKU under an idempotency key.

    ConfigInvalid: no server is named, or it has no such deployment. StorageUnavailable: it does not answer, now or
    when a run is started.
    """
    refuse_no_server()
    find_deployment(deployment)

    def start(sku: str, key: str) -> None:
        start_runs([Wanted(deployment, key, {"sku": sku})])

    return start


def open_teller() -> Callable[[str, str], None]:
    """What tells Prefect by an event that a SKU's photos have settled, so that its automation starts the SKU.

    ConfigInvalid: no server is named, or it has no such automation. StorageUnavailable as `open_trigger` says.
    """
    refuse_no_server()
    find_automation(NAME)

    def start(sku: str, key: str) -> None:
        tell_event(SETTLED, f"{RESOURCE}.{sku}", {"sku": sku, "key": key}, key)

    return start


def refuse_no_server() -> None:
    """ConfigInvalid when no server is named: Prefect would start a throw-away one of its own."""
    if not PREFECT_API_URL.value():
        remedy = "set it, as http://127.0.0.1:4200/api"
        raise ConfigInvalid("PREFECT_API_URL", "is not set", "runs are started on a Prefect server", remedy)
