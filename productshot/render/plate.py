"""The render room's plate: a painting at the model's resolution, and where in it the product stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from productshot.geometry import Box, Size
from productshot.pixels import Pixels, size_of


@dataclass(frozen=True)
class Plate:
    """A painted scene.

    rgb: (h, w, 3) uint8. master: the square first painting inside it. product: where the photographed
    product stands (keep, may overhang), None when the model drew it (draw). sketch: where the control map had the
    product that the model drew. All boxes in px of this plate.
    """

    rgb: Pixels
    master: Box
    product: Box | None
    sketch: Box | None = None

    @property
    def size(self) -> Size:
        return size_of(self.rgb)


def shifted(box: Box, left: int, top: int) -> Box:
    """The box moved right and down by that many px."""
    return Box(box.left + left, box.top + top, box.right + left, box.bottom + top)


def moved(box: Box | None, left: int, top: int) -> Box | None:
    """The box moved right and down by that many px; of none there is none."""
    return None if box is None else shifted(box, left, top)


def scaled(plate: Plate, factor: int) -> Plate:
    """The plate with its boxes that many times as large; its pixels are still those that they were."""
    master, product, sketch = (
        box and Box(*(factor * edge for edge in box)) for box in (plate.master, plate.product, plate.sketch)
    )
    assert master is not None
    return replace(plate, master=master, product=product, sketch=sketch)


def repainted(plate: Plate, rgb: Pixels) -> Plate:
    """The plate with the same boxes and other pixels of the same size."""
    return replace(plate, rgb=rgb)


def plate_size(side: int, ratios: Sequence[tuple[int, int]], step_px: int) -> Size:
    """The smallest plate, in multiples of step_px, with the whole master in every ratio (width, height)."""
    width = max((-(-side * w // h) for w, h in ratios if w > h), default=side)
    height = max((-(-side * h // w) for w, h in ratios if h > w), default=side)
    return Size(-(-width // step_px) * step_px, -(-height // step_px) * step_px)
