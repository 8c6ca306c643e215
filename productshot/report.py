"""The report of a night: report.json for machines, report.html for people, both under nights/<night-id>/.

The numbers come first: what was made, adopted and refused per stage and what it cost; then every refusal in words;
then each SKU with its photo, cutout, pictures, scores and assets. Pictures are embedded as small JPEGs, so that the
page opens from a folder, a bucket or a mail alike.
"""

from __future__ import annotations

import base64
import io
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from PIL import Image

from catalog_schemas import Scene
from productshot import __version__
from productshot.assets import WRITTEN
from productshot.errors import InputRefused, StorageMissing
from productshot.geometry import Box, Size, fit_inside
from productshot.keys import STAGE_FORMATS, canonical_json
from productshot.ledger import Ledger
from productshot.night import Night, SkuNight
from productshot.pixels import Pixels, from_png, paste, resize, size_of
from productshot.records import Asset, Cutout, Photo, Refusal, Render
from productshot.stages.gates import Judged, compared

THUMB_PX = 220
CARDS = 200
"""SKUs shown with pictures; a larger catalog lists the rest by name (those with refusals come first)."""
ADAPTER_FIELDS = {"digest", "method", "steps", "looks", "compared_with"}
"""What the report says of an adapter."""


@dataclass(frozen=True)
class Written:
    """What a night told: the JSON report and the keys of both files."""

    report: dict[str, Any]
    json_key: str
    html_key: str


def write_report(
    night: Night, night_id: str, began: datetime, ended: datetime, chunks: Mapping[str, int] | None = None
) -> Written:
    """Write both files, and a thumbnail per published picture beside them; return what they say.

    `chunks` counts the pieces of a night that workers did: total, given_up, late.
    """
    report = night_report(night, night_id, began, ended)
    if chunks is not None:
        report["chunks"] = dict(chunks)
    store = night.ledger.store
    for sku in report["skus"][:CARDS]:
        for asset in sku["assets"]:
            asset["thumb"] = f"nights/{night_id}/thumbs/{asset['digest'][:16]}.jpg"
            store.put(asset["thumb"], _asset_thumb(asset["key"], asset["digest"], night.ledger), "image/jpeg")
    json_key, html_key = f"nights/{night_id}/report.json", f"nights/{night_id}/report.html"
    html = html_report(night, report)
    store.put(html_key, html.encode(), "text/html; charset=utf-8")
    store.put(json_key, canonical_json(report), "application/json")
    return Written(report, json_key, html_key)


def night_report(night: Night, night_id: str, began: datetime, ended: datetime) -> dict[str, Any]:
    """All that a machine wants to know of a night, JSON-able."""
    skus = [_sku_report(one) for one in night.skus.values()]
    refusals = [refusal for one in night.skus.values() for refusal in one.refusals]
    return {
        "night": night_id,
        "catalog": night.catalog.catalog,
        "whole": night.whole,  # False: some SKUs only
        "version": __version__,
        "began": began.isoformat(timespec="seconds"),
        "seconds": round((ended - began).total_seconds(), 1),
        "counts": {
            "skus": len(skus),
            "done": sum(bool(sku["assets"]) for sku in skus),
            "photos": sum(len(one.photos) for one in night.skus.values()),
            "cutouts": sum(len(one.cutouts) for one in night.skus.values()),
            "adapters": sum(one.adapter is not None for one in night.skus.values()),
            "pictures": sum(len(one.judged) for one in night.skus.values()),
            "assets": sum(len(sku["assets"]) for sku in skus),
            "person": sum(len(one.pending) for one in night.skus.values()),
            "unpublished": len(night.unpublished),
            "refusals": len(refusals),
            "gate_refusals": sum(
                j.verdict.status == "refused" for one in night.skus.values() for j in one.judged
            ),
        },
        "stages": [_stage_report(stage, night.ledger, refusals) for stage in STAGE_FORMATS],
        "unpublished": [{"channel": channel, "sku": sku} for channel, sku in night.unpublished],
        "skus": skus,
    }


def _stage_report(stage: str, ledger: Ledger, refusals: Sequence[Refusal]) -> dict[str, Any]:
    seconds = ledger.seconds[stage]
    return {
        "stage": stage,
        "made": ledger.made[stage],
        "adopted": ledger.adopted[stage],
        "doubled": ledger.doubled[stage],  # made here although another run was first
        "refused": sum(refusal.stage == stage for refusal in refusals),
        "seconds": round(sum(seconds), 2),
        "median_seconds": round(statistics.median(seconds), 3) if seconds else None,
        "bytes": ledger.written[stage],
    }


def _sku_report(one: SkuNight) -> dict[str, Any]:
    return {
        "sku": one.sku.sku,
        "noun": one.sku.noun,
        "photos": len(one.photos),
        "confidence": [cutout.confidence for cutout in one.cutouts],
        "adapter": one.adapter and one.adapter.model_dump(mode="json", include=ADAPTER_FIELDS),
        "pictures": [_picture_report(judged) for judged in one.judged],
        "fallbacks": one.fallbacks,
        "assets": [asset.model_dump(mode="json", exclude={"sku"}) for asset in one.assets],
        "published": one.published,
        "refusals": [{"stage": refusal.stage, "told": str(refusal)} for refusal in one.refusals],
    }


