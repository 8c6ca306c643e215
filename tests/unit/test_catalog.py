"""Catalog files: YAML and CSV become a Catalog, or one line says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from catalog_schemas import Catalog, Label, scene_names
from productshot.catalog import channels_of, find_slot, init_catalog, load_catalog, read_nouns
from productshot.errors import ConfigInvalid


def written(path: Path, text: str) -> Path:
    path.write_text(text, "utf-8")
    return path


def test_csv_gives_a_catalog_with_all_defaults(tmp_path: Path) -> None:
    """A table of SKUs is a catalog."""
    catalog = load_catalog(written(tmp_path / "c.csv", "sku,noun\nmug-1,mug\nvase-2,vase\n"))
    assert [(sku.sku, sku.noun) for sku in catalog.skus] == [("mug-1", "mug"), ("vase-2", "vase")]
    assert catalog.channels == ("amazon", "google", "zalando")


def test_unknown_csv_column_names_the_nearest(tmp_path: Path) -> None:
    """A misspelt column is refused with the column that was meant."""
    with pytest.raises(ConfigInvalid, match="unknown column 'nuon'; did you mean 'noun'?"):
        load_catalog(written(tmp_path / "c.csv", "sku,nuon\nmug-1,mug\n"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("skus: [", "is not YAML"),
        ("- 1", "is not a mapping"),
        ("skus: []", "skus: Tuple should have at least 1 item"),
        ("skus: [{sku: a, noun: mug}]\nscenes: [moon]", "scene 'moon' is not in the library"),
        ("skus: [{sku: a, noun: mug}]\nchannels: [amazn]", "channel 'amazn' does not ship"),
        ("skus: [{sku: a, noun: mug}]\nrecipes: {adapters: {rank: 0}}", "recipes.adapters.rank"),
    ],
)
def test_a_bad_catalog_is_one_readable_line(tmp_path: Path, text: str, told: str) -> None:
    """Whatever is wrong, the message is one line that names it."""
    with pytest.raises(ConfigInvalid) as caught:
        load_catalog(written(tmp_path / "c.yaml", text))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


CANNY = "skus: [{sku: a, noun: mug}]\nrecipes: {renders: {controlnet: models/cn, controlnet_reads: canny}}\n"


def test_a_scene_that_steers_by_what_the_controlnet_cannot_read_is_refused(tmp_path: Path) -> None:
    """When the catalog is read: the scene, its control, what could be told, and what to write instead."""
    text = CANNY + "scenes: [{name: table, scene_prompt: a table, control: scribble}]"
    with pytest.raises(
        ConfigInvalid,
        match="scene table has control: scribble; ControlNet models/cn reads canny maps: none, silhouette, edges; "
        "write control: edges, or",
    ):
        load_catalog(written(tmp_path / "c.yaml", text))


def test_depth_without_a_controlnet_for_it_is_refused_with_the_remedy(tmp_path: Path) -> None:
    """What ships reads no depth: both models are named."""
    text = "skus: [{sku: a, noun: mug}]\nscenes: [{name: table, scene_prompt: a table, control: depth}]"
    with pytest.raises(
        ConfigInvalid,
        match="scene table has control: depth; .* or name one that reads depth, and a depth model, in recipes.renders",
    ):
        load_catalog(written(tmp_path / "c.yaml", text))


def test_every_scene_of_the_library_suits_every_controlnet(tmp_path: Path) -> None:
    """They say nothing of control, and packshots are not painted."""
    names = ", ".join(scene_names())
    assert load_catalog(written(tmp_path / "c.yaml", f"{CANNY}scenes: [{names}]"))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(ConfigInvalid, match="none.yaml cannot be read: No such file"):
        load_catalog(tmp_path / "none.yaml")


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    """A YAML tag that would build a Python object is refused."""
    with pytest.raises(ConfigInvalid, match="is not YAML"):
        load_catalog(written(tmp_path / "c.yaml", "skus: !!python/object/apply:os.system ['true']"))


def test_init_refuses_a_sku_without_a_noun(tmp_path: Path) -> None:
    """A noun is asked for or given, never guessed; the other SKUs stay."""
    for name in ("mug-1", "vase-2", "bad sku"):
        (tmp_path / name).mkdir()
    data, refused = init_catalog(tmp_path, {"mug-1": "mug"}, lambda sku: None)
    assert data["skus"] == [{"sku": "mug-1", "noun": "mug"}]
    assert [str(error).split(";")[0] for error in refused] == [
        "SKU 'bad sku' is not a usable name",
        "SKU 'vase-2' has no class noun",
    ]


def test_init_refuses_nouns_of_folders_that_are_not_there(tmp_path: Path) -> None:
    """A typing error in the nouns file would otherwise leave a SKU out in silence."""
    (tmp_path / "mug-1").mkdir()
    with pytest.raises(ConfigInvalid, match="name SKU 'mug1'.*did you mean 'mug-1'"):
        init_catalog(tmp_path, {"mug1": "mug"}, lambda sku: None)


def test_nouns_file_needs_a_noun_per_row(tmp_path: Path) -> None:
    """An empty noun is named by its SKU."""
    with pytest.raises(ConfigInvalid, match="has no noun for 'vase-2'"):
        read_nouns(written(tmp_path / "n.csv", "sku,noun\nmug-1,mug\nvase-2,\n"))


def test_find_slot_names_the_valid_slots() -> None:
    """A wrong slot is answered with the right ones."""
    with pytest.raises(ConfigInvalid, match="is no slot of amazon; valid: main, additional"):
        find_slot("amazon", "hero")


SHOP = {"name": "shop", "title": "Shop", "slots": [{"name": "main", "role": "main", "lanes": ["packshot"],
        "preferred_width": 200, "min_width": 100, "max_bytes": 100000}]}  # fmt: skip


def test_a_channel_of_ones_own_stands_beside_the_shipped_ones() -> None:
    """A night publishes to it under its name; a label of the catalog goes to the channel that it names."""
    label = {"text": "AI-generated background"}
    channels = channels_of(a_catalog(channels=["amazon", SHOP], labels={"amazon": label}))
    assert list(channels) == ["amazon", "shop"]
    assert channels["amazon"].label == Label.model_validate(label) and channels["shop"].label is None


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"channels": ["amzon"]}, "did you mean 'amazon'?"),
        ({"channels": ["amazon", "amazon"]}, "catalog names channel 'amazon' twice; name each channel once"),
        (
            {"channels": ["amazon"], "labels": {"etsy": {"text": "AI"}}},
            "catalog labels channel 'etsy', which it does not list; valid: amazon; name one of them",
        ),
    ],
)
def test_channels_that_do_not_fit_are_named(fields: dict[str, Any], told: str) -> None:
    """An unknown name, one twice, a label for a channel that is not there."""
    with pytest.raises(ConfigInvalid) as error:
        channels_of(a_catalog(**fields))
    assert told in str(error.value)


def a_catalog(**fields: Any) -> Catalog:
    return Catalog.model_validate({"skus": [{"sku": "mug-1", "noun": "mug"}], **fields})
