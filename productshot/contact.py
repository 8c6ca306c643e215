"""Contact sheets: the pictures of a night that wait for a person, small, each beside its photo and its cutout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from productshot.chunks import catalog_of
from productshot.errors import InputRefused, StorageMissing
from productshot.gates import Score, telling
from productshot.keys import marker_key
from productshot.night import Night
from productshot.pixels import Pixels, from_png
from productshot.progress import silent
from productshot.records import Render
from productshot.report import jpeg_thumb, on_checker, photo_thumb, render_thumb
from productshot.review import named, pictures_of, waiting
from productshot.store import Store

SHEET = 50
"""Pictures of one sheet: what a person looks through in one go, and what a form's list can hold."""
WORST = 5
"""Pictures that a night's artifact shows for their scores."""


class Shown(NamedTuple):
    """A picture as a report tells it, with the keys of its thumbnails; None where a photo is gone."""

    entry: dict[str, Any]
    photo: str | None
    cutout: str
    picture: str
    scores: tuple[Score, ...]  # the telling ones first

    @property
    def label(self) -> str:
        """What the form calls it: the key first, as lists cut the end off and variants differ in nothing else."""
        return "{render:.8} {sku} {scene} {lane}".format_map(self.entry)


class Sheet(NamedTuple):
    """What can be decided, and in words what cannot any more."""

    shown: tuple[Shown, ...]
    refused: tuple[str, ...]


def sheets_of(report: dict[str, Any]) -> int:
    """How many sheets a report needs."""
    return -(-len(waiting(report)) // SHEET)


def make_sheet(store: Store, night: str, number: int) -> Sheet:
    """The night's sheet of this number, from 0; thumbnails are written once, so a second call is cheap.

    StorageMissing when the night has no report or no snapshot of its catalog.
    """
    report = json.loads(store.get(f"nights/{night}/report.json"))
    return _sheet(store, night, waiting(report)[number * SHEET : (number + 1) * SHEET])


def worst_of(store: Store, report: dict[str, Any]) -> tuple[Shown, ...]:
    """The WORST pictures of a night's report by the score nearest to its limit, or beyond it; of those not refused.

    Thumbnails and errors as in `make_sheet`. A picture that is gone is left out.
    """
    night = report["night"]
    limits = catalog_of(store, night).recipes.limits
    scored = [
        (scores[0].excess, entry)
        for entry in pictures_of(report["skus"])
        if entry["verdict"]["status"] != "refused"
        and (scores := telling(entry["numbers"], entry["lane"], limits))
    ]
    scored.sort(key=lambda one: -one[0])
    return _sheet(store, night, [entry for _, entry in scored[:WORST]]).shown


def _sheet(store: Store, night: str, entries: Sequence[dict[str, Any]]) -> Sheet:
    shown, refused = [], []
    with Night(catalog_of(store, night), store, silent, [entry["sku"] for entry in entries]) as run:
        for entry in entries:
            try:
                shown.append(_show(entry, run, f"nights/{night}/review/{entry['render'][:16]}"))
            except StorageMissing:
                gone = InputRefused(
                    named(entry), "is gone from the store", "", "the next night paints it again"
                )
                refused.append(str(gone))
    return Sheet(tuple(shown), tuple(refused))


def _show(entry: dict[str, Any], night: Night, folder: str) -> Shown:
    """Write the thumbnails of a picture that are missing."""
    store = night.ledger.store
    keys = [f"{folder}-{what}.jpg" for what in ("photo", "cutout", "picture")]
    if store.head(keys[-1]) is None:  # written last
        for key, pixels in zip(keys, _pictures(entry, night), strict=True):
            if pixels is not None:
                store.put(key, jpeg_thumb(pixels), "image/jpeg")
    photo, cutout, picture = keys
    scores = telling(entry["numbers"], entry["lane"], night.catalog.recipes.limits)
    return Shown(entry, photo if store.head(photo) else None, cutout, picture, tuple(scores))


def _pictures(entry: dict[str, Any], night: Night) -> Sequence[Pixels | None]:
    """Photo, cutout and picture, small; StorageMissing when the picture is gone."""
    ledger, sku = night.ledger, entry["sku"]
    marker = json.loads(ledger.store.get(marker_key(sku, "renders", entry["render"])))
    render = Render.model_validate(marker["record"])
    cutout = on_checker(from_png(ledger.data(sku, "cutouts", render.cutout.digest, "png")))
    scene = night.skus[sku].scenes[render.scene]
    picture = cutout if render.lane == "packshot" else render_thumb(render, scene, ledger)
    return photo_thumb(render.cutout.photo, night), cutout, picture
