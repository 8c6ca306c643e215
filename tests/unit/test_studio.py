"""The pocket studio: what it draws is deterministic, named rightly and masked rightly."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from productshot.errors import InputRefused
from productshot.pocket.studio import (
    NOUNS,
    SCENES,
    Drawing,
    ProductSpec,
    Prop,
    caption_of,
    draw,
    draw_views,
    frame_product,
    photograph,
    random_drawing,
    random_product,
    random_view,
    render_set,
    shop_photo,
)


def a_product(noun: str = "mug", colour: str = "red", pattern: str = "plain") -> ProductSpec:
    return ProductSpec(noun, colour, "white", pattern, "glossy", mark="none", shape_seed=3)


def a_drawing(noun: str, scene: str, size: int = 48) -> Drawing:
    product = a_product(noun)
    view = random_view(np.random.default_rng(NOUNS.index(noun)), scene)
    return draw(product, frame_product(product, view), size)


def share_of_frame(drawing: Drawing) -> float:
    return float(drawing.mask.mean() / 255)


def test_same_seed_draws_the_same_picture() -> None:
    """A seed decides every pixel and the caption."""
    one, two = random_drawing(11, 32), random_drawing(11, 32)
    assert np.array_equal(one.picture, two.picture)
    assert np.array_equal(one.mask, two.mask)
    assert one.caption == two.caption


def test_seeds_differ() -> None:
    """Two seeds draw two pictures."""
    assert not np.array_equal(random_drawing(1, 32).picture, random_drawing(2, 32).picture)


@pytest.mark.parametrize("noun", NOUNS)
def test_every_noun_fills_a_sensible_share(noun: str) -> None:
    """Each product covers 3-70 % of the frame."""
    assert 0.03 < share_of_frame(a_drawing(noun, "on a grey studio sweep")) < 0.7


@pytest.mark.parametrize("scene", SCENES)
def test_every_scene_shows_the_product(scene: str) -> None:
    """Each scene carries a product, inside a bright enough picture."""
    drawing = a_drawing("vase", scene)
    assert 0.03 < share_of_frame(drawing) < 0.7
    assert drawing.picture.mean() > 35


def test_mask_is_where_the_picture_changes() -> None:
    """Product pixels differ from the same view drawn empty; pixels far above the product do not."""
    product = a_product("ball")
    view = random_view(np.random.default_rng(4), "on a white studio sweep")
    full, empty = draw(product, view, 64), draw(None, view, 64)
    changed = np.abs(full.picture.astype(int) - empty.picture).max(axis=2) > 8
    assert changed[full.mask == 255].mean() > 0.97
    assert not changed[:4].any()


def test_mask_edge_is_antialiased() -> None:
    """Edge pixels have an alpha between 0 and 255."""
    mask = a_drawing("ball", "on a grey studio sweep").mask
    assert ((mask > 0) & (mask < 255)).sum() > 20


def test_product_is_nearer_than_its_floor() -> None:
    """Depth is finite and smaller on the product than behind it."""
    drawing = a_drawing("vase", "on a wooden table")
    assert drawing.depth[drawing.mask == 255].max() < drawing.depth[0].min()


def test_empty_scene_has_no_product() -> None:
    """Without a product the mask is empty and the caption says so."""
    drawing = draw(None, random_view(np.random.default_rng(0), "in the snow"), 32)
    assert not drawing.mask.any()
    assert (drawing.noun, drawing.colour) == (None, None)
    assert drawing.caption == "a photo of an empty scene in the snow"


def test_caption_names_what_was_drawn() -> None:
    """The full caption has colour, pattern, noun and scene, with the right article."""
    red = a_product("mug", "red", "striped")
    orange = a_product("bag", "orange")
    assert caption_of(red, "on a wooden table") == "a photo of a red striped mug on a wooden table"
    assert caption_of(orange, "in the snow") == "a photo of an orange bag in the snow"


def test_random_captions_always_name_noun_and_scene() -> None:
    """However the caption varies, noun and scene stay in it."""
    for seed in range(12):
        drawing = random_drawing(seed, 16)
        assert drawing.caption.endswith(drawing.scene)
        assert (drawing.noun or "empty scene") in drawing.caption


def test_colour_of_the_product_shows() -> None:
    """A plain red product is mostly red inside its mask."""
    drawing = a_drawing("ball", "on a grey studio sweep")
    r, g, b = drawing.picture[drawing.mask == 255].mean(axis=0)
    assert r > 1.6 * max(g, b)


def test_glass_shows_what_stands_behind_it() -> None:
    """A glass vase takes on more of a bright scene than a matte one; both have the same outline."""
    view = random_view(np.random.default_rng(4), "on a white studio sweep")
    glass, matte = (
        draw(replace(a_product("vase", "blue"), material=m), view, 64) for m in ("glass", "matte")
    )
    assert np.array_equal(glass.mask, matte.mask)
    assert glass.picture[glass.mask == 255].mean() > matte.picture[matte.mask == 255].mean() + 10


def test_a_print_writes_in_the_second_colour() -> None:
    """A print changes part of the front of a mug, and nothing of the scene."""
    view = replace(random_view(np.random.default_rng(4), "on a white studio sweep"), yaw=0.0)
    bare, printed = (draw(replace(a_product("mug"), mark=mark), view, 96) for mark in ("none", "print"))
    changed = np.abs(bare.picture.astype(int) - printed.picture).max(axis=2) > 40
    assert 0.01 < changed[bare.mask == 255].mean() < 0.4
    assert not changed[bare.mask == 0].any()


def test_edges_mark_the_outline() -> None:
    """A ball on a plain sweep has edges along its outline and none far above it."""
    drawing = a_drawing("ball", "on a white studio sweep", 64)
    rim = (drawing.mask > 0) & (drawing.mask < 255)
    assert set(np.unique(drawing.edges)) == {0, 255}
    assert (drawing.edges[rim] == 255).mean() > 0.3
    assert not drawing.edges[:4].any()


def test_views_show_one_product_from_several_sides() -> None:
    """Three views differ in picture and scene or side; noun and colour stay."""
    views = draw_views(a_product("teapot", "teal"), np.random.default_rng(2), 3, 48)
    assert {(view.noun, view.colour) for view in views} == {("teapot", "teal")}
    assert all(np.abs(views[0].mask.astype(int) - view.mask).mean() > 3 for view in views[1:])


def test_every_light_setup_is_met() -> None:
    """Among many views the key light comes from the front, both sides, above and behind."""
    views = [random_view(np.random.default_rng(seed)) for seed in range(60)]
    assert min(v.light_azimuth for v in views) < -75 and max(v.light_azimuth for v in views) > 115
    assert max(v.light_elevation for v in views) > 68


def test_the_mask_leaves_tray_and_hand_out() -> None:
    """A tray under a ball and a hand beside it change the picture and only ever hide a part of the ball's mask."""
    view = random_view(np.random.default_rng(4), "on a white studio sweep")
    ball = Prop(a_product("ball"), 0.0, 0.0, 0.0, 1.0)
    tray = Prop(ProductSpec("tray", "brown", "white", "plain", "matte", "none", 1), 0.0, 0.0, 0.0, 1.3)
    hand = Prop(ProductSpec("hand", "skin-tan", "blue", "plain", "matte", "none", 1), 0.7, 0.0, 0.0, 0.9)
    alone, alone_mask, _ = photograph((ball,), view, 64, 64, 1)
    among, among_mask, _ = photograph((ball, tray, hand), view, 64, 64, 1)
    assert (among_mask <= alone_mask).all()
    assert among_mask.sum() > 0.8 * alone_mask.sum()
    assert (np.abs(alone.astype(int) - among).max(axis=2) > 40).mean() > 0.03


