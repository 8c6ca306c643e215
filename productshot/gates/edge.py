"""The gates room, edges: what stands just outside the product's outline, beside the product and the ground.

Along the outline colours are read, each averaged over its neighbourhood: P of the product just inside, C of the rim,
the 2 px just outside, B of a ring as thin that lies beyond the rim, G of the ground farther away. An honest edge has C
near G. C near P says that the product goes on beyond its outline (it grew, or moved); C off the straight line from P
to G is a halo: no mixture of the two gives such a colour (the compositing equation, Porter and Duff 1984). How far B
lies off that line is the ground's own doing (leaves, tiles), and is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from productshot.gates.comparison import FAINT, Floats, Mask, area, lab
from productshot.pixels import Pixels

RIM_PX = (0.0, 2.5)
BEYOND_PX = (7.0, 9.5)
GROUND_PX = (6.0, 16.0)
"""Distances outside the outline at which C, B and G are read."""
OWN_PX = 3.5
"""P is read up to this distance inside it."""
SPREAD_PX = 4.0
"""Sigma of the average along the outline."""
TOLD_APART = 12.0
"""Lab distance from which product and ground are two colours."""
ENOUGH = 0.2
"""Share of the outline that must be told apart for the outline to say something."""


@dataclass(frozen=True)
class Edge:
    """Colours along the outline, Lab, (n, 3) each: of the product, the rim, a ring beyond it, and the ground."""

    product: NDArray[np.float64]
    rim: NDArray[np.float64]
    beyond: NDArray[np.float64]
    ground: NDArray[np.float64]

    @property
    def told_apart(self) -> Mask:
        """(n,), True where product and ground have two colours."""
        return np.asarray(np.linalg.norm(self.ground - self.product, axis=1) >= TOLD_APART)


def read_edge(picture: Pixels, alpha: Pixels) -> Edge:
    """The colours along the outline of the product in (h, w) alpha. InputRefused: it is empty, or fills the frame."""
    from scipy.ndimage import distance_transform_edt

    product = alpha >= FAINT
    area(product), area(~product)
    outside, inside = distance_transform_edt(~product), distance_transform_edt(alpha > 255 - FAINT)
    rim, beyond, ground = (
        (outside > low) & (outside <= high) for low, high in (RIM_PX, BEYOND_PX, GROUND_PX)
    )
    own = (inside > 0) & (inside <= OWN_PX)
    colours = lab(picture)
    zones = ((own, SPREAD_PX), (rim, SPREAD_PX), (beyond, SPREAD_PX), (ground, 2 * SPREAD_PX))
    read = [_average(colours, zone, spread)[rim] for zone, spread in zones]
    known = ~np.isnan(np.hstack(read)).any(axis=1)
    return Edge(*(each[known] for each in read))


def outline_lost(edge: Edge) -> float:
    """Share of the outline, 0..1, where the rim's colour is nearer to the product's than to the ground's.

    Only where the two are told apart; NaN when that is less than ENOUGH of the outline.
    """
    told = edge.told_apart
    if not told.size or told.mean() < ENOUGH:
        return float("nan")
    return float((_along(edge, edge.rim)[told] < 0.5).mean())


def halo(edge: Edge) -> float:
    """How much farther, in Lab, the rim lies off the line from product to ground than the ground beyond it does.

    The median along the outline. NaN when nothing of the outline was read.
    """
    if not len(edge.rim):
        return float("nan")
    return float(np.median(_off_line(edge, edge.rim)) - np.median(_off_line(edge, edge.beyond)))


def _off_line(edge: Edge, colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) distance of each colour from the line between the product's and the ground's."""
    mixed = edge.product + _along(edge, colours).clip(0, 1)[:, None] * (edge.ground - edge.product)
    return np.asarray(np.linalg.norm(colours - mixed, axis=1))


def _along(edge: Edge, colours: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n,) where each colour stands on the line from the product (0) to the ground (1)."""
    way = edge.ground - edge.product
    length = np.maximum((way**2).sum(axis=1), 1e-6)
    return np.asarray(((colours - edge.product) * way).sum(axis=1) / length)


def _average(colours: Floats, zone: Mask, spread_px: float) -> NDArray[np.float64]:
    """(h, w, 3) the mean of the zone's colours around each pixel, weighed by a Gaussian; NaN where no zone is near."""
    from scipy.ndimage import gaussian_filter

    weight = gaussian_filter(zone.astype(np.float32), spread_px, truncate=2.5)
    masked = np.float32(colours) * zone[..., None]
    sums = np.dstack([gaussian_filter(masked[..., c], spread_px, truncate=2.5) for c in range(3)])
    return np.asarray(sums / np.where(weight > 1e-3, weight, np.nan)[..., None], np.float64)
