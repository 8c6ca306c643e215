"""The plan: what a night would do and why, before it does it. Reads photos and markers; writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

from productshot.errors import ConfigInvalid
from productshot.keys import shard_of
from productshot.ledger import Ledger, Task
from productshot.night import LANES_WITH_ADAPTER, Night, SkuNight
from productshot.records import Adapter, Cutout, Photo, Render, Twins
from productshot.stages.adapters import adapter_task
from productshot.stages.assets import shows_other_views
from productshot.stages.cutouts import cutout_task, of_photo
from productshot.stages.gates import Painted, gate_task
from productshot.stages.photos import PhotoSource, list_photos, photo_task, product_photos, sources_of
from productshot.stages.renders import render_task
from productshot.stages.twins import twins_task
from productshot.store import Listed

BENCHMARK_SECONDS = {
    "photos": 0.2,
    "cutouts": 3.0,
    "twins": 0.2,
    "adapters": 25.0,
    "renders": 2.0,
    "gates": 0.3,
    "assets": 0.6,
}
"""Per output on two CPU cores with the pocket models; used until a night of the store's own is on record."""
PLANNED_AT_ONCE = 8
"""State shards in work side by side: while one waits for the store, another is computed."""
CHANGED = "recipe changed"
"""How the cause of work begins that a person's change brought about."""
GPU_STAGES = ("adapters", "renders", "gates")
BENCHMARK_BYTES = {"cutouts": 1_500_000, "adapters": 2_000_000, "renders": 60_000, "assets": 400_000}


class Work(NamedTuple):
    """How many outputs of a stage a SKU needs, and why."""

    sku: str
    stage: str
    outputs: int
    cause: str


class Plan(NamedTuple):
    """All work of a night with its estimated cost."""

    work: tuple[Work, ...]
    seconds: float
    bytes: int
    basis: str  # where the cost per output comes from
    invalidated: tuple[str, ...]  # finished SKUs that a changed recipe or model would redo
    departed: tuple[tuple[str, str], ...]  # (channel, SKU) published, but no longer in the catalog
    published: int  # pairs of channel and SKU, those included
    skus: int

    def as_json(self) -> dict[str, Any]:
        """The plan as JSON-able values."""
        work = [one._asdict() for one in self.work]
        return {**self._asdict(), "work": work, "invalidated": list(self.invalidated)}


def plan_night(night: Night, last: dict[str, Any] | None) -> Plan:
    """What `night` would do. `last` is the last night's report, whose medians price the work.

    State shard by state shard, so that the markers of a few are in memory. The night's SKUs keep the refusals that
    are known now, its ledger what no shard told.
    """
    sound = [name for name, one in night.skus.items() if night.is_sound(one)]
    listed = list_photos(night.catalog.photos, sound, night.ledger.store)
    shards = [{name: listed.pop(name) for name in names} for names in by_shard(sound).values()]
    by_sku: dict[str, list[Work]] = {}
    with ThreadPoolExecutor(PLANNED_AT_ONCE) as pool:
        for found, learned in pool.map(partial(_shard_work, night), shards):
            by_sku |= found
            night.ledger.recall(learned)
    work = [item for name in sound for item in by_sku[name]]
    invalidated = [name for name in sound if any(item.cause.startswith(CHANGED) for item in by_sku[name])]
    counts = Counter[str]()
    for item in work:
        counts[item.stage] += item.outputs
    seconds, size, basis = _price(counts, last)
    gone, published = night.departed if night.whole else ([], 0)
    return Plan(
        tuple(work), seconds, size, basis, tuple(invalidated), tuple(gone), published, len(night.skus)
    )


def refuse_large_redo(plan: Plan, max_invalidated: float) -> None:
    """ConfigInvalid when more of the catalog would be redone than one night may redo unasked."""
    share = len(plan.invalidated) / max(plan.skus, 1)
    if share > max_invalidated:
        raise ConfigInvalid(
            "night",
            f"would redo {len(plan.invalidated)} of {plan.skus} SKUs ({share:.0%}) because a recipe or model changed",
            f"max_invalidated is {max_invalidated:.0%}",
            "see `productshot plan` for the causes; --redo does it, or raise night.max_invalidated",
        )


