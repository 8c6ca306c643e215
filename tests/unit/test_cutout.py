"""Cutouts: what happens around the model, with a model that is told where the product is."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import cycle

import numpy as np
import pytest
from PIL import Image, ImageOps

from productshot.cutout import (
    CutoutPixels,
    Evidence,
    Session,
    bring_own,
    confidence_of,
    cut_out,
    largest_share,
    model_digest,
    open_session,
    salient,
)
from productshot.errors import ConfigInvalid, InputRefused, ModelMissing


@dataclass(frozen=True)
class Recipe:
    band_px_per_1000: float = 12
    solve_limit_px: int = 1024


class ToldModel:
    """A rembg session that sees a given alpha, as coarsely as a network does; its second look is at a mirror image."""

    def __init__(self, alpha: np.ndarray) -> None:
        small = Image.fromarray((alpha * 255).astype(np.uint8)).resize((64, 64), Image.Resampling.BOX)
        self.maps = cycle((small, ImageOps.mirror(small)))

    def predict(self, picture: Image.Image) -> list[Image.Image]:
        return [next(self.maps).resize(picture.size, Image.Resampling.BICUBIC)]


def a_disc(size: int = 256, radius: float = 80) -> np.ndarray:
    """The alpha (size, size), 0..1, of an anti-aliased disc in the middle."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.clip(radius + 0.5 - np.hypot(x, y), 0, 1)


def a_photo(alpha: np.ndarray, seed: int = 0) -> np.ndarray:
    """A red, slightly uneven product of that alpha on a green, slightly uneven ground: (h, w, 3) uint8."""
    grain = np.random.default_rng(seed).normal(0, 4, (*alpha.shape, 1))
    red, green = np.array([205, 25, 35]) + grain, np.array([30, 180, 60]) + grain
    return np.clip(red * alpha[..., None] + green * (1 - alpha[..., None]), 0, 255).astype(np.uint8)


def told(alpha: np.ndarray) -> Session:
    """An open session whose model sees `alpha`."""
    return Session("told", "", ToldModel(alpha), absolute=False)  # type: ignore[arg-type]


def edge_on_white(cut: CutoutPixels) -> np.ndarray:
    """The colours (n, 3) of the half-transparent pixels, laid on white."""
    alpha = cut.rgba[..., 3:] / 255
    white = cut.rgba[..., :3] * alpha + 255 * (1 - alpha)
    return white[(alpha[..., 0] > 0.1) & (alpha[..., 0] < 0.9)]


def test_matte_follows_the_outline_more_closely_than_the_map() -> None:
    """The solved alpha of a disc is right to a thousandth on average, from a map of 64 px."""
    alpha = a_disc()
    cut = cut_out(a_photo(alpha), told(alpha), Recipe())
    assert np.abs(cut.rgba[..., 3] / 255 - alpha).mean() < 0.001
    assert cut.box == (48, 48, 208, 208)


def test_edge_colours_hold_no_ground() -> None:
    """Laid on white, the edge of a red disc cut from green is never greener than a mix of its red and white."""
    alpha = a_disc()
    edge = edge_on_white(cut_out(a_photo(alpha), told(alpha), Recipe()))
    assert len(edge) > 100
    assert (edge[:, 1] - edge[:, 2]).max() < 12


def test_opaque_pixels_are_the_photographed_ones() -> None:
    """Where alpha is 255 the cutout holds the photo's own bytes."""
    alpha = a_disc()
    photo = a_photo(alpha)
    cut = cut_out(photo, told(alpha), Recipe())
    solid = cut.rgba[..., 3] == 255
    assert solid.sum() > 15_000
    assert (cut.rgba[solid][:, :3] == photo[solid]).all()


def test_large_photo_is_solved_small_and_stays_sharp() -> None:
    """A photo four times the solving limit keeps an outline right to half a pixel on average."""
    alpha = a_disc(1024, 300)
    cut = cut_out(a_photo(alpha), told(alpha), Recipe(solve_limit_px=256))
    wrong = np.abs(cut.rgba[..., 3] / 255 - alpha).sum()
    assert wrong / (2 * np.pi * 300) < 0.5


def test_same_photo_gives_same_bytes() -> None:
    """A second cut of the same photo is identical, confidence included."""
    alpha = a_disc()
    first, second = (cut_out(a_photo(alpha), told(alpha), Recipe()) for _ in range(2))
    assert first.rgba.tobytes() == second.rgba.tobytes()
    assert first.confidence == second.confidence


def test_photo_without_product_is_refused() -> None:
    """A map with nothing in it ends in a refusal that names the photo, the share, the limit and the remedy."""
    empty = np.zeros((128, 128))
    with pytest.raises(InputRefused) as refusal:
        cut_out(a_photo(empty), told(empty), Recipe(), item="photo shoes/1.jpg")
    assert str(refusal.value) == (
        "photo shoes/1.jpg shows no product that told finds (0.0% of the picture); at least 0.5% are needed; "
        "give a photo of the product alone, or a mask beside it"
    )


def test_specks_go_and_openings_stay() -> None:
    """A small far patch is dropped, a pin hole closed, the opening of a handle kept."""
    chance = np.zeros((200, 200), np.float32)
    chance[50:150, 50:150] = 1
    chance[90:110, 90:110] = 0
    chance[60:62, 60:62] = 0
    chance[5:12, 5:12] = 1
    kept = salient(chance)
    assert not kept[:20, :20].any() and kept[60:62, 60:62].all() and not kept[90:110, 90:110].any()


def test_a_pair_is_kept_whole() -> None:
    """Two patches of like size are one product: a pair of shoes."""
    chance = np.zeros((100, 200), np.float32)
    chance[20:80, 20:80] = chance[25:80, 120:180] = 1
    assert salient(chance)[50, 50] and salient(chance)[50, 150]


