"""Chunks: a night in pieces that worker runs do on any machine; what is done and due is read off the store.

    nights/<night>/catalog.json              the catalog as it was when the night began
    nights/<night>/night.json                the night: its chunks, stages, deadline (ChunkedNight); written last
    nights/<night>/chunks/<n>/catalog.json   the same catalog with the SKUs of one chunk
    nights/<night>/chunks/<n>/<stage>.json.zst   what is known after a stage (StageDone): the marker of a chunk's stage
    nights/<night>/chunks/<n>/given-up.json  why a chunk ended early (GivenUp)
    nights/<night>/ended/<hundred>           empty; of these hundred chunks each is done or given up
    nights/<night>/gpu/<n>-<stage>-<id>-<ms>     empty; its name tells the GPU time of one turn, so a listing sums it

A stage begins with the records that the stage before left and looks nothing up twice. Run twice, at the same time or
after a crash, it makes nothing twice: the SKUs' own markers decide. State shards are merged once, at the night's end.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import zstandard
from pydantic import AwareDatetime

from catalog_schemas import Catalog, NightSettings, Sku
from productshot.errors import ConfigInvalid, InputRefused, StorageMissing
from productshot.keys import shard_of
from productshot.ledger import Ledger
from productshot.night import LANES_WITH_ADAPTER, STAGES_OF, Night, SkuNight, night_id
from productshot.plan import gpu_seconds
from productshot.progress import Progress, ReportProgress, silent
from productshot.records import Adapter, Asset, Cutout, Photo, Record, Refusal, Twins
from productshot.report import Told, Written, write_report
from productshot.review import last_report
from productshot.run import check_plan
from productshot.stages.departures import unpublish
from productshot.stages.gates import Judged
from productshot.store import Store

STEPS = {
    "cutouts": ("photos", "cutouts"),
    "adapters": ("adapters",),
    "renders": ("renders",),
    "assets": ("assets",),
}
"""The stages that a chunk passes, one run each, and the steps of a night that each takes."""
OUTCOME = {"cutouts": "cutouts", "adapters": "adapter", "renders": "judged", "assets": "assets"}
ON_GPU = ("adapters", "renders")
FEW = 3
"""So many SKUs without an outcome say nothing of a chunk's health."""
OPEN_FOR = timedelta(days=4)
"""A night that began longer ago is not looked at any more: the longest deadline is 72 hours."""

Slot = Callable[[], AbstractContextManager[None]]
"""Gives the GPU to one run at a time."""


class ChunkedNight(Record):
    """What was dispatched."""

    night: str
    began: AwareDatetime
    deadline: AwareDatetime
    chunks: int
    stages: tuple[str, ...]
    attempts: int
    left: dict[str, Refusal]  # SKUs that this night does not take, and why
    unpublished: tuple[tuple[str, str], ...]  # (channel, SKU) that left the catalog
    gallery: str | None = None  # where browsers reach the store's pictures
    source: str | None = None  # the catalog file, on the machines that run single-sku


class KnownSku(Record):
    """What a night knows of one SKU."""

    sku: str
    photos: tuple[Photo, ...]
    cutouts: tuple[Cutout, ...]
    twins: Twins | None
    adapter: Adapter | None
    judged: tuple[Judged, ...]
    assets: tuple[Asset, ...]
    published: tuple[str, ...]
    fallbacks: tuple[str, ...]
    refusals: tuple[Refusal, ...]


class StageDone(Record):
    """What is known of a chunk after a stage, and what the stage cost."""

    skus: tuple[KnownSku, ...]
    left: tuple[str, ...]  # SKUs for which the night's GPU time did not last
    made: dict[str, int]
    adopted: dict[str, int]
    doubled: dict[str, int]
    seconds: dict[str, list[float]]
    written: dict[str, int]
    learned: tuple[dict[str, Any], ...]  # lines for the state shards


class GivenUp(Record):
    """Why a chunk ended before its last stage."""

    stage: str
    told: str


class Due(NamedTuple):
    """A chunk's stage that nobody has finished, though the one before is done."""

    chunk: int
    stage: str


# -- beginning a night ---------------------------------------------------------------------------------------


