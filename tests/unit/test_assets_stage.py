"""The assets stage: one decode for all slots, the same files on any number of threads, formats, labels."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalog_schemas import AssetRecipe, Channel, Label, Scene, load_channel
from catalog_schemas.scene import Lane
from productshot.assets import check, label_box, read_source_type, srgb_profile
from productshot.assets.marking import COMPOSITE_WITH_AI, DRAWN_BY_AI
from productshot.folder import FolderStore
from productshot.geometry import Box, Size
from productshot.keys import STAGE_FORMATS
from productshot.ledger import Ledger
from productshot.pixels import Pixels, png_bytes, size_of
from productshot.progress import silent
from productshot.records import Asset, Cutout, Photo, Refusal, Render, Verdict
from productshot.stages.assets import AssetJob, asset_task, fill_slots, make_assets
from productshot.stages.gates import Judged
from tests.conftest import tree_of
from tests.unit.assets_builders import a_block, a_channel, a_disc, a_scene_slot, a_slot

FORMATS = ("jpeg", "png", "webp", "avif")
ANY_FORMAT = {
    "id": "format", "text": "x", "status": "required", "checked": "file", "limit": {"formats": FORMATS},
    "authority": "shop", "address": "https://example.org", "read": "2026-11-22",
}  # fmt: skip
LABEL = Label(text="AI-generated background")


class CountingStore(FolderStore):
    """A folder that counts what is read from it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.reads: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        self.reads[key] += 1
        return super().get(key)


def a_cutout(ledger: Ledger, rgba: Pixels, sku: str = "mug-1", ai: str | None = None) -> Cutout:
    """A cutout in the store."""
    digest, size = ledger.put_data(sku, "cutouts", png_bytes(rgba), "png", "image/png"), size_of(rgba)
    photo = Photo(sku=sku, key=f"photos/{sku}/a.jpg", digest="p" * 64, size=size, role="product", sharpness=1,
                  exposure=0.5, ai_source=ai)  # fmt: skip
    box = Box(0, 0, size.width, size.height)
    return Cutout(sku=sku, key="ck", digest=digest, size=size, box=box, confidence=0.9, photo=photo)


def a_packshot(cutout: Cutout) -> Judged:
    render = Render(sku=cutout.sku, key="rk", digest="", size=cutout.size, scene="packshot", lane="packshot", variant=0,
                    seed=0, product=None, cutout=cutout, adapter=None)  # fmt: skip
    return Judged(render, None, Verdict(status="accepted"))


def a_keep(ledger: Ledger, cutout: Cutout) -> Judged:
    """A product in the middle of a plate that darkens downwards."""
    plate = np.broadcast_to(np.linspace(170, 90, 128).astype(np.uint8)[:, None, None], (128, 128, 3)).copy()
    digest = ledger.put_data(cutout.sku, "renders", png_bytes(plate), "png", "image/png")
    render = Render(sku=cutout.sku, key="rk", digest=digest, size=Size(128, 128), scene="table", lane="keep", variant=0,
                    seed=7, product=Box(34, 34, 94, 94), cutout=cutout, adapter=None,
                    master=Box(0, 0, 128, 128))  # fmt: skip
    return Judged(render, None, Verdict(status="accepted"))


def jobs_of(channel: Channel, *pictures: Judged) -> list[AssetJob]:
    """Every picture in every slot that takes its lane."""
    return [
        AssetJob(channel, slot, number, picture, Scene(name=picture.render.scene, lane=picture.render.lane))
        if picture.render.lane == "packshot"
        else AssetJob(channel, slot, number, picture, A_TABLE)
        for slot in channel.slots
        for number, picture in enumerate((one for one in pictures if one.render.lane in slot.lanes), 1)
    ]


A_TABLE = Scene.model_validate(
    {"name": "table", "lane": "keep", "prompt": "a {noun} on a table", "scene_prompt": "a table"}
)


def made(root: Path, jobs: list[AssetJob], threads: int = 1, **recipe: Any) -> list[Asset | Refusal]:
    return list(make_assets(jobs, AssetRecipe(**recipe), Ledger(FolderStore(root)), silent, threads))


