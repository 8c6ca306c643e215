"""Stage renders: candidate pictures of a SKU in its scenes, at the model's resolution."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from catalog_schemas import Channel, RenderRecipe, Scene, Sku
from productshot.errors import InputRefused
from productshot.keys import seed_of
from productshot.ledger import Ledger, Task
from productshot.models import Models
from productshot.pixels import from_png, png_bytes, size_of
from productshot.progress import Progress, ReportProgress
from productshot.records import Adapter, Cutout, Refusal, Render
from productshot.review import Said
from productshot.stages.scribbles import Scribble

if TYPE_CHECKING:
    from productshot.render.fleet import Painting
    from productshot.render.plate import Plate

LIKE_IT = 16
"""Variant v of a scene (of which there are at most so many) has 16 (v + 1) + i as the i-th variation of it."""

NOT_PAINTED: dict[str, Any] = {
    **dict.fromkeys(("variants", "shadow", "lane", "relight", "scribble"), True),
    "placement": {"camera"},
}
"""What of a scene changes no pixel of a picture, or is in its key by another name; the camera chooses the cutout."""


class RenderJob(NamedTuple):
    """One picture to paint. A draw scene that fell back is painted in the keep lane."""

    sku: Sku
    scene: Scene
    lane: str
    cutout: Cutout
    adapter: Adapter | None
    variant: int
    attempt: int
    ratios: tuple[tuple[int, int], ...]
    scribble: Scribble | None = None  # drawn by hand, of the scene around the product

    @property
    def seed(self) -> int:
        return seed_of(self.sku.sku, self.scene.name, self.lane, self.variant, self.attempt)


def ratios_of(channels: Sequence[Channel], lane: str) -> tuple[tuple[int, int], ...]:
    """The shapes (width, height) that the channels' slots ask of a lane, each once, sorted."""
    return tuple(sorted({slot.ratio for channel in channels for slot in channel.slots if lane in slot.lanes}))


def jobs_of(
    sku: Sku, scene: Scene, cutout: Cutout, adapter: Adapter | None, channels: Sequence[Channel], tries: int
) -> list[RenderJob]:
    """The pictures of a scene: its variants, and in the draw lane each with its tries."""
    attempts = range(tries if scene.lane == "draw" else 1)
    ratios = ratios_of(channels, scene.lane)
    used = adapter if scene.lane == "draw" else None
    return [
        RenderJob(sku, scene, scene.lane, cutout, used, variant, attempt, ratios)
        for variant in range(scene.variants)
        for attempt in attempts
    ]


def with_more(jobs: Sequence[RenderJob], said: Said, recipe: RenderRecipe, models: Models) -> list[RenderJob]:
    """The jobs, and behind each what people asked of its picture: again with another seed, or more like it.

    What was asked of those pictures follows in the same way. A packshot has no seed and stays alone.
    """
    found: list[RenderJob] = []
    waiting = list(reversed(jobs))
    while waiting:
        job = waiting.pop()
        found.append(job)
        if job.lane == "packshot" or not (said.last or said.more):
            continue
        key = render_task(job, recipe, models).key
        asked = [
            job._replace(variant=LIKE_IT * (job.variant + 1) + index, attempt=0)
            for index in range(said.more.get(key, 0))
        ]
        decision = said.last.get(key)
        if decision is not None and decision.decision == "redo":
            asked.insert(0, job._replace(attempt=job.attempt + recipe.tries))
        waiting += reversed(asked)
    return found


def fallback_of(job: RenderJob, channels: Sequence[Channel]) -> RenderJob:
    """The keep picture that stands in for a draw picture that missed its gates."""
    return job._replace(lane="keep", adapter=None, attempt=0, ratios=ratios_of(channels, "keep"))


def render_task(job: RenderJob, recipe: RenderRecipe, models: Models) -> Task:
    """What the stage makes of a job. A packshot needs no model, so no model is in its key."""
    parents = (job.cutout.digest, *([job.adapter.digest] if job.adapter else []))
    made_by: dict[str, object] = {"scene": job.scene.name, "lane": job.lane}
    if job.lane != "packshot":
        made_by |= recipe.set_fields(later=("scheduler", "cache_every"), without=_not_made_by(job.lane))
        made_by |= {
            "scene": job.scene.model_dump(mode="json", exclude=NOT_PAINTED),
            "base": models.base_digest,
            "controlnet": models.controlnet_digest,
            "ratios": [list(ratio) for ratio in job.ratios],
            "seed": job.seed,
            "noun": job.sku.noun if job.lane == "draw" else None,
            **_steering(job, recipe, models),
        }
    return Task(job.sku.sku, "renders", parents, made_by)


def _steering(job: RenderJob, recipe: RenderRecipe, models: Models) -> dict[str, object]:
    """What steers a picture beside pocket's own maps; empty for these, as it was before there were others."""
    told: dict[str, object] = {}
    if recipe.reads != "pocket":
        told["controlnet_reads"] = recipe.reads
    if recipe.reads == "depth" and job.scene.control != "none":
        told["depth"] = models.depth_digest
    if job.scribble is not None:
        told["scribble"] = job.scribble.digest
    return told