def begin_night(
    catalog: Catalog,
    store: Store,
    night: str,
    began: datetime,
    redo: bool = False,
    gallery: str | None = None,
    source: str | None = None,
) -> ChunkedNight:
    """Plan a night, take down what left the catalog, and write its chunks; begun again, it is the same night.

    ConfigInvalid as `check_plan` says.
    """
    known = find_night(store, night)
    if known is None:
        last = last_report(store)
        with Night(catalog, store, silent) as whole:
            planned = check_plan(whole, redo)
        taken, left = affordable(catalog.skus, gpu_seconds(planned.work, last), catalog.night)
        pieces = cut(taken, catalog.night.chunk_size)
        known = ChunkedNight(
            night=night,
            began=began,
            deadline=began + timedelta(hours=catalog.night.deadline_hours),
            chunks=len(pieces),
            stages=stages_of(catalog),
            attempts=catalog.night.attempts,
            left=left,
            unpublished=planned.departed,
            gallery=gallery,
            source=source,
        )
        known = _write_night(store, known, catalog, pieces)
    unpublish(known.unpublished, Ledger(store))
    return known


def _write_night(
    store: Store, told: ChunkedNight, catalog: Catalog, pieces: Sequence[Sequence[Sku]]
) -> ChunkedNight:
    """Write the snapshot and the chunks, then night.json; whoever was first with that is right."""
    folder = f"nights/{told.night}"
    _put_json(store, f"{folder}/catalog.json", catalog.model_dump_json())
    for number, skus in enumerate(pieces):
        piece = catalog.model_copy(update={"skus": tuple(skus)})
        _put_json(store, f"{folder}/chunks/{number:04d}/catalog.json", piece.model_dump_json())
    if store.create(f"{folder}/night.json", told.model_dump_json().encode(), "application/json"):
        return told
    return read_night(store, told.night)


def cut(skus: Sequence[Sku], size: int) -> list[list[Sku]]:
    """The SKUs in chunks of at most `size`; those of one state shard stand together, so a chunk reads few shards."""
    by_shard = sorted(skus, key=lambda sku: shard_of(sku.sku))
    return [by_shard[start : start + size] for start in range(0, len(by_shard), size)]


def affordable(
    skus: Sequence[Sku], seconds: Mapping[str, float], settings: NightSettings
) -> tuple[list[Sku], dict[str, Refusal]]:
    """The SKUs that the night takes, in order, and why it leaves the others, by the GPU seconds that each would take.

    A SKU that needs no GPU is always taken; one that does not fit is left, and a cheaper one after it may still fit.
    """
    taken, left, spent = [], {}, 0.0
    night, each = settings.max_gpu_seconds, settings.max_gpu_seconds_per_sku
    for sku in skus:
        cost = seconds.get(sku.sku, 0.0)
        if each is not None and cost > each:
            left[sku.sku] = _too_costly(
                sku.sku, f"would take about {cost:.0f} s of GPU time", "per_sku", each
            )
        elif night is not None and cost and spent + cost > night:
            told = f"is left for the next night: with it about {spent + cost:.0f} s of GPU time are needed"
            left[sku.sku] = _too_costly(sku.sku, told, "", night)
        else:
            taken.append(sku)
            spent += cost
    return taken, left


def _too_costly(sku: str, told: str, which: str, limit: float) -> Refusal:
    name = f"max_gpu_seconds_{which}" if which else "max_gpu_seconds"
    return Refusal(
        sku=sku,
        stage="adapters",
        item=f"SKU {sku}",
        value=told,
        limit=f"night.{name} is {limit:g}",
        remedy="raise it, or ask for fewer scenes",
    )


def stages_of(catalog: Catalog) -> tuple[str, ...]:
    """The stages that a night of this catalog has: without a scene that uses an adapter none is trained."""
    from productshot.catalog import scenes_of

    trains = any(scene.lane in LANES_WITH_ADAPTER for scene in scenes_of(catalog).values())
    return tuple(stage for stage in STEPS if trains or stage != "adapters")


# -- what is done and due ------------------------------------------------------------------------------------


def find_night(store: Store, night: str) -> ChunkedNight | None:
    """The night that was begun under this id; None when there is none."""
    try:
        return ChunkedNight.model_validate_json(store.get(f"nights/{night}/night.json"))
    except StorageMissing:
        return None


def read_night(store: Store, night: str) -> ChunkedNight:
    """The night of this id; InputRefused when it was not begun."""
    found = find_night(store, night)
    if found is None:
        raise InputRefused(f"night {night}", "is not in the store", "", "begin it with flow catalog-nightly")
    return found


def catalog_of(store: Store, night: str) -> Catalog:
    """The catalog as it was when the night began."""
    return _read_catalog(store, f"nights/{night}/catalog.json")


