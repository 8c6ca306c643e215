"""The light of a pasted product: follows its scene, never beyond its limit, the same for gates and files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import deltaE_ciede2000, rgb2lab

from catalog_schemas import Shadow
from productshot.assets.relight import MAX_DELTA_E, Light, in_scene, light_of, relight
from productshot.geometry import Box
from productshot.pixels import Pixels
from productshot.stages.gates import compare
from tests.unit.assets_builders import a_block

PLACE = Box(40, 40, 88, 88)


def a_plate(left: int, right: int) -> Pixels:
    """128 px of grey that goes from one level to another."""
    row = np.linspace(left, right, 128).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (128, 128, 3)).copy()


def noise(seed: int, low: int = 0, high: int = 256) -> Pixels:
    """A cutout of random colours and random alpha."""
    return np.random.default_rng(seed).integers(low, high, (40, 50, 4), np.uint8)


def moved(before: Pixels, after: Pixels) -> float:
    """The largest CIEDE2000 of the pixels that show."""
    seen = before[..., 3] > 0
    pair = (rgb2lab(each[..., :3][seen]) for each in (before, after))
    return float(deltaE_ciede2000(*pair).max())


CUTOUTS = {
    "random": noise(1),
    "dark": noise(2, 0, 12),
    "bright": noise(3, 244, 256),
    "saturated": np.dstack([255 * (noise(4)[..., :3] // 128), np.full((40, 50), 255, np.uint8)]),
    "black": a_block(50, 40, (0, 0, 0)),
    "white": a_block(50, 40, (255, 255, 255)),
    "grey": a_block(50, 40, (128, 128, 128)),
}
LOG_GAINS = st.floats(-2, 2)


@settings(max_examples=15, deadline=None)
@given(st.sampled_from(sorted(CUTOUTS)), st.tuples(*[LOG_GAINS] * 3), LOG_GAINS, LOG_GAINS, st.floats(0, 1))
def test_no_colour_moves_beyond_the_limit(
    name: str, middle: tuple[float, ...], across: float, down: float, amount: float
) -> None:
    """Whatever the light and the product, and what is recorded is what happened; alpha stays."""
    cutout = CUTOUTS[name]
    made = relight(cutout, Light(np.array(middle), across, down), amount)
    assert moved(cutout, made.rgba) == pytest.approx(made.delta_e)
    assert made.delta_e <= amount * MAX_DELTA_E
    assert (made.rgba[..., 3] == cutout[..., 3]).all()


def test_amount_0_is_the_cutout_itself() -> None:
    """Not a copy, not a rounding."""
    assert in_scene(CUTOUTS["random"], a_plate(20, 220), PLACE, 0.0).rgba is CUTOUTS["random"]


@pytest.mark.parametrize(("left", "right"), [(40, 220), (220, 40)])
def test_the_side_towards_the_light_is_the_brighter_one(left: int, right: int) -> None:
    """A grey block in a scene that falls from one side to the other falls alike, by what may be seen at most."""
    made = in_scene(CUTOUTS["grey"], a_plate(left, right), PLACE, 1.0)
    rise = int(made.rgba[20, -1, 0]) - int(made.rgba[20, 0, 0])
    assert rise * (right - left) > 0 and abs(rise) >= 4
    assert 1.5 < made.delta_e <= MAX_DELTA_E


def test_an_even_scene_as_bright_as_an_average_one_changes_nothing() -> None:
    """118 is what 18 % of the light is in sRGB."""
    assert np.abs(light_of(a_plate(118, 118), PLACE).over(PLACE.size)).max() < 0.02


def test_gates_see_the_relit_product_beside_the_photographed_one() -> None:
    """The picture holds the relit pixels, the reference those of the photo."""
    plate, cutout = a_plate(40, 220), a_block(48, 48, (128, 128, 128))
    lit = in_scene(cutout, plate, PLACE, 1.0).rgba
    seen = compare(plate, Box(0, 0, 128, 128), PLACE, cutout, Shadow(kind="none"), lit=lit)
    inside = seen.alpha == 255
    assert (seen.reference[inside] == 128).all()
    assert {int(level) for level in np.unique(seen.picture[inside])} <= set(np.unique(lit[..., :3]).tolist())
    assert (seen.picture[inside] != 128).mean() > 0.5
