"""Pocket studio, rays: the one compiled kernel that looks at products and scene and colours every pixel.

Points, directions and colours are 3-tuples of floats. World and product space have y up and the floor at y = 0;
a `place` row (x, z, cos yaw, sin yaw, scale) leads from one to the other. Colours are linear light.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from productshot.pocket import shapes, textures
from productshot.pocket.shapes import (
    ACCENT,
    BODY,
    DARK,
    FLAME,
    GLOW,
    INSIDE,
    LIGHT,
    METAL,
    ORANGE,
    distance,
    ease,
    hypot2,
)  # fmt: skip
from productshot.pocket.textures import (
    BRICK,
    CITY,
    CONCRETE,
    FABRIC,
    GREY,
    ROOM,
    TILES,
    WHITE,
    backdrop,
    chance,
    ground,
    ground_end,
    noise,
)  # fmt: skip

MISS = 1e9
MATTE, GLOSSY, STEEL, GLASS, CLOTH = range(5)
NO_MARK, LABEL, PRINT = range(3)
LETTERS = np.array([
    [14, 17, 17, 31, 17, 17, 17], [30, 17, 17, 30, 17, 17, 30], [14, 17, 16, 16, 16, 17, 14],
    [30, 17, 17, 17, 17, 17, 30], [31, 16, 16, 30, 16, 16, 31], [31, 16, 16, 30, 16, 16, 16],
    [14, 17, 16, 23, 17, 17, 15], [17, 17, 17, 31, 17, 17, 17], [14, 4, 4, 4, 4, 4, 14],
    [17, 18, 20, 24, 20, 18, 17], [16, 16, 16, 16, 16, 16, 31], [17, 27, 21, 21, 17, 17, 17],
    [17, 17, 25, 21, 19, 17, 17], [14, 17, 17, 17, 17, 17, 14], [30, 17, 17, 30, 16, 16, 16],
    [30, 17, 17, 30, 20, 18, 17], [15, 16, 16, 14, 1, 1, 30], [31, 4, 4, 4, 4, 4, 4],
    [17, 17, 17, 17, 17, 17, 14], [17, 17, 17, 17, 17, 10, 4], [17, 17, 17, 21, 21, 21, 10],
    [17, 17, 10, 4, 10, 17, 17], [17, 17, 17, 10, 4, 4, 4], [31, 1, 2, 4, 8, 16, 31],
])  # fmt: skip
"""Capitals of the lettering, five bits wide and seven rows high: the classic 5 x 7 dot matrix."""
Vector = tuple[float, float, float]
Row = NDArray[np.float64]


class Camera(NamedTuple):
    """Where the camera stands, its axes, the tangent of one pixel and the pixel that it aims at."""

    position: Vector
    right: Vector
    up: Vector
    forward: Vector
    pixel: float
    centre_x: float
    centre_y: float


class Lights(NamedTuple):
    """Direction to the key light, its colour, the sky's, the floor's bounce, and the softness of shadows."""

    towards: Vector
    sun: Vector
    sky: Vector
    bounce: Vector
    softness: float


class Stage(NamedTuple):
    """What stands before the camera: a scene and n products."""

    scene: int
    seed: int
    kinds: NDArray[np.int64]
    """(n,) index into shapes.NOUNS."""
    proportions: Row
    """(n, 8)."""
    boxes: Row
    """(n, 6) bounds in product space."""
    places: Row
    """(n, 5)."""
    looks: Row
    """(n, 7): pattern, material, radius, is round, cells a unit, upright stripes, seed."""
    labels: Row
    """(n, 6): low, high, half width (0: none), radius, NO_MARK, LABEL or PRINT, letters of its word."""
    paints: Row
    """(n, 2, 3): colour and second colour."""


@njit(fastmath=True)
def along(p: Vector, d: Vector, t: float) -> Vector:
    """The point p + t d."""
    return p[0] + d[0] * t, p[1] + d[1] * t, p[2] + d[2] * t


@njit(fastmath=True)
def dot(p: Vector, q: Vector) -> float:
    """Scalar product."""
    return p[0] * q[0] + p[1] * q[1] + p[2] * q[2]


@njit(fastmath=True)
def unit(p: Vector) -> Vector:
    """The direction of p."""
    n = 1.0 / max(1e-9, math.sqrt(dot(p, p)))
    return p[0] * n, p[1] * n, p[2] * n


@njit(fastmath=True)
def blend(p: Vector, q: Vector, share: float) -> Vector:
    """p with a share (0..1) of q."""
    return along(p, (q[0] - p[0], q[1] - p[1], q[2] - p[2]), share)


@njit(fastmath=True)
def times(p: Vector, q: Vector) -> Vector:
    """Colour p under light q."""
    return p[0] * q[0], p[1] * q[1], p[2] * q[2]


@njit(fastmath=True)
def turn(p: Vector, place: Row) -> Vector:
    """A world direction in product space."""
    return p[0] * place[2] - p[2] * place[3], p[1], p[0] * place[3] + p[2] * place[2]


@njit(fastmath=True)
def turn_back(p: Vector, place: Row) -> Vector:
    """A direction of product space in the world."""
    return p[0] * place[2] + p[2] * place[3], p[1], p[2] * place[2] - p[0] * place[3]


@njit(fastmath=True)
def to_product(p: Vector, place: Row) -> Vector:
    """A world point in product space."""
    x, y, z = turn((p[0] - place[0], p[1], p[2] - place[1]), place)
    return x / place[4], y / place[4], z / place[4]


@njit(fastmath=True)
def enter_box(p: Vector, d: Vector, box: Row) -> tuple[float, float]:
    """Where a ray enters and leaves a box, or (MISS, -MISS)."""
    near, far = 0.0, MISS
    for axis in range(3):
        inverse = 1.0 / d[axis] if abs(d[axis]) > 1e-9 else 1e9
        t0, t1 = (box[2 * axis] - p[axis]) * inverse, (box[2 * axis + 1] - p[axis]) * inverse
        near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
    return (near, far) if near <= far else (MISS, -MISS)


@njit(fastmath=True)
def march(kind: int, q: Row, box: Row, p: Vector, d: Vector, limit: float, pixel: float) -> tuple[float, int]:
    """First hit (t, part) of a ray in product space by sphere tracing (Hart 1996), or (MISS, 0)."""
    t, far = enter_box(p, d, box)
    far = min(far, limit)
    near_enough = max(0.0004, 0.3 * pixel * t)
    for _ in range(80):
        if t > far:
            break
        gap, part = distance(kind, p[0] + d[0] * t, p[1] + d[1] * t, p[2] + d[2] * t, q)
        if gap < near_enough:
            return t, part
        t += gap * 0.88
    return MISS, 0


@njit(fastmath=True)
def shade_of(kind: int, q: Row, box: Row, p: Vector, d: Vector, softness: float) -> float:
    """Light that passes a product on its way to a point, 0 (dark) .. 1 (free): soft shadows after Quilez."""
    t, far = enter_box(p, d, box)
    t = max(t, 0.03)
    light = 1.0
    for _ in range(18):
        if t > far:
            break
        gap, _part = distance(kind, p[0] + d[0] * t, p[1] + d[1] * t, p[2] + d[2] * t, q)
        light = min(light, 0.5 + 0.5 * gap / (softness * t))
        if light < 0.02:
            return 0.0
        t += max(0.035, gap * 0.9)
    light = max(0.0, light)
    return light * light * (3.0 - 2.0 * light)


@njit(fastmath=True)
def facing(kind: int, q: Row, p: Vector) -> Vector:
    """Unit normal of a product at a surface point (differences over a tetrahedron)."""
    h = 0.003
    a = distance(kind, p[0] + h, p[1] - h, p[2] - h, q)[0]
    b = distance(kind, p[0] - h, p[1] - h, p[2] + h, q)[0]
    c = distance(kind, p[0] - h, p[1] + h, p[2] - h, q)[0]
    d = distance(kind, p[0] + h, p[1] + h, p[2] + h, q)[0]
    return unit((a - b - c + d, -a - b + c + d, -a + b - c + d))


@njit(fastmath=True)
def pattern_share(look: Row, p: Vector, n: Vector) -> float:
    """1 where the pattern (0 plain, 1 striped, 2 dotted, 3 checkered) wears the second colour, else 0."""
    pattern, is_round, count = int(look[0]), look[3] > 0.5, look[4]
    if pattern == 0:
        return 0.0
    v = p[1] * count
    if is_round:
        u = math.atan2(p[0], p[2]) * max(3.0, min(7.0, round(math.pi * look[2] * count))) / math.pi
    elif abs(n[2]) > max(abs(n[0]), abs(n[1])):
        u = p[0] * count
    elif abs(n[0]) > abs(n[1]):
        u = p[2] * count
    else:
        u, v = p[0] * count, p[2] * count
    if pattern == 1:
        s = u if look[5] > 0.5 else v
        return 1.0 if s - math.floor(s) < 0.5 else 0.0
    if pattern == 2:
        row = math.floor(v)
        a, b = u + 0.5 * (row % 2.0), v - row - 0.5
        a -= math.floor(a) + 0.5
        return 1.0 if a * a + b * b < 0.1 else 0.0
    return float((math.floor(u) + math.floor(v)) % 2.0)


@njit(fastmath=True)
def is_inked(u: float, v: float, count: int, seed: int) -> bool:
    """Whether a random word of `count` capitals, laid over 0..1 x 0..1, has ink at (u, v)."""
    if not (0.0 <= u < 1.0 and 0.0 <= v < 1.0):
        return False
    place = u * count
    letter = int(chance(int(place), 3, seed) * (LETTERS.shape[0] - 0.001))
    column, row = int((place - math.floor(place)) * 6.0), int((1.0 - v) * 7.0)
    return column < 5 and (LETTERS[letter, min(row, 6)] >> (4 - column)) & 1 == 1


@njit(fastmath=True)
def mark_tone(label: Row, is_round: bool, seed: int, p: Vector, n: Vector) -> float:
    """Brightness of label or print at a point: -1 outside it, else paper or ink (0.08)."""
    if label[2] <= 0.0 or p[2] <= 0.0 or n[2] < 0.25 or p[1] < label[0] or p[1] > label[1]:
        return -1.0
    s = math.atan2(p[0], p[2]) * label[3] if is_round else p[0]
    if abs(s) > label[2]:
        return -1.0
    u, v = 0.5 + 0.5 * s / label[2], (p[1] - label[0]) / (label[1] - label[0])
    if label[4] == PRINT:
        return 0.08 if is_inked(u, v, int(label[5]), seed) else -1.0
    if v > 0.6:
        ink = is_inked((u - 0.1) / 0.8, (v - 0.66) / 0.24, int(label[5]), seed)
    else:
        row = math.floor(v * 8.0)
        right = 0.6 + 0.3 * chance(int(row), 9, seed)
        ink = 0.14 < u < right and v > 0.12 and v * 8.0 - row < 0.42
    return 0.08 if ink else 0.88


@njit(fastmath=True)
def paint(part: int, patterned: float, paints: Row) -> Vector:
    """Base colour of a part; paints holds the colour and the second colour."""
    if part in (BODY, GLOW):
        i = 1 if patterned > 0.5 else 0
        return paints[i, 0], paints[i, 1], paints[i, 2]
    if part == ACCENT:
        return paints[1, 0], paints[1, 1], paints[1, 2]
    if part == LIGHT:
        return 0.82, 0.8, 0.76
    if part == DARK:
        return 0.025, 0.025, 0.03
    if part == METAL:
        return 0.62, 0.62, 0.64
    if part == INSIDE:
        return 0.55 * paints[0, 0] + 0.06, 0.55 * paints[0, 1] + 0.06, 0.55 * paints[0, 2] + 0.06
    if part == ORANGE:
        return 0.9, 0.3, 0.03
    return 0.6, 0.44, 0.26  # CARD


@njit(fastmath=True)
def surface_colour(stage: Stage, i: int, part: int, p: Vector, n: Vector) -> tuple[Vector, int]:
    """Base colour and finish (a part) of a point of product i."""
    look = stage.looks[i]
    if part == BODY:
        tone = mark_tone(stage.labels[i], look[3] > 0.5, int(look[6]), p, n)
        if tone >= 0.0 and stage.labels[i, 4] == PRINT:
            return paint(BODY, 1.0, stage.paints[i]), BODY
        if tone >= 0.0:
            return (tone, tone * 0.98, tone * 0.93), LIGHT
    patterned = pattern_share(look, p, n) if part in (BODY, GLOW) else 0.0
    r, g, b = paint(part, patterned, stage.paints[i])
    if part in (BODY, ACCENT) and int(look[1]) == CLOTH:
        weave = 0.82 + 0.36 * noise(p[0] * 55.0 + p[2] * 20.0, p[1] * 55.0, int(look[6]))
        return (r * weave, g * weave, b * weave), part
    return (r, g, b), part


@njit(fastmath=True)
def mirrored(lights: Lights, d: Vector) -> Vector:
    """What a mirror sees in a direction: sky, floor, a softbox towards the key light and a strip of light."""
    r, g, b = blend(lights.bounce, lights.sky, ease(-0.15, 0.25, d[1]))
    strip = ease(0.12, 0.0, abs(d[0] + 0.75)) * ease(-0.2, 0.1, d[1])
    shine = 2.2 * ease(0.9, 0.97, dot(d, lights.towards)) + 0.7 * strip
    return r + shine, g + shine, b + shine


@njit(fastmath=True)
def lit(
    lights: Lights,
    base: Vector,
    finish: int,
    material: int,
    n: Vector,
    d: Vector,
    shadow: float,
    occlusion: float,
) -> Vector:
    """Colour of a surface with normal n seen along d; shadow, occlusion: shares of light that arrive."""
    if finish == FLAME:
        return 1.7, 1.15 + 0.3 * n[1], 0.35
    up = 0.5 + 0.5 * n[1]
    key = max(0.0, dot(n, lights.towards)) * shadow
    ambient = along((0.0, 0.0, 0.0), lights.sky, occlusion * up)
    ambient = along(ambient, lights.bounce, occlusion * 0.55 * (1.0 - up))
    colour = times(base, along(ambient, lights.sun, key))
    if finish == GLOW:
        glow = (base[0] * 0.75 + 0.012, base[1] * 0.7 + 0.009, base[2] * 0.58 + 0.004)
        return along(glow, colour, 0.5)
    if finish == INSIDE or (material == MATTE and finish != METAL):
        return colour
    if material == CLOTH and finish != METAL and finish != DARK:
        nap = 0.45 * (1.0 - min(1.0, max(0.0, -dot(d, n)))) ** 2 * occlusion
        return along(colour, times(base, lights.sky), nap)
    bounce = -2.0 * dot(d, n)
    seen = mirrored(lights, along(d, n, bounce))
    if finish == METAL or (material == STEEL and finish != LIGHT and finish != DARK):
        k = 0.75 * (0.3 + 0.7 * occlusion)
        tint = (base[0] + 0.1, base[1] + 0.1, base[2] + 0.1)
        return along(along((0.0, 0.0, 0.0), colour, 0.25), times(seen, tint), k)
    fresnel = (1.0 - min(1.0, abs(0.5 * bounce))) ** 5
    return along(
        colour, seen, (0.05 + 0.5 * fresnel) * (0.4 + 0.6 * occlusion) * (0.4 if finish == LIGHT else 1.0)
    )


@njit(fastmath=True)
def floor_light(stage: Stage, lights: Lights, p: Vector) -> tuple[float, float]:
    """Shares of key light and of open sky that reach a floor point, each 0..1."""
    shadow, occlusion = 1.0, 1.0
    for i in range(stage.kinds.shape[0]):
        kind, q, box, place = stage.kinds[i], stage.proportions[i], stage.boxes[i], stage.places[i]
        x, y, z = to_product(p, place)
        shadow *= shade_of(kind, q, box, (x, y, z), turn(lights.towards, place), lights.softness)
        aside = hypot2(max(0.0, box[0] - x, x - box[1]), max(0.0, box[4] - z, z - box[5]))
        if aside < 0.3:
            low = distance(kind, x, 0.04, z, q)[0]
            high = distance(kind, x, 0.18, z, q)[0]
            occlusion *= (0.3 + 0.7 * ease(-0.02, 0.16, low)) * (0.65 + 0.35 * ease(-0.05, 0.3, high))
    return shadow, occlusion


@njit(fastmath=True)
def window_light(x: float, z: float) -> float:
    """Key light on a room's floor: broad slanted patches of a window with a bar, 0.55..1.15."""
    s, v = x + 0.35 * z, z - 0.45 * x
    across = abs(v - math.floor(v / 2.6 + 0.5) * 2.6)
    bar = ease(0.02, 0.06, abs(s - math.floor(s / 1.1 + 0.5) * 1.1))
    return 0.55 + 0.6 * ease(0.95, 0.85, across) * bar


