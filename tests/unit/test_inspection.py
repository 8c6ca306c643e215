"""Where the matte of a shop's file comes from, and what stands for it when nobody gave one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalog_schemas import load_channel
from productshot.cutout import Session
from productshot.errors import ConfigInvalid, InputRefused
from productshot.inspection import Origin, inspect, needs_matte, own_origin
from productshot.keys import digest_bytes
from productshot.photos import Decoder
from tests.conftest import draw_photo
from tests.unit.test_cli import productshot


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(seconds=30) as opened:
        yield opened


def a_photo(folder: Path, name: str = "a.png", mask: bool = False) -> Path:
    photo, matte = draw_photo(side=300)
    photo.save(folder / name)
    if mask:
        matte.save(folder / f"{Path(name).stem}.mask.png")
    return folder / name


def no_model() -> Session:
    raise AssertionError("no cutout model is needed here")


def test_a_mask_beside_the_file_is_its_matte(tmp_path: Path, decoder: Decoder) -> None:
    """<name>.mask.png, as for photos; exact, so no slack."""
    file = a_photo(tmp_path, mask=True)
    picture = inspect(file, file.read_bytes(), decoder, open_cutter=no_model)

    assert picture.matte_from == "matte a.mask.png" and picture.seen.slack_px == 0
    assert picture.matte is not None and (picture.matte == np.asarray(draw_photo(side=300)[1])).all()


def test_transparency_is_a_matte_and_lies_on_white(tmp_path: Path, decoder: Decoder) -> None:
    """A cut-out PNG is judged as a page shows it."""
    photo, matte = draw_photo(side=300)
    photo.putalpha(matte)
    photo.save(tmp_path / "a.png")
    picture = inspect(tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), decoder, open_cutter=no_model)

    assert picture.matte_from == "the file's own transparency"
    assert (picture.seen.rgb[0, 0] == 255).all()


def test_on_white_no_cutout_is_made(tmp_path: Path, decoder: Decoder) -> None:
    """A cutout that misses a white part of the product would refuse a good picture."""
    Image.new("RGB", (100, 100), (255, 255, 255)).save(tmp_path / "a.png")
    picture = inspect(tmp_path / "a.png", (tmp_path / "a.png").read_bytes(), decoder, open_cutter=no_model)

    assert picture.cut is None and picture.matte_from.startswith("none: the ground is white already")


@pytest.mark.parametrize(("name", "error"), [("none.png", ConfigInvalid), ("small.png", InputRefused)])
def test_a_matte_that_does_not_fit_is_refused(
    tmp_path: Path, decoder: Decoder, name: str, error: type[Exception]
) -> None:
    """Not there, or of another size than its file."""
    file = a_photo(tmp_path)
    Image.new("L", (30, 30), 255).save(tmp_path / "small.png")
    with pytest.raises(error, match=name):
        inspect(file, file.read_bytes(), decoder, tmp_path / name)


def test_slots_without_rules_on_the_product_need_no_matte() -> None:
    """Adverts are judged by the file alone."""
    assert needs_matte(load_channel("amazon").slots[0])
    assert not needs_matte(load_channel("meta-ads").slots[0])


def test_our_own_manifest_says_how_a_file_was_made(tmp_path: Path) -> None:
    """Lane and marking come from it; a file that was changed since is refused, another program's JSON ignored."""
    file, beside = tmp_path / "a.jpg", tmp_path / "a.jpg.json"
    file.write_bytes(b"picture")
    assert own_origin(file, b"picture") is None
    asset = {"sku": "mug-1", "key": "k", "digest": digest_bytes(b"picture"), "size": [9, 9], "channel": "shop",
             "slot": "more", "index": 1, "scene": "table", "lane": "keep", "bytes": 7, "upscale": 1.0,
             "source_type": "http://x"}  # fmt: skip
    beside.write_text(json.dumps({"asset": asset}))

    assert own_origin(file, b"picture") == Origin("keep", "http://x")
    with pytest.raises(InputRefused, match="it was changed since"):
        own_origin(file, b"another")
    beside.write_text("[1]")
    assert own_origin(file, b"picture") is None


def test_one_matte_fits_one_file(tmp_path: Path) -> None:
    """--matte with two files is a slip."""
    file = a_photo(tmp_path)
    done = productshot("check", file, file, "--channel", "google", "--slot", "main", "--matte", file)

    assert done.returncode == 2 and "--matte is given with 2 files" in done.stderr


def test_check_judges_what_it_cannot_decode_and_tells_the_day(tmp_path: Path) -> None:
    """A torn file is one refusal; --on and --max-rule-age are heard."""
    (tmp_path / "torn.jpg").write_bytes(a_photo(tmp_path, "b.jpg").read_bytes()[:900])
    where = (
        "--channel",
        "google",
        "--slot",
        "additional",
        "--on",
        "2027-02-01",
        "--max-rule-age",
        "0",
        "--json",
    )
    done = productshot("check", tmp_path / "torn.jpg", tmp_path / "b.jpg", *where)
    told = {(Path(one["file"]).name, one["rule"]): one["status"] for one in json.loads(done.stdout)}

    assert done.returncode == 1
    assert told["torn.jpg", "readable"] == "refused"
    assert told["b.jpg", "min-size"] == "refused"
    assert told["additional", "rules-age"] == "advised"