def test_all_slots_share_one_decode(tmp_path: Path) -> None:
    """The cutout is read from the store once for five slots, also by threads that want it at the same time."""
    store = CountingStore(tmp_path)
    ledger = Ledger(store)
    channel = a_channel(*(a_slot(name=f"s{n}", preferred_width=110 + 20 * n) for n in range(5)))
    jobs = jobs_of(channel, a_packshot(a_cutout(ledger, a_disc(240))))
    outcomes = list(make_assets(jobs, AssetRecipe(), ledger, silent, 3))

    assert all(isinstance(one, Asset) for one in outcomes)
    assert [count for key, count in store.reads.items() if "/cutouts/" in key] == [1]


def test_the_number_of_threads_changes_no_byte(tmp_path: Path) -> None:
    """One thread and four write the same files, manifests and markers, and tell the outcomes in the same order."""
    trees, told = [], []
    for threads in (1, 4):
        root = tmp_path / str(threads)
        ledger = Ledger(FolderStore(root))
        cutouts = [a_cutout(ledger, a_disc(200 + 40 * n), f"mug-{n}") for n in range(3)]
        channel = a_channel(a_slot(), a_scene_slot(), a_slot(name="small", preferred_width=120))
        jobs = [
            job for cutout in cutouts for job in jobs_of(channel, a_packshot(cutout), a_keep(ledger, cutout))
        ]
        told.append(made(root, jobs, threads))
        trees.append(tree_of(root, "work", "catalog"))
    assert told[0] == told[1] and trees[0] == trees[1]
    assert sum(key.endswith(".jpg") for key in trees[0]) == 9


def test_a_refusal_stands_in_its_place_among_neighbours(tmp_path: Path) -> None:
    """A zero-alpha cutout between two good ones is refused by name, and only it."""
    ledger = Ledger(FolderStore(tmp_path))
    empty = a_block(300, 300)
    empty[..., 3] = 0
    pictures = [
        a_packshot(a_cutout(ledger, rgba, sku))
        for sku, rgba in (("a", a_disc(240)), ("b", empty), ("c", a_disc(240)))
    ]
    outcomes = made(tmp_path, [job for one in pictures for job in jobs_of(a_channel(), one)], threads=2)

    assert [type(one) for one in outcomes] == [Asset, Refusal, Asset]
    assert str(outcomes[1]).startswith("product of b (photos/b/a.jpg) is empty: no pixel is opaque")