@njit(fastmath=True)
def sweep_dim(scene: int, e: float) -> float:
    """How much darker a studio sweep or cloth is at elevation tangent e."""
    if scene in (FABRIC, GREY, WHITE):
        return 1.0 - (0.42 if scene == GREY else (0.12 if scene == WHITE else 0.2)) * ease(-0.34, 0.12, e)
    return 1.0


@njit(fastmath=True)
def floor_colour(stage: Stage, lights: Lights, p: Vector, d: Vector, blur: float) -> Vector:
    """Colour of a floor point seen along d."""
    scene, seed = stage.scene, stage.seed
    r, g, b, gloss = ground(scene, p[0], p[2], blur, seed)
    shadow, open_sky = floor_light(stage, lights, p)
    if scene == ROOM:
        shadow *= window_light(p[0], p[2])
    light = along((0.0, 0.0, 0.0), lights.sun, lights.towards[1] * shadow)
    colour = times((r, g, b), along(light, lights.sky, open_sky))
    if gloss > 0.1:
        ahead = max(0.05, -d[2])
        reach = 0.45 if scene == CITY else 1.0
        seen = backdrop(scene, d[0] / ahead, -d[1] / ahead * reach, p[0], 0.6, blur, seed)
        share = gloss * (0.15 + 0.85 * (1.0 + d[1]) ** 4) * (0.35 + 0.65 * open_sky)
        colour = blend(colour, seen, share)
    dim = sweep_dim(scene, d[1] / max(0.05, -d[2]))
    return colour[0] * dim, colour[1] * dim, colour[2] * dim


