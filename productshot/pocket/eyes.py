"""Pocket, the eyes of the gates: how like two cutouts are, by the image tower that ships.

The cosine is high for two views of one product; MODEL_CARD.md says on which pictures it was shown to tell products of
one noun apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from productshot.pocket import files
from productshot.pocket.clip import ImageTower, load_tower, see_products
from productshot.pocket.instances import square_cutout


@dataclass(frozen=True)
class Eyes:
    """An open image tower."""

    tower: ImageTower

    def fidelity(self, seen: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
        """Cosine, -1..1, of two cutouts (h, w, 4) uint8, each with a product of alpha 128 somewhere."""
        return float(self.likeness([seen], [true])[0, 0])

    def likeness(
        self, seen: Sequence[NDArray[np.uint8]], true: Sequence[NDArray[np.uint8]]
    ) -> NDArray[np.float32]:
        """(len(seen), len(true)) cosines of cutouts (h, w, 4), each with a product of alpha 128 somewhere."""
        known = see_products(self.tower, np.stack([square_cutout(each) for each in (*seen, *true)]))
        return np.asarray((known[: len(seen)] @ known[len(seen) :].T).numpy(), np.float32)


def open_eyes() -> Eyes:
    """The tower that ships; ModelMissing or ModelDamaged when it is not as released."""
    return Eyes(load_tower(files.clip_path()))
