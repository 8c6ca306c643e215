"""One night over a catalog: stage after stage, each for all SKUs, every outcome kept for the report.

The methods of Night are the steps, in order; the CLI calls them one after the other, a Prefect flow wraps each in a
task. Each step finds what is done and makes what is missing, so a step (or a whole night) that is run again resumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from types import TracebackType

from catalog_schemas import Catalog, Channel, Scene, Sku
from productshot.assets.credentials import Credentials
from productshot.catalog import channels_of, noun_missing, scenes_of
from productshot.errors import InputRefused
from productshot.geometry import Size
from productshot.ledger import Ledger
from productshot.models import Models
from productshot.photos import Decoder, sku_problem
from productshot.progress import ReportProgress
from productshot.records import Adapter, Asset, Cutout, Photo, Refusal, Render, Twins
from productshot.review import Said, decisions_of, with_decision
from productshot.stages.assets import AssetJob, fill_slots, make_assets, publish, shows_other_views
from productshot.stages.cutouts import choose_cutout, cut_out_photos, seen_by
from productshot.stages.departures import departed, unpublish
from productshot.stages.gates import Judged, Painted, judge_render, judge_size, measure_renders
from productshot.stages.photos import find_photos, measure_photos, product_photos
from productshot.stages.renders import RenderJob, fallback_of, jobs_of, render_jobs, with_more
from productshot.stages.scribbles import read_scribbles
from productshot.stages.twins import find_twins
from productshot.store import Store

LANES_WITH_ADAPTER = ("draw",)
KEPT_BY: dict[str, tuple[str, ...]] = {
    "photos": ("photos",),
    "cutouts": ("cutouts", "twins"),
    "adapters": ("adapter",),
    "renders": ("judged", "fallbacks"),
    "assets": ("assets",),
}
"""What each step files under a SKU, beside its refusals."""
STAGES_OF = {name: (name,) for name in KEPT_BY} | {
    "cutouts": ("cutouts", "twins"),
    "renders": ("renders", "gates"),
}
"""The stages that each step takes, as refusals name them."""


@dataclass
class SkuNight:
    """What this night knows of one SKU."""

    sku: Sku
    scenes: dict[str, Scene]
    photos: list[Photo] = field(default_factory=list)
    cutouts: list[Cutout] = field(default_factory=list)
    twins: Twins | None = None
    adapter: Adapter | None = None
    judged: list[Judged] = field(default_factory=list)
    assets: list[Asset] = field(default_factory=list)
    published: list[str] = field(default_factory=list)  # channels whose slots.json changed
    fallbacks: list[str] = field(default_factory=list)  # draw scenes that are shown in the keep lane
    refusals: list[Refusal] = field(default_factory=list)

    @property
    def pending(self) -> list[Judged]:
        """Pictures that wait for a person."""
        return [judged for judged in self.judged if judged.verdict.status == "person"]


class Night:
    """A run over some or all SKUs of a catalog. Use as a context manager: it owns the decoder's child process."""

    def __init__(
        self,
        catalog: Catalog,
        store: Store,
        report: ReportProgress,
        only: Sequence[str] | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        self.catalog = catalog
        self.scenes = scenes_of(catalog)
        self.channels = channels_of(catalog)
        self.ledger = ledger or Ledger(store)
        self.models = Models(catalog.recipes)
        self.report = report
        settings = catalog.night
        side = catalog.recipes.renders.size_px
        self.scribbles = read_scribbles(self.scenes.values(), Size(side, side), store, settings)
        self.decoder = Decoder(seconds=settings.decode_seconds, memory_mb=settings.decode_memory_mb)
        chosen = None if only is None else set(only)
        wanted = [sku for sku in catalog.skus if chosen is None or sku.sku in chosen]
        self._said: dict[str, Said] = {}
        self.whole = only is None
        self.unpublished: list[tuple[str, str]] = []  # (channel, SKU) that left the catalog
        self.skus = {sku.sku: SkuNight(sku, self._scenes_of(sku)) for sku in wanted}

    def __enter__(self) -> Night:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.decoder.close()

    def part(self, skus: Sequence[str]) -> Night:
        """The night of these SKUs alone, with the same models, ledger and decoder; outcomes are filed in both."""
        part = copy(self)
        part.skus = {name: self.skus[name] for name in skus}
        return part

    def _scenes_of(self, sku: Sku) -> dict[str, Scene]:
        return {name: self.scenes[name] for name in self.scenes if sku.scenes is None or name in sku.scenes}

    def _usable(self) -> Iterator[SkuNight]:
        """SKUs that have at least one cutout."""
        return (one for one in self.skus.values() if one.cutouts)

    # -- the steps -------------------------------------------------------------------------------------------

    def photos(self) -> None:
        """Find and measure the photos of every SKU with a sound name and a noun."""
        self._begin("photos")
        sound = [one for one in self.skus.values() if self.is_sound(one)]
        self.ledger.load_state(one.sku.sku for one in sound)
        found = find_photos(self.catalog, [one.sku for one in sound], self.ledger.store)
        sources = [source for one in sound for source in found[one.sku.sku]]
        for outcome in measure_photos(
            sources, self.catalog.recipes.photos, self.ledger, self.decoder, self.report
        ):
            self._keep(outcome)
        for one in sound:
            if not found[one.sku.sku]:
                folder = f"{self.catalog.photos}{one.sku.sku}/"
                self._refuse(
                    one,
                    "photos",
                    InputRefused(f"SKU {one.sku.sku}", f"has no photo in {folder}", "", "add one"),
                )
        self.ledger.save_state()

    def cutouts(self) -> None:
        """Cut the product out of every product photo."""
        self._begin("cutouts")
        photos = [photo for one in self.skus.values() for photo in product_photos(one.photos)]
        recipes = self.catalog.recipes
        for outcome in cut_out_photos(
            photos, recipes.cutouts, recipes.photos, self.ledger, self.decoder, self.models, self.report
        ):
            self._keep(outcome)
        for one in self._usable():
            self._keep(find_twins(one.sku.sku, one.cutouts, self.ledger, self.models))
        self.ledger.save_state()

    def adapters(self) -> None:
        """Train the SKUs that have a scene whose lane uses an adapter."""
        from productshot.stages.adapters import train_skus

        self._begin("adapters")
        wanted = [one for one in self._usable() if self.needs_adapter(one)]
        recipes = self.catalog.recipes
        cutouts = {one.sku.sku: self.for_training(one) for one in wanted}
        for outcome in train_skus(
            [one.sku for one in wanted],
            cutouts,
            recipes.adapters,
            recipes.photos,
            self.ledger,
            self.decoder,
            self.models,
            self.report,
            self.catalog.night.slots,
            self.catalog.night.checkpoint_every_s,
        ):
            self._keep(outcome)
        self.ledger.save_state()

    def renders(self) -> None:
        """Paint and judge every scene; a draw scene without an accepted picture falls back to keep."""
        self._begin("renders")
        jobs = [job for one in self._usable() for job in self.render_jobs(one)]
        judged = self._paint([job for job in jobs if job.lane != "draw" or job.adapter])
        again = [fallback_of(job, self._channels()) for job in missed(jobs, judged)]
        for job in again:
            self.skus[job.sku.sku].fallbacks.append(job.scene.name)
        self._paint([more for job in again for more in self._with_more(job.sku.sku, [job])])
        self.ledger.save_state()

    def assets(self) -> None:
        """Make the files of every slot and swap slots.json where they changed."""
        self._begin("assets")
        jobs = [job for one in self._usable() for job in self.asset_jobs(one)]
        signing = self.catalog.night.signing
        credentials = Credentials(signing) if signing else None
        recipe = self.catalog.recipes.assets
        for outcome in make_assets(jobs, recipe, self.ledger, self.report, credentials=credentials):
            self._keep(outcome)
        for one in self._usable():
            for channel in self._channels():
                mine = [asset for asset in one.assets if asset.channel == channel.name]
                by_slot = {slot.name: [a for a in mine if a.slot == slot.name] for slot in channel.slots}
                if publish(one.sku.sku, channel, by_slot, self.catalog.catalog, self.ledger):
                    one.published.append(channel.name)
        self.ledger.save_state()

    def departures(self) -> None:
        """Take down what left the catalog; a run over chosen SKUs knows nothing of the others."""
        if self.whole:
            self.unpublished, _ = self.departed
            unpublish(self.unpublished, self.ledger)

    @cached_property
    def departed(self) -> tuple[list[tuple[str, str]], int]:
        """What is published and no longer in the catalog, and how much is published in all."""
        listed = (sku.sku for sku in self.catalog.skus)
        return departed(self.catalog.catalog, self.channels, listed, self.ledger)

    def _begin(self, step: str) -> None:
        """Forget what an interrupted run of this step filed, so that a retry does not count twice."""
        for one in self.skus.values():
            fresh = SkuNight(one.sku, one.scenes)
            for name in KEPT_BY[step]:
                setattr(one, name, getattr(fresh, name))
            one.refusals = [refusal for refusal in one.refusals if refusal.stage not in STAGES_OF[step]]

    # -- what a step needs -----------------------------------------------------------------------------------

    def _channels(self) -> list[Channel]:
        return list(self.channels.values())

    def is_sound(self, one: SkuNight) -> bool:
        """Whether the SKU has a usable name and a noun; otherwise its refusal is filed."""
        problem = sku_problem(one.sku.sku) or (None if one.sku.noun else noun_missing(one.sku.sku))
        if problem:
            self._refuse(one, "photos", problem)
        return problem is None

    def needs_adapter(self, one: SkuNight) -> bool:
        """Whether the SKU has a scene whose lane uses an adapter, and a cutout that fits its camera."""
        return any(
            scene.lane in LANES_WITH_ADAPTER and seen_by(one.cutouts, scene.placement.camera)
            for scene in one.scenes.values()
        )

    def for_training(self, one: SkuNight) -> list[Cutout]:
        """The cutouts that the SKU's adapter learns from."""
        from productshot.stages.adapters import worth_learning

        return worth_learning(one.cutouts, self.catalog.recipes.cutouts.min_confidence)

    def render_jobs(self, one: SkuNight) -> list[RenderJob]:
        """The pictures of a SKU: every scene with the cutout that serves it, a packshot per view that slots ask."""
        limit, tries = self.catalog.recipes.cutouts.min_confidence, self.catalog.recipes.renders.tries
        jobs = []
        for scene in one.scenes.values():
            fitting = seen_by(one.cutouts, scene.placement.camera)
            for view in self._views(one, scene.lane):
                cutout = choose_cutout(fitting, view, limit, self._alone(one))
                if cutout is None:
                    self._refuse(one, "renders", no_photo(one, scene, view))
                else:
                    made = jobs_of(one.sku, scene, cutout, one.adapter, self._channels(), tries)
                    jobs += [job._replace(scribble=self.scribbles.get(scene.name)) for job in made]
        return self._with_more(one.sku.sku, jobs)

    def _alone(self, one: SkuNight) -> set[str]:
        """Digests of the SKU's cutouts that resemble none of its others."""
        limit = self.catalog.recipes.limits.max_unlike
        if one.twins is None or limit is None:
            return set()
        return {digest for digest, unlike in one.twins.unlike.items() if unlike > limit}

    def _with_more(self, sku: str, jobs: Sequence[RenderJob]) -> list[RenderJob]:
        """The jobs of a SKU and what people asked for beside them."""
        return with_more(jobs, self._decisions(sku), self.catalog.recipes.renders, self.models)

    def _views(self, one: SkuNight, lane: str) -> list[str | None]:
        """The views that a lane's slots ask for; scenes are painted around the photo that serves them best alone.

        Beside the views that slots name, packshots of a further slot show every other one of which a confident cutout
        is at hand.
        """
        if lane != "packshot":
            return [None]
        slots = [slot for channel in self._channels() for slot in channel.slots if lane in slot.lanes]
        asked: set[str | None] = {slot.view for slot in slots}
        hero, limit = self._hero(one), self.catalog.recipes.cutouts.min_confidence
        if hero and any(shows_other_views(slot) for slot in slots):
            sure = {cutout.photo.view for cutout in one.cutouts if cutout.confidence >= limit}
            asked |= sure - {hero.photo.view}
        return sorted(asked, key=lambda view: view or "")

    def _hero(self, one: SkuNight) -> Cutout | None:
        """The cutout that serves where no view is asked for."""
        return choose_cutout(one.cutouts, None, self.catalog.recipes.cutouts.min_confidence, self._alone(one))

    def _paint(self, jobs: Sequence[RenderJob]) -> list[Judged]:
        """Render, measure and judge; refusals are filed, the judged pictures returned and filed."""
        recipes, policy = self.catalog.recipes, self.catalog.review
        painted = []
        outcomes = render_jobs(jobs, recipes.renders, self.ledger, self.models, self.report)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, Render):
                painted.append(Painted(outcome, job.scene, job.sku.noun))
            else:
                self._keep(outcome)
        measured = measure_renders(painted, self.ledger, self.models, self.report)
        pictures = []
        for (render, _, _), measures in zip(painted, measured, strict=True):
            if isinstance(measures, Refusal):
                self._keep(measures)
                continue
            alone = self._alone(self.skus[render.sku])
            verdict = judge_render(render, measures, recipes.limits, recipes.cutouts, policy, alone)
            verdict = with_decision(render, verdict, self._decisions(render.sku))
            verdict = judge_size(render, verdict, self._channels(), recipes.assets)
            picture = Judged(render, measures, verdict)
            self.skus[render.sku].judged.append(picture)
            pictures.append(picture)
        return pictures

    def _decisions(self, sku: str) -> Said:
        """What people said of a SKU's pictures, read once a night."""
        if sku not in self._said:
            some = not self.whole or f"review/{sku}/" in self._reviewed
            self._said[sku] = decisions_of(self.ledger.store, sku) if some else Said()
        return self._said[sku]

    @cached_property
    def _reviewed(self) -> set[str]:
        """The folders of SKUs that somebody decided on: few, so a whole night lists them once."""
        return set(self.ledger.store.list_prefixes("review/"))

    def asset_jobs(self, one: SkuNight) -> list[AssetJob]:
        """Each accepted picture in the slots that take it, in scene order."""
        accepted = first_accepted(one.judged)
        order = list(one.scenes)
        accepted.sort(key=lambda judged: (order.index(judged.render.scene), judged.render.variant))
        hero = self._hero(one)
        jobs = []
        for channel in self._channels():
            filled = fill_slots(channel, accepted, hero)
            for slot in channel.slots:
                for index, judged in enumerate(filled[slot.name], 1):
                    jobs.append(AssetJob(channel, slot, index, judged, one.scenes[judged.render.scene]))
        return jobs

    def _keep(self, outcome: object) -> None:
        """File an outcome under its SKU."""
        match outcome:
            case Refusal():
                self.skus[outcome.sku].refusals.append(outcome)
            case Photo():
                self.skus[outcome.sku].photos.append(outcome)
            case Cutout():
                self.skus[outcome.sku].cutouts.append(outcome)
            case Twins():
                self.skus[outcome.sku].twins = outcome
            case Adapter():
                self.skus[outcome.sku].adapter = outcome
            case Asset():
                self.skus[outcome.sku].assets.append(outcome)

    def _refuse(self, one: SkuNight, stage: str, error: InputRefused) -> None:
        one.refusals.append(Refusal.of(one.sku.sku, stage, error))


