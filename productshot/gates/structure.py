"""The gates room, structure: the photographed product pixel by pixel - moved, garbled or blurred?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from productshot.gates.comparison import Mask, area, inner, longer_side, luma, solid
from productshot.pixels import Pixels

REACH_PX = 60
"""A move is looked for up to this distance."""
CLEARLY = 0.5
"""A move must explain the product with at most this share of the error of standing still."""
NOISE = 4.0
"""Mean error in levels, root mean square, up to which the product stands where it should."""
TEXTURE = 8.0
"""Standard deviation of the luma, in levels, from which a place counts as print or pattern."""
WINDOW = 0.08
"""Side of the window that is looked at for print, as share of the product's longer side."""


def moved(picture: Pixels, reference: Pixels, alpha: Pixels) -> float:
    """How far the product stands from its place, as share of its longer side; 0 where it matches best at its place.

    The offset with the least squared difference inside the outline, all offsets at once by the correlation
    theorem. InputRefused: the product is empty.
    """
    inside = inner(solid(alpha))
    side = longer_side(inside)
    errors = _errors(picture, reference, inside)
    still = errors[REACH_PX, REACH_PX]
    down, across = np.unravel_index(int(errors.argmin()), errors.shape)
    if still <= NOISE**2 or errors[down, across] > CLEARLY * still:
        return 0.0
    return float(np.hypot(down - REACH_PX, across - REACH_PX) / side)


def _errors(picture: Pixels, reference: Pixels, inside: Mask) -> NDArray[np.float64]:
    """(2 REACH_PX + 1, 2 REACH_PX + 1) mean squared luma differences of the product laid at each offset in the picture.

    sum m (p - r)^2 = sum m p^2 - 2 sum m r p + sum m r^2; what leaves the frame meets a continued border.
    """
    from scipy.signal import fftconvolve

    seen = np.pad(luma(picture).astype(np.float64), REACH_PX, mode="edge")
    mask, true = inside.astype(np.float64), luma(reference) * inside
    backwards = np.s_[::-1, ::-1]
    squares = fftconvolve(seen**2, mask[backwards], "valid")
    products = fftconvolve(seen, true[backwards], "valid")
    return np.asarray((squares - 2 * products + (true**2).sum()) / area(inside))


def print_kept(picture: Pixels, reference: Pixels, alpha: Pixels) -> float:
    """How well the worst place of print or pattern is kept: the mean structural similarity of a small window, -1..1.

    SSIM (Wang et al. 2004) with a Gaussian of 1.5 px on the luma, averaged over the textured pixels of a window
    of 8 % of the product's longer side. NaN for a product without texture. InputRefused: it is empty.
    """
    from scipy.ndimage import gaussian_filter, uniform_filter
    from skimage.metrics import structural_similarity

    inside = inner(solid(alpha))
    side = max(5, round(WINDOW * longer_side(inside)))
    seen, true = luma(picture), luma(reference)
    spread = np.sqrt(np.maximum(gaussian_filter(true**2, 1.5) - gaussian_filter(true, 1.5) ** 2, 0))
    told = (inside & (spread >= TEXTURE)).astype(np.float32)
    _, alike = structural_similarity(seen, true, data_range=255, gaussian_weights=True, sigma=1.5, full=True)
    weight = uniform_filter(told, side)
    enough = inside & (weight >= 0.3)
    if not enough.any():
        return float("nan")
    means = uniform_filter(np.float32(alike) * told, side)[enough] / weight[enough]
    return float(means.min())


def sharpness(picture: Pixels, reference: Pixels, alpha: Pixels) -> float:
    """Gradient energy of the product's luma in the picture over that in the reference; 1: as sharp as the photo.

    The Tenengrad measure (Krotkov 1988): mean squared Sobel gradient, inside the outline. NaN for a product
    without any gradient. InputRefused: it is empty.
    """
    from scipy.ndimage import sobel

    inside = inner(solid(alpha))
    area(inside)
    seen, true = (
        float((sobel(y, axis=0)[inside] ** 2 + sobel(y, axis=1)[inside] ** 2).mean())
        for y in (luma(picture), luma(reference))
    )
    return seen / true if true > 1 else float("nan")