def test_the_night_chooses_a_format_where_the_channel_takes_it(tmp_path: Path) -> None:
    """WebP for Google, JPEG for Amazon, which takes none; the names, and the content, say so."""
    ledger = Ledger(FolderStore(tmp_path))
    picture = a_packshot(a_cutout(ledger, a_disc(1000)))
    jobs = [jobs_of(load_channel(name), picture)[0] for name in ("google", "amazon")]
    google, amazon = made(tmp_path, jobs, format="webp")

    assert isinstance(google, Asset) and isinstance(amazon, Asset)
    assert (google.key.rpartition(".")[2], amazon.key.rpartition(".")[2]) == ("webp", "jpg")
    assert (tmp_path / google.key).read_bytes()[8:12] == b"WEBP"


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_carries_profile_and_marking(kind: str, tmp_path: Path) -> None:
    """sRGB and the source type, as read back from the stored file; exiftool agrees where it is installed."""
    ledger = Ledger(FolderStore(tmp_path))
    slot = a_scene_slot(format=kind, rules=[ANY_FORMAT], preferred_width=160)
    (asset,) = made(tmp_path, jobs_of(a_channel(slot), a_keep(ledger, a_cutout(ledger, a_disc(120)))))
    assert isinstance(asset, Asset), asset
    file = tmp_path / asset.key
    with Image.open(io.BytesIO(file.read_bytes())) as image:
        assert (image.format, image.size) == (kind.upper(), (160, 160))
        assert image.info["icc_profile"] == srgb_profile()
    assert read_source_type(file.read_bytes()) == asset.source_type == COMPOSITE_WITH_AI
    if shutil.which("exiftool"):
        command = ["exiftool", "-j", "-XMP-iptcExt:DigitalSourceType#", "-Warning", file]
        (told,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
        assert (told["DigitalSourceType"], told.get("Warning")) == (COMPOSITE_WITH_AI, None)


def test_a_label_stands_on_what_ai_made_and_on_nothing_else(tmp_path: Path) -> None:
    """The channel's words are on the keep picture only; the packshot's key does not even know of them."""
    ledger = Ledger(FolderStore(tmp_path))
    cutout = a_cutout(ledger, a_disc(150))
    plain = a_channel(a_slot(preferred_width=150), a_scene_slot(preferred_width=300))
    labelled = plain.model_copy(update={"label": LABEL})
    pictures = a_packshot(cutout), a_keep(ledger, cutout)
    tasks = [
        [asset_task(job, AssetRecipe()).key for job in jobs_of(one, *pictures)] for one in (plain, labelled)
    ]
    assert [a == b for a, b in zip(*tasks, strict=True)] == [True, False]
    before, after = (
        np.asarray(Image.open(tmp_path / made(tmp_path, jobs_of(one, pictures[1]))[0].key)).astype(int)  # type: ignore[union-attr]
        for one in (plain, labelled)
    )
    box = label_box(LABEL, Size(300, 300))
    changed = np.abs(after - before).max(axis=2) > 40
    assert changed[box.top : box.bottom, box.left : box.right].mean() > 0.3
    changed[box.top - 8 : box.bottom + 8, max(box.left - 8, 0) : box.right + 8] = False
    assert not changed.any()


def test_the_channels_own_label_is_no_forbidden_text(tmp_path: Path) -> None:
    """`check` asks a person about the words where the channel has no label, and only there."""
    ledger = Ledger(FolderStore(tmp_path))
    slot = a_scene_slot(preferred_width=600, rules=[ANY_FORMAT])
    channel = a_channel(slot).model_copy(update={"label": LABEL})
    (asset,) = made(tmp_path, jobs_of(channel, a_keep(ledger, a_cutout(ledger, a_disc(300)))))
    assert isinstance(asset, Asset), asset
    data = (tmp_path / asset.key).read_bytes()

    def asked(one: Channel) -> list[str]:
        return [verdict.rule for verdict in check(data, one, slot) if verdict.status == "person"]

    assert "text" not in asked(channel)
    assert "text" in asked(a_channel(slot))


def test_a_label_on_pure_white_is_refused(tmp_path: Path) -> None:
    """A packshot of a photo that AI made cannot be both labelled and white; the refusal says what to do."""
    ledger = Ledger(FolderStore(tmp_path))
    channel = a_channel().model_copy(update={"label": LABEL})
    (refusal,) = made(tmp_path, jobs_of(channel, a_packshot(a_cutout(ledger, a_disc(240), ai=DRAWN_BY_AI))))
    assert str(refusal) == (
        "product of mug-1 (photos/mug-1/a.jpg) is to be labelled 'AI-generated background'; slot shop/main asks for "
        "pure white; use a photographed packshot, or leave the label out"
    )


def test_what_came_later_redoes_no_file_that_does_not_use_it(tmp_path: Path) -> None:
    """The recipe in a marker of default settings holds the fields of the first files, and no others."""
    ledger = Ledger(FolderStore(tmp_path))
    (job,) = jobs_of(a_channel(), a_packshot(a_cutout(ledger, a_disc(240))))
    recipe = asset_task(job, AssetRecipe()).recipe

    assert STAGE_FORMATS["assets"] == 1
    assert {"max_upscale", "quality", "min_quality", "slot", "channel", "number", "shadow", "product", "master",
            "ai"} == set(recipe)  # fmt: skip
    assert "min_bytes" not in recipe["slot"] and recipe["slot"]["format"] == "jpeg"
    assert asset_task(job, AssetRecipe(sharpen=0.5)).recipe["sharpen"] == 0.5


def test_a_manifest_names_verdict_mask_and_versions(tmp_path: Path) -> None:
    """What a person needs to trace a file years later stands beside it."""
    ledger = Ledger(FolderStore(tmp_path))
    (asset,) = made(tmp_path, jobs_of(a_channel(), a_packshot(a_cutout(ledger, a_disc(240)))))
    assert isinstance(asset, Asset)
    told = json.loads((tmp_path / f"{asset.key}.json").read_bytes())

    assert told["verdict"]["status"] == "accepted" and told["photo"]["mask"] is None
    assert {"productshot", "formats", "pillow"} == set(told["made_by"])
    assert {rule["rule"] for rule in told["rules"]} >= {"format", "white", "fill", "ai-marking", "lane"}


def a_picture(scene: str, lane: Lane = "keep", view: str | None = "front") -> Judged:
    """An accepted picture of a scene, of a cutout of its view."""
    size = Size(100, 100)
    photo = Photo(sku="mug-1", key=f"photos/mug-1/{view}.jpg", digest="p" * 64, size=size, role="product",
                  view=view, sharpness=1, exposure=0.5)  # fmt: skip
    cutout = Cutout(sku="mug-1", key=f"cut-{view}", digest=f"digest-{view}", size=size, box=Box(0, 0, 100, 100),
                    confidence=0.9, photo=photo)  # fmt: skip
    render = Render(sku="mug-1", key=f"{scene}-{view}", digest="", size=size, scene=scene, lane=lane, variant=0, seed=0,
                    product=None, cutout=cutout, adapter=None)  # fmt: skip
    return Judged(render, None, Verdict(status="accepted"))


def scenes_in(channel: str, *pictures: Judged) -> dict[str, list[str]]:
    """Scene and view of what stands in each filled slot; the first picture's cutout is the hero."""
    filled = fill_slots(load_channel(channel), pictures, pictures[0].render.cutout)
    return {
        slot: [f"{one.render.scene} {one.render.cutout.photo.view}" for one in shown]
        for slot, shown in filled.items()
        if shown
    }


def test_a_lifestyle_slot_shows_a_scene_of_its_own() -> None:
    """Google's additional and lifestyle share three scenes, each once; of one scene lifestyle gets none."""
    shot, scenes = (
        a_picture("packshot", "packshot"),
        [a_picture(name) for name in ("table", "beach", "brick")],
    )
    assert scenes_in("google", shot, *scenes) == {
        "main": ["packshot front"], "additional": ["table front", "brick front"], "lifestyle": ["beach front"],
    }  # fmt: skip
    assert scenes_in("google", shot, scenes[0]) == {"main": ["packshot front"], "additional": ["table front"]}


def test_further_packshots_show_the_other_views() -> None:
    """Etsy takes no scene: beside the hero on main, additional shows the back, and main's picture not again."""
    shots = [a_picture("packshot", "packshot", view) for view in ("front", "back")]
    assert scenes_in("etsy", *shots, a_picture("table")) == {
        "main": ["packshot front"],
        "additional": ["packshot back"],
    }


def test_a_scene_of_another_photo_than_the_hero_is_shown() -> None:
    """Its camera asked for the front where the hero is a photo from above; a packshot of the front is not the main."""
    top, front = a_picture("packshot", "packshot", "top"), a_picture("table", view="front")
    assert scenes_in("google", top, front) == {"main": ["packshot top"], "additional": ["table front"]}
    assert scenes_in("google", top, a_picture("packshot", "packshot", "front")) == {"main": ["packshot top"]}


def test_adverts_in_three_shapes_show_the_same_scene() -> None:
    """An advert stands alone: the square, the upright and the wide one may be the same scene."""
    filled = scenes_in("meta-ads", a_picture("table"), a_picture("beach"))
    assert filled == dict.fromkeys(("square", "portrait", "landscape"), ["table front"])


def test_a_relit_product_is_another_file_and_its_manifest_says_so(tmp_path: Path) -> None:
    """Only where the scene asks for it: by how much it was asked, and how far a colour moved at most."""
    ledger = Ledger(FolderStore(tmp_path))
    (plain,) = jobs_of(a_channel(a_scene_slot()), a_keep(ledger, a_cutout(ledger, a_disc(240))))
    relit = plain._replace(scene=A_TABLE.model_copy(update={"relight": 0.5}))
    files = made(tmp_path, [plain, relit])
    told = []
    for asset in files:
        assert isinstance(asset, Asset)
        told.append(json.loads((tmp_path / f"{asset.key}.json").read_bytes())["relit"])

    assert "relight" not in asset_task(plain, AssetRecipe()).recipe
    assert told[0] is None and told[1]["asked"] == 0.5 and 0.5 < told[1]["max_delta_e"] <= 1.0
    assert len({asset.digest for asset in files if isinstance(asset, Asset)}) == 2
