"""Starts a run of flow single-sku for the receiver of bucket notifications."""

from __future__ import annotations

from collections.abc import Callable

import httpx
from prefect.client.orchestration import get_client
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL

from productshot.errors import ConfigInvalid, StorageUnavailable


def open_trigger(deployment: str) -> Callable[[str, str], None]:
    """What starts a run of `deployment` ("single-sku/now") for a SKU under an idempotency key.

    ConfigInvalid: no server is named, or it has no such deployment. StorageUnavailable: it does not answer, now or
    when a run is started.
    """
    if not PREFECT_API_URL.value():
        remedy = "set it, as http://127.0.0.1:4200/api"
        raise ConfigInvalid("PREFECT_API_URL", "is not set", "runs are started on a Prefect server", remedy)
    _ask_for(deployment)

    def start(sku: str, key: str) -> None:
        try:
            run_deployment(
                deployment,
                parameters={"sku": sku},
                flow_run_name=f"sku-{sku}",
                tags=["productshot", "photos"],
                idempotency_key=key,
                timeout=0,
                as_subflow=False,
            )
        except (httpx.HTTPError, ObjectNotFound, PrefectHTTPStatusError) as error:
            raise _unavailable(f"could not start SKU {sku}", error) from error

    return start


def _ask_for(deployment: str) -> None:
    """ConfigInvalid when the server has no such deployment."""
    try:
        with get_client(sync_client=True) as client:
            client.read_deployment_by_name(deployment)
    except ObjectNotFound as error:
        limit = "the server of PREFECT_API_URL has none of this name"
        remedy = "run `productshot up` or `prefect deploy`, or name another with --deployment"
        raise ConfigInvalid(f"deployment {deployment}", "does not exist", limit, remedy) from error
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise _unavailable("does not answer", error) from error


def _unavailable(told: str, error: Exception) -> StorageUnavailable:
    """The kind of error alone: its text may hold an address with credentials."""
    return StorageUnavailable("Prefect server", told, type(error).__name__, "run it again once it is up")
