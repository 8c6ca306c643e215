"""A night in chunks: the same bucket as one process makes, whoever does which piece, however often."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog_schemas import Catalog, NightSettings, Sku
from productshot.catalog import load_catalog
from productshot.chunks import (
    ChunkedNight,
    Due,
    affordable,
    begin_night,
    close_night,
    cut,
    done_key,
    due,
    find_done,
    following,
    give_up,
    gpu_spent,
    is_closed,
    open_nights,
    run_stage,
    was_last,
)
from productshot.errors import ConfigInvalid, InputRefused
from productshot.folder import FolderStore
from productshot.keys import shard_of
from productshot.progress import silent
from productshot.report import Written
from productshot.run import run_night
from productshot.store import Listed
from tests.conftest import tree_of, write_catalog

BEGAN = datetime(2026, 11, 26, 2, tzinfo=UTC)
NIGHT = "20261126T020000Z-ab12"
FREE = nullcontext
OUTPUTS = ("work", "catalog", "state")


def a_catalog(root: Path, **fields: Any) -> Catalog:
    """The catalog of the two SKUs at `root`, and of one without photos, in chunks of one."""
    skus = [
        {"sku": "mug-1", "noun": "mug"},
        {"sku": "vase-2", "noun": "vase"},
        {"sku": "none", "noun": "mug"},
    ]
    told = {"night": {"chunk_size": 1, **fields.pop("night", {})}, "skus": skus, **fields}
    return load_catalog(write_catalog(root.parent / "catalog.yaml", **told))


def begun(root: Path, **fields: Any) -> tuple[FolderStore, ChunkedNight]:
    """A store in which a night was begun."""
    store = FolderStore(root)
    return store, begin_night(a_catalog(root, **fields), store, NIGHT, BEGAN)


def a_night(chunks: int) -> ChunkedNight:
    """A night of so many chunks."""
    return ChunkedNight(
        night=NIGHT,
        began=BEGAN,
        deadline=BEGAN + timedelta(hours=10),
        chunks=chunks,
        stages=("cutouts", "renders", "assets"),
        attempts=3,
        left={},
        unpublished=(),
    )


def finish(store: FolderStore, told: ChunkedNight) -> Written:
    """Do all that is due, stage after stage, and close the night."""
    while items := due(store, told):
        for item in items:
            run_stage(store, told, item, FREE)
    return close_night(store, told, BEGAN + timedelta(hours=1))


def test_chunks_make_the_same_bucket(root: Path, tmp_path: Path) -> None:
    """All but nights/ is byte for byte what one process makes of the same photos, state shards included."""
    other = tmp_path / "other" / "store"
    shutil.copytree(root, other)
    whole = run_night(a_catalog(other), FolderStore(other), silent).report
    report = finish(*begun(root)).report
    assert tree_of(root, "work", "catalog") == tree_of(other, "work", "catalog")
    assert sorted(tree_of(root, "state")) == sorted(tree_of(other, "state")) != []
    assert report["counts"] == whole["counts"]
    assert [stage["made"] for stage in report["stages"]] == [stage["made"] for stage in whole["stages"]]
    assert report["chunks"] == {"total": 3, "given_up": 0, "late": 0}


def test_next_night_finds_everything(root: Path) -> None:
    """What the chunks learned is in the state shards: one process then makes nothing and writes no shard anew."""
    finish(*begun(root))
    before = tree_of(root, *OUTPUTS)
    report = run_night(a_catalog(root), FolderStore(root), silent).report
    assert {stage["made"] for stage in report["stages"]} == {0}
    assert tree_of(root, *OUTPUTS) == before


def test_begun_again_it_is_the_same_night(root: Path) -> None:
    """A dispatcher that is run again finds its night, though the catalog file has changed since."""
    store, told = begun(root)
    changed = a_catalog(root, skus=[{"sku": "mug-1", "noun": "mug"}])
    again = begin_night(changed, store, NIGHT, BEGAN + timedelta(hours=2))
    assert again == told
    assert finish(store, again).report["counts"]["skus"] == 3


def test_two_nights_keep_their_own_snapshot(root: Path) -> None:
    """A chunk works on the catalog as it was: a channel that is asked for later gets nothing."""
    store, told = begun(root)
    a_catalog(root, channels=["google", "amazon"])
    finish(store, told)
    assert list(store.list_prefixes("catalog/")) == ["catalog/google/"]


def test_stages_follow_each_other(root: Path) -> None:
    """Packshots need no adapter, so that stage is left out; a chunk's next stage is due when one is done."""
    store, told = begun(root)
    assert told.stages == ("cutouts", "renders", "assets")
    assert due(store, told) == [Due(chunk, "cutouts") for chunk in range(3)]
    run_stage(store, told, Due(1, "cutouts"), FREE)
    assert due(store, told)[1] == Due(1, "renders")
    assert [following(told, stage) for stage in told.stages] == ["renders", "assets", None]


