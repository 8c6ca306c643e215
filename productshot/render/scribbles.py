"""The render room, scribbles by hand: what a person drew of a scene becomes lines on the scene's canvas."""

from __future__ import annotations

import numpy as np
from PIL import Image

from productshot.errors import InputRefused
from productshot.geometry import Size, centred, fit_inside
from productshot.pixels import Pixels, lay, size_of
from productshot.render.control import scribble

MIN_RANGE = 64
"""Grey levels between ink and ground: a photographed sheet of paper without a line has fewer."""
MAX_RATIO = 4
"""The longer side over the shorter one: what is longer has next to no lines left on a square canvas."""
COVERAGE = 0.04
"""Share of a canvas pixel that ink must cover to count: a fine pen on a large sheet does, dust does not."""


def scribbled(rgb: Pixels, alpha: Pixels | None, canvas: Size, item: str) -> Pixels:
    """(h, w) uint8 of the canvas: 255 on the lines of a drawing (h, w, 3), drawn with the ControlNet's pen or thicker.

    Ink is what covers less than half of the drawing, dark or light; the ground of a transparent one is the other
    shade. The whole drawing is fitted into the middle of the canvas, its shape kept; the rest has no lines.
    InputRefused: without a line, or much longer than wide; `item` names it.
    """
    from skimage.morphology import skeletonize

    size = size_of(rgb)
    if max(size) > MAX_RATIO * min(size):
        limit = f"the longer side may have {MAX_RATIO} times the px of the shorter one"
        raise InputRefused(item, f"is {size.width}x{size.height} px", limit, "draw it on a squarer sheet")
    ink = _ink(_grey(rgb, alpha), item)
    fitted = fit_inside(size, canvas)
    shrinks = fitted.width < size.width
    method = Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR
    share = np.asarray(Image.fromarray(ink).resize(fitted, method)) / 255
    drawn = lay(_white(share >= (COVERAGE if shrinks else 0.5)), canvas, centred(fitted, canvas))
    if not drawn.any():
        limit = f"at {fitted.width}x{fitted.height} px, as it is painted, nothing is left of them"
        raise InputRefused(item, "has too thin lines", limit, "draw them with a thicker pen")
    return np.maximum(drawn, scribble(_white(skeletonize(drawn > 0))))


def _grey(rgb: Pixels, alpha: Pixels | None) -> Pixels:
    """(h, w) uint8 luma; what is transparent is white behind a dark drawing, black behind a light one."""
    luma = np.asarray(Image.fromarray(rgb).convert("L"))
    if alpha is None or not alpha.any():
        return luma
    share = alpha / np.float32(255)
    ground = 255 if np.average(luma, weights=share) < 128 else 0
    return np.rint(luma * share + ground * (1 - share)).astype(np.uint8)


def _ink(grey: Pixels, item: str) -> Pixels:
    """(h, w) uint8: 255 on the rarer of the two shades that Otsu's threshold (1979) tells apart."""
    from skimage.filters import threshold_otsu

    spread = int(grey.max()) - int(grey.min())
    if spread < MIN_RANGE:
        limit = f"ink and ground must be {MIN_RANGE} of 255 levels apart, and they are at most {spread}"
        raise InputRefused(item, "shows no line", limit, "draw it in black on white")
    dark = grey <= threshold_otsu(grey)
    return _white(dark if dark.mean() <= 0.5 else ~dark)


def _white(where: np.ndarray) -> Pixels:
    """(h, w) uint8: 255 where a bool is True."""
    return np.where(where, 255, 0).astype(np.uint8)
