"""The render room's control maps: where the product stands and how it looks, as the ControlNet learned it.

Red: canny edges, one pixel wide. Green: the same edges as a thick scribble. Blue: the product's silhouette.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from catalog_schemas.scene import Placement
from productshot.geometry import Box, Size, fit_inside, stand_on
from productshot.pixels import Pixels, lay, paste, resize, size_of

Control = Literal["silhouette", "edges", "none"]
GREY = 128
WEAK, STRONG = 12.0, 28.0
"""Grey levels per px: an edge must reach the second, and is followed down to the first."""
SOBEL = 8
"""What scikit-image's canny measures where a picture rises by one grey level per px."""


def place(rgba: Pixels, placement: Placement, canvas: Size) -> tuple[Pixels, Box]:
    """The cutout laid on an empty RGBA canvas as the scene says, and the box it fills (may overhang)."""
    room = Size(
        max(1, round(placement.max_width * canvas.width)), max(1, round(placement.max_height * canvas.height))
    )
    small = resize(rgba, fit_inside(size_of(rgba), room))
    box = stand_on(size_of(small), canvas, placement.centre_x, placement.ground_y)
    return lay(small, canvas, box), box


def silhouette(placed: Pixels) -> Pixels:
    """(h, w) uint8 of a placed RGBA: its alpha, 255 inside the product."""
    return np.ascontiguousarray(placed[..., 3])


def edges(placed: Pixels) -> Pixels:
    """(h, w) uint8 of a placed RGBA: 255 on the canny edges (Canny 1986) of the product and its outline.

    The alpha is searched too, so a product as grey as the ground it is seen on still has an outline.
    """
    from skimage.feature import canny

    height, width = placed.shape[:2]
    seen = paste(placed, np.full((height, width, 3), GREY, np.uint8), Box(0, 0, width, height))
    luma = np.asarray(Image.fromarray(seen).convert("L"), np.float64)
    found = np.zeros((height, width), bool)
    for plane in (luma, placed[..., 3].astype(np.float64)):
        found |= canny(
            plane, sigma=0.8, low_threshold=8 * WEAK, high_threshold=8 * STRONG
        )  # Sobel's sum is 8
    return np.where(found, 255, 0).astype(np.uint8)


def scribble(lines: Pixels) -> Pixels:
    """(h, w) uint8: one-pixel lines drawn with a pen of about 2 % of the height."""
    reach = max(1, round(lines.shape[0] / 128))
    return np.asarray(Image.fromarray(lines).filter(ImageFilter.MaxFilter(2 * reach + 1)))


def control_map(placed: Pixels, kind: Control) -> Pixels | None:
    """(h, w, 3) uint8 of a placed RGBA for the ControlNet; edges include the silhouette; None for none."""
    if kind == "none":
        return None
    nothing = np.zeros(placed.shape[:2], np.uint8)
    if kind == "silhouette":
        return np.dstack([nothing, nothing, silhouette(placed)])
    lines = edges(placed)
    return np.dstack([lines, scribble(lines), silhouette(placed)])
