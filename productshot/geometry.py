"""Integer geometry: sizes and boxes, no pixels."""

from __future__ import annotations

from typing import NamedTuple


class Size(NamedTuple):
    """Width and height in px."""

    width: int
    height: int


class Box(NamedTuple):
    """Half-open: left <= x < right, top <= y < bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> Size:
        return Size(self.right - self.left, self.bottom - self.top)


def fit_inside(size: Size, box: Size) -> Size:
    """The largest size of the same shape inside the box: never exceeds it, never below 1 px.

    One side touches the box exactly; the other is rounded down.
    """
    if size.width * box.height >= size.height * box.width:
        return Size(box.width, max(1, size.height * box.width // size.width))
    return Size(max(1, size.width * box.height // size.height), box.height)


def stand_on(size: Size, canvas: Size, centre_x: float, ground_y: float) -> Box:
    """Where a product of that size stands: bottom on the ground line, centred on centre_x (shares of the canvas)."""
    left = round(centre_x * canvas.width - size.width / 2)
    bottom = round(ground_y * canvas.height)
    return Box(left, bottom - size.height, left + size.width, bottom)


def centred(size: Size, canvas: Size) -> Box:
    """The middle of the canvas; an odd pixel goes to the right and the bottom."""
    left, top = (canvas.width - size.width) // 2, (canvas.height - size.height) // 2
    return Box(left, top, left + size.width, top + size.height)


def frame_for(ratio: tuple[int, int], master: Box, plate: Size) -> Box:
    """The part of an outpainted plate that a slot of that ratio (width, height) shows.

    The master square grown around its own middle in one direction, moved inside the plate and, where the
    plate is too small for it, cut on the other side so that the ratio holds (to a pixel).
    """
    width, height = ratio
    side = master.size.width
    want = (
        Size(side, round(side * height / width))
        if height >= width
        else Size(round(side * width / height), side)
    )
    if want.width > plate.width or want.height > plate.height:
        want = fit_inside(want, plate)
    middle_x, middle_y = (master.left + master.right) // 2, (master.top + master.bottom) // 2
    left = min(max(middle_x - want.width // 2, 0), plate.width - want.width)
    top = min(max(middle_y - want.height // 2, 0), plate.height - want.height)
    return Box(left, top, left + want.width, top + want.height)
