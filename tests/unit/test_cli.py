"""The commands: exit codes, one readable line, one JSON document."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import tree_of, write_catalog


def productshot(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as a user does."""
    command = [sys.executable, "-c", "from productshot.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_help_lists_the_commands() -> None:
    """Each by its name."""
    text = productshot("--help").stdout
    for name in (
        "init",
        "plan",
        "night",
        "sku",
        "cutout",
        "train",
        "render",
        "check",
        "fix",
        "extend",
        "feed",
        "review",
        "doctor",
        "up",
        "listen",
        "gc",
    ):
        assert f" {name} " in text


def test_a_night_from_the_command_line(root: Path) -> None:
    """Exit 0, counts and the report's address in words; with --json one document."""
    catalog = write_catalog(root.parent / "catalog.yaml")
    first = productshot("night", catalog, "--store", root)
    assert first.returncode == 0, first.stderr
    assert "2 of 2 SKUs have assets, 2 assets" in first.stdout
    second = productshot("night", catalog, "--store", root, "--json")
    assert json.loads(second.stdout)["counts"]["assets"] == 2


def test_strict_makes_a_refusal_exit_1(root: Path) -> None:
    """A stated refusal is a right result, unless one asks otherwise."""
    (root / "photos/mug-1/zzz.jpg").write_bytes(b"not a picture")
    catalog = write_catalog(root.parent / "catalog.yaml")
    assert productshot("night", catalog, "--store", root).returncode == 0
    assert productshot("night", catalog, "--store", root, "--strict").returncode == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("skuz: []", "unknown key 'skuz'; did you mean 'skus'?"),
        ("skus: [{sku: a, noun: mug}]\nscenes: [moon]", "scene 'moon' is not in the library"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(tmp_path: Path, text: str, told: str) -> None:
    """No traceback: the file, the key, the mend."""
    (tmp_path / "c.yaml").write_text(text)
    done = productshot("night", tmp_path / "c.yaml", "--store", tmp_path / "store")
    assert done.returncode == 2
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_an_error_under_json_is_json(tmp_path: Path) -> None:
    """Machines read the same sentence."""
    done = productshot("plan", tmp_path / "none.yaml", "--store", tmp_path, "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"] == "ConfigInvalid"


def test_an_unknown_sku_names_the_nearest(root: Path) -> None:
    """`productshot sku mug1` means mug-1."""
    done = productshot("sku", "mug1", write_catalog(root.parent / "c.yaml"), "--store", root)
    assert done.returncode == 2
    assert "SKU 'mug1' is not in the catalog; did you mean 'mug-1'?" in done.stderr


def test_one_sku_now_leaves_the_others_alone(root: Path) -> None:
    """Only the SKU's own outputs appear."""
    done = productshot("sku", "mug-1", write_catalog(root.parent / "c.yaml"), "--store", root)
    assert done.returncode == 0, done.stderr
    assert all("/mug-1/" in key for key in tree_of(root, "work", "catalog"))


def test_init_writes_a_catalog_and_copies_photos(root: Path, tmp_path: Path) -> None:
    """From folders to a store that a night can run on."""
    out, store = tmp_path / "new" / "catalog.yaml", tmp_path / "new" / "store"
    done = productshot(
        "init",
        root / "photos",
        "--noun",
        "mug-1=mug",
        "--noun",
        "vase-2=vase",
        "--out",
        out,
        "--store",
        store,
    )
    assert done.returncode == 0, done.stderr
    assert (store / "photos/mug-1/front.jpg").read_bytes() == (root / "photos/mug-1/front.jpg").read_bytes()
    assert "noun: vase" in out.read_text()


def test_check_accepts_our_own_asset_and_refuses_a_photo(root: Path) -> None:
    """Exit 1 names the rules that the photo breaks."""
    productshot("night", write_catalog(root.parent / "c.yaml", channels=["amazon"]), "--store", root)
    (asset,) = (root / "catalog/amazon/mug-1").glob("main-*.jpg")
    good = productshot("check", asset, "--channel", "amazon", "--slot", "main")
    bad = productshot("check", root / "photos/mug-1/front.jpg", "--channel", "amazon", "--slot", "main")
    assert good.returncode == 0, good.stdout
    assert bad.returncode == 1 and "refused" in bad.stdout


def test_schema_is_json(tmp_path: Path) -> None:
    """Editors can be pointed at the files."""
    assert productshot("schema", "--out", tmp_path).returncode == 0
    assert json.loads((tmp_path / "catalog.schema.json").read_text())["title"] == "Catalog"


def test_a_missing_bucket_is_exit_3(root: Path, tmp_path: Path) -> None:
    """A store that is not there asks to be run again, with its name; here: a port that nobody serves."""
    environment = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "very-secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
        "PATH": "",
    }
    command = [sys.executable, "-c", "from productshot.cli import main; main()", "night"]
    done = subprocess.run(
        [*command, write_catalog(tmp_path / "c.yaml"), "--store", "s3://none/x"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )
    assert done.returncode == 3, done.stderr
    assert "very-secret" not in done.stderr + done.stdout


def test_two_pictures_of_one_name_are_not_one_cutout(root: Path, tmp_path: Path) -> None:
    """What would be written over the first picture's cutout is refused, and the first one's is there."""
    photo = root / "photos/mug-1/front.jpg"
    done = productshot("cutout", photo, photo, "--out", tmp_path / "cut", "--json")
    first, second = json.loads(done.stdout)
    assert done.returncode == 1 and "front.png" in second["refused"]
    assert Path(first["png"]).exists()
