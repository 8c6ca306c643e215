"""Extend, its geometry and its seam: exact, whatever was painted."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from productshot.errors import ConfigInvalid, InputRefused
from productshot.extend import framed, lay_out, matched, parse_ratio, parse_size, target_of
from productshot.geometry import Box, Size
from productshot.pixels import Pixels
from productshot.render.plate import Plate

PICTURE = Size(900, 600)


def test_a_ratio_grows_one_side_and_no_more_than_needed() -> None:
    """A 3:2 picture becomes wider for 16:9 and higher for 1:1 and 4:5."""
    assert target_of(PICTURE, (16, 9), "a") == Size(1067, 600)
    assert target_of(PICTURE, (1, 1), "a") == Size(900, 900)
    assert target_of(PICTURE, (4, 5), "a") == Size(900, 1125)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Size(900, 600), "a is 900x600 px; 900x600 px are asked for; there is nothing to extend"),
        ((3, 2), "there is nothing to extend"),
        (Size(1200, 500), "1200x500 px are asked for, and a picture is neither cut nor shrunk; ask for more"),
        (Size(2701, 700), "2701x700 px are asked for; a side grows to at most 3 times its length"),
        ((1, 4), "900x3600 px are asked for; a side grows to at most 3 times"),
    ],
)
def test_a_picture_that_cannot_be_extended_is_told(wanted: Size | tuple[int, int], told: str) -> None:
    """Nothing to do, too large already, too small."""
    with pytest.raises(InputRefused, match=told):
        target_of(PICTURE, wanted, "a")


def test_a_strip_is_refused_and_so_is_too_large_a_file() -> None:
    """1:100 would be made up almost whole; 64 million pixels are the most."""
    with pytest.raises(
        InputRefused, match="is 100x10000 px; 2500x10000 px are asked for; a side grows to at most 3"
    ):
        target_of(Size(100, 10_000), (1, 4), "a")
    with pytest.raises(
        InputRefused, match="9000x9000 px are asked for; at most 64,000,000 pixels are painted"
    ):
        target_of(Size(9000, 6000), (1, 1), "a")


@pytest.mark.parametrize("text", ["0x100", "100", "100x", "-5x10", "1e3x5", "100X100x100", "", "1920 x 1080"])
def test_what_is_no_size_is_told(text: str) -> None:
    """With the form that is one."""
    with pytest.raises(ConfigInvalid, match=r"--to .* cannot be read; write it as 1920x1080"):
        parse_size(text)


def test_shapes_beyond_four_squares_are_refused() -> None:
    """As a size and as a ratio; the largest size is named."""
    with pytest.raises(
        ConfigInvalid, match=r"--ratio 1:100 is too long a shape; the longer side may be 4 times"
    ):
        parse_ratio("1:100")
    with pytest.raises(ConfigInvalid, match="--to 4001x1000 is too long a shape"):
        parse_size("4001x1000")
    with pytest.raises(ConfigInvalid, match="--to 9000x9000 is too large; at most 64,000,000 pixels"):
        parse_size("9000x9000")
    assert (parse_ratio("16:9"), parse_size("4000x1000")) == ((16, 9), (4000, 1000))


@given(
    st.integers(20, 5000),
    st.integers(20, 5000),
    st.integers(0, 9000),
    st.integers(0, 9000),
    st.sampled_from([64, 128, 512]),
)
def test_the_model_paints_all_that_the_file_shows(
    width: int, height: int, right: int, down: int, side: int
) -> None:
    """The canvas holds the target's window on every side, in whole steps, and is never much larger than asked."""
    picture, target = Size(width, height), Size(min(width + right, 3 * width), min(height + down, 3 * height))
    at, small, canvas = lay_out(picture, target, side, cell_px=8, step_px=64)
    assert canvas.width % 64 == canvas.height % 64 == 0
    for grown, of, painted, whole, beyond in (
        (small.width, width, canvas.width, target.width, target.width - at.right),
        (small.height, height, canvas.height, target.height, target.height - at.bottom),
    ):
        begins = (painted - grown) // 2 // 8 * 8  # where outpaint puts it
        assert begins >= beyond * grown / of and painted - begins - grown >= beyond * grown / of
        assert painted <= whole * side / min(target) + 2 * 11 + 2 * 64


def a_painting(canvas: Size, at: Box, level: int) -> Plate:
    """Plain grey with the picture's place."""
    return Plate(np.full((canvas.height, canvas.width, 3), level, np.uint8), at, None)


def a_photo(width: int = 300, height: int = 200) -> Pixels:
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)


def test_every_pixel_of_the_picture_stays() -> None:
    """To the bit, at its own resolution, where it was put."""
    photo, at = a_photo(), Box(100, 50, 400, 250)
    out = framed(photo, a_painting(Size(96, 64), Box(24, 12, 72, 44), 100), at, Size(500, 300))
    assert out.shape == (300, 500, 3)
    assert (out[50:250, 100:400] == photo).all()


def test_the_seam_lies_outside_and_fades() -> None:
    """Beside the border the last column goes on; beyond 2 % of the shorter side there is only the painting."""
    photo = np.full((200, 300, 3), 40, np.uint8)
    photo[:, 0] = 90
    out = framed(
        photo, a_painting(Size(96, 64), Box(24, 12, 72, 44), 200), Box(100, 50, 400, 250), Size(500, 300)
    )
    row = out[150, :, 0].astype(int)
    assert 90 < row[99] < row[98] < row[97] < 195
    assert (np.abs(row[:96] - 200) <= 8).all() and (np.abs(row[404:] - 200) <= 8).all()


def test_the_painting_takes_on_the_pictures_colours_beside_the_border() -> None:
    """Left of a dark picture and right of a bright one; far away it is as it was painted."""
    small = np.full((64, 64, 3), 60, np.uint8)
    small[:, 32:] = 220
    grown = matched(small, a_painting(Size(192, 64), Box(64, 0, 128, 64), 140))
    row = grown.rgb[32, :, 0].astype(int)
    assert (grown.rgb[:, 64:128] == small).all()
    assert abs(row[63] - 60) < 25 and abs(row[128] - 220) < 25
    assert (np.diff(row[40:64]) <= 0).all() and (np.diff(row[128:150]) <= 0).all()
    assert (row[:40] == 140).all() and (row[152:] == 140).all()


def test_a_side_that_does_not_grow_has_no_seam() -> None:
    """The picture reaches the file's border there."""
    photo = a_photo()
    out = framed(
        photo, a_painting(Size(96, 48), Box(24, 4, 72, 36), 100), Box(100, 0, 400, 200), Size(500, 200)
    )
    assert (out[:, 100:400] == photo).all()
