"""One Prefect server for all flow tests of this process, and the shop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty folder store."""
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def shop(tmp_path: Path, store: Store) -> Shop:
    """The small shop in the folder store."""
    return a_shop(tmp_path, store)
