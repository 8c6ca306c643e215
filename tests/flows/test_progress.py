"""What is shown of a long chunk: few requests, the last known state, nothing of a short one."""

from __future__ import annotations

import pytest
from prefect import flow
from shop import ask

from flows.progress import Shown
from productshot.chunks import of_turn
from productshot.progress import Progress


class Hours:
    """A clock that stands until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def artifacts(key: str) -> list[dict[str, object]]:
    """All artifacts under a key; one that was updated is one."""
    found: list[dict[str, object]] = ask("/artifacts/filter", {"artifacts": {"key": {"any_": [key]}}})
    return found


@pytest.mark.usefixtures("prefect_server")
def test_a_long_chunk_is_one_artifact_that_is_brought_up_to_date() -> None:
    """Of 3,600 reports in an hour 15 are shown, in one artifact that tells the last of them."""
    clock, times = Hours(), list[int]()

    @flow
    def chunk() -> None:
        shown = Shown("chunk-renders", "night n, chunk 3", clock)
        for second in range(3600):
            clock.now = second
            before = shown.due
            shown(Progress("renders", second, 3600, f"mug-{second}/beach"))
            if shown.due != before:
                times.append(second)

    chunk()
    (artifact,) = artifacts("chunk-renders")
    assert times[:5] == [15, 45, 105, 225, 465] and len(times) == 15
    assert artifact["data"] == pytest.approx(100 * times[-1] / 3600)
    assert artifact["description"] == (
        f"night n, chunk 3: renders {times[-1]} of 3600, last mug-{times[-1]}/beach"
    )


@pytest.mark.usefixtures("prefect_server")
def test_a_short_chunk_has_none() -> None:
    """What is done within the first wait is not shown."""

    @flow
    def chunk() -> None:
        shown = Shown("chunk-short", "night n, chunk 3")
        for done in range(1, 101):
            shown(Progress("cutouts", done, 100))

    chunk()
    assert artifacts("chunk-short") == []


def test_a_turn_tells_of_the_whole_chunk() -> None:
    """Half of the pictures of the second turn of 10 are 15 of 40 SKUs."""
    told = list[Progress]()
    of_turn(told.append, 10, 10, 40, Progress("renders", 30, 60, "mug-1/beach"))
    assert told == [Progress("renders", 15, 40, "mug-1/beach")]
