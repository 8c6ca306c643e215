"""The gates room, colours: CIEDE2000 (Sharma et al. 2005) between the product in the picture and in the reference."""

from __future__ import annotations

import numpy as np

from productshot.gates.comparison import area, inner, lab, solid
from productshot.pixels import Pixels

SEEN_DELTA_E = 5.0
"""A colour difference that anybody sees on neighbouring pictures."""
SMOOTH_PX = 1.0
"""Sigma of the blur before single pixels are compared: the grain of a JPEG is no change of colour."""


def colour_shift(picture: Pixels, reference: Pixels, alpha: Pixels) -> float:
    """Median CIEDE2000 between two pictures, pixel by pixel, inside the product's outline.

    InputRefused: the product is empty.
    """
    from skimage.color import deltaE_ciede2000

    inside = inner(solid(alpha))
    area(inside)
    return float(np.median(deltaE_ciede2000(lab(picture[inside]), lab(reference[inside]))))


def colour_changed(picture: Pixels, reference: Pixels, alpha: Pixels) -> float:
    """Share of the product, 0..1, whose colour differs by a CIEDE2000 of at least 5, both slightly blurred.

    InputRefused: the product is empty.
    """
    from scipy.ndimage import gaussian_filter
    from skimage.color import deltaE_ciede2000

    inside = inner(solid(alpha))
    area(inside)
    blurred = [
        gaussian_filter(rgb.astype(np.float32), (SMOOTH_PX, SMOOTH_PX, 0))[inside]
        for rgb in (picture, reference)
    ]
    levels = [np.rint(colours).clip(0, 255).astype(np.uint8) for colours in blurred]
    return float((deltaE_ciede2000(lab(levels[0]), lab(levels[1])) >= SEEN_DELTA_E).mean())


def mean_colour_shift(picture: Pixels, found: Pixels, reference: Pixels, alpha: Pixels) -> float:
    """CIEDE2000 between the mean Lab colours of what was found in the picture and of the reference's product.

    InputRefused: one of the two is empty.
    """
    from skimage.color import deltaE_ciede2000

    seen, true = inner(solid(found)), inner(solid(alpha))
    area(seen), area(true)
    return float(deltaE_ciede2000(lab(picture[seen]).mean(axis=0), lab(reference[true]).mean(axis=0)))