def no_photo(one: SkuNight, scene: Scene, view: str | None) -> InputRefused:
    """Why a picture of the SKU is not made: no photo is of the slots' view, or none fits the scene's camera."""
    item = f"SKU {one.sku.sku}"
    if view is not None:
        return InputRefused(item, f"has no photo of view {view!r}", "", "add one")
    views = sorted({cutout.photo.view for cutout in one.cutouts if cutout.photo.view})
    limit = f"its camera is {scene.placement.camera!r}, the photos' views are {', '.join(map(repr, views))}"
    remedy = "add one, or leave the scene out of the SKU's scenes"
    return InputRefused(item, f"has no photo that fits scene {scene.name}", limit, remedy)


def night_id(began: datetime, end: str = "") -> str:
    """The id of a night that began then, in UTC; ids sort by time, older ones of whole seconds among them.

    `end` tells nights apart that begin in one microsecond; without it the id stands before theirs.
    """
    return f"{began.astimezone(UTC):%Y%m%dT%H%M%S.%fZ}" + (f"-{end}" if end else "")


def missed(jobs: Sequence[RenderJob], judged: Sequence[Judged]) -> list[RenderJob]:
    """One job per drawn picture of which no try passed the gates, or none could be painted."""
    passed = {
        (one.render.sku, one.render.scene, one.render.variant)
        for one in judged
        if one.render.lane == "draw" and one.verdict.status != "refused"
    }
    return [
        job
        for job in jobs
        if job.lane == "draw"
        and job.attempt == 0
        and (job.sku.sku, job.scene.name, job.variant) not in passed
    ]


def first_accepted(judged: Sequence[Judged]) -> list[Judged]:
    """Of each scene, view and variant the first accepted picture: later tries are spares."""
    first: dict[tuple[str, str | None, int], Judged] = {}
    for one in judged:
        if one.verdict.status == "accepted":
            render = one.render
            first.setdefault(
                (
                    render.scene,
                    render.cutout.photo.view if render.lane == "packshot" else None,
                    render.variant,
                ),
                one,
            )
    return list(first.values())
