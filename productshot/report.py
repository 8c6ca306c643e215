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
from productshot.records import Asset, Cutout, Photo, Render
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


class Told:
    """What the report says of each SKU, and of the whole SKU for the few that the page shows with pictures.

    So a night of many chunks needs in memory what it tells, not all that its chunks know.
    """

    def __init__(self) -> None:
        self.skus: dict[str, dict[str, Any]] = {}
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()  # per stage
        self._shown: list[SkuNight] = []

    def tell(self, one: SkuNight) -> None:
        """Take down a SKU, unless that is done."""
        if one.sku.sku in self.skus:
            return
        self.skus[one.sku.sku] = _sku_report(one)
        self.refused.update(refusal.stage for refusal in one.refusals)
        self.counts.update(
            done=int(bool(one.assets)),
            photos=len(one.photos),
            cutouts=len(one.cutouts),
            adapters=int(one.adapter is not None),
            pictures=len(one.judged),
            assets=len(one.assets),
            person=len(one.pending),
            refusals=len(one.refusals),
            gate_refusals=sum(judged.verdict.status == "refused" for judged in one.judged),
        )
        self._shown.append(one)
        if len(self._shown) > 2 * CARDS:
            self._shown = self.worst()

    def worst(self) -> list[SkuNight]:
        """The SKUs that the page shows with pictures: those without assets first, then those with most refusals."""
        return sorted(self._shown, key=lambda one: (bool(one.assets), -len(one.refusals)))[:CARDS]


def write_report(
    night: Night,
    night_id: str,
    began: datetime,
    ended: datetime,
    chunks: Mapping[str, int] | None = None,
    told: Told | None = None,
) -> Written:
    """Write both files, and a thumbnail per published picture beside them; return what they say.

    `chunks` counts the pieces of a night that workers did: total, given_up, late. SKUs of `told` are told by it alone.
    """
    told = told or Told()
    for one in night.skus.values():
        told.tell(one)
    report = night_report(night, told, night_id, began, ended)
    if chunks is not None:
        report["chunks"] = dict(chunks)
    store = night.ledger.store
    for sku in report["skus"][:CARDS]:
        for asset in sku["assets"]:
            asset["thumb"] = f"nights/{night_id}/thumbs/{asset['digest'][:16]}.jpg"
            store.put(asset["thumb"], _asset_thumb(asset["key"], asset["digest"], night.ledger), "image/jpeg")
    json_key, html_key = f"nights/{night_id}/report.json", f"nights/{night_id}/report.html"
    html = html_report(night, report, told.worst())
    store.put(html_key, html.encode(), "text/html; charset=utf-8")
    store.put(json_key, canonical_json(report), "application/json")
    return Written(report, json_key, html_key)


def night_report(night: Night, told: Told, night_id: str, began: datetime, ended: datetime) -> dict[str, Any]:
    """All that a machine wants to know of a night, JSON-able; SKUs in the order of the catalog."""
    counted = ("done", "photos", "cutouts", "adapters", "pictures", "assets", "person")
    return {
        "night": night_id,
        "catalog": night.catalog.catalog,
        "whole": night.whole,  # False: some SKUs only
        "version": __version__,
        "began": began.isoformat(timespec="seconds"),
        "seconds": round((ended - began).total_seconds(), 1),
        "counts": {
            "skus": len(night.skus),
            **{name: told.counts[name] for name in counted},
            "unpublished": len(night.unpublished),
            **{name: told.counts[name] for name in ("refusals", "gate_refusals")},
        },
        "stages": [_stage_report(stage, night.ledger, told.refused[stage]) for stage in STAGE_FORMATS],
        "unpublished": [{"channel": channel, "sku": sku} for channel, sku in night.unpublished],
        "skus": [told.skus[name] for name in night.skus],
    }


def _stage_report(stage: str, ledger: Ledger, refused: int) -> dict[str, Any]:
    seconds = ledger.seconds[stage]
    return {
        "stage": stage,
        "made": ledger.made[stage],
        "adopted": ledger.adopted[stage],
        "doubled": ledger.doubled[stage],  # made here although another run was first
        "refused": refused,
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
        "refusals": [
            {"stage": refusal.stage, "remedy": refusal.remedy, "told": str(refusal)}
            for refusal in one.refusals
        ],
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


def html_report(night: Night, report: dict[str, Any], shown: Sequence[SkuNight]) -> str:
    """The page, with pictures of the SKUs that are shown; every text from a catalog or a file name is escaped."""
    environment = Environment(
        loader=PackageLoader("productshot", "templates"), autoescape=True, undefined=StrictUndefined
    )
    cards = [_card(one, night) for one in shown]
    grouped = Counter(
        (refusal["stage"], refusal["told"]) for sku in report["skus"] for refusal in sku["refusals"]
    )
    with_pictures = {one.sku.sku for one in shown}
    others = [sku for sku in report["skus"] if sku["sku"] not in with_pictures]
    others.sort(key=lambda sku: (bool(sku["assets"]), -len(sku["refusals"])))
    return environment.get_template("report.html").render(
        report=report, cards=cards, refusals=sorted(grouped), rest=[sku["sku"] for sku in others]
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
