"""A night killed in the middle, started again, ends with the same keys and the same bytes as an undisturbed one."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import put_photo, tree_of, write_catalog

COMMAND = [sys.executable, "-c", "from productshot.cli import main; main()", "night"]
TINY = {
    "adapters": {"steps": 3, "batch": 2, "prior_images": 1},
    "renders": {"steps": 3},
    "gates": {"max_missing": 1, "max_expansion": 50, "max_delta_e": 100, "max_draw_delta_e": 100},
}
PAINTED: dict[str, Any] = {
    "scenes": ["wooden-table", "sandy-beach"],
    "recipes": TINY,
    "night": {"slots": 1, "checkpoint_every_s": 0.001},
}
"""Keep and draw with so few steps that every picture is noise, and gates that let it by.

With one slot a product trains alone in every night, however many are left to train. After every step there is a
checkpoint.
"""


def start(root: Path, skus: int, catalog: dict[str, Any]) -> subprocess.Popen[bytes]:
    named = [{"sku": f"mug-{n}", "noun": "mug"} for n in range(skus)]
    path = write_catalog(root.parent / "catalog.yaml", skus=named, **catalog)
    return subprocess.Popen(
        [*COMMAND, path, "--store", root], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def shop(root: Path, skus: int) -> Path:
    for number in range(skus):
        put_photo(root, f"mug-{number}", shift=10 * number)
    return root


def outputs(root: Path) -> int:
    return sum(1 for folder in ("work", "catalog") for path in (root / folder).rglob("*") if path.is_file())


def kill_and_compare(tmp_path: Path, skus: int, catalog: dict[str, Any], kills: tuple[int, ...]) -> None:
    """SIGKILL once so many outputs exist, for each of the kills; then a night that is left alone."""
    undisturbed, killed = shop(tmp_path / "a" / "store", skus), shop(tmp_path / "b" / "store", skus)
    assert start(undisturbed, skus, catalog).wait(300) == 0
    for after in kills:
        night = start(killed, skus, catalog)
        deadline = time.monotonic() + 300
        while outputs(killed) < after and night.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
        night.send_signal(signal.SIGKILL)
        assert night.wait(60) == -signal.SIGKILL
    assert start(killed, skus, catalog).wait(300) == 0
    assert tree_of(killed, "work", "catalog") == tree_of(undisturbed, "work", "catalog")


@pytest.mark.parametrize("after", [5, 14])
def test_a_killed_night_resumes_to_the_same_bytes(tmp_path: Path, after: int) -> None:
    """Packshots of four SKUs: the rerun adopts what exists and leaves no trace of the accident."""
    kill_and_compare(tmp_path, 4, {}, (after,))


@pytest.mark.slow
def test_a_night_killed_in_every_stage_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    """Two SKUs' adapters, keep and draw: killed after the cutouts, in a training, after it and among the renders."""
    kill_and_compare(tmp_path, 2, PAINTED, (8, 9, 10, 17))
