"""The ledger: done exactly once, adopted ever after."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from productshot.errors import InputRefused, InputTooSlow, StorageUnavailable
from productshot.folder import FolderStore
from productshot.keys import marker_key, shard_of
from productshot.ledger import Ledger, Task
from productshot.records import Measures, Record, Refusal

TASK = Task("mug-1", "gates", ("parent",), {"model": "m"})


def measured(number: float = 1.0) -> Measures:
    return Measures(render="r", numbers={"n": number}, not_valid={})


def test_a_task_is_made_once_and_found_ever_after(tmp_path: Path) -> None:
    """The second ledger makes nothing."""
    first, second = Ledger(FolderStore(tmp_path)), Ledger(FolderStore(tmp_path))
    first.once(TASK, measured)
    outcome = second.once(TASK, lambda: pytest.fail("made twice"))
    assert outcome == measured()
    assert (second.made["gates"], second.adopted["gates"]) == (0, 1)


def test_the_loser_of_a_race_adopts_the_winners_marker(tmp_path: Path) -> None:
    """Sixteen writers with sixteen results: one result stands, everybody returns it."""
    outcomes: list[Record | Refusal] = []
    barrier = threading.Barrier(16)

    def write(number: int) -> None:
        barrier.wait()
        outcomes.append(Ledger(FolderStore(tmp_path)).commit(TASK, measured(number)))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 16
    assert len({str(outcome) for outcome in outcomes}) == 1


def test_a_refusal_is_marked_like_a_result(tmp_path: Path) -> None:
    """A bad item is refused once, not every night anew."""

    def refuse() -> Measures:
        raise InputRefused("photo a.jpg", "is empty", "", "upload it again")

    store = FolderStore(tmp_path)
    Ledger(store).once(TASK, refuse)
    again = Ledger(store).once(TASK, lambda: pytest.fail("asked twice"))
    assert isinstance(again, Refusal)
    assert str(again) == "photo a.jpg is empty; upload it again"


def test_what_may_pass_is_never_marked(tmp_path: Path) -> None:
    """Too slow tonight or no store: the next night tries again."""

    def slow() -> Measures:
        raise InputTooSlow("photo a.jpg", "takes too long")

    def down() -> Measures:
        raise StorageUnavailable("store", "does not answer")

    ledger = Ledger(FolderStore(tmp_path))
    assert isinstance(ledger.once(TASK, slow), Refusal)
    with pytest.raises(StorageUnavailable):
        ledger.once(TASK, down)
    assert ledger.once(TASK, measured) == measured()


def test_state_saves_the_reading_of_markers(tmp_path: Path) -> None:
    """A night that loads the shard finds the outcome although the marker cannot be read."""
    store = FolderStore(tmp_path)
    first = Ledger(store)
    first.once(TASK, measured)
    first.save_state()
    store.delete(marker_key("mug-1", "gates", TASK.key))
    second = Ledger(store)
    second.load_state(["mug-1"])
    assert second.find(TASK) == measured()


def test_a_damaged_shard_costs_time_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The marker is read instead, and the log says so."""
    store = FolderStore(tmp_path)
    Ledger(store).once(TASK, measured)
    store.put(f"state/{shard_of('mug-1')}.jsonl.zst", b"garbage", "application/zstd")
    ledger = Ledger(store)
    with caplog.at_level(logging.WARNING):
        ledger.load_state(["mug-1"])
    assert ledger.find(TASK) == measured()
    assert "is damaged" in caplog.text


def test_the_same_knowledge_gives_the_same_shard(tmp_path: Path) -> None:
    """Shards are sorted: two machines that know the same write the same bytes."""
    other = Task("mug-1", "gates", ("other",), {"model": "m"})
    shards = []
    for name, tasks in (("a", (TASK, other)), ("b", (other, TASK))):
        ledger = Ledger(FolderStore(tmp_path / name))
        for task in tasks:
            ledger.once(task, measured)
        ledger.save_state()
        shards.append((tmp_path / name / f"state/{shard_of('mug-1')}.jsonl.zst").read_bytes())
    assert shards[0] == shards[1]


def test_changed_data_is_refused_by_name(tmp_path: Path) -> None:
    """Bytes that are not what the record says never go on."""
    store = FolderStore(tmp_path)
    ledger = Ledger(store)
    digest = ledger.put_data("mug-1", "cutouts", b"data", "png", "image/png")
    store.put(f"work/mug-1/cutouts/{digest}.png", b"other", "image/png")
    with pytest.raises(InputRefused, match="its record says"):
        ledger.data("mug-1", "cutouts", digest, "png")


def test_the_cause_of_work_is_named(tmp_path: Path) -> None:
    """New, other photos, or which field of the recipe."""
    ledger = Ledger(FolderStore(tmp_path))
    assert ledger.cause(TASK) == "new"
    ledger.once(TASK, measured)
    assert ledger.cause(TASK._replace(parents=("other",))) == "photos changed"
    assert ledger.cause(TASK._replace(recipe={"model": "n"})) == "recipe changed: model"
    assert ledger.cause(TASK._replace(recipe={**TASK.recipe, "seed": 2})) == "new picture"
    assert ledger.cause(TASK._replace(recipe={**TASK.recipe, "scene": {"name": "beach"}})) == "new picture"


def test_outputs_made_together_took_the_same_time(tmp_path: Path) -> None:
    """Their seconds are shared; a stage that made nothing has none."""
    ledger = Ledger(FolderStore(tmp_path))
    ledger.seconds["adapters"] = [6.0, 0.0, 0.0]
    ledger.share_seconds("adapters")
    ledger.share_seconds("gates")
    assert ledger.seconds["adapters"] == [2.0, 2.0, 2.0]
    assert ledger.seconds["gates"] == []