@njit(fastmath=True)
def scene_colour(stage: Stage, lights: Lights, o: Vector, d: Vector, pixel: float) -> tuple[Vector, float]:
    """Colour of floor, wall or far backdrop along a ray, and how far away it is."""
    scene, seed = stage.scene, stage.seed
    end = ground_end(scene, seed)
    t = -o[1] / d[1] if d[1] < -1e-4 else MISS
    if t < 80.0 and o[2] + d[2] * t > end:
        blur = pixel * t / max(0.08, -d[1])
        return floor_colour(stage, lights, along(o, d, t), d, blur), t
    e = d[1] / max(0.05, -d[2])
    reach = (end - o[2]) / min(-0.05, d[2])
    x, y, _ = along(o, d, reach)
    if scene in (FABRIC, GREY, WHITE):
        r, g, b, _gloss = ground(scene, x, end - y, 0.02, seed)
        light = along(lights.sky, lights.sun, lights.towards[1])
        dim = sweep_dim(scene, e)
        return times((r * dim, g * dim, b * dim), light), reach
    r, g, b = backdrop(scene, d[0] / max(0.05, -d[2]), e, x, y, pixel * reach, seed)
    if scene in (BRICK, CONCRETE, ROOM, TILES):
        k = 0.6 * max(0.0, lights.towards[2]) * lights.sun[1] + lights.sky[1] + 0.12
        k *= 0.7 + 0.3 * ease(0.0, 0.35, y)
        return (r * k, g * k, b * k), reach
    return (r, g, b), 30.0


