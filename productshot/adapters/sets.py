"""The adapters room, its input: what an adapter learns from, and the square samples made of it; no torch.

A cutout pasted on grounds that the studio never had keeps the token from learning the studio instead of the
product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from productshot.errors import InputRefused
from productshot.geometry import Box, Size
from productshot.pixels import Pixels, box_of, paste, resize, size_of

Ground = Literal["photo", "plain", "blurred"]

PROMPTS: dict[Ground, str] = {
    "photo": "a photo of a {}",
    "plain": "a photo of a {} on a plain background",
    "blurred": "a photo of a {} on a blurred background",
}
"""What is said of a sample, before its photo's own caption; {} is "<token> <noun>"."""

CLASS_PROMPTS = (
    "a photo of a {}",
    "",
    "a photo of a blue {} on a plain background",
    "a photo of a {} on a wooden table",
    "a photo of a green {}",
    "",
    "a photo of a black {} on a sandy beach",
    "a photo of a white {}",
)
"""What is said of the class images in turn; {} is the noun alone. Nothing is what guidance asks at every step."""

LOOK_PROMPTS = (
    "a photo of a {}",
    "a photo of a {} on a plain background",
    "a photo of a {} on a wooden table",
    "a photo of a {} on a sandy beach",
)
"""What is drawn in turn when a training is looked at; {} is "<token> <noun>"."""

PASTED: tuple[Ground, ...] = ("plain", "blurred", "plain", "blurred")
"""Grounds on which each picture's cutout is laid, beside the photo itself."""

PHOTO_MARGIN = 0.25
PASTED_MARGINS = (0.15, 0.5)
"""Room on each side of the product, share of its longer side; the pasted ones between these two."""

SHIFT = 0.08
"""A pasted product stands at most this far from the middle, share of the frame."""

SOLID = 128
"""Alpha from which a pixel counts as product when its box is measured."""


TrainingPicture = tuple[Pixels, Pixels]
"""A photo, (h, w, 3), and its product's alpha in the same frame, (h, w), 255 = product."""


@dataclass(frozen=True)
class TrainingSet:
    """All that one SKU's adapter learns from."""

    sku: str
    noun: str
    pictures: tuple[TrainingPicture, ...]
    flip: bool = False  # mirrored too; never for a product with writing or a left and a right
    class_images: tuple[Pixels, ...] = ()  # (h, w, 3); needed when the recipe's prior_weight is above 0
    held_out: tuple[TrainingPicture, ...] = ()  # never trained on; what is drawn is compared with them
    captions: tuple[
        str, ...
    ] = ()  # what each picture shows beyond its product, as "seen from behind"; "" is nothing


@dataclass(frozen=True)
class Sample:
    """One square picture to learn from."""

    rgb: Pixels  # (side, side, 3)
    alpha: Pixels  # (side, side)
    prompt: str  # what is said of it; {} is "<token> <noun>"


def make_samples(item: TrainingSet, side: int, seed: int) -> tuple[Sample, ...]:
    """The samples of a set, `side` px square, in fixed order; the same set and seed give the same pixels.

    Of each picture: the photo around its product and, with seeded margin and place, its cutout on plain and
    blurred grounds; all of them mirrored as well where the set allows it. Raises InputRefused on a set
    without noun or pictures and on a picture of wrong shape or without a product.
    """
    check(item)
    captions = item.captions or ("",) * len(item.pictures)
    samples = [
        sample
        for index, (picture, caption) in enumerate(zip(item.pictures, captions, strict=True))
        for sample in _samples_of(picture, caption, side, np.random.default_rng([seed, index]))
    ]
    return tuple(samples + [_mirrored(sample) for sample in samples] if item.flip else samples)


