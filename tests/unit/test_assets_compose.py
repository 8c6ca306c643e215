"""The fit of a product in a slot, and the picture of a scene."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog_schemas import AssetRecipe, Shadow, load_channel
from productshot.assets import Composed, packshot, scene_picture
from productshot.errors import GateRefused
from productshot.geometry import Box
from productshot.pixels import Pixels
from tests.unit.assets_builders import a_block, a_disc, a_scene_slot, a_slot

PLATE = Box(0, 0, 64, 64)


def grey_plate(level: int = 160) -> Pixels:
    return np.full((64, 64, 3), level, np.uint8)


def keep(
    cutout: Pixels, at: Box, kind: Literal["contact", "none"] = "none", plate: Pixels | None = None
) -> Composed:
    """A keep picture of 320 px from a 64 px plate: five file px per plate px."""
    ground = grey_plate() if plate is None else plate
    return scene_picture(ground, PLATE, at, cutout, Shadow(kind=kind), a_scene_slot(), AssetRecipe(), "mug-1")


SIDES = st.integers(40, 400)
RATIOS = st.tuples(st.integers(5, 20), st.integers(5, 20))


@settings(max_examples=40, deadline=None)
@given(SIDES, SIDES, RATIOS, st.sampled_from([0.7, 0.85, 0.87, 1.0]))
def test_a_packshot_keeps_every_law_of_its_slot(
    width: int, height: int, ratio: tuple[int, int], fill: float
) -> None:
    """Ratio exact, product within its share and never below min_fill, enlarged at most max_upscale times."""
    slot = a_slot(ratio=ratio, fill=fill, min_fill=fill - 0.02, preferred_width=160, min_width=20)
    made = packshot(a_block(width, height), slot, AssetRecipe(), "mug-1")
    frame_height, frame_width = made.matte.shape
    assert made.product is not None
    size = made.product.size
    share = max(size.width / frame_width, size.height / frame_height)
    assert frame_height == slot.height(frame_width)
    assert fill - 0.02 <= share <= fill + 1e-9
    assert made.upscale <= 1.5
    assert abs(made.product.left - (frame_width - made.product.right)) <= 1
    assert abs(made.product.top - (frame_height - made.product.bottom)) <= 1


@pytest.mark.parametrize("fill", [0.85, 0.853])
def test_min_fill_holds_when_it_equals_fill(fill: float) -> None:
    """Rounding to whole px never takes a round product below the minimum."""
    made = packshot(a_disc(301), a_slot(fill=fill, min_fill=fill), AssetRecipe(), "mug-1")
    assert made.product is not None
    assert made.product.size.width == math.ceil(fill * 200)


def test_a_faint_fringe_does_not_count_as_product() -> None:
    """Traces of alpha around the product neither shrink nor shift it."""
    cutout = np.pad(a_block(200, 100), ((30, 0), (60, 0), (0, 0)))
    cutout[:30, :, 3] = 20
    made = packshot(cutout, a_slot(), AssetRecipe(), "mug-1")
    assert made.product == Box(13, 56, 187, 143)


def test_the_width_falls_to_what_the_product_allows() -> None:
    """A product of 80 px at upscale 1.5 is 120 px: 87 % of a file of 138 px."""
    made = packshot(a_block(80, 80), a_slot(), AssetRecipe(), "mug-1")
    assert made.rgb.shape == (138, 138, 3)
    assert made.upscale == 1.5


def test_a_product_too_small_for_its_slot_is_refused_with_the_remedy() -> None:
    """The refusal names the product, its size, the size needed and what to do."""
    slot = load_channel("amazon").slots[0]
    item = "product of mug-1 (photo photos/mug-1/a.jpg)"
    with pytest.raises(GateRefused) as refused:
        packshot(a_block(300, 430), slot, AssetRecipe(), item, "amazon/main")
    assert str(refused.value) == (
        "product of mug-1 (photo photos/mug-1/a.jpg) is 430 px high; slot amazon/main needs at least 580 px "
        "at upscale 1.5; add a larger photo, or allow a higher max_upscale"
    )


def test_an_empty_cutout_is_refused() -> None:
    """A cutout without an opaque pixel is no product."""
    with pytest.raises(GateRefused, match="^mug-1 is empty: no pixel is opaque; look at the cutout"):
        packshot(np.zeros((300, 300, 4), np.uint8), a_slot(), AssetRecipe(), "mug-1")


def test_the_product_keeps_its_own_pixels_in_a_scene() -> None:
    """Inside the matte the picture is the photo, at the place that the plate's box says."""
    made = keep(a_block(160, 160), Box(16, 20, 48, 52))
    assert made.product == Box(80, 100, 240, 260)
    assert made.upscale == 1.0
    assert (made.rgb[made.matte == 255] == (200, 30, 30)).all()


