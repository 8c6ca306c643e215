"""Laws of integer geometry."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from productshot.geometry import Box, Size, centred, fit_inside, frame_for, stand_on

sizes = st.builds(Size, st.integers(1, 3000), st.integers(1, 3000))


@given(sizes, sizes)
def test_fit_never_exceeds_its_box_and_touches_a_side(size: Size, box: Size) -> None:
    """The result is inside the box and as large as it can be."""
    fitted = fit_inside(size, box)
    assert 1 <= fitted.width <= box.width and 1 <= fitted.height <= box.height
    assert fitted.width == box.width or fitted.height == box.height


@given(sizes, st.integers(1, 3000), st.floats(0, 1), st.floats(0.01, 1))
def test_a_product_stands_on_its_ground_line(size: Size, side: int, centre_x: float, ground_y: float) -> None:
    """Its bottom is the ground line and its size is kept."""
    box = stand_on(size, Size(side, side), centre_x, ground_y)
    assert box.bottom == round(ground_y * side)
    assert box.size == size


def test_centred_puts_the_odd_pixel_right_and_below() -> None:
    """Rounding has one direction."""
    assert centred(Size(2, 2), Size(5, 5)) == Box(1, 1, 3, 3)


@given(
    st.sampled_from([(1, 1), (4, 5), (9, 16), (16, 9), (1801, 2600)]), st.integers(0, 64), st.integers(0, 64)
)
def test_a_frame_lies_in_its_plate_and_has_its_ratio(ratio: tuple[int, int], x: int, y: int) -> None:
    """Whatever the master's place, the frame is inside the plate and has the ratio to a pixel."""
    plate, master = Size(256, 256), Box(x, y, x + 128, y + 128)
    frame = frame_for(ratio, master, plate)
    assert 0 <= frame.left < frame.right <= plate.width and 0 <= frame.top < frame.bottom <= plate.height
    assert abs(frame.size.width * ratio[1] / ratio[0] - frame.size.height) <= 1.5
