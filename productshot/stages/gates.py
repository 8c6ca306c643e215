"""Stage gates: measure every painted picture once, then judge the stored numbers against today's limits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from catalog_schemas import AssetRecipe, Channel, CutoutRecipe, GateRecipe, ReviewPolicy, Scene, Shadow
from productshot.assets.compose import DRAW_LARGER, drawn_limit, drawn_width, product_box
from productshot.assets.ground import add_grain, cast_shadow, enlarge
from productshot.assets.relight import in_scene
from productshot.gates import Comparison, Senses, judge, measure_render
from productshot.geometry import Box, Size, frame_for
from productshot.ledger import Ledger, Task
from productshot.models import Models
from productshot.pixels import Pixels, from_png, lay, paste, resize
from productshot.progress import Progress, ReportProgress
from productshot.records import Measures, Refusal, Render, Verdict

COMPARE_PX = 512
"""Pictures are compared with their master square at this size."""
REFERENCE_GREY = 128


class Judged(NamedTuple):
    """A render with what was measured of it and what follows from that."""

    render: Render
    measures: Measures | None  # None in a packshot: nothing was painted
    verdict: Verdict


class Painted(NamedTuple):
    """A render with what was asked of it."""

    render: Render
    scene: Scene
    noun: str | None

    @property
    def prompt(self) -> str:
        """What the picture should show: keep, the scene without a product; draw, the product without its token."""
        if self.render.lane == "keep":
            return self.scene.scene_prompt
        return " ".join(self.scene.prompt.format(noun=self.noun or "", token="").split())


def relight_of(render: Render, scene: Scene) -> float:
    """How far the product of a render is relit: not at all where no photographed product is pasted."""
    return scene.relight if render.product is not None else 0.0


def gate_task(painted: Painted, models: Models) -> Task:
    """What the stage measures: the picture and its cutout, seen by the cutout model and the image tower."""
    render = painted.render
    parents = (render.key, render.digest, render.cutout.digest)
    asked: dict[str, object] = {
        "shadow": painted.scene.shadow.model_dump(mode="json"),
        "prompt": painted.prompt,
    }
    if relight_of(render, painted.scene):
        asked["relight"] = painted.scene.relight
    return Task(
        render.sku, "gates", parents, {"model": models.cutout_digest, "tower": models.eyes_digest, **asked}
    )


def measure_renders(
    pictures: Sequence[Painted], ledger: Ledger, models: Models, report: ReportProgress
) -> Iterator[Measures | Refusal | None]:
    """One outcome per picture, in order; None for a packshot, which is the cutout itself."""
    for done, painted in enumerate(pictures, 1):
        render = painted.render
        if render.lane == "packshot":
            yield None
        else:
            task = gate_task(painted, models)
            outcome = ledger.once(task, lambda: _measure(painted, ledger, models))  # noqa: B023
            assert isinstance(outcome, (Measures, Refusal))
            yield outcome
        report(Progress("gates", done, len(pictures), f"{render.sku}/{render.scene}"))


def _measure(painted: Painted, ledger: Ledger, models: Models) -> Measures:
    render = painted.render
    seen = compared(render, ledger, painted.scene)
    described = seen.bare if render.lane == "keep" else seen.picture
    seen = replace(seen, described=described, prompt=painted.prompt)
    measures = measure_render(render.key, render.lane, seen, senses_of(models))
    rounded = {name: round(number, 4) for name, number in measures.numbers.items()}
    return measures.model_copy(update={"numbers": rounded})


def senses_of(models: Models) -> Senses:
    """The models that look at pictures; each is opened when it is first needed."""
    from productshot.cutout import coarse_alpha

    return Senses(
        lambda rgb: coarse_alpha(rgb, models.cutout_session),
        lambda one, other: models.eyes.fidelity(one, other),
        lambda rgb, words: models.prompt_match(rgb, words),
    )


def compared(render: Render, ledger: Ledger, scene: Scene) -> Comparison:
    """The picture as the assets will show it, beside the cutout on plain grey; the master square at COMPARE_PX.

    A drawn picture's reference shows the cutout where the control sketch stood.
    """
    assert render.master is not None
    plate = from_png(ledger.data(render.sku, "renders", render.digest, "png"))
    cutout = from_png(ledger.data(render.sku, "cutouts", render.cutout.digest, "png"))
    stands = render.product or render.sketch
    assert stands is not None
    amount = relight_of(render, scene)
    lit = in_scene(cutout, plate, stands, amount).rgba if amount else None
    return compare(plate, render.master, stands, cutout, scene.shadow, render.product is not None, lit)


def compare(
    plate: Pixels,
    master: Box,
    stands: Box,
    cutout: Pixels,
    shadow: Shadow,
    pasted: bool = True,
    lit: Pixels | None = None,
) -> Comparison:
    """The picture of a plate's master square at COMPARE_PX, beside the (h, w, 4) cutout on plain grey.

    `stands`: the cutout's box in px of the plate. A pasted product casts its shadow on the ground, under the same
    grain as in the files; else the plate's own pixels are the picture. `lit`: the cutout as it is pasted, where it
    was relit; the reference is the photographed one.
    """
    canvas = Size(COMPARE_PX, COMPARE_PX)
    at = scaled(stands, master, COMPARE_PX)
    product = resize(cutout, at.size)
    alpha = lay(product[..., 3], canvas, at)
    ground = enlarge(plate, (master.left, master.top, master.right, master.bottom), canvas)
    bare = add_grain(ground, plate)
    solid = product_box(alpha) if pasted else None
    shaded = bare if solid is None else add_grain(cast_shadow(ground, alpha, solid, shadow), plate)
    grey = np.full((COMPARE_PX, COMPARE_PX, 3), REFERENCE_GREY, np.uint8)
    shown = product if lit is None else resize(lit, at.size)
    return Comparison(
        paste(shown, shaded, at) if pasted else bare,
        paste(product, grey, at),
        alpha,
        bare,
        plate,
        master,
        shadow.strength if shadow.kind != "none" else 0.0,
    )


def scaled(box: Box, frame: Box, width: int) -> Box:
    """A box of plate px in a picture that shows the frame at this width; at least 1 px on each side."""
    scale = width / frame.size.width
    left, top = round((box.left - frame.left) * scale), round((box.top - frame.top) * scale)
    size = Size(max(1, round(box.size.width * scale)), max(1, round(box.size.height * scale)))
    return Box(left, top, left + size.width, top + size.height)


def judge_size(render: Render, verdict: Verdict, channels: Sequence[Channel], recipe: AssetRecipe) -> Verdict:
    """Refused when a drawn picture has too few pixels for every slot that takes its lane; else as it was.

    Neither gates nor people can mend that, so the scene falls back to keep at once.
    """
    if render.lane != "draw" or verdict.status == "refused":
        return verdict
    assert render.master is not None
    missing = [
        (
            drawn_width(slot, recipe) - frame_for(slot.ratio, render.master, render.size).size.width,
            channel,
            slot,
        )
        for channel in channels
        for slot in channel.slots
        if "draw" in slot.lanes
    ]
    lacking, channel, slot = min(missing, key=lambda each: each[0], default=(0, None, None))
    if channel is None or slot is None or lacking <= 0:
        return verdict
    return Verdict(
        status="refused",
        gate="drawn_size",
        value=f"{drawn_width(slot, recipe) - lacking} px wide",
        limit=drawn_limit(slot, f"slot {channel.name}/{slot.name}", recipe),
        remedy=DRAW_LARGER,
    )


def judge_render(
    render: Render,
    measures: Measures | None,
    limits: GateRecipe,
    cutouts: CutoutRecipe,
    policy: ReviewPolicy,
    alone: Collection[str] = (),
) -> Verdict:
    """The verdict of all gates; an unsure cutout, one that clutter met, one that is alone go to a person.

    So does, by policy, a drawn product.

    What a gate refuses comes first, what it asks a person comes before the policy's question.
    """
    verdict = Verdict(status="accepted") if measures is None else judge(measures, render.lane, limits)
    if verdict.status == "refused":
        return verdict
    confidence = render.cutout.confidence
    if confidence < cutouts.min_confidence:
        return Verdict(
            status="person",
            gate="cutout_confidence",
            value=f"{confidence:.2f}",
            limit=f"at least {cutouts.min_confidence:.2f}",
            remedy="look at the cutout; approve, or add <name>.mask.png beside the photo",
        )
    if render.cutout.hidden:
        return Verdict(
            status="person",
            gate="cutout_clutter",
            value=f"clutter touched {render.cutout.hidden:.0%} of the product's outline",
            limit="it may have hidden a part of the product",
            remedy="look at the cutout; approve, or take a photo without it",
        )
    if render.cutout.digest in alone:
        return Verdict(
            status="person",
            gate="cutout_twins",
            value="resembles none of the SKU's other photos",
            limit="a part may be missing, or too much was kept",
            remedy="look at the cutout; approve, or add <name>.mask.png beside the photo",
        )
    if verdict.status == "person":
        return verdict
    if policy.policy == "person" or (render.lane == "draw" and policy.draw == "person"):
        return Verdict(
            status="person", gate="review_policy", value=f"lane {render.lane}", limit="a person decides"
        )
    return Verdict(status="accepted")
