"""A night of packshots: everything made once, bad SKUs beside good ones, reruns that are boring."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from productshot.catalog import load_catalog
from productshot.errors import ConfigInvalid
from productshot.folder import FolderStore
from productshot.night import Night
from productshot.plan import plan_night
from productshot.progress import silent
from productshot.report import Written
from productshot.review import last_report
from productshot.run import run_night
from productshot.stages.photos import list_photos
from productshot.store import Listed, Store
from tests.conftest import put_photo, tree_of, write_catalog

ALL_CHANNELS = ["amazon", "google", "zalando"]
OUTPUTS = ("work", "catalog", "state")


def run(root: Path, **catalog: object) -> Written:
    """One night over the catalog of `root`."""
    loaded = load_catalog(write_catalog(root.parent / "catalog.yaml", **catalog))  # type: ignore[arg-type]
    return run_night(loaded, FolderStore(root), silent)


def made(written: Written) -> dict[str, int]:
    return {stage["stage"]: stage["made"] for stage in written.report["stages"]}


def test_a_night_publishes_every_slot(root: Path) -> None:
    """Two SKUs, three main slots each, and slots.json points at files that exist."""
    counts = run(root, channels=ALL_CHANNELS).report["counts"]
    assert (counts["done"], counts["assets"], counts["refusals"]) == (2, 6, 0)
    for channel in ("amazon", "google", "zalando"):
        slots = json.loads((root / f"catalog/{channel}/mug-1/slots.json").read_text())["slots"]
        (key,) = slots["main"]
        assert (root / key).exists() and (root / f"{key}.json").exists()


def test_amazon_main_is_white_large_and_filled(root: Path) -> None:
    """Corners are 255, the product fills at least 85 %, the side is what the product's pixels allow."""
    run(root, channels=["amazon"])
    (file,) = (root / "catalog/amazon/mug-1").glob("main-*.jpg")
    image = Image.open(io.BytesIO(file.read_bytes()))
    pixels = np.asarray(image)
    rows = np.flatnonzero((pixels < 200).any(axis=(1, 2)))
    assert image.size == (1450, 1450)  # 841 px of product x 1.5 / 0.87
    assert pixels[:16, :16].min() == pixels[-16:, -16:].min() == 255
    assert (rows[-1] - rows[0] + 1) / image.height >= 0.85


def test_a_second_night_does_nothing_again(root: Path) -> None:
    """Nothing is made, no output changes a byte."""
    run(root)
    before = tree_of(root, *OUTPUTS)
    assert set(made(run(root)).values()) == {0}
    assert tree_of(root, *OUTPUTS) == before


def test_only_what_hangs_on_a_changed_photo_runs(root: Path) -> None:
    """The other SKU's outputs stay as they are; the changed one is swapped and keeps its previous."""
    run(root)
    before = tree_of(root, "catalog/google/vase-2")
    put_photo(root, "mug-1", colour=(20, 120, 60))
    assert made(run(root)) == {
        "photos": 1,
        "cutouts": 1,
        "twins": 0,
        "adapters": 0,
        "renders": 1,
        "gates": 0,
        "assets": 1,
    }
    slots = json.loads((root / "catalog/google/mug-1/slots.json").read_text())
    assert slots["previous"]["main"] != slots["slots"]["main"]
    assert tree_of(root, "catalog/google/vase-2") == before


def test_two_nights_in_two_stores_are_equal(root: Path, tmp_path: Path) -> None:
    """Same photos, same recipes, same bytes: markers, assets and slots."""
    run(root)
    put_photo(tmp_path / "other" / "store", "mug-1")
    put_photo(tmp_path / "other" / "store", "vase-2", colour=(40, 70, 160))
    run(tmp_path / "other" / "store")
    assert tree_of(root, "work", "catalog") == tree_of(tmp_path / "other" / "store", "work", "catalog")


@pytest.mark.parametrize("sku", ["../etc", "a b", "Becher ☕"])
def test_a_bad_sku_name_is_one_line_and_harms_nobody(root: Path, sku: str) -> None:
    """The SKU is refused by name, the others are done, nothing is written outside the store."""
    skus = [{"sku": sku, "noun": "mug"}, {"sku": "mug-1", "noun": "mug"}]
    report = run(root, skus=skus).report
    assert report["counts"]["done"] == 1
    assert report["skus"][0]["refusals"][0]["told"].startswith(f"SKU {sku!r} is not a usable name")