def test_shop_photo_is_large_and_upright() -> None:
    """A shop photo has the asked size and a product of 8-70 % of the frame."""
    drawing = shop_photo(random_product(np.random.default_rng(1), "vase"), 5, 64, 80)
    assert drawing.picture.shape == (80, 64, 3)
    assert 0.08 < share_of_frame(drawing) < 0.7


def test_unknown_word_is_refused() -> None:
    """A noun that the studio cannot draw is refused with the ones it can."""
    with pytest.raises(InputRefused, match="noun 'chair' is unknown to the studio; one of vase, teapot"):
        a_product("chair")


def test_tiny_picture_is_refused() -> None:
    """A picture below 16 px a side is refused."""
    with pytest.raises(InputRefused, match="of 8x8 px, supersample 2, is too small; at least 16 px"):
        draw(None, random_view(np.random.default_rng(0)), 8)


def test_render_set_writes_what_random_drawing_draws(tmp_path: Path) -> None:
    """A rendered set holds the drawings of its seeds, in order."""
    render_set(tmp_path, 3, first_seed=7, size=16, workers=1)
    pictures = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    captions = json.loads((tmp_path / "captions.json").read_text())
    for i in range(3):
        drawing = random_drawing(7 + i, 16)
        assert np.array_equal(pictures[i], drawing.picture)
        assert captions[i] == drawing.caption
