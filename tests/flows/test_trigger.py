"""The receiver's call of Prefect, against a server of its own."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings
from shop import ask
from test_nights import patiently

from flows._server import find_automation
from flows.automation import NAME, write_automation
from flows.single_sku import single_sku
from flows.trigger import open_teller, open_trigger
from productshot.errors import ConfigInvalid, StorageUnavailable


@pytest.fixture
def deployment() -> object:
    """The id of a deployment single-sku/told that nobody serves."""
    made = single_sku.to_deployment("told", parameters={"catalog": "catalog.yaml", "store": "s3://shop"})
    return made.apply()


def runs_of(deployment: object) -> list[dict[str, object]]:
    """The parameters of all runs of a deployment."""
    with get_client(sync_client=True) as client:
        asked = {"deployments": {"id": {"any_": [str(deployment)]}}}
        return [run["parameters"] for run in client.request("POST", "/flow_runs/filter", json=asked).json()]


@pytest.mark.usefixtures("prefect_server")
def test_one_key_is_one_run(deployment: object) -> None:
    """Asked twice with one key: one run, with the deployment's parameters and the SKU; another key is another."""
    start = open_trigger("single-sku/told")
    start("mug-1", "photos-mug-1-1-aa")
    start("mug-1", "photos-mug-1-1-aa")
    assert runs_of(deployment) == [{"catalog": "catalog.yaml", "store": "s3://shop", "sku": "mug-1"}]
    start("mug-1", "photos-mug-1-2-bb")
    assert len(runs_of(deployment)) == 2


@pytest.mark.usefixtures("prefect_server")
def test_a_deployment_that_is_not_there() -> None:
    """One line with the remedy."""
    with pytest.raises(ConfigInvalid, match="deployment single-sku/none is not on the Prefect server; start"):
        open_trigger("single-sku/none")


@pytest.mark.usefixtures("worker")
def test_an_event_starts_a_run() -> None:
    """Told twice with one key the server's automation makes one run of single-sku/now with the SKU of the event."""
    tell, name = open_teller(), f"mug {secrets.token_hex(4)}"
    tell(name, f"photos-{name}-1-aa")
    tell(name, f"photos-{name}-1-aa")
    made = patiently(lambda: runs_for(name) or None)
    tell(f"{name} too", f"photos-{name}-2-bb")  # what comes after both has come when the second did
    patiently(lambda: runs_for(f"{name} too") or None)
    assert len(runs_for(name)) == len(made) == 1
    assert made[0]["created_by"]["type"] == "AUTOMATION"


def runs_for(sku: str) -> list[dict[str, Any]]:
    """All runs that were asked for a SKU."""
    runs = ask("/flow_runs/filter", {"flows": {"name": {"any_": ["single-sku"]}}})
    return [run for run in runs if run["parameters"]["sku"] == sku]


@pytest.mark.usefixtures("worker")
def test_the_automation_is_written_once() -> None:
    """Deployed again it is the same one, and it stays disabled where somebody disabled it."""
    before = find_automation(NAME)
    with get_client(sync_client=True) as client:
        client.request("PATCH", f"/automations/{before}", json={"enabled": False})
        write_automation()
        (found,) = ask("/automations/filter", {"automations": {"name": {"any_": [NAME]}}})
        client.request("PATCH", f"/automations/{before}", json={"enabled": True})
    assert (found["id"], found["enabled"]) == (before, False)


def test_no_server_is_named() -> None:
    """Prefect would start a throw-away server of its own: refused."""
    with (
        temporary_settings(restore_defaults={PREFECT_API_URL}),
        pytest.raises(ConfigInvalid, match="PREFECT_API_URL is not set"),
    ):
        open_trigger("single-sku/now")


def test_a_server_that_is_down() -> None:
    """Retryable, and the address with its password is not told."""
    with (
        temporary_settings({PREFECT_API_URL: "http://user:hidden@127.0.0.1:9/api"}),
        pytest.raises(
            StorageUnavailable, match=r"^Prefect server does not answer: \w+; is it running\? run it again"
        ) as down,
    ):
        open_trigger("single-sku/now")
    assert "hidden" not in str(down.value)
