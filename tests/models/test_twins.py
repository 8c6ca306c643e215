"""A cutout that resembles none of its SKU's others is found, serves no slot while others can, and goes to a person."""

from __future__ import annotations

import json
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from catalog_schemas.recipes import POCKET_COSINES
from productshot.catalog import load_catalog
from productshot.chunks import begin_night, due, run_stage
from productshot.folder import FolderStore
from productshot.pixels import Pixels
from productshot.pocket.instances import views_of
from productshot.progress import silent
from productshot.render.eyes import open_eyes
from productshot.run import run_night
from productshot.stages.twins import unlikeness
from tests.conftest import write_catalog

LIMIT = POCKET_COSINES["max_unlike"]


def views(product: int, lost: bool) -> list[Pixels]:
    """Three cutouts of a studio product (h, w, 4); of the first only the upper two fifths are left."""
    cutouts = [view.copy() for view in views_of(product, 95_500_000)]
    if lost:
        rows = np.flatnonzero((cutouts[0][..., 3] >= 128).any(axis=1))
        cutouts[0][rows[0] + 2 * len(rows) // 5 :, :, 3] = 0
    return cutouts


def test_a_cutout_that_lost_a_part_stands_alone() -> None:
    """Of thirty products: most of the damaged ones are told by the limit that ships, sound ones hardly ever."""
    eyes = open_eyes()
    told = {lost: [list(unlikeness(dict(zip("abc", views(k, lost), strict=True)), eyes).values())
                   for k in range(30)] for lost in (True, False)}  # fmt: skip
    assert sum(first > LIMIT for first, *_ in told[True]) >= 15
    assert sum(one > LIMIT for product in told[False] for one in product) <= 3


def put_views(store: Path, damaged: tuple[int, ...]) -> None:
    """Photos of one product with masks, the first one larger and thus first choice; damaged masks lost most of it."""
    folder = store / "photos" / "mug-1"
    folder.mkdir(parents=True)
    for number, rgba in enumerate(views(3, lost=False)):
        side = 1400 if number == 0 else 1200
        alpha = rgba[..., 3].copy()
        if number in damaged:
            rows = np.flatnonzero((alpha >= 128).any(axis=1))
            alpha[rows[0] + len(rows) // 4 :] = 0
        for name, pixels in ((f"{number}.jpg", rgba[..., :3]), (f"{number}.mask.png", alpha)):
            Image.fromarray(pixels).resize((side, side)).save(folder / name)


def night(store: Path) -> dict[str, object]:
    """The SKU's part of the report of a packshot night."""
    catalog = load_catalog(
        write_catalog(store.parent / "catalog.yaml", skus=[{"sku": "mug-1", "noun": "mug"}])
    )
    sku: dict[str, object] = run_night(catalog, FolderStore(store), silent).report["skus"][0]
    return sku


def served(store: Path) -> str:
    """The photo behind the published main picture."""
    (manifest,) = (store / "catalog/google/mug-1").glob("main-*.json")
    return str(json.loads(manifest.read_text())["photo"]["key"])


def test_another_photo_serves_the_slot(tmp_path: Path) -> None:
    """The largest photo's cutout is damaged: one of the two that resemble each other is published."""
    put_views(tmp_path / "sound", ())
    night(tmp_path / "sound")
    assert served(tmp_path / "sound").endswith("0.jpg")
    put_views(tmp_path / "lost", (0,))
    night(tmp_path / "lost")
    assert not served(tmp_path / "lost").endswith("0.jpg")


def test_a_night_in_chunks_knows_of_twins_too(tmp_path: Path) -> None:
    """The run that makes assets is told what the run that cut out found."""
    store = tmp_path / "store"
    put_views(store, (0,))
    catalog = load_catalog(write_catalog(tmp_path / "catalog.yaml", skus=[{"sku": "mug-1", "noun": "mug"}]))
    began = datetime(2026, 11, 26, 2, tzinfo=UTC)
    told = begin_night(catalog, FolderStore(store), "20261126T020000Z-ab12", began)
    while items := due(FolderStore(store), told):
        for item in items:
            run_stage(FolderStore(store), told, item, nullcontext)
    assert not served(store).endswith("0.jpg")