def test_a_stage_waits_for_the_one_before(root: Path) -> None:
    """A run that comes too early is refused by name and leaves nothing."""
    store, told = begun(root)
    with pytest.raises(
        InputRefused, match="renders of chunk 0 of night .* cannot begin; cutouts are not done"
    ):
        run_stage(store, told, Due(0, "renders"), FREE)
    assert find_done(store, NIGHT, Due(0, "renders")) is None


def test_a_stage_done_twice_is_done_once(root: Path) -> None:
    """A second run reads the first one's word and makes nothing."""
    store, told = begun(root)
    first = run_stage(store, told, Due(0, "cutouts"), FREE)
    before = tree_of(root, "work")
    assert run_stage(store, told, Due(0, "cutouts"), FREE) == first
    assert tree_of(root, "work") == before


def test_lost_races_are_counted(root: Path, tmp_path: Path) -> None:
    """Where another run was first with a marker, what was made here too is counted as doubled."""
    other = tmp_path / "other" / "store"
    shutil.copytree(root, other)
    finish(*begun(other))
    store, told = begun(root)

    class Late(FolderStore):
        """A store in which somebody else finishes each cutout while this run makes it."""

        def create(self, key: str, data: bytes, content_type: str) -> bool:
            if "/cutouts/" in key and key.startswith("work/"):
                store.create(key, (other / key).read_bytes(), content_type)
            return super().create(key, data, content_type)

    for item in due(store, told):
        run_stage(Late(root), told, item, FREE)
    report = finish(store, told).report
    (cutouts,) = (stage for stage in report["stages"] if stage["stage"] == "cutouts")
    assert (cutouts["made"], cutouts["doubled"]) == (0, 2)


def test_gpu_stages_take_turns(root: Path) -> None:
    """The slot is taken for each turn of SKUs, never for a CPU stage, and the time it was held is on record."""
    store, told = begun(root, night={"chunk_size": 3, "gpu_turn": 2})
    turns: list[float] = []

    @contextmanager
    def slot() -> Iterator[None]:
        turns.append(0.0)
        yield

    ticks = iter(range(100))
    run_stage(store, told, Due(0, "cutouts"), slot)
    assert turns == []
    run_stage(store, told, Due(0, "renders"), slot, clock=lambda: float(next(ticks)))
    assert len(turns) == 2
    assert gpu_spent(store, NIGHT) == 2.0


def test_gpu_time_ends_at_the_cap(root: Path) -> None:
    """With the night's GPU seconds spent, the other SKUs are left, told by name, and go no further."""
    store, told = begun(root, night={"chunk_size": 3, "gpu_turn": 1, "max_gpu_seconds": 100.0})
    ticks = iter([0.0, 250.0])
    run_stage(store, told, Due(0, "cutouts"), FREE)
    done = run_stage(store, told, Due(0, "renders"), FREE, clock=lambda: next(ticks))
    assert len(done.left) == 2
    report = finish(store, told).report
    told_of = {sku["sku"]: [one["told"] for one in sku["refusals"]] for sku in report["skus"]}
    for name in done.left:
        assert told_of[name][-1].startswith(
            f"SKU {name} is left for the next night: 250 s of GPU time are spent; night.max_gpu_seconds is 100"
        )
    assert report["counts"]["done"] <= 1