def open_nights(store: Store, now: datetime) -> list[ChunkedNight]:
    """The chunked nights of the last days that have no report yet, oldest first."""
    since = f"nights/{night_id(now - OPEN_FOR)}"
    recent = [prefix for prefix in store.list_prefixes("nights/") if prefix >= since]
    found = [find_night(store, prefix.split("/")[1]) for prefix in recent]
    return [one for one in found if one is not None and not is_closed(store, one.night)]


def is_closed(store: Store, night: str) -> bool:
    """Whether the night has its report."""
    return store.head(f"nights/{night}/report.json") is not None


def due(store: Store, told: ChunkedNight, hundred: int | None = None) -> list[Due]:
    """The stages to do now, one of each chunk that is neither done nor given up; one listing.

    With `hundred`, of the chunks from 100 times that on alone.
    """
    numbers = range(told.chunks) if hundred is None else range(told.chunks)[100 * hundred :][:100]
    common = "" if hundred is None else f"{numbers[0]:04d}"[:-2]
    keys = {listed.key for listed in store.list(f"nights/{told.night}/chunks/{common}")}
    found = []
    for chunk in numbers:
        if given_up_key(told.night, chunk) not in keys:
            open_stages = (stage for stage in told.stages if done_key(told.night, chunk, stage) not in keys)
            found += [Due(chunk, stage) for stage in list(open_stages)[:1]]
    return found