def test_confidence_falls_with_each_kind_of_doubt() -> None:
    """A wavering map, a rival, a weak outline, a cropped product, one in pieces, one that its mirror image denies."""
    weak = {
        "decided": 0.6,
        "dominance": 0.5,
        "contrast": 0.1,
        "touching": 0.3,
        "whole": 0.7,
        "agreement": 0.7,
    }
    sure = Evidence(decided=1, dominance=1, contrast=1, touching=0, whole=1, agreement=1)
    doubts = [replace(sure, **{name: value}) for name, value in weak.items()]
    assert confidence_of(sure) == 1
    assert all(confidence_of(doubt) < 0.75 for doubt in doubts)


def test_pieces_of_a_cutout_are_weighed() -> None:
    """The largest patch's share of the area; one patch, or none, is whole."""
    kept = np.zeros((40, 40), bool)
    assert largest_share(kept) == 1
    kept[:10, :30] = True
    assert largest_share(kept) == 1
    kept[20:30, :10] = True
    assert largest_share(kept) == 0.75


def test_own_alpha_is_kept_and_its_colours_cleaned() -> None:
    """A photo that brings its alpha keeps it, with full confidence and without the ground's green at the edge."""
    alpha = np.round(a_disc() * 255).astype(np.uint8)
    cut = bring_own(a_photo(alpha / 255), alpha)
    assert cut.confidence == 1
    assert np.abs(cut.rgba[..., 3].astype(int) - alpha).max() <= 3
    assert (edge_on_white(cut)[:, 1] - edge_on_white(cut)[:, 2]).max() < 12


def test_own_mask_of_another_size_is_refused() -> None:
    """A mask that does not fit its photo is refused with both sizes."""
    with pytest.raises(InputRefused, match="mask is 10x20 px; its photo is 256x256 px; draw the mask"):
        bring_own(a_photo(a_disc()), np.full((20, 10), 255, np.uint8))


def test_empty_own_mask_is_refused() -> None:
    """A black mask marks no product."""
    with pytest.raises(InputRefused, match="mask is empty; white marks the product"):
        bring_own(a_photo(a_disc()), np.zeros((256, 256), np.uint8))


def test_model_that_is_not_here_is_never_fetched(tmp_path, monkeypatch) -> None:
    """A rembg model without its file is refused with the place where the file belongs."""
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    with pytest.raises(
        ModelMissing, match=r"isnet-general-use is not on this machine; .*isnet-general-use\.onnx into"
    ):
        open_session("isnet-general-use")
    assert not any(tmp_path.rglob("*.onnx"))


def test_unknown_model_is_refused() -> None:
    """A misspelt model name is answered with the known ones."""
    with pytest.raises(ConfigInvalid, match='"pocket-mate" is not known; known: pocket-matte, .*u2net'):
        open_session("pocket-mate")


def test_missing_file_is_refused(tmp_path) -> None:
    """The path of an .onnx file that is not there is refused before rembg is asked."""
    with pytest.raises(ModelMissing, match="check the path"):
        model_digest(str(tmp_path / "mine.onnx"))


def test_import_is_light() -> None:
    """Importing the module loads neither rembg nor what rembg brings."""
    heavy = ("rembg", "onnxruntime", "numba", "scipy", "PIL")
    code = f"import sys, productshot.cutout; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_cutting_out_leaves_the_number_of_threads_alone() -> None:
    """With OMP_NUM_THREADS set torch has as many threads after a cutout's libraries were loaded as before."""
    code = (
        "import torch, productshot.cutout; before = torch.get_num_threads(); import pymatting;"
        "assert torch.get_num_threads() == before == 1, torch.get_num_threads()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def held(alpha: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photo of a product held by a skin-coloured bar from the right, what a model sees, and the bar's marks."""
    bar = np.zeros(alpha.shape, bool)
    bar[100:140, 180:] = True
    photo = a_photo(alpha)
    photo[bar] = (224, 172, 140)
    return photo, np.maximum(alpha, bar), np.where(bar, 255, 0).astype(np.uint8)


def test_clutter_is_taken_out_of_the_cutout_and_nothing_is_put_in_its_place() -> None:
    """Every pixel that stays is photographed, none of the hand is among them, and a part may be missing."""
    photo, seen, clutter = held(a_disc())
    cut = cut_out(photo, told(seen), Recipe(), clutter=clutter)
    alpha, marked = cut.rgba[..., 3], clutter > 0
    assert (alpha[marked] == 0).all()
    assert (cut.rgba[alpha == 255][:, :3] == photo[alpha == 255]).all()
    assert alpha[(a_disc() > 0.99) & ~marked].mean() > 250
    assert 0.05 < cut.hidden < 0.3
    assert cut_out(photo, told(seen), Recipe()).rgba[120, 240, 3] > 250


def test_clutter_apart_from_the_product_hides_nothing_of_it() -> None:
    """A tray's corner far from the product is left out and nobody need look."""
    alpha = np.round(a_disc() * 255).astype(np.uint8)
    alpha[:30, :30] = 255
    clutter = np.zeros_like(alpha)
    clutter[:32, :32] = 255
    cut = bring_own(a_photo(alpha / 255), alpha, clutter=clutter)
    assert cut.hidden == 0 and cut.box.left > 40
    assert bring_own(a_photo(alpha / 255), alpha).box.left == 0


def test_clutter_marks_of_another_size_are_refused() -> None:
    """Named as what they are."""
    with pytest.raises(InputRefused, match="clutter of a.jpg is 10x20 px; its photo is 256x256 px"):
        cut_out(a_photo(a_disc()), told(a_disc()), Recipe(), "a.jpg", np.zeros((20, 10), np.uint8))
