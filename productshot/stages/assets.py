"""Stage assets: accepted pictures become the files of each channel's slots, checked after the last encode.

Files lie under catalog/<channel>/<sku>/ with their manifest beside them; `slots.json` says which file fills which
slot and is swapped with one put. Published files stay until slots.json names others.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from catalog_schemas import AssetRecipe, Channel, Scene, Slot
from productshot.assets import (
    Composed,
    asset_manifest,
    check,
    encode,
    ending_of,
    labelled,
    packshot,
    says_ai,
    scene_picture,
    source_type,
    xmp_packet,
)
from productshot.assets.credentials import RESERVED_BYTES, Credentials, Made
from productshot.assets.opened import Opened
from productshot.errors import GateRefused, StorageMissing
from productshot.geometry import frame_for
from productshot.keys import asset_key, canonical_json, digest_bytes
from productshot.ledger import Ledger, Task
from productshot.pixels import size_of
from productshot.progress import Progress, ReportProgress
from productshot.records import Asset, Cutout, Refusal, Render
from productshot.stages.gates import Judged, relight_of

AHEAD = 3
"""Files made, or being made, per thread before the first of them is taken: bounds the memory of a night."""


FURTHER = ("additional", "lifestyle")
"""Roles of the slots that stand beside the main one on a product's page."""


class AssetJob(NamedTuple):
    """One accepted picture for one slot; `number` counts the pictures of the slot from 1."""

    channel: Channel
    slot: Slot
    number: int
    picture: Judged
    scene: Scene


def fill_slots(channel: Channel, pictures: Sequence[Judged], hero: Cutout | None) -> dict[str, list[Judged]]:
    """The pictures of each slot by its name, at most its count: of its lanes and view, in the order given.

    A slot that names no view shows scenes, each with the photo that fits its camera, and packshots of the hero; one
    of packshots beside the main slot shows the other views too.
    Further slots (additional, lifestyle) stand on one page with the main one, so each takes a picture of its own,
    in turn, then what is left; what the page shows already in that ratio does not show again. A slot for which
    nothing is left stays empty.
    """
    filled: dict[str, list[Judged]] = {slot.name: [] for slot in channel.slots}
    page: list[tuple[Judged, tuple[int, int]]] = []
    for slot, most in [(slot, 1) for slot in channel.slots] + [(slot, slot.count) for slot in channel.slots]:
        shown = filled[slot.name]
        for picture in pictures:
            repeats = slot.role in FURTHER and (picture, slot.ratio) in page
            if len(shown) < most and picture not in shown and not repeats and _fits(slot, picture, hero):
                shown.append(picture)
                if slot.role in ("main", *FURTHER):
                    page.append((picture, slot.ratio))
    return filled


def shows_other_views(slot: Slot) -> bool:
    """Whether packshots of every view of a product may stand in a slot: beside the main one, none of them named."""
    return slot.role in FURTHER and slot.view is None and "packshot" in slot.lanes


def _fits(slot: Slot, picture: Judged, hero: Cutout | None) -> bool:
    """Whether a picture is of a slot's lanes and of its view."""
    cutout = picture.render.cutout
    if picture.render.lane not in slot.lanes:
        return False
    if slot.view is not None:
        return cutout.photo.view == slot.view
    return picture.render.lane != "packshot" or cutout == hero or shows_other_views(slot)


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Made(NamedTuple):
    """A finished file that is not stored yet, and how long it took."""

    asset: Asset
    data: bytes
    content_type: str
    manifest: dict[str, Any]
    seconds: float


def asset_task(job: AssetJob, recipe: AssetRecipe, signed_by: str | None = None) -> Task:
    """What the stage makes of a job; a rule's prose is no part of the key, its numbers are.

    `signed_by`: digest of the certificate that signs its C2PA manifest.
    """
    render, slot = job.picture.render, slot_of(job, recipe)
    made_by = {
        **recipe.set_fields(later=("linear_light", "sharpen"), without=("format",)),
        "slot": slot.set_fields(later=("min_bytes",), without=("rules", "count", "role")),
        "channel": job.channel.name,
        "number": job.number,
        "shadow": job.scene.shadow.model_dump(mode="json"),
        "product": render.product,
        "master": render.master,
        "ai": render.cutout.photo.ai_source,
    }
    if relight_of(render, job.scene):
        made_by["relight"] = job.scene.relight
    if job.channel.label and says_ai(_source_type(render)):
        made_by["label"] = job.channel.label.model_dump(mode="json")
    if signed_by:
        made_by["signed_by"] = signed_by
    return Task(render.sku, "assets", (render.key, render.digest, render.cutout.digest), made_by)


def slot_of(job: AssetJob, recipe: AssetRecipe) -> Slot:
    """The job's slot, in the format that the recipe asks for where the channel takes it."""
    if recipe.format is None or not job.slot.takes(recipe.format):
        return job.slot
    return job.slot.model_copy(update={"format": recipe.format})


def _source_type(render: Render) -> str | None:
    return source_type(render.lane, render.cutout.photo.ai_source)


