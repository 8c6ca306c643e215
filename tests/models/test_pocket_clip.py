"""Pocket's small CLIP and its product views: the losses and ranks are right, pairs are of one product, files load."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from productshot.pocket import clip
from productshot.pocket.instances import (
    HELD_OUT,
    NOUNS_A_BATCH,
    VIEWS,
    Instances,
    square_cutout,
    vary,
    views_of,
)
from productshot.pocket.shapes import NOUNS


def unit_rows(n: int, width: int = 8) -> torch.Tensor:
    """(n, width) random unit vectors."""
    torch.manual_seed(0)
    return normalize(torch.randn(n, width), dim=1)


def numbered_instances(count: int) -> Instances:
    """Views of one pixel: product and view number stand in the first two channels."""
    cutouts = np.zeros((count, VIEWS, 1, 1, 4), np.uint16)
    cutouts[..., 0] = np.arange(count)[:, None, None, None]
    cutouts[..., 1] = np.arange(VIEWS)[None, :, None, None]
    return Instances(cutouts)  # type: ignore[arg-type]


def test_partners_cost_nothing_and_strangers_cost() -> None:
    """The loss is near 0 when each row finds its own partner, and above ln n when it finds another's."""
    rows = torch.eye(8)

    assert float(clip.contrastive_loss(rows, rows, 50.0)) < 1e-3
    assert float(clip.contrastive_loss(rows, rows.roll(1, 0), 50.0)) > np.log(8)


def test_retrieval_counts_own_captions() -> None:
    """All right for equal rows; 30 of 32 when the captions of two pictures are swapped."""
    rows = unit_rows(32)
    swapped = rows[[1, 0, *range(2, 32)]]

    assert clip.retrieval(rows, rows, 32) == 1.0
    assert clip.retrieval(rows, swapped, 32) == pytest.approx(30 / 32, abs=1e-3)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    """Three of four pairs are in order; a tie counts half."""
    assert clip.auc(np.array([0.9, 0.4]), np.array([0.5, 0.1])) == 0.75
    assert clip.auc(np.array([0.5]), np.array([0.5])) == 0.5


def test_a_saved_tower_sees_the_same(tmp_path: Path) -> None:
    """Float16 on disk changes no cosine by more than a hundredth."""
    torch.manual_seed(0)
    tower = clip.ImageTower().eval()
    pictures = np.random.default_rng(0).integers(0, 256, (4, 128, 128, 3), np.uint8)

    clip.save_tower(tower, tmp_path)
    again = clip.load_tower(tmp_path)

    before, after = clip.see_pictures(tower, pictures), clip.see_pictures(again, pictures)
    assert torch.allclose((before * after).sum(1), torch.ones(4), atol=0.01)


def test_pairs_are_two_views_of_one_product() -> None:
    """Both views show the same product from different sides; the held-out products never appear."""
    instances = numbered_instances(64 + HELD_OUT)

    one, two = instances.draw_pairs(np.random.default_rng(0), 16)

    product, view = one[:, 0, 0, 0], one[:, 0, 0, 1]
    assert (product == two[:, 0, 0, 0]).all()
    assert (view != two[:, 0, 0, 1]).all()
    assert product.max() < 64
    assert len({int(p) % len(NOUNS) for p in product}) <= NOUNS_A_BATCH


def test_views_of_a_product_differ_and_repeat() -> None:
    """The views are of different sides, and the same again for the same number."""
    views = views_of(3, 1)

    assert np.array_equal(views, views_of(3, 1))
    assert np.abs(views[0].astype(int) - views[1]).mean() > 2
    assert (views[..., 3] >= 250).any(axis=(1, 2)).all()


def test_a_square_cutout_centres_the_product() -> None:
    """A product in a corner comes to the middle, with a margin on its longer side."""
    rgba = np.zeros((100, 80, 4), np.uint8)
    rgba[10:50, 5:25] = 255

    alpha = square_cutout(rgba, 58)[..., 3]

    rows, columns = np.flatnonzero(alpha.max(1) > 128), np.flatnonzero(alpha.max(0) > 128)
    assert abs((rows[0] + rows[-1]) / 2 - 28.5) <= 1 and abs((columns[0] + columns[-1]) / 2 - 28.5) <= 1
    assert rows[-1] - rows[0] + 1 == pytest.approx(50, abs=2)


def test_variation_leaves_the_ground_grey() -> None:
    """Other exposure, cast and place change the product; the corner stays grey."""
    rgba = np.zeros((8, 96, 96, 4), np.uint8)
    rgba[:, 30:60, 30:60] = (200, 40, 40, 255)

    seen = vary(rgba, np.random.default_rng(0))

    assert (seen[:, 0, 0] == 128).all()
    assert len({tuple(p) for p in seen[:, 45, 45]}) == 8
