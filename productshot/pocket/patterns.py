"""Colour fields drawn from noise and geometry: what pocket-matte's training pictures are covered with.

Each pattern is a function (rng, size) -> (size, size, 3) float32, 0..1; `random_pattern` picks one. None of them is a
photo: the set is made so wide that a real surface is one more variation of it.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Field = NDArray[np.floating[Any]]
"""float32."""
Rng = np.random.Generator

COLOUR_KINDS = (  # share, hue span, saturation span, value span
    (0.35, (0.0, 1.0), (0.5, 1.0), (0.3, 1.0)),  # vivid
    (0.25, (0.0, 1.0), (0.05, 0.5), (0.2, 0.9)),  # muted
    (0.15, (0.0, 1.0), (0.0, 0.12), (0.8, 1.0)),  # near white
    (0.10, (0.0, 1.0), (0.0, 0.5), (0.02, 0.2)),  # near black
    (0.15, (0.02, 0.13), (0.2, 0.7), (0.25, 0.85)),  # wood, leather, sand, skin
)


def colour(rng: Rng) -> Field:
    """One colour (3,), of a kind that things at home have."""
    kind = COLOUR_KINDS[rng.choice(len(COLOUR_KINDS), p=[share for share, *_ in COLOUR_KINDS])]
    hue, saturation, value = (rng.uniform(*span) for span in kind[1:])
    return np.array(colorsys.hsv_to_rgb(hue, saturation, value), np.float32)


def palette(rng: Rng, count: int) -> Field:
    """`count` colours (count, 3): unrelated, or shades of one."""
    if rng.random() < 0.5:
        return np.stack([colour(rng) for _ in range(count)])
    spread = rng.uniform(0.03, 0.35)
    return np.clip(
        colour(rng) + rng.normal(0, spread, (count, 1)) + rng.normal(0, 0.04, (count, 3)), 0, 1
    ).astype(np.float32)


def noise(rng: Rng, size: int, cells: float, stretch: float = 1.0) -> Field:
    """Smooth value noise (size, size), 0..1, with about `cells` bumps a side, `stretch` times as many across."""
    rows = int(np.clip(cells, 1, size)) + 2
    columns = int(np.clip(cells * stretch, 1, size)) + 2
    grid = Image.fromarray(rng.random((rows, columns), np.float32))
    return np.clip(np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC)), 0, 1)


def fractal(rng: Rng, size: int, cells: float, stretch: float = 1.0, octaves: int = 4) -> Field:
    """Octaves of `noise`, each twice as fine and half as strong; (size, size), stretched to 0..1."""
    total = np.zeros((size, size), np.float32)
    for octave in range(octaves):
        total += noise(rng, size, cells * 2**octave, stretch) * np.float32(0.5**octave)
    return (total - total.min()) / max(float(np.ptp(total)), 1e-6)


def ramp(values: Field, colours: Field) -> Field:
    """Values (h, w), 0..1, looked up in a ramp of colours (n, 3) -> (h, w, 3)."""
    table = np.stack(
        [np.interp(np.linspace(0, 1, 256), np.linspace(0, 1, len(colours)), c) for c in colours.T], 1
    )
    return table.astype(np.float32)[(np.clip(values, 0, 1) * 255).astype(np.uint8)]


def wave_axis(rng: Rng, size: int, waves: float) -> Field:
    """A slanted, slightly warped coordinate (size, size) that counts `waves` from one side to the other."""
    angle = float(rng.choice([0, np.pi / 2, rng.uniform(0, np.pi)]))
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    warp = fractal(rng, size, 2, octaves=2) * np.float32(rng.choice([0.0, rng.uniform(0, 0.4)]))
    return np.asarray((x * float(np.cos(angle)) + y * float(np.sin(angle)) + warp) * waves, np.float32)


def plain(rng: Rng, size: int) -> Field:
    """One colour with a breath of unevenness."""
    grain = (fractal(rng, size, rng.uniform(1, 6)) - 0.5) * rng.uniform(0, 0.12)
    return colour(rng) + grain[..., None]


def gradient(rng: Rng, size: int) -> Field:
    """A slow change from one colour to another."""
    return ramp(wave_axis(rng, size, 1.0), palette(rng, 2))


def clouds(rng: Rng, size: int) -> Field:
    """Marble, rust, plaster, foliage from afar: fractal noise through a ramp."""
    values = fractal(
        rng, size, rng.uniform(1, 24), rng.choice([1.0, rng.uniform(0.15, 6)]), int(rng.integers(2, 6))
    )
    return ramp(values, palette(rng, int(rng.integers(2, 5))))


def stripes(rng: Rng, size: int) -> Field:
    """Soft or hard stripes, straight or wavy."""
    wave = np.sin(wave_axis(rng, size, rng.uniform(2, 30)) * 2 * np.pi) * float(rng.choice([0.5, 3.0, 12.0]))
    return ramp(np.clip(wave * 0.5 + 0.5, 0, 1), palette(rng, 2))


def cells(rng: Rng, size: int) -> Field:
    """Checks, tiles or dots on a grid."""
    count = rng.uniform(2, 20)
    u, v = wave_axis(rng, size, count), wave_axis(rng, size, count * rng.uniform(0.5, 2))
    if rng.random() < 0.5:
        inside = (np.floor(u) + np.floor(v)) % 2
    else:
        inside = np.clip((rng.uniform(0.15, 0.45) - np.hypot(u % 1 - 0.5, v % 1 - 0.5)) * 20, 0, 1)
    return ramp(inside.astype(np.float32), palette(rng, 2))


def bricks(rng: Rng, size: int) -> Field:
    """Bricks, tiles or planks: rows of blocks, each with its own shade, with joints between."""
    rows, ratio, joint = rng.uniform(2, 16), rng.uniform(0.06, 1.0), rng.uniform(0.01, 0.12)
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    if rng.random() < 0.4:
        x, y = y, x
    row = np.floor(y * rows)
    column = x * rows * ratio + rng.random(64)[(row % 64).astype(int)]
    shade = rng.random((64, 64), np.float32)[(row % 64).astype(int), (np.floor(column) % 64).astype(int)]
    grain = fractal(rng, size, rows, rng.choice([0.1, 1.0, 4.0]))
    face = ramp(shade * 0.6 + grain * 0.4, palette(rng, 3))
    gap = ((y * rows) % 1 < joint) | (column % 1 < joint * ratio)
    return np.where(gap[..., None], colour(rng), face)


def grain(rng: Rng, size: int) -> Field:
    """Wood, brushed metal, hair, grass: noise drawn out in one direction."""
    values = fractal(rng, size, rng.uniform(1, 8), rng.uniform(8, 40), 3)
    if rng.random() < 0.5:
        values = values.T
    return ramp(values, palette(rng, int(rng.integers(2, 4))))


def speckle(rng: Rng, size: int) -> Field:
    """Granite, terrazzo, sand, carpet: fine noise on a coarse one."""
    fine = noise(rng, size, rng.uniform(size / 8, size))
    values = fractal(rng, size, rng.uniform(1, 8)) * 0.4 + fine * rng.uniform(0.2, 0.6)
    return ramp(values, palette(rng, int(rng.integers(2, 5))))


def dead_leaves(rng: Rng, size: int) -> Field:
    """Clutter: many overlapping discs, bars and polygons of all sizes (the dead-leaves model of natural pictures)."""
    canvas = Image.new("RGB", (size, size), bytes_of(colour(rng)))
    pen, colours = ImageDraw.Draw(canvas), palette(rng, int(rng.integers(3, 12)))
    for _ in range(int(rng.integers(20, 220))):
        reach = size * 0.5 * rng.uniform(0.04, 1.0) ** 2 + 2
        x, y = rng.uniform(0, size, 2)
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        fill = bytes_of(np.clip(colours[rng.integers(len(colours))] + rng.normal(0, 0.06, 3), 0, 1))
        shape = rng.integers(3)
        if shape == 0:
            pen.ellipse((x - reach, y - reach * rng.uniform(0.3, 1), x + reach, y + reach), fill)
        elif shape == 1:
            pen.rectangle((x - reach, y - reach * rng.uniform(0.1, 1), x + reach, y + reach), fill)
        else:
            points = zip(x + reach * np.cos(angles), y + reach * np.sin(angles), strict=True)
            pen.polygon([(float(px), float(py)) for px, py in points], fill)
    return np.asarray(canvas, np.float32) / 255


def writing(rng: Rng, size: int) -> Field:
    """Lines of print on a plain ground: labels, book spines, posters."""
    canvas = Image.new("RGB", (size, size), bytes_of(colour(rng)))
    pen, ink = ImageDraw.Draw(canvas), bytes_of(colour(rng))
    y = 0.0
    while y < size:
        height = int(size * rng.uniform(0.04, 0.25)) + 4
        word = "".join(chr(c) for c in rng.integers(65, 123, int(rng.integers(2, 14))))
        pen.text((rng.uniform(-0.1, 0.5) * size, y), word, fill=ink, font=ImageFont.load_default(height))
        y += height * rng.uniform(1.0, 2.5)
    return np.asarray(canvas, np.float32) / 255


def bytes_of(rgb: Field) -> tuple[int, int, int]:
    """A colour (3,) 0..1 as PIL wants it."""
    red, green, blue = (int(c) for c in np.asarray(rgb) * 255)
    return red, green, blue


PATTERNS: tuple[tuple[float, Callable[[Rng, int], Field]], ...] = (
    (0.20, plain),
    (0.08, gradient),
    (0.17, clouds),
    (0.08, stripes),
    (0.08, cells),
    (0.09, bricks),
    (0.10, grain),
    (0.08, speckle),
    (0.07, dead_leaves),
    (0.05, writing),
)


def random_pattern(rng: Rng, size: int) -> Field:
    """A pattern of any kind, now and then a blend of two; (size, size, 3) float32, 0..1."""
    shares = [share for share, _ in PATTERNS]
    first = PATTERNS[rng.choice(len(PATTERNS), p=shares)][1](rng, size)
    if rng.random() < 0.15:
        second = PATTERNS[rng.choice(len(PATTERNS), p=shares)][1](rng, size)
        blend = np.clip((fractal(rng, size, rng.uniform(1, 5)) - 0.5) * rng.uniform(2, 30) + 0.5, 0, 1)[
            ..., None
        ]
        first = first * blend + second * (1 - blend)
    return np.clip(first, 0, 1).astype(np.float32)
