"""What an adapter learns from: squares around the product, on grounds the studio never had."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from productshot.adapters.sets import (
    PASTED,
    PROMPTS,
    TrainingPicture,
    TrainingSet,
    crop,
    make_samples,
    product_box,
    square_around,
)
from productshot.errors import InputRefused
from productshot.geometry import Box

RED, GREEN = (200, 20, 20), (20, 160, 20)


def a_picture(left: int = 40, top: int = 60) -> TrainingPicture:
    """A red product, 50x80 px, on a green ground of 160x200 px."""
    rgb = np.full((200, 160, 3), GREEN, np.uint8)
    alpha = np.zeros((200, 160), np.uint8)
    rgb[top : top + 80, left : left + 50] = RED
    alpha[top : top + 80, left : left + 50] = 255
    return rgb, alpha


def a_set(*pictures: TrainingPicture, noun: str = "mug", flip: bool = False) -> TrainingSet:
    return TrainingSet("mug-1", noun, pictures or (a_picture(),), flip)


def test_each_picture_gives_its_photo_and_its_cutout_on_every_ground() -> None:
    """Two pictures give two groups of samples in a fixed order, all square at the asked size."""
    samples = make_samples(a_set(a_picture(), a_picture(90)), 64, seed=0)
    assert [sample.prompt for sample in samples] == [PROMPTS[ground] for ground in ("photo", *PASTED)] * 2
    assert {sample.rgb.shape for sample in samples} == {(64, 64, 3)}
    assert {sample.alpha.shape for sample in samples} == {(64, 64)}


def test_a_caption_is_said_of_its_photo_only() -> None:
    """All samples of the second picture say what its photo shows; those of the first say nothing more."""
    item = replace(a_set(a_picture(), a_picture(90)), captions=("", "back view"))
    said = [sample.prompt for sample in make_samples(item, 64, seed=0)]
    plain = [PROMPTS[ground] for ground in ("photo", *PASTED)]
    assert said == [*plain, *(f"{prompt}, back view" for prompt in plain)]


def test_alpha_lies_on_the_product_in_every_sample() -> None:
    """Where alpha is full the product's red is seen, wherever the sample put it."""
    for sample in make_samples(a_set(), 64, seed=3):
        inside = sample.rgb[sample.alpha == 255].astype(int)
        assert len(inside) > 100
        assert np.abs(inside - RED).mean() < 4


def test_pasted_samples_leave_the_studio_behind() -> None:
    """The green of the shop's studio is around the product in the photo only."""
    samples = make_samples(a_set(), 64, seed=1)
    far = [np.abs(sample.rgb[sample.alpha == 0].astype(int) - GREEN).mean() for sample in samples]
    assert far[0] < 2
    assert min(far[1:]) > 10


def test_same_seed_gives_same_pixels_and_another_seed_others() -> None:
    """Samples follow from the set and the seed alone."""
    first, again, other = (make_samples(a_set(), 64, seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a.rgb, b.rgb) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[1].rgb, other[1].rgb)


def test_mirrored_only_where_the_set_allows_it() -> None:
    """flip doubles the samples with their mirror images; without it none is mirrored."""
    plain, flipped = make_samples(a_set(), 64, 0), make_samples(a_set(flip=True), 64, 0)
    assert len(flipped) == 2 * len(plain)
    assert np.array_equal(flipped[len(plain)].rgb, plain[0].rgb[:, ::-1])
    assert np.array_equal(flipped[len(plain)].alpha, plain[0].alpha[:, ::-1])


def test_product_at_the_frame_keeps_its_shape() -> None:
    """A square that overhangs the photo repeats its edge; no product appears outside the photo."""
    photo = make_samples(a_set(a_picture(left=110, top=0)), 64, 0)[0]
    box = product_box(photo.alpha)
    assert abs(box.size.width / box.size.height - 50 / 80) < 0.05
    assert np.abs(photo.rgb[40, 0].astype(int) - GREEN).max() < 3


@given(
    st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(1, 400), st.integers(1, 400)),
    st.floats(0, 1),
)
def test_square_holds_its_box(corner: tuple[int, int, int, int], margin: float) -> None:
    """The square around a box is square and contains it, to the pixel that rounding costs."""
    left, top, width, height = corner
    square = square_around(Box(left, top, left + width, top + height), margin)
    assert square.size.width == square.size.height
    assert square.left <= left + 1 and square.right >= left + width - 1
    assert square.top <= top + 1 and square.bottom >= top + height - 1


def test_crop_fills_what_overhangs() -> None:
    """Outside the picture a crop repeats the edge or is empty, as asked."""
    picture = np.array([[1, 2], [3, 4]], np.uint8)
    assert crop(picture, Box(-1, 0, 2, 3), "edge").tolist() == [[1, 1, 2], [3, 3, 4], [3, 3, 4]]
    assert crop(picture, Box(1, -1, 3, 1), "constant").tolist() == [[0, 0], [2, 0]]


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (a_set(noun=" "), "SKU mug-1 has no noun; an adapter learns '<token> <noun>'; name its class"),
        (TrainingSet("mug-1", "mug", ()), "SKU mug-1 has no training pictures; at least 1 is needed"),
        (
            a_set(a_picture(), (a_picture()[0], np.zeros((200, 160), np.uint8))),
            "SKU mug-1, training picture 1, shows no product; alpha of at least 128 is needed",
        ),
        (
            a_set((a_picture()[0], np.zeros((9, 9), np.uint8))),
            "training picture 0, has alpha uint8 (9, 9); uint8 (200, 160) is needed",
        ),
        (
            a_set((a_picture()[1], a_picture()[1])),
            "training picture 0, is uint8 (200, 160); uint8 (h, w, 3) is needed",
        ),
    ],
    ids=["no noun", "no pictures", "no product", "alpha of another frame", "grey picture"],
)
def test_set_that_cannot_be_learned_from_is_refused(refused: TrainingSet, message: str) -> None:
    """The refusal names the SKU, the picture, what is wrong and what is needed."""
    with pytest.raises(InputRefused) as caught:
        make_samples(refused, 64, 0)
    assert message in str(caught.value)


def test_importing_the_room_loads_no_torch() -> None:
    """The package's sets are usable without paying for torch."""
    code = "import sys, productshot.adapters as a; a.TrainingSet; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
