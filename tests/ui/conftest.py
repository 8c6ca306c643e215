"""The real thing for the UI tests: `productshot up` over a small drawn shop, and a headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.ui.started import Running, a_shop, brought_up

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the UI asks a telemetry host, whatever the settings
]


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """`productshot up` until the end of the tests."""
    folder = tmp_path_factory.mktemp("up")
    catalog, store = a_shop(folder)
    try:
        with brought_up(folder, catalog, store) as up:
            yield up
    finally:
        print((folder / "up.log").read_text())


@pytest.fixture(scope="session")
def night(running: Running) -> dict[str, Any]:
    """The flow run that closed a night, which was triggered by hand and made by chunk runs."""
    dispatched = running.run("catalog-nightly/nightly", {})
    assert dispatched["state_type"] == "COMPLETED", dispatched["state"]["message"]
    return running.closing(running.night_of(dispatched))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium without a screen."""
    chromium = shutil.which("chromium")
    assert chromium, "chromium is not installed; run `make test-ui`"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS, timeout=120_000)
        yield started
        started.close()