def make_assets(
    jobs: Sequence[AssetJob],
    recipe: AssetRecipe,
    ledger: Ledger,
    report: ReportProgress,
    threads: int | None = None,
    credentials: Credentials | None = None,
) -> Iterator[Asset | Refusal]:
    """One outcome per job, in order.

    Files are made in `threads` at a time (None: one a core), a few jobs ahead; what is stored, and in which order,
    does not depend on how many. Pictures are decoded once for all their slots. With `credentials` each file carries a
    signed C2PA manifest.
    """
    threads = threads or cores()
    opened = Opened(ledger, recipe.linear_light)
    waiting: deque[tuple[Task, AssetJob, Asset | Refusal | Future[_Made]]] = deque()
    done = 0

    def next_outcome() -> Asset | Refusal:
        nonlocal done
        task, job, made = waiting.popleft()
        outcome = _stored(task, made, ledger, threads) if isinstance(made, Future) else made
        done += 1
        where = f"{task.sku}/{job.channel.name}/{job.slot.name}"
        report(Progress("assets", done, len(jobs), where))
        return outcome

    with ThreadPoolExecutor(threads, "assets") as pool:
        for job in jobs:
            task = asset_task(job, recipe, credentials.digest if credentials else None)
            known = ledger.adopt(task)
            assert known is None or isinstance(known, (Asset, Refusal))
            waiting.append((task, job, known or pool.submit(_make, job, recipe, opened, credentials)))
            if len(waiting) > AHEAD * threads:
                yield next_outcome()
        while waiting:
            yield next_outcome()


def _stored(task: Task, made: Future[_Made], ledger: Ledger, threads: int) -> Asset | Refusal:
    """The outcome of a file that was made, or refused, marked done; its seconds are those of its share of the cores."""
    wait([made])
    seconds = 0.0 if made.exception() else made.result().seconds / threads
    outcome = ledger.make_now(task, lambda: _store(made.result(), ledger), ledger.now() - seconds)
    assert isinstance(outcome, (Asset, Refusal))
    return outcome


def _store(made: _Made, ledger: Ledger) -> Asset:
    ledger.put("assets", made.asset.key, made.data, made.content_type)
    ledger.store.put(f"{made.asset.key}.json", canonical_json(made.manifest), "application/json")
    return made.asset


def _make(job: AssetJob, recipe: AssetRecipe, opened: Opened, credentials: Credentials | None) -> _Made:
    """The file of a job, judged as it was read back; GateRefused: a rule of the channel refuses it."""
    began = time.perf_counter()
    render, slot = job.picture.render, slot_of(job, recipe)
    where, item = f"{job.channel.name}/{slot.name}", f"product of {render.sku} ({render.cutout.photo.key})"
    uri = _source_type(render)
    composed = _composed(job, slot, recipe, opened, item, where)
    relit = _relit(job, opened)
    if job.channel.label and says_ai(uri):
        composed = labelled(composed, job.channel.label, slot, item, where)
    packet = xmp_packet(uri, f"{render.sku}, {job.scene.name}")
    if credentials is None:
        data = encode(composed, slot, recipe, packet, item, where)
    else:
        room = slot.model_copy(update={"max_bytes": slot.max_bytes - RESERVED_BYTES})
        data = encode(composed, room, recipe, packet, item, where)
        data = credentials.signed(data, slot.format, _said(job, uri, opened, item))
    verdicts = check(data, job.channel, slot, composed.matte, render.lane, uri)
    for verdict in verdicts:
        if verdict.status == "refused":
            raise GateRefused(f"{item}: rule {verdict.rule}", verdict.value, verdict.limit, verdict.remedy)
    asset = _record(job, slot, composed, data, uri)
    picture, signed_by = job.picture, credentials.digest if credentials else None
    manifest = asset_manifest(
        asset, render, picture.measures, picture.verdict, verdicts, recipe, signed_by, relit
    )
    return _Made(asset, data, f"image/{slot.format}", manifest, time.perf_counter() - began)


def _composed(
    job: AssetJob, slot: Slot, recipe: AssetRecipe, opened: Opened, item: str, where: str
) -> Composed:
    """The picture at the slot's size, before it is encoded."""
    render = job.picture.render
    if render.lane == "packshot":
        return packshot(opened.cutout(render.sku, render.cutout.digest), slot, recipe, item, where)
    assert render.master is not None
    plate = opened.plate(render.sku, render.digest)
    frame = frame_for(slot.ratio, render.master, size_of(plate))
    product = None
    if render.product is not None:
        amount = relight_of(render, job.scene)
        product = (
            opened.relit(render, amount)[0] if amount else opened.cutout(render.sku, render.cutout.digest)
        )
    return scene_picture(plate, frame, render.product, product, job.scene.shadow, slot, recipe, item, where)


def _relit(job: AssetJob, opened: Opened) -> dict[str, float] | None:
    """What the manifest says of the product's light; None: the photographed pixels are as they were."""
    amount = relight_of(job.picture.render, job.scene)
    if not amount:
        return None
    return {"asked": amount, "max_delta_e": round(opened.relit(job.picture.render, amount)[1], 3)}


def _said(job: AssetJob, uri: str | None, opened: Opened, item: str) -> Made:
    """What the C2PA manifest of a job's file says."""
    render, photo = job.picture.render, job.picture.render.cutout.photo
    name = photo.key.rpartition("/")[2]
    return Made(f"{render.sku}, {job.scene.name}", render.lane, uri, name, opened.photo(photo), item)


def _record(job: AssetJob, slot: Slot, composed: Composed, data: bytes, uri: str | None) -> Asset:
    render, digest = job.picture.render, digest_bytes(data)
    ending = ending_of(slot.format).lstrip(".")
    return Asset(
        sku=render.sku,
        key=asset_key(job.channel.name, render.sku, slot.name, job.number, digest, ending),
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