@pytest.mark.parametrize(("photo_px", "stands"), [(400, Box(16, 76, 144, 204)), (100, Box(30, 90, 130, 190))])
def test_a_tall_slot_closes_in_on_the_product(photo_px: int, stands: Box) -> None:
    """Half of the scene's width becomes the slot's 80 %; a photo with too few px for that, what 1.0 times allows."""
    slot, plate = (
        a_scene_slot(ratio=(2, 3), fill=0.8, preferred_width=160),
        np.full((96, 64, 3), 160, np.uint8),
    )
    recipe, at, shadow = AssetRecipe(max_upscale=1.0), Box(16, 40, 48, 72), Shadow(kind="none")
    made = scene_picture(
        plate, Box(0, 0, 64, 96), at, a_block(photo_px, photo_px), shadow, slot, recipe, "mug-1"
    )
    assert made.rgb.shape[:2] == (240, 160)
    assert made.product == stands


def test_the_product_keeps_its_shape_when_the_plate_rounded_its_box() -> None:
    """The cutout's own ratio counts, not that of the box in whole plate px; the ground line stays."""
    made = keep(a_block(300, 100), Box(16, 42, 48, 52))
    assert made.product is not None
    assert made.product.size == (160, 53)
    assert made.product.bottom == 260


def test_the_shadow_is_darkest_where_the_product_touches() -> None:
    """Just below the product the ground is dark, farther down less so, far away untouched."""
    made = keep(a_block(160, 160), Box(16, 20, 48, 52), kind="contact")
    column = made.rgb[260:, 160, 0].astype(float)
    assert column[1:3].mean() < 100
    assert column[1:3].mean() < column[6:10].mean() < column[20:26].mean()
    assert abs(made.rgb[:60].mean() - 160) < 1


def test_no_shadow_leaves_the_ground_alone() -> None:
    """Shadow kind none changes nothing but the grain."""
    made = keep(a_block(160, 160), Box(16, 20, 48, 52), kind="none")
    assert abs(made.rgb[262:300].mean() - 160) < 1


def test_an_enlarged_edge_does_not_ring() -> None:
    """A hard edge of the plate grows soft but never darker or lighter than its sides, grain aside."""
    plate = grey_plate(60)
    plate[:, 32:] = 200
    made = keep(a_block(40, 40), Box(28, 54, 36, 62), plate=plate)
    columns = made.rgb[:200].mean(axis=(0, 2))
    assert columns.min() > 59 and columns.max() < 201
    assert (np.diff(columns) > -0.5).all()


def test_a_drawn_picture_too_small_for_its_slot_is_refused() -> None:
    """A plate of 128 px cannot fill a slot of 1,000 px."""
    slot = load_channel("amazon").slots[1]
    plate = np.full((128, 128, 3), 128, np.uint8)
    with pytest.raises(GateRefused) as refused:
        scene_picture(
            plate,
            Box(0, 0, 128, 128),
            None,
            None,
            Shadow(),
            slot,
            AssetRecipe(),
            "render 3",
            "amazon/additional",
        )
    assert str(refused.value) == (
        "render 3 is 128 px wide in the render; slot amazon/additional needs at least 667 px at upscale 1.5; "
        "render larger (renders.size_px and a base model that can), or use lane keep"
    )


def test_a_product_outside_the_frame_is_refused() -> None:
    """A slot's frame that would cut the product is refused, not cropped."""
    with pytest.raises(
        GateRefused, match="stands at 40,20 to 80,52 px of the plate; the frame of slot more shows"
    ):
        keep(a_block(400, 320), Box(40, 20, 80, 52))


def test_a_frame_rounded_on_the_plate_stretches_nothing() -> None:
    """The file shows the part of the frame that has the slot's ratio exactly."""
    slot = a_scene_slot(ratio=(1801, 2600), preferred_width=300)
    plate = np.full((96, 64, 3), 150, np.uint8)
    made = scene_picture(
        plate,
        Box(0, 2, 64, 94),
        Box(16, 30, 48, 62),
        a_block(160, 160),
        Shadow(),
        slot,
        AssetRecipe(),
        "mug-1",
    )
    assert made.rgb.shape == (433, 300, 3)
    assert made.product is not None
    assert made.product.size == (150, 150)
