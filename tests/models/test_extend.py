"""The command extend with a tiny untrained model: what is written and marked, what is refused, neighbours unharmed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from PIL import Image, ImageCms
from typer.testing import CliRunner

from productshot.assets import read_source_type, xmp_packet
from productshot.assets.marking import COMPOSITE_WITH_AI, DRAWN_BY_AI
from productshot.cli import app
from productshot.errors import ConfigInvalid
from productshot.pixels import Pixels
from tests.conftest import write_catalog
from tests.models.test_render import a_model, a_recipe


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalog whose recipe names the tiny model."""
    folder = tmp_path_factory.mktemp("tiny")
    recipe = a_recipe(a_model(folder), size_px=64).model_dump(mode="json")
    return write_catalog(folder / "catalog.yaml", recipes={"renders": recipe})


def a_photo(width: int = 300, height: int = 200) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def put(path: Path, rgb: Pixels, **options: Any) -> Path:
    Image.fromarray(rgb).save(path, **options)
    return path


def extend(catalog: Path, out: Path, *files: Path, **options: Any) -> Result:
    asked = {"prompt": "an empty scene on a wooden table", "ratio": "2:1"} | options
    flags = [part for name, value in asked.items() if value is not None for part in (f"--{name}", str(value))]
    arguments = ["extend", *map(str, files), "--out", str(out), "--catalog", str(catalog), *flags, "--json"]
    return CliRunner().invoke(app, arguments)


def told_by(result: Result) -> list[dict[str, Any]]:
    return list(json.loads(result.stdout))


def test_a_picture_is_extended_marked_and_keeps_its_pixels(catalog: Path, tmp_path: Path) -> None:
    """A PNG of the smallest 2:1 that holds it, in sRGB, marked as a composite with AI; the same again with one seed."""
    photo = put(tmp_path / "a.png", a_photo())
    first = extend(catalog, tmp_path / "one", photo)
    assert first.exit_code == 0, first.exception
    (one,) = told_by(first)
    assert (one["size"], one["picture"]) == ([400, 200], [50, 0, 350, 200])
    data = Path(one["written"]).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        pixels, profile = np.asarray(image), ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    assert (pixels[:, 50:350] == a_photo()).all() and pixels.shape == (200, 400, 3)
    assert "sRGB" in ImageCms.getProfileDescription(profile)
    assert read_source_type(data) == COMPOSITE_WITH_AI
    assert extend(catalog, tmp_path / "two", photo).exit_code == 0
    assert (tmp_path / "two/a.png").read_bytes() == data
    assert extend(catalog, tmp_path / "three", photo, seed=1).exit_code == 0
    assert (tmp_path / "three/a.png").read_bytes() != data


def test_a_bad_file_leaves_its_neighbours_unharmed(catalog: Path, tmp_path: Path) -> None:
    """Exit 1; the two good ones are written, each refusal is one line that names its file."""
    good = [put(tmp_path / name, a_photo(), quality=95) for name in ("a.jpg", "z.jpg")]
    broken, wide = tmp_path / "broken.jpg", put(tmp_path / "wide.png", a_photo(600, 200))
    broken.write_bytes(good[0].read_bytes()[:400])
    result = extend(catalog, tmp_path / "out", good[0], broken, wide, good[1], to="500x250", ratio=None)
    assert result.exit_code == 1
    told = told_by(result)
    assert [sorted(one) for one in told] == [
        ["file", "picture", "size", "written"],
        ["file", "refused"],
        ["file", "refused"],
        ["file", "picture", "size", "written"],
    ]
    assert "broken.jpg is truncated" in told[1]["refused"]
    assert "wide.png is 600x200 px; 500x250 px are asked for, and a picture is neither" in told[2]["refused"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "z.png"]


def test_what_a_picture_says_of_itself_goes_on(catalog: Path, tmp_path: Path) -> None:
    """One that AI drew whole stays that; transparent parts lie on white."""
    drawn = put(tmp_path / "drawn.jpg", a_photo(), xmp=xmp_packet(DRAWN_BY_AI, ""))
    clear = np.dstack([a_photo(), np.zeros((200, 300), np.uint8)])
    clear[50:150, 50:150, 3] = 255
    result = extend(catalog, tmp_path / "out", drawn, put(tmp_path / "clear.png", clear))
    assert result.exit_code == 0, result.exception
    assert read_source_type((tmp_path / "out/drawn.png").read_bytes()) == DRAWN_BY_AI
    with Image.open(tmp_path / "out/clear.png") as image:
        assert (np.asarray(image)[:50, 50:350] == 255).all()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"ratio": None}, "extend needs one of --to and --ratio"),
        ({"to": "500x250"}, "extend needs one of --to and --ratio"),
        ({"ratio": None, "to": "0x0"}, "--to '0x0' cannot be read; write it as 1920x1080"),
        ({"ratio": "1:100"}, "--ratio 1:100 is too long a shape"),
        ({"prompt": " "}, "--prompt is empty"),
        ({"prompt": "a <lora:x:1> table"}, "--prompt scene_prompt: prompt has : < >, which some models read"),
        ({"prompt": " ".join("x" * 40)}, "has 42 tokens; this base model reads 32; use fewer"),
    ],
)
def test_what_cannot_be_asked_is_one_line(
    catalog: Path, tmp_path: Path, options: dict[str, Any], told: str
) -> None:
    """Bad input of the command, not of a file: nothing is written."""
    result = extend(catalog, tmp_path / "out", put(tmp_path / "a.png", a_photo()), **options)
    assert isinstance(result.exception, ConfigInvalid)
    assert told in str(result.exception) and "\n" not in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_no_file_is_overwritten_and_none_is_missing(catalog: Path, tmp_path: Path) -> None:
    """The photo's own folder, two of a name, one that is not there."""
    (tmp_path / "more").mkdir()
    photos = [put(tmp_path / "a.png", a_photo()), put(tmp_path / "more/a.png", a_photo())]
    for out, files, told in (
        (tmp_path, photos[:1], "is where the files lie"),
        (tmp_path / "out", photos, "would take two files called 'a'"),
        (tmp_path / "out", [tmp_path / "none.png"], "none.png is not there"),
    ):
        result = extend(catalog, out, *files)
        assert isinstance(result.exception, ConfigInvalid) and told in str(result.exception)
