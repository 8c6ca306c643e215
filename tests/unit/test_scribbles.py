"""Hand-drawn scribbles: a file of the store becomes lines on the canvas, or one line says what is wrong with it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from pydantic import ValidationError

from catalog_schemas import Scene
from productshot.catalog import load_catalog
from productshot.errors import ConfigInvalid, InputRefused
from productshot.folder import FolderStore
from productshot.geometry import Size
from productshot.night import Night
from productshot.pixels import Pixels
from productshot.progress import silent
from productshot.render.scribbles import scribbled
from productshot.stages.renders import render_task
from tests.conftest import write_catalog
from tests.unit.test_choose_cutout import a_cutout

SIDE = Size(128, 128)
KEY = "scribbles/table.png"
SCENE = {"name": "table", "scene_prompt": "a table", "control": "scribble", "scribble": KEY}


def a_drawing(
    size: tuple[int, int] = (640, 640), ink: int = 0, ground: int = 255, pen: int = 9
) -> Image.Image:
    """A table's edge across the sheet at 60 % of its height."""
    sheet = Image.new("L", size, ground)
    y = round(0.6 * size[1])
    ImageDraw.Draw(sheet).line([(0, y), (size[0], y)], fill=ink, width=pen)
    return sheet


def lines_of(sheet: Image.Image, canvas: Size = SIDE) -> Pixels:
    alpha = np.asarray(sheet.getchannel("A")) if sheet.mode == "RGBA" else None
    return scribbled(np.asarray(sheet.convert("RGB")), alpha, canvas, "drawing")


def rows_of(lines: Pixels) -> list[int]:
    """The rows with a line in the middle column."""
    return np.flatnonzero(lines[:, lines.shape[1] // 2]).tolist()


def see_through(ink: int) -> Image.Image:
    """The drawing in this shade on nothing."""
    sheet = a_drawing()
    shade = Image.new("L", sheet.size, ink)
    return Image.merge("RGBA", [shade] * 3 + [sheet.point(lambda level: 255 - level)])


@pytest.mark.parametrize(
    "sheet",
    [
        a_drawing(),
        a_drawing(ink=255, ground=0),
        a_drawing(ink=150, ground=60),
        see_through(20),
        see_through(240),
    ],
    ids=["dark on light", "light on dark", "pale", "dark on nothing", "light on nothing"],
)
def test_ink_is_the_rarer_shade(sheet: Image.Image) -> None:
    """The same line of the pen's three pixels, whatever it was drawn with."""
    assert rows_of(lines_of(sheet)) == [75, 76, 77]


@pytest.mark.parametrize(
    ("size", "pen", "rows"), [((2400, 2400), 3, 3), ((64, 64), 1, 4), ((640, 640), 60, 12)]
)
def test_lines_are_drawn_with_the_pen_or_thicker(size: tuple[int, int], pen: int, rows: int) -> None:
    """A hairline of a large sheet and a line of a small one become as thick as the pen; a brush's stays."""
    assert abs(len(rows_of(lines_of(a_drawing(size, pen=pen)))) - rows) <= 1


def test_a_wide_sheet_keeps_its_shape() -> None:
    """2:1 fills the middle half of the canvas: its line at 60 % lies at 32 + 0.6 x 64."""
    lines = lines_of(a_drawing((800, 400)))
    assert rows_of(lines) == [69, 70, 71]
    assert lines[70].all() and not lines[:60].any() and not lines[80:].any()


@pytest.mark.parametrize(
    ("sheet", "told"),
    [
        (
            Image.new("L", (64, 64), 255),
            "drawing shows no line; ink and ground must be 64 of 255 levels apart",
        ),
        (a_drawing(ink=200), "shows no line; .* they are at most 55; draw it in black on white"),
        (a_drawing((1000, 100)), "is 1000x100 px; the longer side may have 4 times"),
        (
            a_drawing((6000, 6000), pen=1),
            "has too thin lines; at 128x128 px, as it is painted, nothing is left",
        ),
    ],
    ids=["constant", "faint", "strip", "hairline"],
)
def test_a_drawing_without_lines_is_refused(sheet: Image.Image, told: str) -> None:
    """Each says what it has and what it needs."""
    with pytest.raises(InputRefused, match=told):
        lines_of(sheet)


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def a_night(root: Path, data: bytes | None, **changes: Any) -> Night:
    """A night over a scene whose scribble lies in the store with these bytes."""
    if data is not None:
        (root / "scribbles").mkdir(parents=True, exist_ok=True)
        (root / KEY).write_bytes(data)
    catalog = load_catalog(write_catalog(root / "c.yaml", scenes=[{**SCENE, **changes}]))
    return Night(catalog, FolderStore(root), silent)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (None, "is not in the store; .*; copy it there, or mend the key"),
        (b"", "is empty"),
        (b"#!/bin/sh\nrm -rf /", "is not a picture of a known type"),
        (png(a_drawing())[:300], "is truncated"),
        (png(Image.new("1", (20_000, 20_000))), "is 20000x20000 px; at most 50,000,000 pixels are decoded"),
        (png(Image.new("L", (64, 64), 7)), "shows no line"),
        (b"x" * 20_000_001, "has 20,000,001 bytes; at most 20,000,000 bytes are read"),
    ],
    ids=["missing", "empty", "script", "cut off", "bomb", "constant", "huge"],
)
def test_a_bad_scribble_stops_the_night_before_it_begins(
    tmp_path: Path, data: bytes | None, told: str
) -> None:
    """One line that names the file and its scene; every SKU would have been painted with it."""
    with pytest.raises(ConfigInvalid, match=f"scribble {KEY} of scene table {told}") as caught:
        a_night(tmp_path, data)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "key", ["/home/ada/table.png", "table.png", "scribbles/../b.png", "scribbles//b.png", "scribbles/"]
)
def test_a_scribble_lies_in_the_store(key: str) -> None:
    """A path of one machine is no key: other workers would not find it."""
    with pytest.raises(ValidationError, match="is no key below scribbles/; copy the file into the store"):
        Scene.model_validate({**SCENE, "scribble": key})


@pytest.mark.parametrize(
    ("changes", "told"), [({"control": "edges"}, "control: edges"), ({"lane": "packshot"}, "lane: p")]
)
def test_a_scribble_that_would_not_be_used_is_refused(changes: dict[str, str], told: str) -> None:
    """It never lies there in vain."""
    with pytest.raises(ValidationError, match=f"scribble is given with {told}"):
        Scene.model_validate({**SCENE, **changes})


def test_a_scribbles_bytes_are_in_the_pictures_key_and_its_place_is_not(tmp_path: Path) -> None:
    """Another drawing paints again; the same one under another name does not."""

    def key_of(data: bytes, name: str) -> str:
        (tmp_path / "scribbles").mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
        with a_night(tmp_path, None, scribble=name) as night:
            night.models.__dict__ |= {"base_digest": "b", "controlnet_digest": "c"}
            one = night.skus["mug-1"]
            one.cutouts.append(a_cutout("front"))
            (job,) = night.render_jobs(one)
            return render_task(job, night.catalog.recipes.renders, night.models).key

    first, other = png(a_drawing()), png(a_drawing(pen=20))
    assert (
        key_of(first, "scribbles/a.png")
        == key_of(first, "scribbles/b.png")
        != key_of(other, "scribbles/a.png")
    )
