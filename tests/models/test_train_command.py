"""`productshot train` with the model that ships: a fleet of two SKUs, one of them without a usable cutout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

from productshot.cli import app
from tests.conftest import put_photo, write_catalog

QUICK = {"steps": 2, "batch": 1, "rank": 2, "look_every": 1, "look_pictures": 1, "prior_weight": 0}


@pytest.fixture
def shop(tmp_path: Path) -> tuple[Path, Path]:
    """A catalog and its store: a mug of four photos, a vase of one, a bag whose mask is empty."""
    store = tmp_path / "store"
    for number in range(4):
        put_photo(store, "mug-1", f"view-{number}", shift=20 * number)
    put_photo(store, "vase-2", colour=(40, 70, 160))
    empty = put_photo(store, "bag-3").with_name("front.mask.png")
    Image.fromarray(np.zeros((1200, 1200), np.uint8)).save(empty)
    skus = [{"sku": f"{noun}-{n}", "noun": noun} for n, noun in enumerate(("mug", "vase", "bag"), 1)]
    recipes = {"adapters": QUICK}
    return write_catalog(tmp_path / "catalog.yaml", skus, scenes=["sandy-beach"], recipes=recipes), store


def test_train_proves_its_adapters_and_exports_them(shop: tuple[Path, Path], tmp_path: Path) -> None:
    """Two adapters with two looks each, the mug's at a held-out photo; the bag is refused; files by SKU."""
    catalog, store = shop
    asked = [
        "train",
        str(catalog),
        "--store",
        str(store),
        "--export",
        str(tmp_path / "out"),
        "--keys",
        "kohya",
    ]
    done = CliRunner().invoke(app, [*asked, "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["made"]["adapters"] == 2
    assert ["bag-3" in refusal for refusal in told["refused"]] == [True], told
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "mug-1.safetensors",
        "vase-2.safetensors",
    ]
    names = load_file(tmp_path / "out" / "mug-1.safetensors")
    assert any(name.startswith("lora_unet_") and name.endswith(".lora_down.weight") for name in names)
    for sku, compared in (("mug-1", "held-out photo"), ("vase-2", "training photos")):
        (marker,) = (store / f"work/{sku}/adapters").glob("*.json")
        record = json.loads(marker.read_text())["record"]
        assert record["compared_with"] == compared
        assert [step for step, _ in record["looks"]] == [1, 2]
        assert record["steps"] == max(record["looks"], key=lambda look: look[1])[0]
