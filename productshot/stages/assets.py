"""Stage assets: accepted pictures become the files of each channel's slots, checked after the last encode.

Files lie under catalog/<channel>/<sku>/ with their manifest beside them; `slots.json` says which file fills which
slot and is swapped with one put. Published files stay until slots.json names others.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from catalog_schemas import AssetRecipe, Channel, Scene, Slot
from productshot.assets import (
    asset_manifest,
    check,
    encode,
    packshot,
    scene_picture,
    source_type,
    xmp_packet,
)
from productshot.errors import GateRefused, StorageMissing
from productshot.geometry import frame_for
from productshot.keys import asset_key, canonical_json, digest_bytes
from productshot.ledger import Ledger, Task
from productshot.pixels import from_png, size_of
from productshot.progress import Progress, ReportProgress
from productshot.records import Asset, Refusal
from productshot.stages.gates import Judged


class AssetJob(NamedTuple):
    """One accepted picture for one slot; `number` counts the pictures of the slot from 1."""

    channel: Channel
    slot: Slot
    number: int
    picture: Judged
    scene: Scene


def asset_task(job: AssetJob, recipe: AssetRecipe) -> Task:
    """What the stage makes of a job; a rule's prose is no part of the key, its numbers are."""
    render = job.picture.render
    made_by = {
        **recipe.model_dump(mode="json"),
        "slot": _numbers_of(job.slot),
        "channel": job.channel.name,
        "number": job.number,
        "shadow": job.scene.shadow.model_dump(mode="json"),
        "product": render.product,
        "master": render.master,
        "ai": render.cutout.photo.ai_source,
    }
    return Task(render.sku, "assets", (render.key, render.digest, render.cutout.digest), made_by)


def _numbers_of(slot: Slot) -> dict[str, Any]:
    """The slot's numbers; one that came later than the first files and is not set redoes none of them."""
    later = {"min_bytes"} if not slot.min_bytes else set()
    return slot.model_dump(mode="json", exclude={"rules", "count", "role", *later})


def make_assets(
    jobs: Sequence[AssetJob], recipe: AssetRecipe, ledger: Ledger, report: ReportProgress
) -> Iterator[Asset | Refusal]:
    """One outcome per job, in order."""
    for done, job in enumerate(jobs, 1):
        task = asset_task(job, recipe)
        outcome = ledger.once(task, lambda: _make(job, recipe, ledger))  # noqa: B023
        assert isinstance(outcome, (Asset, Refusal))
        yield outcome
        report(
            Progress(
                "assets", done, len(jobs), f"{job.picture.render.sku}/{job.channel.name}/{job.slot.name}"
            )
        )


def _make(job: AssetJob, recipe: AssetRecipe, ledger: Ledger) -> Asset:
    render, slot = job.picture.render, job.slot
    photo = render.cutout.photo
    where = f"{job.channel.name}/{slot.name}"
    item = f"product of {render.sku} ({photo.key})"
    cutout = from_png(ledger.data(render.sku, "cutouts", render.cutout.digest, "png"))
    if render.lane == "packshot":
        composed = packshot(cutout, slot, recipe, item, where)
    else:
        assert render.master is not None
        plate = from_png(ledger.data(render.sku, "renders", render.digest, "png"))
        frame = frame_for(slot.ratio, render.master, size_of(plate))
        product = cutout if render.product is not None else None
        composed = scene_picture(
            plate, frame, render.product, product, job.scene.shadow, slot, recipe, item, where
        )
    uri = source_type(render.lane, photo.ai_source)
    data = encode(
        composed, slot, recipe, xmp_packet(uri, f"{render.sku}, {job.scene.name}"), item, where
    )
    verdicts = check(data, job.channel, slot, composed.matte, render.lane, uri)
    for verdict in verdicts:
        if verdict.status == "refused":
            raise GateRefused(f"{item}: rule {verdict.rule}", verdict.value, verdict.limit, verdict.remedy)
    digest = digest_bytes(data)
    key = asset_key(job.channel.name, render.sku, slot.name, job.number, digest, "jpg")
    asset = Asset(
        sku=render.sku,
        key=key,
        digest=digest,
        size=size_of(composed.rgb),
        channel=job.channel.name,
        slot=slot.name,
        index=job.number,
        scene=render.scene,
        lane=render.lane,
        bytes=len(data),
        upscale=round(composed.upscale, 4),
        source_type=uri,
    )
    manifest = asset_manifest(asset, render, job.picture.measures, verdicts, recipe)
    ledger.put("assets", key, data, "image/jpeg")
    ledger.store.put(f"{key}.json", canonical_json(manifest), "application/json")
    return asset


def publish(
    sku: str, channel: Channel, assets: Mapping[str, Sequence[Asset]], catalog: str, ledger: Ledger
) -> bool:
    """Point slots.json at these assets (slot name -> assets in order); True when that changed anything.

    One put swaps all slots of a channel; what stood there before is kept as `previous`, for a rollback. A slot for
    which nothing was accepted keeps what it shows: published files stay until replaced.
    """
    before = published(sku, channel.name, ledger)
    shown = before["slots"] if before else {}
    slots = {
        slot.name: [asset.key for asset in assets.get(slot.name, ())] or shown.get(slot.name, [])
        for slot in channel.slots
    }
    if slots == shown or not any(slots.values()):
        return False
    after = {
        "catalog": catalog,
        "channel": channel.name,
        "sku": sku,
        "slots": slots,
        "previous": before and before["slots"],
    }
    swap(sku, channel.name, after, ledger)
    return True


def swap(sku: str, channel: str, said: Mapping[str, Any], ledger: Ledger) -> None:
    """Let slots.json say that from now on, with one put."""
    ledger.store.put(slots_key(sku, channel), canonical_json(said), "application/json")


def slots_key(sku: str, channel: str) -> str:
    """Where slots.json of a SKU in a channel lies."""
    return f"catalog/{channel}/{sku}/slots.json"


def published(sku: str, channel: str, ledger: Ledger) -> dict[str, Any] | None:
    """What slots.json says of a SKU in a channel; None when nothing was ever published."""
    try:
        said: dict[str, Any] = json.loads(ledger.store.get(slots_key(sku, channel)))
    except StorageMissing:
        return None
    return said
