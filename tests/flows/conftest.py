"""One Prefect server and one worker for all flow tests of this process, and the shop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from shop import Shop, a_shop

from productshot.store import Store, open_store


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A temporary server without telemetry; heartbeats are off, a sync flow would wait a second for its own."""
    from prefect.settings import (
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
        PREFECT_SERVER_ANALYTICS_ENABLED,
        temporary_settings,
    )
    from prefect.settings.legacy import Setting
    from prefect.testing.utilities import prefect_test_harness

    quiet: dict[Setting, Any] = {
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
    }
    with temporary_settings(quiet), prefect_test_harness(server_startup_timeout=300):
        yield


@pytest.fixture(scope="session")
def worker(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[psutil.Process]:
    """All deployments, and a real process worker that serves them; its log is printed at the end."""
    from prefect.settings import PREFECT_API_URL

    from flows.deploy import POOL, deploy

    folder = tmp_path_factory.mktemp("worker")
    nowhere = str(folder / "nowhere")
    deploy(nowhere, nowhere, "0 2 29 2 *", "UTC", None, sweep_every=timedelta(days=30))
    environment = {
        **os.environ,
        "PREFECT_API_URL": str(PREFECT_API_URL.value()),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
    }
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
    log = folder / "worker.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            yield psutil.Process(process.pid)
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:  # it waits for runs that a test left behind
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(30)
            print(log.read_text())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty folder store."""
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def shop(tmp_path: Path, store: Store) -> Shop:
    """The small shop in the folder store."""
    return a_shop(tmp_path, store)
