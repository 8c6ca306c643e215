"""Outlines of invented products for pocket-matte's training pictures: vessels, cartons, toys, bags, shoes and blobs.

A thing is a list of parts, back to front; a part is a list of strokes in the unit square; `fill` makes pixels of one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .patterns import Field, Rng

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Stroke:
    """An outline in the unit square (-1..1, y down), filled when `width` is 0, else drawn as a line that wide."""

    points: Points
    width: float = 0.0
    hole: bool = False


Part = list[Stroke]


def oval(x: float, y: float, rx: float, ry: float, power: float = 2.0, turn: float = 0.0) -> Points:
    """A superellipse: power 2 is an ellipse, 6 a rounded box, 1 a diamond."""
    t = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    u = rx * np.sign(np.cos(t)) * np.abs(np.cos(t)) ** (2 / power)
    v = ry * np.sign(np.sin(t)) * np.abs(np.sin(t)) ** (2 / power)
    return np.stack([x + u * np.cos(turn) - v * np.sin(turn), y + u * np.sin(turn) + v * np.cos(turn)], 1)


def blob(rng: Rng) -> list[Part]:
    """A smooth closed curve, now and then furry or with a hole."""
    t = np.linspace(0, 2 * np.pi, 240, endpoint=False)
    waves = np.arange(2, 8)
    size = rng.normal(0, rng.uniform(0.05, 0.45), len(waves)) / waves
    radius = 1 + (size[:, None] * np.cos(waves[:, None] * t + rng.uniform(0, 7, (len(waves), 1)))).sum(0)
    if rng.random() < 0.2:
        radius += rng.normal(0, rng.uniform(0.01, 0.05), t.shape)
    radius = np.clip(radius, 0.15, None) * 0.85 / radius.max()
    part = [Stroke(np.stack([radius * np.cos(t), radius * np.sin(t)], 1))]
    if rng.random() < 0.1:
        part.append(Stroke(oval(0, 0, rng.uniform(0.1, 0.25), rng.uniform(0.1, 0.25)), hole=True))
    return [part]


def turned(rng: Rng) -> list[Part]:
    """A vessel turned on a lathe, seen a little from above: vase, bottle, bowl, cup, candle, pot with its spout."""
    knots = np.clip(rng.uniform(0.3, 1, int(rng.integers(2, 6))), 0.25, 1) * rng.uniform(0.3, 0.95)
    t = np.linspace(0, 1, 60)
    smooth = np.interp(t, np.linspace(0, 1, len(knots)), knots)
    for _ in range(int(rng.integers(1, 5))):
        smooth = np.convolve(np.pad(smooth, 4, mode="edge"), np.ones(9) / 9, mode="valid")
    top, bottom, tilt = -rng.uniform(0.3, 0.9), rng.uniform(0.5, 0.9), rng.uniform(0.05, 0.35)
    arc = np.linspace(0, np.pi, 20)
    y = top + (bottom - top) * t
    foot = np.stack([smooth[-1] * np.cos(arc), bottom + smooth[-1] * tilt * np.sin(arc)], 1)
    body = Stroke(np.concatenate([np.stack([smooth, y], 1), foot, np.stack([-smooth, y], 1)[::-1]]))
    parts: list[Part] = [[body], [Stroke(oval(0, top, smooth[0], smooth[0] * tilt))]]
    if rng.random() < 0.6:
        rim = rng.uniform(0.75, 0.95)
        parts.append([Stroke(oval(0, top, smooth[0] * rim, smooth[0] * tilt * rim))])
    if rng.random() < 0.35:
        side = rng.choice([-1, 1])
        parts.insert(
            0,
            [Stroke(oval(side * smooth[25], 0, 0.28, rng.uniform(0.2, 0.45)), width=rng.uniform(0.06, 0.14))],
        )
    if rng.random() < 0.15:
        spout = np.array([[0.0, 0.3], [-0.6, 0.2], [-0.75, -0.2], [-0.95, -0.4]]) * rng.uniform(
            0.8, 1, (4, 2)
        )
        parts.insert(0, [Stroke(spout, width=rng.uniform(0.1, 0.2))])
    if rng.random() < 0.2:
        heap = rng.uniform(-0.8, 0.8, (int(rng.integers(4, 14)), 2)) * (smooth[0], smooth[0] * tilt * 1.5)
        parts += [[Stroke(oval(hx, top + hy, 0.14, 0.14))] for hx, hy in heap[np.argsort(heap[:, 1])]]
    return parts


def carton(rng: Rng) -> list[Part]:
    """A box in oblique view: front, side and lid; sometimes only the front (book, frame, phone)."""
    w, h, power = rng.uniform(0.3, 0.75), rng.uniform(0.3, 0.75), rng.uniform(4, 40)
    front = [Stroke(oval(0, 0, w, h, power))]
    if rng.random() < 0.35:
        return [front]
    dx, dy = rng.uniform(0.08, 0.4) * rng.choice([-1, 1]), -rng.uniform(0.05, 0.35)
    x = w * np.sign(dx)
    lid = np.array([[-w, -h], [-w + dx, -h + dy], [w + dx, -h + dy], [w, -h]])
    side = np.array([[x, -h], [x + dx, -h + dy], [x + dx, h + dy], [x, h]])
    return [[Stroke(lid)], [Stroke(side)], [Stroke(oval(0, 0, w, h, 40))]]


def figure(rng: Rng) -> list[Part]:
    """A toy: body, head, limbs, ears, eyes, perhaps antennas; soft or made of boxes."""
    power = rng.choice([2.0, 2.5, 6.0, 20.0])
    body = (rng.uniform(0.25, 0.6), rng.uniform(0.25, 0.5))
    head = (rng.uniform(0.2, 0.5), rng.uniform(0.2, 0.4))
    neck = 0.3 - body[1]
    top = neck - head[1] * rng.uniform(0.5, 1.0)
    limbs: Part = []
    for side in (-1, 1):
        arm = np.array([[side * body[0] * 0.7, 0.15], [side * rng.uniform(0.5, 0.9), rng.uniform(-0.4, 0.5)]])
        leg = np.array([[side * body[0] * 0.5, 0.4], [side * rng.uniform(0.2, 0.6), rng.uniform(0.75, 0.92)]])
        thick = rng.uniform(0.1, 0.3)
        limbs += [
            Stroke(arm, thick),
            Stroke(leg, thick * 1.2),
            Stroke(oval(arm[1, 0], arm[1, 1], thick * 0.7, thick * 0.7)),
        ]
        limbs.append(Stroke(oval(leg[1, 0], leg[1, 1], thick * 0.9, thick * 0.6, power)))
        if rng.random() < 0.6:
            ear = (side * head[0] * 0.8, top - head[1] * 0.8)
            limbs.append(Stroke(oval(*ear, rng.uniform(0.06, 0.2), rng.uniform(0.08, 0.3), power)))
    if rng.random() < 0.3:
        limbs.append(
            Stroke(
                np.array([[0, top], [rng.uniform(-0.2, 0.2), top - head[1] - 0.3]]), rng.uniform(0.02, 0.05)
            )
        )
    eyes = [Stroke(oval(s * head[0] * 0.4, top - 0.05, 0.07, 0.08)) for s in (-1, 1)]
    return [limbs, [Stroke(oval(0, 0.3, *body, power))], [Stroke(oval(0, top, *head, power))], eyes]


def sack(rng: Rng) -> list[Part]:
    """A bag or backpack: body, pocket, flap, straps and a handle with open air inside."""
    w, h, power = rng.uniform(0.35, 0.65), rng.uniform(0.4, 0.65), rng.uniform(2.5, 7)
    parts: list[Part] = []
    straps: Part = [
        Stroke(oval(0, 0.2 - h, rng.uniform(0.1, w), rng.uniform(0.1, 0.4)), rng.uniform(0.03, 0.1))
    ]
    if rng.random() < 0.5:
        straps += [
            Stroke(oval(s * w, 0.2, rng.uniform(0.1, 0.25), h * 0.8), rng.uniform(0.05, 0.12))
            for s in (-1, 1)
        ]
    parts += [straps, [Stroke(oval(0, 0.2, w, h, power))]]
    if rng.random() < 0.7:
        parts.append(
            [Stroke(oval(0, 0.2 + h * 0.45, w * rng.uniform(0.5, 0.9), h * rng.uniform(0.2, 0.4), power))]
        )
    if rng.random() < 0.4:
        parts.append([Stroke(oval(0, 0.2 - h * 0.55, w * 0.9, h * 0.4, power))])
    return parts


def shoe(rng: Rng) -> list[Part]:
    """A shoe from the side: sole, upper, toe cap, laces."""
    ankle, toe = rng.uniform(0.1, 0.8), rng.uniform(0.15, 0.35)
    x = np.array([-0.85, -0.8, -0.45, -0.3, 0.1, 0.5, 0.85, 0.9])
    y = np.array(
        [0.3, 0.3 - ankle, 0.25 - ankle, 0.2 - ankle * 0.8, 0.1 - toe * 0.6, 0.3 - toe, 0.35 - toe * 0.5, 0.4]
    )
    fine = np.linspace(-0.85, 0.9, 50)
    upper = np.stack([np.append(fine, [0.9, -0.85]), np.append(np.interp(fine, x, y), [0.45, 0.45])], 1)
    sole = oval(0.02, 0.45, 0.92, rng.uniform(0.06, 0.18), rng.uniform(3, 10))
    laces = [
        Stroke(np.array([[a, -0.05 * k], [a + 0.2, 0.12 - 0.05 * k]]), 0.03)
        for k, a in enumerate((-0.1, 0.02, 0.14))
    ]
    cap = [Stroke(oval(0.68, 0.28, 0.2, toe * 0.5))]
    return [[Stroke(upper)], [Stroke(sole)], laces, cap][: int(rng.integers(2, 5))]


def assembly(rng: Rng) -> list[Part]:
    """Several shapes grown together around a middle one, some of them bars or rings."""
    parts: list[Part] = [
        [Stroke(oval(0, 0, rng.uniform(0.3, 0.6), rng.uniform(0.3, 0.6), rng.uniform(1.5, 8)))]
    ]
    for _ in range(int(rng.integers(1, 6))):
        a, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.3, 0.75)
        at = (far * np.cos(a), far * np.sin(a))
        outline = oval(
            *at, rng.uniform(0.08, 0.4), rng.uniform(0.08, 0.4), rng.uniform(1.5, 8), rng.uniform(0, 3)
        )
        bar = np.array([(0.0, 0.0), (at[0] * 1.25, at[1] * 1.25)])
        choice = rng.integers(3)
        stroke = (
            Stroke(outline),
            Stroke(outline, rng.uniform(0.03, 0.1)),
            Stroke(bar, rng.uniform(0.03, 0.2)),
        )[choice]
        parts.insert(int(rng.integers(0, len(parts) + 1)), [stroke])
    return parts


SILHOUETTES = (blob, turned, turned, carton, figure, sack, shoe, assembly)


def fill(part: Part, size: int, pose: Points) -> Field:
    """The coverage (size, size), 0..1, of one part under `pose` (2, 3), anti-aliased by a factor of 2."""
    canvas = Image.new("L", (2 * size, 2 * size))
    pen = ImageDraw.Draw(canvas)
    for stroke in part:
        points = (stroke.points @ pose[:, :2].T + pose[:, 2]) * size + size
        path = [(float(x), float(y)) for x, y in points]
        if stroke.width and len(path) > 8:
            path.append(path[0])
        if stroke.width:
            pen.line(path, 255, max(2, int(stroke.width * size)), joint="curve")
        else:
            pen.polygon(path, 0 if stroke.hole else 255)
    return np.asarray(canvas.reduce(2), np.float32) / 255