def _not_made_by(lane: str) -> set[str]:
    """Fields of the recipe that change nothing in a picture of the lane; models are known by their digests."""
    elsewhere = {"base", "controlnet", "controlnet_reads", "depth", "tries"}
    return elsewhere | ({"upscale"} if lane == "draw" else set())


def render_jobs(
    jobs: Sequence[RenderJob], recipe: RenderRecipe, ledger: Ledger, models: Models, report: ReportProgress
) -> list[Render | Refusal]:
    """One outcome per job, in order; what is not done yet is painted side by side.

    A render that was made before has its job's cutout, whose photo may have another name or view by now.
    """
    tasks = [render_task(job, recipe, models) for job in jobs]
    outcomes = [ledger.adopt(task) for task in tasks]
    missing = [number for number, outcome in enumerate(outcomes) if outcome is None]
    plain = [number for number in missing if jobs[number].lane == "packshot"]
    painted = [number for number in missing if jobs[number].lane != "packshot"]
    makes: Iterator[tuple[int, Callable[[], Render]]] = chain(
        ((number, partial(_record, jobs[number], tasks[number])) for number in plain),
        _painted(jobs, tasks, painted, recipe, ledger, models) if painted else (),
    )
    began, first = ledger.now(), len(ledger.seconds["renders"]) + len(plain)
    for done, (number, make) in enumerate(makes, len(jobs) - len(missing) + 1):
        outcomes[number] = ledger.make_now(tasks[number], make, began)
        report(Progress("renders", done, len(jobs), f"{jobs[number].sku.sku}/{jobs[number].scene.name}"))
        began = ledger.now()
    ledger.share_seconds("renders", first)
    told = [outcome for outcome in outcomes if isinstance(outcome, (Render, Refusal))]
    return [
        one if isinstance(one, Refusal) else one.model_copy(update={"cutout": job.cutout})
        for one, job in zip(told, jobs, strict=True)
    ]


def _painted(
    jobs: Sequence[RenderJob],
    tasks: Sequence[Task],
    numbers: Sequence[int],
    recipe: RenderRecipe,
    ledger: Ledger,
    models: Models,
) -> Iterator[tuple[int, Callable[[], Render]]]:
    """The jobs of these numbers as they are painted, each with what returns its record or raises its InputRefused.

    Files are written by a thread while the fleet paints on.
    """
    from productshot.render.fleet import paint

    paintings = (_painting(jobs[number], recipe, ledger, models) for number in numbers)
    with ThreadPoolExecutor(1, "renders") as writer:
        writing: deque[tuple[int, Future[Render]]] = deque()
        for place, told in paint(models.base, paintings, recipe.batch):
            number = numbers[place]
            writing.append((number, writer.submit(_written, jobs[number], tasks[number], told, ledger)))
            while writing and writing[0][1].done():
                number, record = writing.popleft()
                yield number, record.result
        for number, record in writing:
            yield number, record.result


def _painting(job: RenderJob, recipe: RenderRecipe, ledger: Ledger, models: Models) -> Painting:
    """The painting of a job in one of the two painted lanes; it reads what it needs when it begins."""
    cutout = from_png(ledger.data(job.sku.sku, "cutouts", job.cutout.digest, "png"))
    drawn = job.scribble.lines if job.scribble else None
    if job.lane == "keep":
        from productshot.render.keep import paint_around

        return (yield from paint_around(models.base, job.scene, cutout, job.ratios, job.seed, recipe, drawn))
    from productshot.adapters import split
    from productshot.render.draw import AdapterWeights, Subject, draw_product

    assert job.adapter is not None and job.sku.noun is not None
    lora, rows = split(ledger.data(job.sku.sku, "adapters", job.adapter.digest, "safetensors"))
    worn = AdapterWeights(lora, rows[0] if rows else None)
    subject = Subject(job.sku.noun, job.adapter.token, worn, cutout)
    return (yield from draw_product(models.base, job.scene, subject, job.ratios, job.seed, recipe, drawn))


def _written(job: RenderJob, task: Task, told: Plate | InputRefused, ledger: Ledger) -> Render:
    """The record of a painting whose plate is stored now; its InputRefused is raised."""
    if isinstance(told, InputRefused):
        raise told
    digest = ledger.put_data(job.sku.sku, "renders", png_bytes(told.rgb), "png", "image/png")
    boxes = {"product": told.product, "sketch": told.sketch, "master": told.master}
    return _record(job, task, {"digest": digest, "size": size_of(told.rgb), **boxes})


def _record(job: RenderJob, task: Task, made: Mapping[str, object] | None = None) -> Render:
    """The record of a render: a packshot where nothing was made."""
    return Render.model_validate(
        {
            "sku": job.sku.sku,
            "key": task.key,
            "scene": job.scene.name,
            "lane": job.lane,
            "variant": job.variant,
            "seed": job.seed,
            "cutout": job.cutout,
            "adapter": job.adapter.digest if job.adapter else None,
            **(made or {"digest": "", "size": job.cutout.size, "product": None}),
        }
    )