def check(item: TrainingSet) -> None:
    """Raise InputRefused on a set that cannot be learned from."""
    name = f"SKU {item.sku}"
    if not item.noun.strip():
        raise InputRefused(
            name, "has no noun", "an adapter learns '<token> <noun>'", "name its class in the catalog"
        )
    if not item.pictures:
        raise InputRefused(
            name, "has no training pictures", "at least 1 is needed", "add a photo of role product"
        )
    for index, (rgb, alpha) in enumerate(item.pictures):
        picture = f"{name}, training picture {index},"
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3:
            raise InputRefused(
                picture, f"is {rgb.dtype} {rgb.shape}", "uint8 (h, w, 3) is needed", "give it as sRGB"
            )
        if alpha.dtype != np.uint8 or alpha.shape != rgb.shape[:2]:
            raise InputRefused(
                picture,
                f"has alpha {alpha.dtype} {alpha.shape}",
                f"uint8 {rgb.shape[:2]} is needed",
                "give the cutout's alpha in the frame of the photo",
            )
        if not (alpha >= SOLID).any():
            raise InputRefused(
                picture, "shows no product", f"alpha of at least {SOLID} is needed", "look at its cutout"
            )


def product_box(alpha: Pixels) -> Box:
    """The box of the solid product in an (h, w) alpha that has one."""
    box = box_of(alpha >= SOLID)
    assert box is not None, "the caller has checked that there is a product"
    return box


def square_around(box: Box, margin: float, shift: tuple[float, float] = (0.0, 0.0)) -> Box:
    """The square with that margin around a box's middle, moved by shares of its side; it may overhang."""
    side = max(1, round(max(box.size) * (1 + 2 * margin)))
    left = round((box.left + box.right - side) / 2 + shift[0] * side)
    top = round((box.top + box.bottom - side) / 2 + shift[1] * side)
    return Box(left, top, left + side, top + side)


def crop(pixels: Pixels, box: Box, mode: Literal["edge", "constant"]) -> Pixels:
    """The box of a picture; what overhangs repeats the picture's edge, or is 0 with mode "constant"."""
    width, height = size_of(pixels)
    rows = (max(-box.top, 0), max(box.bottom - height, 0))
    columns = (max(-box.left, 0), max(box.right - width, 0))
    inside = pixels[max(box.top, 0) : min(box.bottom, height), max(box.left, 0) : min(box.right, width)]
    return np.pad(inside, [rows, columns, (0, 0)][: pixels.ndim], mode=mode)


def _samples_of(
    picture: TrainingPicture, caption: str, side: int, rng: np.random.Generator
) -> Iterator[Sample]:
    """The photo, then the cutout on each ground of PASTED."""

    def said(ground: Ground) -> str:
        return f"{PROMPTS[ground]}, {caption}" if caption else PROMPTS[ground]

    rgb, alpha = picture
    box, canvas = product_box(alpha), Size(side, side)
    square = square_around(box, PHOTO_MARGIN)
    seen = resize(crop(alpha, square, "constant"), canvas)
    yield Sample(resize(crop(rgb, square, "edge"), canvas), seen, said("photo"))
    rgba = np.dstack([rgb, alpha])
    for ground in PASTED:
        across, down = rng.uniform(-SHIFT, SHIFT, 2)
        square = square_around(box, rng.uniform(*PASTED_MARGINS), (across, down))
        cutout = resize(crop(rgba, square, "constant"), canvas)
        pasted = paste(cutout, _ground(ground, side, rng), Box(0, 0, side, side))
        yield Sample(pasted, cutout[..., 3], said(ground))


def _ground(ground: Ground, side: int, rng: np.random.Generator) -> Pixels:
    """One seeded colour, or a soft field of seeded colours; (side, side, 3)."""
    cells = 1 if ground == "plain" else 4
    colours = rng.integers(40, 256, (cells, cells, 3), dtype=np.uint8)
    return resize(colours, Size(side, side))


def _mirrored(sample: Sample) -> Sample:
    return Sample(
        np.ascontiguousarray(sample.rgb[:, ::-1]), np.ascontiguousarray(sample.alpha[:, ::-1]), sample.prompt
    )