def test_a_sku_without_photos_or_noun_is_refused(root: Path) -> None:
    """Both say what is missing; the third SKU is done."""
    skus = [{"sku": "mug-1"}, {"sku": "none"} | {"noun": "mug"}, {"sku": "vase-2", "noun": "vase"}]
    report = run(root, skus=skus).report
    told = [refusal["told"] for sku in report["skus"] for refusal in sku["refusals"]]
    assert told[0].startswith("SKU 'mug-1' has no class noun")
    assert told[1].startswith("SKU none has no photo in photos/none/")
    assert report["counts"]["done"] == 1


def test_a_bad_photo_is_refused_and_its_neighbour_used(root: Path) -> None:
    """Garbage beside a good photo costs one line."""
    (root / "photos/mug-1/zzz.jpg").write_bytes(b"not a picture")
    report = run(root).report
    assert report["counts"]["done"] == 2
    assert report["skus"][0]["refusals"][0]["told"].startswith("photos/mug-1/zzz.jpg")


def test_the_same_file_twice_is_said(root: Path) -> None:
    """A copy under another name is no second photo."""
    photo = root / "photos/mug-1/front.jpg"
    (root / "photos/mug-1/other.jpg").write_bytes(photo.read_bytes())
    (refusal,) = run(root).report["skus"][0]["refusals"]
    assert "is the same file as photos/mug-1/front.jpg" in refusal["told"]


def test_a_product_too_small_for_a_slot_is_a_stated_refusal(root: Path) -> None:
    """Amazon needs 1,000 px; the message has the value, the need and the remedy; Google still gets its file."""
    put_photo(root, "mug-1", side=750)
    report = run(root, channels=ALL_CHANNELS).report["skus"][0]
    assert {asset["channel"] for asset in report["assets"]} == {"google", "zalando"}
    (refusal,) = report["refusals"]
    assert "slot amazon/main needs at least" in refusal["told"] and "at upscale 1.5" in refusal["told"]


def test_published_files_stay_when_a_slot_gets_nothing_new(root: Path) -> None:
    """A photo that became too small does not take the old picture down."""
    run(root, channels=["amazon"])
    before = json.loads((root / "catalog/amazon/mug-1/slots.json").read_text())["slots"]
    put_photo(root, "mug-1", side=700)
    run(root, channels=["amazon"])
    assert json.loads((root / "catalog/amazon/mug-1/slots.json").read_text())["slots"] == before


def test_the_plan_names_work_and_causes_and_writes_nothing(root: Path, store: Store) -> None:
    """Before: all new. After a night: nothing. After a changed recipe: the recipe's field."""
    path = write_catalog(root.parent / "catalog.yaml")
    with Night(load_catalog(path), store, silent) as night:
        assert {work.cause for work in plan_night(night, None).work} == {"new", "follows: new"}
    assert not (root / "work").exists()
    run(root)
    with Night(load_catalog(path), store, silent) as night:
        assert plan_night(night, last_report(store)).work == ()


def test_many_skus_are_found_by_one_listing(root: Path) -> None:
    """What is found of 1,202 SKUs is what is found of two; photos of a SKU that the catalog lacks are nobody's."""
    put_photo(root, "teapot")
    store, few = Listing(root), ["vase-2", "mug-1"]
    each = list_photos("photos/", few, store)
    assert sorted(store.asked) == ["photos/mug-1/", "photos/vase-2/"] and [
        len(found) for found in each.values()
    ] == [
        2,
        2,
    ]
    store.asked.clear()
    many = list_photos("photos/", [*few, *(f"mug-{number}" for number in range(1000, 2200))], store)
    assert store.asked == ["photos/"]
    assert {name: found for name, found in many.items() if found} == each
    assert len(many) == 1202


