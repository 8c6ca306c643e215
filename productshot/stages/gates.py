"""Stage gates: measure every painted picture once, then judge the stored numbers against today's limits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from catalog_schemas import AssetRecipe, Channel, CutoutRecipe, GateRecipe, ReviewPolicy
from productshot.assets.compose import DRAW_LARGER, drawn_limit, drawn_width
from productshot.gates import Comparison, judge, measure_render
from productshot.geometry import Box, Size, frame_for
from productshot.ledger import Ledger, Task
from productshot.models import Models
from productshot.pixels import from_png, lay, paste, resize
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


def gate_task(render: Render, models: Models) -> Task:
    """What the stage measures: the picture and its cutout, seen by the cutout model and the image tower."""
    parents = (render.key, render.digest, render.cutout.digest)
    return Task(render.sku, "gates", parents, {"model": models.cutout_digest, "tower": models.eyes_digest})


def measure_renders(
    renders: Sequence[Render], ledger: Ledger, models: Models, report: ReportProgress
) -> Iterator[Measures | Refusal | None]:
    """One outcome per render, in order; None for a packshot, which is the cutout itself."""
    for done, render in enumerate(renders, 1):
        if render.lane == "packshot":
            yield None
        else:
            task = gate_task(render, models)
            outcome = ledger.once(task, lambda: _measure(render, ledger, models))  # noqa: B023
            assert isinstance(outcome, (Measures, Refusal))
            yield outcome
        report(Progress("gates", done, len(renders), f"{render.sku}/{render.scene}"))


def _measure(render: Render, ledger: Ledger, models: Models) -> Measures:
    from productshot.cutout import coarse_alpha

    seen = compared(render, ledger)
    measures = measure_render(
        render.key,
        render.lane,
        seen,
        lambda rgb: coarse_alpha(rgb, models.cutout_session),
        lambda one, other: models.eyes.fidelity(one, other),
    )
    rounded = {name: round(number, 4) for name, number in measures.numbers.items()}
    return measures.model_copy(update={"numbers": rounded})


def compared(render: Render, ledger: Ledger) -> Comparison:
    """The picture beside the cutout on plain grey, the master square at COMPARE_PX.

    A drawn picture's reference shows the cutout where the control sketch stood.
    """
    assert render.master is not None
    plate = from_png(ledger.data(render.sku, "renders", render.digest, "png"))
    cutout = from_png(ledger.data(render.sku, "cutouts", render.cutout.digest, "png"))
    master = render.master
    square = plate[master.top : master.bottom, master.left : master.right]
    canvas = Size(COMPARE_PX, COMPARE_PX)
    picture = resize(np.ascontiguousarray(square), canvas)
    grey = np.full((COMPARE_PX, COMPARE_PX, 3), REFERENCE_GREY, np.uint8)
    stands = render.product or render.sketch
    assert stands is not None
    at = scaled(stands, master, COMPARE_PX)
    product = resize(cutout, at.size)
    if render.product is not None:
        picture = paste(product, picture, at)
    return Comparison(picture, paste(product, grey, at), lay(product[..., 3], canvas, at))


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
) -> Verdict:
    """The verdict of all gates; an unsure cutout and, by policy, a drawn product go to a person."""
    if measures is not None:
        verdict = judge(measures, render.lane, limits)
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
    if policy.policy == "person" or (render.lane == "draw" and policy.draw == "person"):
        return Verdict(
            status="person", gate="review_policy", value=f"lane {render.lane}", limit="a person decides"
        )
    return Verdict(status="accepted")