@njit(fastmath=True)
def look(stage: Stage, o: Vector, d: Vector, pixel: float) -> tuple[float, int, int]:
    """Nearest product along a ray: (t in world units, index, part); index -1 for none."""
    best, which, seen = MISS, -1, 0
    for i in range(stage.kinds.shape[0]):
        place = stage.places[i]
        p, turned = to_product(o, place), turn(d, place)
        limit = best / place[4]
        t, part = march(stage.kinds[i], stage.proportions[i], stage.boxes[i], p, turned, limit, pixel)
        if t < min(limit, MISS):
            best, which, seen = t * place[4], i, part
    return best, which, seen


@njit(fastmath=True)
def product_colour(stage: Stage, lights: Lights, i: int, part: int, at: Vector, d: Vector) -> Vector:
    """Colour of product i at a world point that a ray along d hits."""
    kind, q, place = stage.kinds[i], stage.proportions[i], stage.places[i]
    p = to_product(at, place)
    n = facing(kind, q, p)
    base, finish = surface_colour(stage, i, part, p, n)
    towards = turn(lights.towards, place)
    shadow = 0.0
    if dot(n, towards) > 0.0:
        shadow = shade_of(kind, q, stage.boxes[i], along(p, n, 0.02), towards, lights.softness)
    above = along(p, n, 0.07)
    room = distance(kind, above[0], above[1], above[2], q)[0] / 0.07
    occlusion = (0.35 + 0.65 * min(1.0, max(0.0, room))) * (0.55 + 0.45 * ease(-0.05, 0.3, p[1]))
    return lit(lights, base, finish, int(stage.looks[i, 1]), turn_back(n, place), d, shadow, occlusion)


