"""Pocket, instances: several views of each of many products as cutouts, and what is done to them before they are seen.

The instance head of clip.py learns from pairs of views; the pairs of a batch come from few nouns, so that it has to
tell two mugs apart and not a mug from a lamp.
"""

from __future__ import annotations

from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, shift

from productshot.adapters.sets import crop, product_box, square_around
from productshot.geometry import Size
from productshot.pixels import resize
from productshot.pocket.clip import MARGIN, SIDE, ImageTower, instance_auc, on_grey, see_products
from productshot.pocket.shapes import NOUNS
from productshot.pocket.studio import draw_views, random_product

VIEWS = 3
HELD_OUT = 160
"""The last products are never trained on: ten of each noun."""
NOUNS_A_BATCH = 4


@dataclass(frozen=True)
class Instances:
    """(n, VIEWS, SIDE, SIDE, 4) uint8 cutouts; product i has the noun NOUNS[i % len(NOUNS)]."""

    cutouts: NDArray[np.uint8]

    @classmethod
    def load(cls, path: Path) -> Instances:
        """Open what `render_instances` wrote, without reading it."""
        return cls(np.load(path, mmap_mode="r"))

    def draw_pairs(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Two different views, each (count, SIDE, SIDE, 4), of `count` different products of few nouns."""
        nouns = rng.choice(len(NOUNS), NOUNS_A_BATCH, replace=False)
        each = (len(self.cutouts) - HELD_OUT) // len(NOUNS)
        pool = np.concatenate([np.arange(each) * len(NOUNS) + noun for noun in nouns])
        products = rng.choice(pool, count, replace=count > len(pool))
        first = rng.integers(VIEWS, size=count)
        second = (first + rng.integers(1, VIEWS, size=count)) % VIEWS
        return self.cutouts[products, first], self.cutouts[products, second]

    def auc_of_held_out(self, tower: ImageTower) -> float:
        """Chance that two views of a held-out product are nearer than views of two held-out products of its noun."""
        held = np.asarray(self.cutouts[-HELD_OUT:])
        products = np.repeat(np.arange(len(held)), VIEWS)
        known = see_products(tower, held.reshape(-1, *held.shape[2:]))
        return instance_auc(known, products, products % len(NOUNS))


def square_cutout(rgba: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """(side, side, 4) of a cutout (h, w, 4): its product in the middle, with MARGIN around it."""
    square = square_around(product_box(rgba[..., 3]), MARGIN)
    return resize(crop(rgba, square, "constant"), Size(side, side))


def views_of(number: int, first_seed: int) -> NDArray[np.uint8]:
    """(VIEWS, SIDE, SIDE, 4) of product `number`, each from another side, in another light and scene."""
    rng = np.random.default_rng((first_seed, number))
    product = random_product(rng, NOUNS[number % len(NOUNS)])
    drawn = draw_views(product, rng, VIEWS)
    return np.stack([square_cutout(np.dstack([view.picture, view.mask])) for view in drawn])


def _views(job: tuple[int, int]) -> NDArray[np.uint8]:
    return views_of(*job)


def render_instances(path: Path, count: int, first_seed: int, workers: int = 2) -> None:
    """Write the views of `count` products and of HELD_OUT more as one .npy file."""
    total = count + HELD_OUT
    path.parent.mkdir(parents=True, exist_ok=True)
    out = np.lib.format.open_memmap(path, "w+", np.uint8, (total, VIEWS, SIDE, SIDE, 4))
    with get_context("spawn").Pool(workers) as pool:
        for number, views in enumerate(pool.imap(_views, ((k, first_seed) for k in range(total)), 25)):
            out[number] = views
    out.flush()


def vary(rgba: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """(n, h, w, 3) cutouts on grey under other exposure, contrast and cast, moved, at times blurred.

    What a second camera, a second lamp and an imperfect cutout do; the product stays itself.
    """
    out = on_grey(rgba).astype(np.float64)
    n = len(out)
    gain = rng.normal(1.0, 0.12, (n, 1, 1, 1)) * rng.normal(1.0, 0.05, (n, 1, 1, 3))
    out = (out - 128) * rng.uniform(0.8, 1.2, (n, 1, 1, 1)) + 128
    inside = rgba[..., 3:] / 255
    out = np.clip(out * gain, 0, 255) * inside + 128 * (1 - inside)
    for k in range(n):
        down, across = rng.integers(-4, 5, 2)
        out[k] = shift(out[k], (down, across, 0), order=0, cval=128)
        if rng.random() < 0.3:
            out[k] = gaussian_filter(out[k], (rng.uniform(0.3, 1.0),) * 2 + (0,))
    return np.asarray(out.round(), np.uint8)
