"""The real thing for the UI tests: `productshot up` over a small drawn shop, and a headless Chromium."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright
from started import START_S, Running, a_shop, free_ports, patiently

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
    """`productshot up` with a Prefect home of its own, until the end of the tests."""
    folder, port = tmp_path_factory.mktemp("up"), free_ports()
    catalog, store = a_shop(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = str(folder / "prefect")
    command = [
        Path(sys.executable).with_name("productshot"),
        "up",
        catalog,
        "--store",
        store,
        "--port",
        str(port),
    ]
    log = folder / "up.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True
        )
        try:
            patiently(
                lambda: {} if "Prefect UI:" in log.read_text() or process.poll() is not None else None,
                START_S,
            )
            assert process.poll() is None, log.read_text()
            yield Running(process, store, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}")
        finally:
            process.terminate()
            process.wait(60)
            print(log.read_text())


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