def was_last(store: Store, told: ChunkedNight, chunk: int) -> bool:
    """Whether no chunk of the night is open, asked at the end of this one; two that end together may both be told so.

    A chunk looks at its hundred alone, and the last of these at the hundreds: at a chunk's end two listings of some
    hundred keys, however many chunks the night has.
    """
    hundred, ended = chunk // 100, f"nights/{told.night}/ended/"
    if due(store, told, hundred):
        return False
    store.put(f"{ended}{hundred}", b"", "text/plain")
    return {f"{ended}{n}" for n in range(-(-told.chunks // 100))} <= {one.key for one in store.list(ended)}


def following(told: ChunkedNight, stage: str) -> str | None:
    """The stage after this one; None after the last."""
    later = told.stages[told.stages.index(stage) + 1 :]
    return later[0] if later else None


def done_key(night: str, chunk: int, stage: str) -> str:
    """Where lies what is known after a chunk's stage."""
    return f"nights/{night}/chunks/{chunk:04d}/{stage}.json.zst"


def given_up_key(night: str, chunk: int) -> str:
    """Where it says why a chunk ended early."""
    return f"nights/{night}/chunks/{chunk:04d}/given-up.json"


def give_up(store: Store, night: str, item: Due, told: str) -> None:
    """End a chunk before its last stage; the first reason stays."""
    said = GivenUp(stage=item.stage, told=told).model_dump_json().encode()
    store.create(given_up_key(night, item.chunk), said, "application/json")


def given_up(store: Store, night: str, chunk: int) -> GivenUp | None:
    """Why a chunk ended early; None when it did not."""
    try:
        return GivenUp.model_validate_json(store.get(given_up_key(night, chunk)))
    except StorageMissing:
        return None


# -- one stage of one chunk ----------------------------------------------------------------------------------


def run_stage(
    store: Store,
    told: ChunkedNight,
    item: Due,
    slot: Slot,
    report: ReportProgress = silent,
    clock: Callable[[], float] = time.perf_counter,
) -> StageDone:
    """Do a stage for the SKUs of a chunk, and leave what is known; a finished one is read and not done again.

    GPU stages take `slot` for `gpu_turn` SKUs at a time. InputRefused when the stage before is not done;
    ConfigInvalid when more than `max_refused` of the SKUs ended without an outcome.
    """
    done = find_done(store, told.night, item)
    if done is not None:
        return done
    catalog = _read_catalog(store, f"nights/{told.night}/chunks/{item.chunk:04d}/catalog.json")
    with Night(catalog, store, report, ledger=Ledger(store, writes_shards=False)) as night:
        left = _resume(night, store, told, item)
        todo = [name for name in night.skus if name not in left]
        if item.stage in ON_GPU:
            left += _in_turns(night, told.night, item, todo, slot, clock)
        else:
            _do(night.part(todo), item.stage)
        refuse_many_failures(night, item)
        return _leave(store, told.night, item, night, left)


def _do(night: Night, stage: str) -> None:
    for step in STEPS[stage]:
        getattr(night, step)()


def _resume(night: Night, store: Store, told: ChunkedNight, item: Due) -> list[str]:
    """Give the night what the stage before knew; returns the SKUs that were left out then."""
    position = told.stages.index(item.stage)
    if position == 0:
        return []
    before = find_done(store, told.night, Due(item.chunk, told.stages[position - 1]))
    if before is None:
        raise InputRefused(
            f"{item.stage} of chunk {item.chunk} of night {told.night}",
            "cannot begin",
            f"{told.stages[position - 1]} are not done",
            "start that stage; the sweeper does so by itself",
        )
    restore(night, before.skus)
    night.ledger.load_state(night.skus)
    return list(before.left)


def _in_turns(
    night: Night, night_id: str, item: Due, todo: Sequence[str], slot: Slot, clock: Callable[[], float]
) -> list[str]:
    """Do a GPU stage some SKUs at a time while the night's GPU time lasts; returns the SKUs that were left."""
    settings, store = night.catalog.night, night.ledger.store
    for start in range(0, len(todo), settings.gpu_turn):
        limit = settings.max_gpu_seconds
        if limit is not None and (spent := gpu_spent(store, night_id)) >= limit:
            rest = list(todo[start:])
            for name in rest:
                value = f"is left for the next night: {spent:.0f} s of GPU time are spent"
                night.skus[name].refusals.append(_too_costly(name, value, "", limit))
            return rest
        turn = night.part(todo[start : start + settings.gpu_turn])
        turn.report = partial(of_turn, night.report, start, len(turn.skus), len(todo))
        with slot():
            began = clock()
            try:
                _do(turn, item.stage)
            finally:
                milliseconds = round(1000 * (clock() - began))
                mark = f"{item.chunk:04d}-{item.stage}-{secrets.token_hex(4)}-{milliseconds}"
                store.put(f"nights/{night_id}/gpu/{mark}", b"", "text/plain")
    return []


def of_turn(report: ReportProgress, start: int, size: int, total: int, progress: Progress) -> None:
    """Tell how many of `total` SKUs are through, when a turn of `size` SKUs from `start` on tells of its own items."""
    done = start + size * progress.done // max(progress.total, 1)
    report(progress._replace(done=done, total=total))


def gpu_spent(store: Store, night: str) -> float:
    """Seconds that the night's turns on GPUs took so far, those of failed runs included."""
    marks = (listed.key for listed in store.list(f"nights/{night}/gpu/"))
    return sum(int(mark.rpartition("-")[2]) for mark in marks) / 1000


def refuse_many_failures(night: Night, item: Due) -> None:
    """ConfigInvalid when a stage refused everything of too many SKUs: then not the SKUs are at fault."""
    failed = [one for one in night.skus.values() if _failed(one, item.stage)]
    limit = night.catalog.night.max_refused
    if len(failed) > max(FEW, limit * len(night.skus)):
        first = next(refusal for refusal in failed[0].refusals if refusal.stage in _stages(item.stage))
        raise ConfigInvalid(
            f"chunk {item.chunk}",
            f"has no {item.stage} of {len(failed)} of {len(night.skus)} SKUs; the first: {first}",
            f"night.max_refused is {limit:.0%}",
            "mend the cause, or raise the limit; the next night goes on",
        )


def _failed(one: SkuNight, stage: str) -> bool:
    """Whether the stage refused something of the SKU and gave nothing."""
    refused = any(refusal.stage in _stages(stage) for refusal in one.refusals)
    return refused and not getattr(one, OUTCOME[stage])


def _stages(stage: str) -> tuple[str, ...]:
    """The stages as refusals name them."""
    return tuple(name for step in STEPS[stage] for name in STAGES_OF[step])


# -- what is left for the next run ---------------------------------------------------------------------------


def known_of(one: SkuNight) -> KnownSku:
    """What a night knows of a SKU, to be handed on."""
    fields = {name: getattr(one, name) for name in KnownSku.model_fields if name != "sku"}
    return KnownSku.model_validate({"sku": one.sku.sku, **fields})


def restore(night: Night, known: Iterable[KnownSku]) -> None:
    """Give a night what another run knew of its SKUs."""
    for told in known:
        one = night.skus[told.sku]
        for name in KnownSku.model_fields.keys() - {"sku"}:
            value = getattr(told, name)
            setattr(one, name, list(value) if isinstance(value, tuple) else value)


def _leave(store: Store, night_id: str, item: Due, night: Night, left: Sequence[str]) -> StageDone:
    """Write what is known after the stage; of two runs that did it the first one's word counts."""
    ledger = night.ledger
    done = StageDone(
        skus=tuple(known_of(one) for one in night.skus.values()),
        left=tuple(left),
        made=dict(ledger.made),
        adopted=dict(ledger.adopted),
        doubled=dict(ledger.doubled),
        seconds=dict(ledger.seconds),
        written=dict(ledger.written),
        learned=tuple(ledger.learned()),
    )
    data = zstandard.ZstdCompressor(level=6).compress(done.model_dump_json().encode())
    if store.create(done_key(night_id, item.chunk, item.stage), data, "application/zstd"):
        return done
    found = find_done(store, night_id, item)
    assert found is not None
    return found


def find_done(store: Store, night: str, item: Due) -> StageDone | None:
    """What is known after a chunk's stage; None when it is not done. InputRefused when the object is damaged."""
    key = done_key(night, item.chunk, item.stage)
    try:
        data = store.get(key)
    except StorageMissing:
        return None
    try:
        text = zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 30)
        return StageDone.model_validate_json(text)
    except (zstandard.ZstdError, ValueError) as error:
        raise InputRefused(key, "cannot be read", "", "delete it, and the stage is done again") from error


def _read_catalog(store: Store, key: str) -> Catalog:
    return Catalog.model_validate_json(store.get(key))


def _put_json(store: Store, key: str, text: str) -> None:
    store.put(key, text.encode(), "application/json")


# -- closing a night -----------------------------------------------------------------------------------------


def close_night(store: Store, told: ChunkedNight, now: datetime) -> Written:
    """Merge what the chunks left: the state shards first, then one report of the whole night.

    What was left, given up, not finished in time or cannot be read is a refusal of each SKU concerned.
    """
    open_stages = dict(due(store, told))
    said_of = Told()
    catalog = catalog_of(store, told.night)
    chunks: Counter[str] = Counter({"total": told.chunks, "given_up": 0, "late": 0})
    with Night(catalog, store, silent, ledger=Ledger(store, writes_shards=False)) as night:
        night.unpublished = list(told.unpublished)
        for sku, refusal in told.left.items():
            night.skus[sku].refusals.append(refusal)
        for chunk in range(told.chunks):
            names = _merge_chunk(night, store, told, chunk)
            said = given_up(store, told.night, chunk)
            if said is not None:
                chunks["given_up"] += 1
                _refuse_all(night, names, said.stage, f"was not finished: {said.told}", "")
            elif chunk in open_stages:
                chunks["late"] += 1
                hours = f"night.deadline_hours is {catalog.night.deadline_hours:g}"
                value = f"was not finished: {open_stages[chunk]} of its chunk are not done"
                _refuse_all(night, names, open_stages[chunk], value, hours)
            for name in names:
                said_of.tell(night.skus[name])
                night.skus[name] = SkuNight(night.skus[name].sku, {})
        return write_report(night, told.night, told.began, now, dict(chunks), said_of)


def _merge_chunk(night: Night, store: Store, told: ChunkedNight, chunk: int) -> list[str]:
    """Count what a chunk's runs did, file what they know, and write its state shards; returns its SKUs."""
    catalog = _read_catalog(store, f"nights/{told.night}/chunks/{chunk:04d}/catalog.json")
    names = [sku.sku for sku in catalog.skus]
    shards, last, damaged = Ledger(store), None, list[tuple[str, str]]()
    shards.load_state(names)
    for stage in told.stages:
        try:
            done = find_done(store, told.night, Due(chunk, stage))
        except InputRefused as error:
            damaged.append((stage, f"is known in part only: {error}"))
            continue
        if done is None:
            continue
        last = done
        shards.recall(done.learned)
        for counter, more in (
            (night.ledger.made, done.made),
            (night.ledger.adopted, done.adopted),
            (night.ledger.doubled, done.doubled),
            (night.ledger.written, done.written),
        ):
            counter.update(more)
        for name, seconds in done.seconds.items():
            night.ledger.seconds[name] += seconds
    shards.save_state()
    if last is not None:
        restore(night, last.skus)
    for stage, value in damaged:
        _refuse_all(night, names, stage, value, "")
    return names


def _refuse_all(night: Night, names: Iterable[str], stage: str, value: str, limit: str) -> None:
    for name in names:
        refusal = Refusal(
            sku=name,
            stage=stage,
            item=f"SKU {name}",
            value=value,
            limit=limit,
            remedy="the next night goes on with it",
        )
        night.skus[name].refusals.append(refusal)