class Listing(FolderStore):
    """A folder store that puts down what it was asked to list."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked: list[str] = []

    def list(self, prefix: str) -> Iterator[Listed]:
        self.asked.append(prefix)
        return super().list(prefix)


def test_a_changed_recipe_asks_before_redoing_the_catalog(root: Path) -> None:
    """More than 5 % of the catalog: the night stops with the share and the remedy, and --redo does it."""
    run(root)
    recipes = {"photos": {"min_side_px": 300}}
    with pytest.raises(ConfigInvalid, match=r"would redo 2 of 2 SKUs \(100%\).*max_invalidated is 5%"):
        run(root, recipes=recipes)
    loaded = load_catalog(root.parent / "catalog.yaml")
    assert made(run_night(loaded, FolderStore(root), silent, redo=True))["photos"] == 2


ONE_OF_TWO = {"skus": [{"sku": "mug-1", "noun": "mug"}]}


def slots_of(root: Path, sku: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((root / f"catalog/google/{sku}/slots.json").read_text())
    return said


def test_a_sku_that_left_the_catalog_is_taken_down(root: Path) -> None:
    """Its slots are empty after the next night, and remember what they showed; its files and its neighbour stay."""
    run(root)
    before = slots_of(root, "vase-2")
    written = run(root, **ONE_OF_TWO, night={"max_unpublished": 0.5})
    assert written.report["unpublished"] == [{"channel": "google", "sku": "vase-2"}]
    after = slots_of(root, "vase-2")
    assert not any(after["slots"].values()) and after["previous"] == before["slots"]
    assert all((root / key).is_file() for keys in before["slots"].values() for key in keys)
    assert any(slots_of(root, "mug-1")["slots"].values())
    assert run(root, **ONE_OF_TWO).report["unpublished"] == []  # once
    run(root)
    assert slots_of(root, "vase-2")["slots"] == before["slots"]  # and back again


def test_a_catalog_that_lost_many_skus_stops_the_night(root: Path) -> None:
    """Half of what is published would go: nothing is made or taken down, one line says what to do."""
    run(root)
    with pytest.raises(
        ConfigInvalid, match=r"take down 1 of 2 published \(50%\), vase-2 first; max_unpublished"
    ):
        run(root, **ONE_OF_TWO)
    assert any(slots_of(root, "vase-2")["slots"].values())


def test_another_catalogs_skus_are_left_alone(root: Path) -> None:
    """Two catalogs may share a store; each takes down its own only."""
    run(root)
    assert run(root, catalog="summer", **ONE_OF_TWO).report["unpublished"] == []
    assert any(slots_of(root, "vase-2")["slots"].values())


def test_an_own_alpha_serves_as_cutout(root: Path) -> None:
    """A PNG with transparency brings its own matte; no model is opened."""
    for path in (root / "photos/mug-1").iterdir():
        path.unlink()
    rgba = np.zeros((1100, 1100, 4), np.uint8)
    rgba[100:1000, 200:900] = (20, 90, 160, 255)
    Image.fromarray(rgba).save(root / "photos/mug-1/own.png")
    report = run(root).report["skus"][0]
    assert report["confidence"] == [1.0] and len(report["assets"]) == 1


def test_source_metadata_never_reaches_an_asset(root: Path) -> None:
    """GPS in the photo's EXIF is not in any published file."""
    photo = root / "photos/mug-1/front.jpg"
    image = Image.open(io.BytesIO(photo.read_bytes()))
    exif = Image.Exif()
    exif[0x010E] = "SECRET-DESCRIPTION"
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    image.save(photo, quality=92, exif=exif)
    run(root)
    for file in (root / "catalog").rglob("*.jpg"):
        assert b"SECRET-DESCRIPTION" not in file.read_bytes()
        assert not Image.open(io.BytesIO(file.read_bytes())).getexif()


def test_the_report_escapes_hostile_names(root: Path) -> None:
    """A file name from a bucket is text, never markup."""
    put_photo(root, "mug-1", name="<img src=x onerror=alert(1)>")
    written = run(root)
    html = (root / written.html_key).read_text()
    assert "<img src=x" not in html
    assert "&lt;img src=x" in html


def test_etsy_shows_the_other_views(root: Path) -> None:
    """Planned and made: the back view beside the main packshot; a SKU with one photo has main alone."""
    put_photo(root, "mug-1", "back", colour=(20, 120, 60))
    rules = [{"pattern": f"{view}*", "role": "product", "view": view} for view in ("front", "back")]
    settings: dict[str, Any] = {"channels": ["etsy"], "photo_rules": rules}
    catalog = load_catalog(write_catalog(root.parent / "catalog.yaml", **settings))
    with Night(catalog, FolderStore(root), silent) as night:
        planned = plan_night(night, None).work
    assert {work.sku: work.outputs for work in planned if work.stage == "renders"} == {
        "mug-1": 2,
        "vase-2": 1,
    }

    run(root, **settings)

    def filled(sku: str) -> dict[str, int]:
        shown = json.loads((root / f"catalog/etsy/{sku}/slots.json").read_text())["slots"]
        return {name: len(keys) for name, keys in shown.items()}

    assert filled("mug-1") == {"main": 1, "additional": 1}
    assert filled("vase-2") == {"main": 1, "additional": 0}


NOTHING = dict.fromkeys(("photos", "cutouts", "twins", "adapters", "renders", "gates", "assets"), 0)
RULES = [{"pattern": f"{view}*", "view": view} for view in ("front", "top")]


