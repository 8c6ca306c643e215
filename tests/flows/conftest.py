"""One Prefect server for all flow tests of this process, and the shop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from shop import Shop, a_shop

from productshot.store import Store, open_store


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    """A temporary server; heartbeats are off because each sync flow would wait a second for its own."""
    from prefect.settings import PREFECT_FLOWS_HEARTBEAT_FREQUENCY, temporary_settings
    from prefect.testing.utilities import prefect_test_harness

    with (
        prefect_test_harness(server_startup_timeout=120),
        temporary_settings({PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}),
    ):
        yield


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An empty folder store."""
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def shop(tmp_path: Path, store: Store) -> Shop:
    """The small shop in the folder store."""
    return a_shop(tmp_path, store)