def refuse_large_departure(plan: Plan, max_unpublished: float) -> None:
    """ConfigInvalid when more of what is published would be taken down than one night may take down."""
    share = len(plan.departed) / max(plan.published, 1)
    if share > max_unpublished:
        names = ", ".join(sorted({sku for _, sku in plan.departed})[:3])
        raise ConfigInvalid(
            "night",
            f"would take down {len(plan.departed)} of {plan.published} published ({share:.0%}), {names} first",
            f"max_unpublished is {max_unpublished:.0%}",
            "is the catalog file complete? if so, raise night.max_unpublished",
        )


def by_shard(names: Iterable[str]) -> dict[str, list[str]]:
    """The SKUs of each state shard, in their order."""
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(shard_of(name), []).append(name)
    return found


def _shard_work(
    night: Night, listed: Mapping[str, Sequence[Listed]]
) -> tuple[dict[str, list[Work]], list[dict[str, Any]]]:
    """The work of the SKUs of one shard, with a ledger of their own, and what that learned."""
    part = night.part(list(listed))
    part.ledger = Ledger(night.ledger.store, writes_shards=False)
    part.ledger.load_state(listed)
    found = {}
    for name, one in part.skus.items():
        fresh = SkuNight(one.sku, one.scenes, refusals=one.refusals)
        found[name] = _sku_work(fresh, sources_of(night.catalog, one.sku, listed[name]), part)
    return found, part.ledger.learned()


def _sku_work(one: SkuNight, sources: Sequence[PhotoSource], night: Night) -> list[Work]:
    """The work of one SKU; after the first stage with work, later stages are counted as if nothing could be kept."""
    recipes, ledger, sku = night.catalog.recipes, night.ledger, one.sku.sku
    of_product = [source for source in sources if source.role == "product"]
    views = len({source.view for source in of_product})
    tasks = [photo_task(source, recipes.photos, ledger) for source in sources]
    photos, work = _look(night, sku, "photos", tasks)
    one.photos = [photo for photo in photos if isinstance(photo, Photo)]
    if work:
        return [*work, *_later(one, night, len(of_product), work[0].cause, "cutouts", views)]
    product = product_photos(one.photos)
    tasks = [cutout_task(photo, recipes.cutouts, night.models) for photo in product]
    cutouts, work = _look(night, sku, "cutouts", tasks)
    if work:
        return [*work, *_later(one, night, 0, work[0].cause, "adapters", views)]
    pairs = zip(cutouts, product, strict=True)
    one.cutouts = [of_photo(cutout, photo) for cutout, photo in pairs if isinstance(cutout, Cutout)]
    if not one.cutouts:
        return []
    twins = twins_task(sku, one.cutouts, night.models)
    told, work = _look(night, sku, "twins", [twins] if twins else [])
    one.twins = next((record for record in told if isinstance(record, Twins)), None)
    if work:
        return [*work, *_later(one, night, 0, work[0].cause, "adapters", views)]
    if night.needs_adapter(one):
        task = adapter_task(one.sku, night.for_training(one), recipes.adapters, night.models)
        adapters, work = _look(night, sku, "adapters", [task])
        one.adapter = next((adapter for adapter in adapters if isinstance(adapter, Adapter)), None)
        if work:
            return [*work, *_later(one, night, 0, work[0].cause, "renders", views)]
    return _picture_work(one, night, views)