def _picture_report(judged: Judged) -> dict[str, Any]:
    render = judged.render
    return {
        "render": render.key,
        "scene": render.scene,
        "lane": render.lane,
        "variant": render.variant,
        "photo": render.cutout.photo.key,
        "numbers": judged.measures.numbers if judged.measures else {},
        "not_valid": judged.measures.not_valid if judged.measures else {},
        "verdict": judged.verdict.model_dump(mode="json"),
    }


# -- the page ------------------------------------------------------------------------------------------------


def html_report(night: Night, report: dict[str, Any]) -> str:
    """The page; every text from a catalog or a file name is escaped."""
    environment = Environment(
        loader=PackageLoader("productshot", "templates"), autoescape=True, undefined=StrictUndefined
    )
    worst_first = sorted(night.skus.values(), key=lambda one: (bool(one.assets), -len(one.refusals)))
    cards = [_card(one, night) for one in worst_first[:CARDS]]
    grouped = Counter(
        (refusal["stage"], refusal["told"]) for sku in report["skus"] for refusal in sku["refusals"]
    )
    rest = [one.sku.sku for one in worst_first[CARDS:]]
    return environment.get_template("report.html").render(
        report=report, cards=cards, refusals=sorted(grouped), rest=rest
    )


def _card(one: SkuNight, night: Night) -> dict[str, Any]:
    """What the page shows of a SKU: figures with a picture each."""
    ledger = night.ledger
    used = {judged.render.cutout.digest: judged.render.cutout for judged in one.judged}
    return {
        "sku": one.sku.sku,
        "noun": one.sku.noun or "no noun",
        "photos": len(one.photos),
        "adapter": one.adapter,
        "refusals": [str(refusal) for refusal in one.refusals],
        "fallbacks": one.fallbacks,
        "cutouts": [_cutout_figure(cutout, night) for cutout in used.values()],
        "pictures": [
            {
                **_picture_report(judged),
                "image": as_data_uri(
                    jpeg_thumb(render_thumb(judged.render, one.scenes[judged.render.scene], ledger))
                ),
            }
            for judged in one.judged
            if judged.render.lane != "packshot"
        ],
        "assets": [_asset_figure(asset, ledger) for asset in one.assets],
    }


def _cutout_figure(cutout: Cutout, night: Night) -> dict[str, Any]:
    photo, ledger = cutout.photo, night.ledger
    shown = photo_thumb(photo, night)
    cut = from_png(ledger.data(cutout.sku, "cutouts", cutout.digest, "png"))
    return {
        "key": photo.key,
        "size": photo.size,
        "confidence": cutout.confidence,
        "photo": None if shown is None else as_data_uri(jpeg_thumb(shown)),
        "image": as_data_uri(jpeg_thumb(on_checker(cut))),
    }


def photo_thumb(photo: Photo, night: Night) -> Pixels | None:
    """The photo small; None when it is gone or changed since it was cut out."""
    try:
        data = night.ledger.verified(photo.key, photo.digest)
        decoded = night.decoder.pixels(data, photo.key, night.catalog.recipes.photos, 2 * THUMB_PX)
        return _thumb(decoded.rgb)
    except (StorageMissing, InputRefused):
        return None


def render_thumb(render: Render, scene: Scene, ledger: Ledger) -> Pixels:
    """A painted picture small, as the assets will show it."""
    return _thumb(compared(render, ledger, scene).picture)


def _asset_figure(asset: Asset, ledger: Ledger) -> dict[str, Any]:
    image = as_data_uri(_asset_thumb(asset.key, asset.digest, ledger))
    return {**asset.model_dump(mode="json"), "image": image}


def _asset_thumb(key: str, digest: str, ledger: Ledger) -> bytes:
    image = Image.open(io.BytesIO(ledger.verified(key, digest)), formats=[kind.upper() for kind in WRITTEN])
    image.draft("RGB", (2 * THUMB_PX, 2 * THUMB_PX))
    return jpeg_thumb(_thumb(np.asarray(image.convert("RGB"))))


def _thumb(rgb: Pixels) -> Pixels:
    return resize(np.ascontiguousarray(rgb), fit_inside(size_of(rgb), Size(THUMB_PX, THUMB_PX)))


def on_checker(rgba: Pixels) -> Pixels:
    """A small RGB picture of a cutout over a light checkerboard, so that its edge can be seen."""
    small = resize(rgba, fit_inside(size_of(rgba), Size(THUMB_PX, THUMB_PX)))
    height, width = small.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width] // 10
    tone = np.where((rows + columns) % 2, 235, 205).astype(np.uint8)
    return paste(small, np.repeat(tone[..., None], 3, axis=2), Box(0, 0, width, height))


def jpeg_thumb(rgb: Pixels) -> bytes:
    """A small RGB picture as JPEG."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=82)
    return buffer.getvalue()


def as_data_uri(jpeg: bytes) -> str:
    """JPEG bytes as a data: URI."""
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode()
