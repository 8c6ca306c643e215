"""Builders that many tests share: pictures drawn in code, so the right answer is known exactly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image, ImageDraw

from productshot.folder import FolderStore
from productshot.store import Store

RED = (190, 40, 35)
GROUND = (178, 190, 184)


def draw_photo(
    colour: tuple[int, int, int] = RED, side: int = 1200, shift: int = 0
) -> tuple[Image.Image, Image.Image]:
    """A disc-like product on a plain ground and its exact mask."""
    photo, mask = Image.new("RGB", (side, side), GROUND), Image.new("L", (side, side), 0)
    box = [side * 0.2 + shift, side * 0.15, side * 0.8, side * 0.85]
    ImageDraw.Draw(photo).ellipse(box, fill=colour)
    ImageDraw.Draw(mask).ellipse(box, fill=255)
    return photo, mask


def put_photo(store: Path, sku: str, name: str = "front", **drawn: Any) -> Path:
    """Write a photo and its mask into a folder store; returns the photo's path."""
    folder = store / "photos" / sku
    folder.mkdir(parents=True, exist_ok=True)
    photo, mask = draw_photo(**drawn)
    photo.save(folder / f"{name}.jpg", quality=92)
    mask.save(folder / f"{name}.mask.png")
    return folder / f"{name}.jpg"


def write_catalog(path: Path, skus: list[dict[str, Any]] | None = None, **fields: Any) -> Path:
    """A catalog file with packshots for one channel unless told otherwise: no model is needed for it."""
    default = [{"sku": "mug-1", "noun": "mug"}, {"sku": "vase-2", "noun": "vase"}]
    data = {
        "catalog": "test",
        "scenes": ["white-packshot"],
        "channels": ["google"],
        "skus": skus or default,
        **fields,
    }
    path.write_text(yaml.safe_dump(data), "utf-8")
    return path


def tree_of(root: Path, *folders: str) -> dict[str, bytes]:
    """Key -> bytes of everything under these folders of a folder store."""
    files = [path for folder in folders for path in sorted((root / folder).rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of a folder store with two SKUs of one photo each."""
    put_photo(tmp_path / "store", "mug-1")
    put_photo(tmp_path / "store", "vase-2", colour=(40, 70, 160))
    return tmp_path / "store"


@pytest.fixture
def store(root: Path) -> Store:
    """The folder store at `root`."""
    return FolderStore(root)
