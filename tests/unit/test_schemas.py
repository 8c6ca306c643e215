"""What people write is checked, and a mistake is named with its nearest mend."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from catalog_schemas import (
    AdapterRecipe,
    Catalog,
    Channel,
    Label,
    RenderRecipe,
    Scene,
    Sku,
    Slot,
    channel_names,
    load_channel,
    load_scene,
    scene_names,
)

SKU = {"sku": "mug-1", "noun": "mug"}


def test_unknown_key_names_the_nearest_valid_one() -> None:
    """A misspelt key is refused with the key that was meant."""
    with pytest.raises(ValidationError, match="unknown key 'chanels'; did you mean 'channels'"):
        Catalog.model_validate({"skus": [SKU], "chanels": ["amazon"]})


def test_a_word_that_is_near_nothing_gets_no_guess() -> None:
    """ "Did you mean" is asked of keys, channels and scenes alike, and only when something is near."""
    with pytest.raises(ValidationError, match="unknown key 'xyzzy'; valid: catalog"):
        Catalog.model_validate({"skus": [SKU], "xyzzy": 1})
    with pytest.raises(ValueError, match="'xyzzy' does not ship with productshot; valid: amazon"):
        load_channel("xyzzy")
    with pytest.raises(
        ValueError, match="'snowy' is not in the library; did you mean 'snow'\\? valid: autumn"
    ):
        load_scene("snowy")


def test_unknown_recipe_key_is_refused_too() -> None:
    """Nested settings are checked like the top ones."""
    with pytest.raises(ValidationError, match="unknown key 'max_upscal'; did you mean 'max_upscale'"):
        Catalog.model_validate({"skus": [SKU], "recipes": {"assets": {"max_upscal": 2}}})


def test_a_sku_listed_twice_is_refused() -> None:
    """The same SKU twice would publish twice."""
    with pytest.raises(ValidationError, match="SKU 'mug-1' is listed 2 times"):
        Catalog.model_validate({"skus": [SKU, SKU]})


def test_a_bad_sku_name_does_not_spoil_the_catalog() -> None:
    """Bad names are refused one by one at night; the file stays loadable."""
    catalog = Catalog.model_validate({"skus": [SKU, {"sku": "../etc", "noun": "mug"}]})
    assert [sku.sku for sku in catalog.skus] == ["mug-1", "../etc"]


def test_sku_scenes_must_be_in_the_catalog() -> None:
    """A SKU cannot ask for a scene that the catalog does not have."""
    with pytest.raises(ValidationError, match="asks for scene 'moon'"):
        Catalog(skus=(Sku(sku="a", noun="mug", scenes=("moon",)),))


@pytest.mark.parametrize("prompt", ["a {noun} <lora:x:1>", "a (mug:1.5)", "a [mug]", "a {colour} mug"])
def test_prompts_are_data(prompt: str) -> None:
    """Weighting syntax, adapter tags and unknown slots are refused."""
    with pytest.raises(ValidationError, match="prompt"):
        Scene(name="x", prompt=prompt)


def test_recipe_refuses_a_combination_that_cannot_work() -> None:
    """Prior preservation without images names both fields."""
    with pytest.raises(ValidationError, match="prior_weight is above 0 but prior_images is 0"):
        AdapterRecipe(prior_images=0)


def test_a_controlnet_says_on_which_maps_it_was_trained() -> None:
    """Another one than pocket's must; pocket's own reads nothing but its own."""
    with pytest.raises(ValidationError, match="does not say on which maps .* write one of pocket, canny"):
        RenderRecipe(controlnet="models/canny")
    with pytest.raises(ValidationError, match="controlnet_reads is canny, but controlnet is pocket"):
        RenderRecipe(controlnet_reads="canny")
    assert RenderRecipe(controlnet="models/canny", controlnet_reads="canny").reads == "canny"
    assert RenderRecipe().reads == "pocket"


def test_a_controlnet_for_depth_needs_who_makes_depth_maps() -> None:
    """Both or neither; the message says what to give."""
    with pytest.raises(ValidationError, match="depth names no model .* give the path, S3 prefix or pinned"):
        RenderRecipe(controlnet="models/depth", controlnet_reads="depth")
    with pytest.raises(ValidationError, match="depth is models/dpt, but the ControlNet reads pocket maps"):
        RenderRecipe(depth="models/dpt")


def test_a_channel_without_generated_pictures_takes_packshots_only() -> None:
    """The ban cannot be contradicted by a slot."""
    data = load_channel("google").model_dump()
    with pytest.raises(ValidationError, match="bans generated pictures"):
        Channel.model_validate({**data, "generated": False})


@pytest.mark.parametrize("name", channel_names())
def test_shipped_channels_load_and_name_their_sources(name: str) -> None:
    """Every required rule of a shipped channel has an address and the date it was read."""
    for slot in load_channel(name).slots:
        assert slot.rules
        assert all(rule.address and rule.read for rule in slot.rules if rule.status == "required")


@pytest.mark.parametrize("name", scene_names())
def test_shipped_scenes_load(name: str) -> None:
    """Every scene of the library validates, is called like its file and, where it is painted, says its camera."""
    scene = load_scene(name)
    assert scene.name == name
    assert (scene.placement.camera is None) == (scene.lane == "packshot")


def test_a_packshot_has_no_camera() -> None:
    """Its slots choose the view, so a camera would say nothing."""
    with pytest.raises(ValidationError, match="placement.camera: top is given with lane: packshot"):
        Scene(name="white", lane="packshot", placement={"camera": "top"})


def test_json_schemas_can_be_written() -> None:
    """The schemas of everything people write are plain JSON."""
    assert "skus" in json.loads(json.dumps(Catalog.model_json_schema()))["properties"]


def test_a_slot_asks_for_a_format_that_its_channel_takes() -> None:
    """Where a rule lists formats, the slot's own must be among them; without one only the slot's own is known."""
    amazon = load_channel("amazon").slots[0]
    assert [kind for kind in ("jpeg", "png", "webp", "avif") if amazon.takes(kind)] == ["jpeg", "png"]
    told = {**amazon.model_dump(), "format": "webp"}
    with pytest.raises(ValidationError, match="format webp of slot main is none that its own rules take"):
        Slot.model_validate(told)
    plain = Slot.model_validate({**told, "rules": []})
    assert plain.takes("webp") and not plain.takes("jpeg")


@pytest.mark.parametrize("text", ["", "\u4eba\u5de5\u667a\u80fd", "two\nlines", "x" * 61])
def test_a_label_is_a_line_that_the_font_can_write(text: str) -> None:
    """Nothing, letters that the font does not have, two lines and a paragraph are refused."""
    with pytest.raises(ValidationError):
        Label(text=text)
    assert Label(text="Hintergrund: mit KI erzeugt, geprüft").corner == "bottom-left"