def _picture_work(one: SkuNight, night: Night, views: int) -> list[Work]:
    """Renders and gates that are missing; the assets follow from verdicts that are not known yet."""
    jobs = [job for job in night.render_jobs(one) if job.lane != "draw" or job.adapter]
    tasks = [render_task(job, night.catalog.recipes.renders, night.models) for job in jobs]
    renders, work = _look(night, one.sku.sku, "renders", tasks)
    painted = [
        Painted(render, one.scenes[render.scene], one.sku.noun)
        for render in renders
        if isinstance(render, Render) and render.lane != "packshot"
    ]
    gate_tasks = [gate_task(picture, night.models) for picture in painted]
    _, gate_work = _look(night, one.sku.sku, "gates", gate_tasks)
    if work:
        return [*work, *_later(one, night, 0, work[0].cause, "gates", views)]
    return gate_work


def _look(night: Night, sku: str, stage: str, tasks: Sequence[Task]) -> tuple[list[object], list[Work]]:
    """The outcomes that are done, and the missing ones as work, one entry per cause."""
    outcomes: list[object] = []
    causes = Counter[str]()
    for task in tasks:
        outcome = night.ledger.find(task)
        if outcome is None:
            causes[night.ledger.cause(task)] += 1
        else:
            outcomes.append(outcome)
    return outcomes, [Work(sku, stage, count, cause) for cause, count in sorted(causes.items())]


def _later(one: SkuNight, night: Night, cutouts: int, cause: str, first: str, views: int) -> list[Work]:
    """What follows from work in an earlier stage, at most; `views` of the product can have packshots of their own."""
    slots = [slot for channel in night.channels.values() for slot in channel.slots]
    shots = max(1, views) if any(shows_other_views(slot) for slot in slots) else 1
    lanes = [
        (scene.lane, scene.variants * (shots if scene.lane == "packshot" else 1))
        for scene in one.scenes.values()
    ]
    tries = night.catalog.recipes.renders.tries
    painted = sum(
        pictures * (tries + 1 if lane == "draw" else 1) for lane, pictures in lanes if lane != "packshot"
    )
    packshots = sum(pictures for lane, pictures in lanes if lane == "packshot")
    assets = sum(
        min(
            slot.count,
            sum(n for lane, n in lanes if lane in slot.lanes or (lane == "draw" and "keep" in slot.lanes)),
        )
        for slot in slots
    )
    adapters = int(any(lane in LANES_WITH_ADAPTER for lane, _ in lanes))
    at_most = {
        "cutouts": cutouts,
        "adapters": adapters,
        "renders": painted + packshots,
        "gates": painted,
        "assets": assets,
    }
    stages = list(at_most)
    wanted = stages[stages.index(first) :]
    return [
        Work(one.sku.sku, stage, at_most[stage], f"follows: {cause}") for stage in wanted if at_most[stage]
    ]


def gpu_seconds(work: Sequence[Work], last: dict[str, Any] | None) -> dict[str, float]:
    """What the planned training and painting of each SKU will cost, in seconds; SKUs without any are left out."""
    counts: dict[str, Counter[str]] = {}
    for one in work:
        if one.stage in GPU_STAGES:
            counts.setdefault(one.sku, Counter())[one.stage] += one.outputs
    return {sku: _price(outputs, last)[0] for sku, outputs in counts.items()}


def _price(counts: Counter[str], last: dict[str, Any] | None) -> tuple[float, int, str]:
    """Seconds, bytes and where the prices come from."""
    stages = {stage["stage"]: stage for stage in last["stages"]} if last else {}
    seconds, size, own = 0.0, 0.0, 0
    for stage, count in counts.items():
        told = stages.get(stage)
        known = told is not None and told["median_seconds"] is not None
        own += bool(known)
        seconds += count * (told["median_seconds"] if known and told else BENCHMARK_SECONDS[stage])
        size += count * (
            told["bytes"] / told["made"] if known and told and told["made"] else BENCHMARK_BYTES.get(stage, 0)
        )
    basis = "benchmark figures of two CPU cores"
    if own:
        basis = f"medians of night {last['night']}" if last else basis
        if own < len(counts):
            basis += ", benchmark figures where it has none"
    return round(seconds, 1), round(size), basis