def test_costly_skus_are_left() -> None:
    """Over its own cap a SKU is left; over the night's cap too, but a cheaper one after it still fits."""
    skus = [Sku(sku=name) for name in ("a", "b", "c", "d")]
    settings = NightSettings(max_gpu_seconds=100, max_gpu_seconds_per_sku=90)
    taken, left = affordable(skus, {"a": 95.0, "b": 60.0, "c": 50.0, "d": 40.0}, settings)
    assert [sku.sku for sku in taken] == ["b", "d"]
    assert str(left["a"]) == (
        "SKU a would take about 95 s of GPU time; night.max_gpu_seconds_per_sku is 90; "
        "raise it, or ask for fewer scenes"
    )
    assert "with it about 110 s of GPU time are needed; night.max_gpu_seconds is 100" in str(left["c"])


def test_left_skus_are_in_the_report(root: Path) -> None:
    """What the dispatcher leaves is in no chunk, and the report says why."""
    store, told = begun(root, night={"max_gpu_seconds_per_sku": 0.001})
    assert sorted(told.left) == ["mug-1", "vase-2"]  # the third has no photo: nothing is planned for it
    report = finish(store, told).report
    assert (report["counts"]["skus"], report["counts"]["done"], report["chunks"]["total"]) == (3, 0, 1)


def test_given_up_chunk_is_told(root: Path) -> None:
    """A chunk that was given up is not due any more, harms nobody, and each of its SKUs says why."""
    store, told = begun(root)
    give_up(store, NIGHT, Due(0, "cutouts"), "its run crashed 3 times")
    give_up(store, NIGHT, Due(0, "cutouts"), "again")
    assert [item.chunk for item in due(store, told)] == [1, 2]
    report = finish(store, told).report
    refusals = [one["told"] for sku in report["skus"] for one in sku["refusals"]]
    assert sum("was not finished: its run crashed 3 times" in line for line in refusals) == 1
    assert report["chunks"] == {"total": 3, "given_up": 1, "late": 0}


