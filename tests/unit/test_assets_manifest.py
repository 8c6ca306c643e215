"""The manifest beside a published file."""

from __future__ import annotations

from catalog_schemas import AssetRecipe
from productshot.assets import RuleVerdict, asset_manifest
from productshot.geometry import Box, Size
from productshot.keys import canonical_json
from productshot.records import Asset, Cutout, Measures, Photo, Render, Verdict

PASSED = Verdict(status="accepted")


def a_render() -> Render:
    photo = Photo(
        sku="mug-1",
        key="photos/mug-1/a.jpg",
        digest="p" * 64,
        size=Size(9, 9),
        role="product",
        sharpness=1,
        exposure=0.5,
    )
    cutout = Cutout(
        sku="mug-1",
        key="ck",
        digest="c" * 64,
        size=Size(5, 5),
        box=Box(1, 1, 6, 6),
        confidence=0.9,
        photo=photo,
    )
    return Render(
        sku="mug-1",
        key="rk",
        digest="r" * 64,
        size=Size(128, 128),
        scene="table",
        lane="keep",
        variant=0,
        seed=7,
        product=Box(20, 20, 90, 90),
        cutout=cutout,
        adapter=None,
    )


def test_the_manifest_traces_an_asset_to_its_photo() -> None:
    """Photo, cutout, seed, gates, rules and recipe are named, and the whole is JSON without a clock."""
    asset = Asset(
        sku="mug-1", key="catalog/x.jpg", digest="a" * 64, size=Size(200, 200), channel="shop", slot="more",
        index=1, scene="table", lane="keep", bytes=9, upscale=1.2, source_type="http://x",
    )  # fmt: skip
    measures = Measures(render="rk", numbers={"delta_e": 0.4}, not_valid={})
    rules = [RuleVerdict(rule="ratio", status="accepted")]
    made = asset_manifest(asset, a_render(), measures, PASSED, rules, AssetRecipe())
    assert made["photo"] == {
        "key": "photos/mug-1/a.jpg",
        "digest": "p" * 64,
        "ai_source": None,
        "mask": None,
        "clutter": None,
    }
    assert made["verdict"]["status"] == "accepted"
    assert (made["cutout"]["digest"], made["render"]["seed"], made["asset"]["upscale"]) == ("c" * 64, 7, 1.2)
    assert (made["gates"]["numbers"], made["rules"][0]["rule"]) == ({"delta_e": 0.4}, "ratio")
    assert canonical_json(made) == canonical_json(
        asset_manifest(asset, a_render(), measures, PASSED, rules, AssetRecipe())
    )