@njit(fastmath=True)
def glass_colour(stage: Stage, lights: Lights, i: int, at: Vector, d: Vector, pixel: float) -> Vector:
    """Colour of tinted glass: the scene behind it, bent and dyed, under the reflections of its front."""
    place = stage.places[i]
    p = to_product(at, place)
    n = turn_back(facing(stage.kinds[i], stage.proportions[i], p), place)
    base, _finish = surface_colour(stage, i, BODY, p, turn(n, place))
    front = min(1.0, max(0.0, -dot(d, n)))
    behind, _t = scene_colour(stage, lights, at, unit(along(d, n, -0.25)), pixel)
    dye = (0.12 + 0.88 * base[0], 0.12 + 0.88 * base[1], 0.12 + 0.88 * base[2])
    body = along(times(behind, dye), times(base, lights.sky), 0.35)
    thick = 0.5 + 0.5 * ease(0.1, 0.6, front)
    seen = mirrored(lights, along(d, n, 2.0 * front))
    return along((body[0] * thick, body[1] * thick, body[2] * thick), seen, 0.06 + 0.6 * (1.0 - front) ** 4)


@njit(fastmath=True)
def see(
    stage: Stage, lights: Lights, camera: Camera, x: float, y: float, pixel: float
) -> tuple[Vector, float, int]:
    """Colour, distance and identity (64 per product + part; -1: none) at picture position (x, y)."""
    u, v = (x - camera.centre_x) * camera.pixel, (camera.centre_y - y) * camera.pixel
    d = unit(along(along(camera.forward, camera.right, u), camera.up, v))
    t, i, part = look(stage, camera.position, d, pixel)
    if i >= 0 and part in (BODY, INSIDE) and int(stage.looks[i, 1]) == GLASS:
        return glass_colour(stage, lights, i, along(camera.position, d, t), d, pixel), t, 64 * i + part
    if i >= 0:
        return product_colour(stage, lights, i, part, along(camera.position, d, t), d), t, 64 * i + part
    colour, t = scene_colour(stage, lights, camera.position, d, pixel)
    return colour, t, -1


