"""The render room's control maps: where the product stands and how it looks, in the form that the ControlNet reads.

pocket reads three planes: red, canny edges of one pixel; green, the same edges as a thick scribble; blue, the product's
silhouette. The others read one plane, three times: white lines of one pixel (canny) or thick ones (scribble) on black,
or how near everything is, near is bright (depth).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageFilter

from catalog_schemas.recipes import READABLE, Reads
from catalog_schemas.scene import Control, Placement
from productshot.geometry import Box, Size, fit_inside, stand_on
from productshot.pixels import Pixels, lay, paste, resize, size_of

GREY = 128
WEAK, STRONG = 12.0, 28.0
"""Grey levels per px: an edge must reach the second, and is followed down to the first."""
HIDING = 128
"""Alpha from which a product hides what is behind it."""
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


def on_grey(placed: Pixels) -> Pixels:
    """(h, w, 3) uint8 of a placed RGBA on plain grey: what edges and depth are seen in."""
    height, width = placed.shape[:2]
    return paste(placed, np.full((height, width, 3), GREY, np.uint8), Box(0, 0, width, height))


def silhouette(placed: Pixels) -> Pixels:
    """(h, w) uint8 of a placed RGBA: its alpha, 255 inside the product."""
    return np.ascontiguousarray(placed[..., 3])


def outline(placed: Pixels) -> Pixels:
    """(h, w) uint8 of a placed RGBA: 255 on the canny edges of its alpha, nothing of what is inside."""
    return _canny([silhouette(placed)])


def edges(placed: Pixels) -> Pixels:
    """(h, w) uint8 of a placed RGBA: 255 on the canny edges (Canny 1986) of the product and its outline.

    The alpha is searched too, so a product as grey as the ground it is seen on still has an outline.
    """
    return _canny([np.asarray(Image.fromarray(on_grey(placed)).convert("L")), silhouette(placed)])


def scribble(lines: Pixels) -> Pixels:
    """(h, w) uint8: one-pixel lines drawn with a pen of about 2 % of the height."""
    reach = max(1, round(lines.shape[0] / 128))
    return np.asarray(Image.fromarray(lines).filter(ImageFilter.MaxFilter(2 * reach + 1)))


def most_told(control: Control, reads: Reads) -> Control:
    """What the draw lane tells of a product where the scene asks for its silhouette: all that the ControlNet reads."""
    return READABLE[reads][-1] if control == "silhouette" else control


def control_map(
    placed: Pixels,
    control: Control,
    reads: Reads,
    drawn: Pixels | None = None,
    near: Callable[[Pixels], Pixels] | None = None,
) -> Pixels | None:
    """(h, w, 3) uint8 of a placed RGBA for a ControlNet that reads such maps; None for control none.

    `control` is one of READABLE[reads]. To pocket edges and scribble tell the silhouette too; to the line readers the
    silhouette is its outline; in depth there is none, so it is what `near` answers, (h, w) uint8 of the product on
    grey (h, w, 3). `drawn`: (h, w) uint8 lines of the scene, seen where the product does not hide them.
    """
    if control == "none":
        return None
    if reads == "depth":
        assert near is not None  # a recipe that reads depth names who makes it
        return np.dstack([near(on_grey(placed))] * 3)
    lines = outline(placed) if control == "silhouette" else edges(placed)
    thick = scribble(lines)
    if drawn is not None:
        thick = np.where(silhouette(placed) < HIDING, np.maximum(thick, drawn), thick)
    if reads == "canny":
        return np.dstack([lines] * 3)
    if reads == "scribble":
        return np.dstack([thick] * 3)
    nothing, solid = np.zeros_like(lines), silhouette(placed)
    if control == "silhouette":
        return np.dstack([nothing, nothing, solid])
    return np.dstack([lines if control == "edges" else nothing, thick, solid])


def _canny(planes: Sequence[Pixels]) -> Pixels:
    """(h, w) uint8: 255 where one of the (h, w) planes has an edge."""
    from skimage.feature import canny

    found = [
        canny(plane.astype(np.float64), sigma=0.8, low_threshold=SOBEL * WEAK, high_threshold=SOBEL * STRONG)
        for plane in planes
    ]
    return np.where(np.any(found, axis=0), 255, 0).astype(np.uint8)
