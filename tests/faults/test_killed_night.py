"""A night killed in the middle, started again, ends with the same keys and the same bytes as an undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import put_photo, tree_of, write_catalog

COMMAND = [sys.executable, "-c", "from productshot.cli import main; main()", "night"]


def start(root: Path) -> subprocess.Popen[bytes]:
    catalog = write_catalog(
        root.parent / "catalog.yaml", skus=[{"sku": f"mug-{n}", "noun": "mug"} for n in range(4)]
    )
    return subprocess.Popen(
        [*COMMAND, catalog, "--store", root], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def shop(root: Path) -> Path:
    for number in range(4):
        put_photo(root, f"mug-{number}", shift=10 * number)
    return root


def outputs(root: Path) -> int:
    return sum(1 for folder in ("work", "catalog") for path in (root / folder).rglob("*") if path.is_file())


@pytest.mark.parametrize("after", [5, 14])
def test_a_killed_night_resumes_to_the_same_bytes(tmp_path: Path, after: int) -> None:
    """SIGKILL once `after` outputs exist; the rerun adopts them and leaves no trace of the accident."""
    undisturbed, killed = shop(tmp_path / "a" / "store"), shop(tmp_path / "b" / "store")
    assert start(undisturbed).wait(300) == 0
    night = start(killed)
    deadline = time.monotonic() + 300
    while outputs(killed) < after and night.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    night.send_signal(signal.SIGKILL)
    assert night.wait(60) in (-signal.SIGKILL, 0)
    assert start(killed).wait(300) == 0
    assert tree_of(killed, "work", "catalog") == tree_of(undisturbed, "work", "catalog")