@njit(fastmath=True)
def encode(value: float) -> np.uint8:
    """Linear light as an sRGB byte, with a soft shoulder."""
    v = max(0.0, value)
    if v > 0.75:
        v = 0.75 + 0.25 * (1.0 - math.exp(-(v - 0.75) / 0.25))
    return np.uint8(min(255.0, 255.0 * v**0.45454545 + 0.5))


@njit(fastmath=True)
def is_edge(tone: NDArray[np.float32], seen: NDArray[np.int16], row: int, col: int) -> bool:
    """Whether a pixel differs from a neighbour in identity, or clearly in tone."""
    for k in range(4):
        i = min(seen.shape[0] - 1, max(0, row + (k - 1) * (k % 2 == 0)))
        j = min(seen.shape[1] - 1, max(0, col + (k - 2) * (k % 2)))
        if seen[i, j] != seen[row, col] or abs(tone[i, j] - tone[row, col]) > 0.07:
            return True
    return False


def _compile(version: int) -> Callable[..., None]:
    """The kernel. numba's cache watches this file alone; `version` enters its key on behalf of the other two."""

    @njit(cache=True, fastmath=True)
    def expose(stage, lights, camera, sub, picture, mask, depth):  # type: ignore[no-untyped-def]
        """Fill picture (h, w, 3) uint8 sRGB, mask (h, w) uint8 of product 0 and depth (h, w) float32.

        One ray a pixel, then sub² rays at every pixel that differs from a neighbour.
        """
        height, width = mask.shape
        tone, seen = (
            np.zeros((height, width), np.float32),
            np.full((height, width), version * 0 - 1, np.int16),
        )
        for row in range(height):
            for col in range(width):
                (r, g, b), t, what = see(stage, lights, camera, col + 0.5, row + 0.5, camera.pixel)
                tone[row, col] = math.sqrt(max(0.0, 0.35 * r + 0.5 * g + 0.15 * b))
                seen[row, col], depth[row, col] = what, t
                mask[row, col] = 255 if 0 <= what < 64 else 0
                picture[row, col, 0], picture[row, col, 1], picture[row, col, 2] = (
                    encode(r),
                    encode(g),
                    encode(b),
                )
        share = 1.0 / (sub * sub)
        for row in range(height):
            for col in range(width):
                if sub < 2 or not is_edge(tone, seen, row, col):
                    continue
                total, covered = (0.0, 0.0, 0.0), 0.0
                for k in range(sub * sub):
                    x, y = col + (k % sub + 0.5) / sub, row + (k // sub + 0.5) / sub
                    colour, t, what = see(stage, lights, camera, x, y, camera.pixel / sub)
                    clipped = (min(1.5, colour[0]), min(1.5, colour[1]), min(1.5, colour[2]))
                    total = along(total, clipped, share)
                    covered += share if 0 <= what < 64 else 0.0
                    depth[row, col] = min(depth[row, col], t)
                mask[row, col] = np.uint8(255.0 * covered + 0.5)
                for c in range(3):
                    picture[row, col, c] = encode(total[c])

    return expose


def _version() -> int:
    """A number that changes when the source of shapes or textures does."""
    source = b"".join(Path(str(module.__file__)).read_bytes() for module in (shapes, textures))
    return int.from_bytes(hashlib.sha256(source).digest()[:6], "big")


expose = _compile(_version())
