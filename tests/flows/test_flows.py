"""The flows against a real Prefect server: one SKU, and which failures are tried again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import boto3
import pytest
from moto.server import ThreadedMotoServer
from prefect.states import Failed
from shop import Outage, Shop, a_shop, ask

from flows._runtime import is_retryable
from flows.catalog_nightly import NightRun, catalog_nightly
from flows.single_sku import single_sku
from productshot.errors import ConfigInvalid, ProductshotError, StorageRefused, StorageUnavailable
from productshot.store import Store, open_store

S3_ATTEMPTS = 5
"""How often boto3 itself tries one call (productshot.s3.SETTINGS)."""


def artifact(key: str) -> str:
    """The newest artifact's markdown with this key."""
    (found,) = ask("/artifacts/latest/filter", {"artifacts": {"key": {"any_": [key]}}})
    data: str = found["data"]
    return data


def task_runs(flow_run: UUID, name: str) -> list[dict[str, Any]]:
    """The flow run's task runs with this name once one has ended: Prefect records them after the fact."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = ask("/task_runs/filter", {"flow_runs": {"id": {"any_": [str(flow_run)]}}})
        if any(run["state_type"] in ("COMPLETED", "FAILED") for run in runs if run["name"].startswith(name)):
            return [run for run in runs if run["name"].startswith(name)]
        time.sleep(0.5)
    raise TimeoutError(f"no task run {name} of {flow_run} was recorded")


@pytest.mark.usefixtures("prefect_server")
def test_single_sku_leaves_the_others_alone(shop: Shop, store: Store) -> None:
    """Only the SKU that was asked for is worked on."""
    counts = single_sku("mug-2", shop.catalog, shop.store)
    assert (counts["skus"], counts["done"]) == (1, 1)
    assert list(store.list_prefixes("work/")) == ["work/mug-2/"]
    assert artifact("single-sku").startswith("# 1 of 1 SKUs have assets")


@pytest.mark.usefixtures("prefect_server")
def test_unknown_sku_is_refused(shop: Shop, store: Store) -> None:
    """A SKU that the catalog lacks is refused with the nearest name, and nothing is made."""
    with pytest.raises(ConfigInvalid) as caught:
        single_sku("mug-3", shop.catalog, shop.store)
    assert str(caught.value) == "SKU 'mug-3' is not in the catalog; did you mean 'mug-2'?"
    assert list(store.list_prefixes("work/")) == []


@pytest.mark.usefixtures("prefect_server")
def test_config_error_is_not_tried_again(tmp_path: Path) -> None:
    """A catalog file that is not there fails the flow at once: one run of one task, the reason in its state."""
    asked = NightRun(catalog=str(tmp_path / "none.yaml"), store=str(tmp_path))
    state: Any = catalog_nightly(asked, return_state=True)
    assert state.is_failed()
    assert f"{tmp_path / 'none.yaml'} cannot be read" in state.message
    (planned,) = task_runs(state.state_details.flow_run_id, "plan")
    assert (planned["state_type"], planned["run_count"]) == ("FAILED", 1)


@pytest.fixture
def outage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Outage]:
    """An S3 server whose first connections are dropped: more than boto3's own tries cover, fewer than ours do."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "demokey",
        "AWS_SECRET_ACCESS_KEY": "demosecret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }.items():
        monkeypatch.setenv(name, value)
    proxy = Outage(port, drops=S3_ATTEMPTS + 2)
    yield proxy
    proxy.end()
    server.stop()


@pytest.mark.usefixtures("prefect_server")
def test_unavailable_store_is_tried_again(
    outage: Outage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket whose server does not answer at first costs a retry of the task, not the night."""
    bucket = f"shop-{secrets.token_hex(4)}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    shop = a_shop(tmp_path, open_store(f"s3://{bucket}/here", probe=False))
    monkeypatch.setenv("AWS_ENDPOINT_URL", outage.address)
    counts = single_sku("mug-1", shop.catalog, shop.store)
    assert counts["done"] == 1
    assert outage.over


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (StorageUnavailable("store", "does not answer"), True),
        (StorageRefused("store", "forbids"), False),
        (ConfigInvalid("catalog", "is wrong"), False),
        (ValueError("a mistake of ours"), False),
    ],
)
def test_only_what_may_pass_is_tried_again(error: ProductshotError, wanted: bool) -> None:
    """The predicate follows the error's own word; foreign errors are mistakes and are never tried again."""
    state: Any = Failed(data=error)
    task: Any = None
    assert is_retryable(task, task, state) is wanted