class Keys(FolderStore):
    """A store of keys alone, and how many of them it has listed."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.listed = 0

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.keys.add(key)

    def list(self, prefix: str) -> Iterator[Listed]:
        found = sorted(key for key in self.keys if key.startswith(prefix))
        self.listed += len(found)
        return (Listed(key, "", 0) for key in found)


@pytest.mark.parametrize("order", [range(8), range(7, -1, -1), (3, 0, 7, 4, 1, 6, 2, 5)])
@pytest.mark.parametrize("chunks", [1, 100, 101, 250, 10_150])
def test_the_last_chunk_knows_that_it_was(chunks: int, order: Sequence[int]) -> None:
    """Chunks end in any order: the last one alone is told so, and each lists few keys of a night of many."""
    store, told = Keys(), a_night(chunks)
    store.keys = {done_key(NIGHT, chunk, stage) for chunk in range(chunks) for stage in told.stages}
    ends = list(dict.fromkeys((chunks - 1) * number // 7 for number in order))
    store.keys -= {done_key(NIGHT, chunk, told.stages[-1]) for chunk in ends}
    hundreds = {chunk // 100 for chunk in range(chunks)} - {chunk // 100 for chunk in ends}
    store.keys |= {f"nights/{NIGHT}/ended/{hundred}" for hundred in hundreds}
    said = []
    for chunk in ends:
        store.keys.add(done_key(NIGHT, chunk, told.stages[-1]))
        said.append(was_last(store, told, chunk))
    assert said == [False] * (len(ends) - 1) + [True]
    assert store.listed <= 1_000 * len(ends)


def test_a_chunk_that_is_given_up_ends_too(root: Path) -> None:
    """The last open chunk may be one that cannot be done."""
    store, told = begun(root)
    for chunk in range(3):
        give_up(store, NIGHT, Due(chunk, "cutouts"), "its photos are gone")
        assert was_last(store, told, chunk) == (chunk == 2)


def test_late_chunks_are_told(root: Path) -> None:
    """A night that is closed at its deadline names what was not done, and the next night goes on with it."""
    store, told = begun(root)
    report = close_night(store, told, told.deadline).report
    assert report["chunks"]["late"] == 3
    line = report["skus"][0]["refusals"][0]["told"]
    assert line == (
        "SKU mug-1 was not finished: cutouts of its chunk are not done; night.deadline_hours is 10; "
        "the next night goes on with it"
    )


def test_many_failures_stop_a_chunk(root: Path) -> None:
    """When most SKUs of a chunk come to nothing the cause is named, nothing is handed on, and no SKU is published."""
    skus = [{"sku": f"none-{index}", "noun": "mug"} for index in range(4)]
    store, told = begun(root, skus=skus, night={"chunk_size": 10})
    with pytest.raises(ConfigInvalid) as caught:
        run_stage(store, told, Due(0, "cutouts"), FREE)
    assert str(caught.value).startswith("chunk 0 has no cutouts of 4 of 4 SKUs; the first: SKU none-")
    assert "night.max_refused is 50%" in str(caught.value)
    assert due(store, told) == [Due(0, "cutouts")]


def test_damaged_hand_over_is_refused(root: Path) -> None:
    """A stage file that cannot be read is named with the remedy."""
    store, told = begun(root)
    store.put(done_key(NIGHT, 0, "cutouts"), b"no zstd", "application/zstd")
    with pytest.raises(InputRefused, match="cutouts.json.zst cannot be read; delete it"):
        run_stage(store, told, Due(0, "renders"), FREE)


def test_damaged_hand_over_stops_no_report(root: Path) -> None:
    """A stage file that was damaged later costs a line per SKU of its chunk; the night is closed all the same."""
    store, told = begun(root, night={"chunk_size": 3})
    for stage in told.stages:
        run_stage(store, told, Due(0, stage), FREE)
    store.put(done_key(NIGHT, 0, "cutouts"), b"no zstd", "application/zstd")
    report = close_night(store, told, BEGAN).report
    assert report["counts"]["done"] == 2
    lines = [
        one["told"] for sku in report["skus"] for one in sku["refusals"] if "in part only" in one["told"]
    ]
    assert len(lines) == 3
    assert lines[0].startswith("SKU mug-1 is known in part only: nights/")


def test_open_nights_are_those_without_a_report(root: Path) -> None:
    """The sweeper looks at nights of the last days that have no report; a night of one process is none of them."""
    store, told = begun(root)
    run_night(a_catalog(root), store, silent, clock=lambda: BEGAN)
    assert open_nights(store, BEGAN + timedelta(days=1)) == [told]
    assert open_nights(store, BEGAN + timedelta(days=5)) == []
    finish(store, told)
    assert is_closed(store, NIGHT)
    assert open_nights(store, BEGAN + timedelta(days=1)) == []


def test_what_left_the_catalog_is_taken_down(root: Path) -> None:
    """The dispatcher takes down what the catalog no longer lists, and the report tells it."""
    finish(*begun(root))
    catalog = a_catalog(root, skus=[{"sku": "mug-1", "noun": "mug"}], night={"max_unpublished": 1.0})
    store, second = FolderStore(root), "20261127T020000Z-ab12"
    told = begin_night(catalog, store, second, BEGAN + timedelta(days=1))
    assert finish(store, told).report["unpublished"] == [{"channel": "google", "sku": "vase-2"}]


@given(st.lists(st.text("abcdef0123456789", min_size=1, max_size=5), unique=True), st.integers(1, 7))
def test_every_sku_is_in_one_chunk(names: list[str], size: int) -> None:
    """Chunks are full but for the last, hold each SKU once, and keep those of one shard together."""
    pieces = cut([Sku(sku=name) for name in names], size)
    assert sorted(sku.sku for piece in pieces for sku in piece) == sorted(names)
    assert all(len(piece) == size for piece in pieces[:-1])
    shards = [shard_of(sku.sku) for piece in pieces for sku in piece]
    assert shards == sorted(shards)