def pictures_of(root: Path, **settings: Any) -> dict[str, tuple[list[str], list[str]]]:
    """Of each SKU: scene and view of the pictures that a night would make, and what it says of the others."""
    catalog = load_catalog(write_catalog(root.parent / "catalog.yaml", **settings))
    found = {}
    with Night(catalog, FolderStore(root), silent) as night:
        night.photos()
        night.cutouts()
        for name, one in night.skus.items():
            jobs = [f"{job.scene.name} {job.cutout.photo.view}" for job in night.render_jobs(one)]
            found[name] = jobs, [str(refusal) for refusal in one.refusals]
    return found


def test_a_scene_shows_a_photo_that_fits_its_camera(root: Path) -> None:
    """The larger photo from above serves the packshot and a scene seen from there, not one at eye level."""
    put_photo(root, "mug-1", "top", side=1400, colour=(20, 120, 60))
    flat_lay = {"name": "cloth", "scene_prompt": "an empty scene", "placement": {"camera": "top"}}
    settings = {"scenes": ["white-packshot", "wooden-table", flat_lay], "photo_rules": RULES}
    jobs, refused = pictures_of(root, **settings)["mug-1"]
    assert jobs == ["white-packshot top", "wooden-table front", "cloth top"]
    assert refused == []


def test_a_view_that_is_told_later_counts(root: Path) -> None:
    """The photo's cutout and packshot are there already: neither is made again, both are of that view now."""
    run(root)
    settings: dict[str, Any] = {"photo_rules": [{"pattern": "*", "view": "top"}]}
    written = run(root, **settings)
    assert written.report["counts"]["assets"] == 2 and made(written) == {**NOTHING, "photos": 2}
    assert pictures_of(root, **settings)["mug-1"] == (["white-packshot top"], [])


def test_a_scene_that_no_photo_fits_is_one_line_and_harms_nobody(root: Path) -> None:
    """Its packshot and its neighbour, whose view is not told, are made; the line has scene, camera, views, remedy."""
    (root / "photos/mug-1/front.jpg").rename(root / "photos/mug-1/top.jpg")
    (root / "photos/mug-1/front.mask.png").rename(root / "photos/mug-1/top.mask.png")
    (root / "photos/vase-2/front.jpg").rename(root / "photos/vase-2/a.jpg")
    (root / "photos/vase-2/front.mask.png").rename(root / "photos/vase-2/a.mask.png")
    found = pictures_of(root, scenes=["white-packshot", "wooden-table"], photo_rules=RULES)
    assert found["mug-1"] == (
        ["white-packshot top"],
        [
            "SKU mug-1 has no photo that fits scene wooden-table; its camera is 'eye', the photos' views are 'top'; "
            "add one, or leave the scene out of the SKU's scenes"
        ],
    )
    assert found["vase-2"] == (["white-packshot None", "wooden-table None"], [])


def test_only_skus_with_a_scene_to_draw_are_trained(root: Path) -> None:
    """Of the plan: keep scenes need no adapter, nor does a drawn one that no photo fits."""
    skus = [
        {"sku": "mug-1", "noun": "mug", "scenes": ["sandy-beach"]},
        {"sku": "vase-2", "noun": "vase", "scenes": ["wooden-table"]},
    ]
    settings: dict[str, Any] = {"skus": skus, "scenes": ["sandy-beach", "wooden-table"]}
    for rules, trained in ((RULES, {"mug-1"}), ([{"pattern": "front*", "view": "top"}], set())):
        settings["photo_rules"] = rules
        pictures_of(root, **settings)
        catalog = load_catalog(write_catalog(root.parent / "catalog.yaml", **settings))
        with Night(catalog, FolderStore(root), silent) as night:
            work = plan_night(night, None).work
        assert {one.sku for one in work if one.stage == "adapters"} == trained


def test_a_photo_with_clutter_waits_for_a_person_or_another_photo(root: Path) -> None:
    """The marks are no photo; alone a person is asked of what they touch, and a photo without any serves by itself."""
    put_photo(root, "mug-1", "front")
    marks = Image.new("L", (1200, 1200), 0)
    ImageDraw.Draw(marks).rectangle([850, 500, 1200, 700], fill=255)
    marks.save(root / "photos/mug-1/front.clutter.png")
    first = run(root).report["skus"][0]
    put_photo(root, "mug-1", "side", shift=20)
    second = run(root).report["skus"][0]
    assert first["confidence"] == [1.0] and not first["assets"]
    assert "clutter touched" in str(first)
    assert len(second["assets"]) == 1
