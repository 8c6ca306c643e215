"""A cutout's levels: what sharing, linear light and sharpening change, and what they leave alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from catalog_schemas import AssetRecipe
from productshot.assets import Levels, packshot
from productshot.assets.sharpen import sharpened
from productshot.geometry import Size
from productshot.pixels import Pixels
from tests.unit.assets_builders import a_block, a_disc, a_slot


def a_textured_disc(diameter: int) -> Pixels:
    """Soft spots of all colours on a disc."""
    out = a_disc(diameter)
    coarse = np.random.default_rng(2).integers(0, 256, (diameter // 12, diameter // 12, 3), np.uint8)
    out[..., :3] = np.asarray(Image.fromarray(coarse).resize((diameter, diameter), Image.Resampling.BICUBIC))
    return out


@pytest.mark.parametrize("side", [400, 401, 403])
@pytest.mark.parametrize("part", [3, 5, 9])
def test_a_halved_level_shows_what_the_whole_shows(side: int, part: int) -> None:
    """Shrunk through its levels, a cutout lies where Lanczos on all its pixels puts it, to a few levels of 255."""
    cutout, size = a_textured_disc(side), Size(side // part + 4, side // part + 4)
    scale, margin = 1 / part, 2.0 * part
    window = (-margin, -margin, -margin + size.width * part, -margin + size.height * part)
    padded = np.pad(cutout, ((90, 90), (90, 90), (0, 0)))
    whole = Image.fromarray(padded).convert("RGBa").resize(
        size, Image.Resampling.LANCZOS, box=tuple(edge + 90 for edge in window)
    )  # fmt: skip
    ours, theirs = Levels(cutout).resampled(scale, window, size), np.asarray(whole.convert("RGBA"))
    solid = theirs[..., 3] > 250
    assert np.abs(ours[..., 3].astype(int) - theirs[..., 3]).max() <= 24
    assert np.abs(ours[solid].astype(int) - theirs[solid]).mean() < 1.5


def test_the_order_in_which_sizes_are_made_changes_nothing() -> None:
    """A size made after others is the same, pixel by pixel, as one made first."""
    cutout, sizes = a_textured_disc(900), [a_slot(preferred_width=width) for width in (120, 480, 250)]
    shared = Levels(cutout)
    for slot in (*sizes, *reversed(sizes)):
        made = packshot(shared, slot, AssetRecipe(), "mug-1")
        assert np.array_equal(made.rgb, packshot(cutout, slot, AssetRecipe(), "mug-1").rgb)


def test_linear_light_keeps_the_brightness_of_a_fine_pattern() -> None:
    """Black and white lines of one px each reflect half the light: sRGB 188, where averaging numbers gives 128."""
    lines = a_block(400, 400)
    lines[..., :3] = np.where(np.arange(400) % 2, 255, 0)[None, :, None]
    middle = {
        linear: packshot(lines, a_slot(preferred_width=100), AssetRecipe(linear_light=linear), "x").rgb[
            50, 50
        ]
        for linear in (False, True)
    }
    assert np.abs(middle[False].astype(int) - 128).max() <= 3
    assert np.abs(middle[True].astype(int) - 188).max() <= 3


def test_linear_light_leaves_edges_and_white_alone() -> None:
    """The ground stays 255, a flat product keeps its colour, and the matte is nearly the same."""
    slot = a_slot(preferred_width=130)
    plain, light = (
        packshot(a_disc(400), slot, AssetRecipe(linear_light=linear), "mug-1") for linear in (False, True)
    )
    assert (light.rgb[light.matte == 0] == 255).all()
    assert tuple(light.rgb[65, 65]) == (200, 30, 30)
    assert np.abs(light.matte.astype(int) - plain.matte).max() <= 16


def test_sharpening_adds_detail_inside_the_product_only() -> None:
    """More contrast between neighbours; alpha and a flat colour, right up to its edge, stay as they are."""
    flat, textured = a_disc(60), a_disc(60)
    textured[..., :3] = np.random.default_rng(1).integers(100, 156, (60, 60, 3))
    assert np.abs(sharpened(flat, 1.0)[flat[..., 3] >= 128].astype(int) - (200, 30, 30)).max() <= 4
    before = np.abs(np.diff(textured[20:40, 20:40, :3].astype(int), axis=1)).mean()
    assert np.abs(np.diff(sharpened(textured, 1.0)[20:40, 20:40].astype(int), axis=1)).mean() > 1.2 * before


def test_an_enlarged_product_is_not_sharpened() -> None:
    """Sharpening gives back what shrinking took; where nothing was shrunk it does nothing."""
    slot, cutout = a_slot(), a_textured_disc(130)
    soft, sharp = (packshot(cutout, slot, AssetRecipe(sharpen=amount), "mug-1") for amount in (0.0, 1.0))
    assert soft.upscale > 1 and np.array_equal(soft.rgb, sharp.rgb)
    small = [
        packshot(a_textured_disc(400), a_slot(preferred_width=120), AssetRecipe(sharpen=amount), "x").rgb
        for amount in (0.0, 1.0)
    ]
    assert not np.array_equal(*small)
