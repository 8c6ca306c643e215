"""Assets, sharpening: what shrinking softened, given back inside the product alone. Pure."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageFilter

from productshot.pixels import Pixels

RADIUS_PX = 0.7
"""Sigma of the Gaussian whose difference to the picture is the detail of about one px."""


def sharpened(rgba: Pixels, amount: float) -> Pixels:
    """The colours (h, w, 3) of a layer (h, w, 4) with `amount` times their fine detail added (unsharp masking).

    The blur weighs every px by its alpha, so nothing from beyond the edge enters and no seam of light or dark runs
    around the product; alpha itself stays as it is.
    """
    soft = np.asarray(
        Image.fromarray(rgba).convert("RGBa").filter(ImageFilter.GaussianBlur(RADIUS_PX)).convert("RGBA")
    )
    colours = rgba[..., :3].astype(np.float32)
    added = colours + amount * (colours - soft[..., :3])
    return np.asarray(np.clip(np.rint(added), 0, 255), np.uint8)
