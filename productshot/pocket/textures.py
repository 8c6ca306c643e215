"""Pocket studio, textures: the grounds and backdrops of the scenes, from value noise; linear RGB, 0..1.

Grounds are functions of a point on the floor (product units), backdrops of the direction of view: `a` to the
right, `e` above the horizon, both as tangents. `blur` is the footprint of a pixel: finer detail fades to its mean.
"""

from __future__ import annotations

import math

from numba import njit

from productshot.pocket.shapes import ease

Colour = tuple[float, float, float]
Look = tuple[float, float, float, float]

SCENES: tuple[str, ...] = (
    "on a wooden table", "on a marble counter", "on a sandy beach", "on green grass",
    "against a brick wall", "on a pink fabric", "in the snow", "in a city at night",
    "on a grey studio sweep", "on a white studio sweep", "on a concrete floor", "in a sunny room",
    "by a swimming pool", "in an autumn forest", "on black slate", "in a tiled bathroom",
)  # fmt: skip

(
    WOOD,
    MARBLE,
    BEACH,
    GRASS,
    BRICK,
    FABRIC,
    SNOW,
    CITY,
    GREY,
    WHITE,
    CONCRETE,
    ROOM,
    POOL,
    AUTUMN,
    SLATE,
    TILES,
) = range(16)


@njit(fastmath=True)
def chance(i: int, j: int, seed: int) -> float:
    """A random number in 0..1 of an integer cell."""
    h = (i * 374761393 + j * 668265263 + seed * 974634777) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    return ((h ^ (h >> 16)) & 0xFFFFFF) / 16777215.0


@njit(fastmath=True)
def noise(x: float, y: float, seed: int) -> float:
    """Value noise, 0..1, one random value a unit."""
    fx, fy = math.floor(x), math.floor(y)
    i, j = int(fx), int(fy)
    u, v = x - fx, y - fy
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    low = chance(i, j, seed) * (1.0 - u) + chance(i + 1, j, seed) * u
    high = chance(i, j + 1, seed) * (1.0 - u) + chance(i + 1, j + 1, seed) * u
    return low * (1.0 - v) + high * v


@njit(fastmath=True)
def clouds(x: float, y: float, seed: int) -> float:
    """Three octaves of value noise, 0..1."""
    return (
        noise(x, y, seed) * 4.0 + noise(x * 2.1, y * 2.1, seed + 1) * 2.0 + noise(x * 4.3, y * 4.3, seed + 2)
    ) / 7.0


@njit(fastmath=True)
def fade(size: float, blur: float) -> float:
    """How much of a detail of this size survives a footprint of `blur`, 0..1."""
    return min(1.0, max(0.0, 1.5 - 2.0 * blur / size))


@njit(fastmath=True)
def planks(x: float, z: float, width: float, blur: float, seed: int) -> float:
    """Brightness factor of wooden planks that run along x."""
    row = math.floor(z / width)
    shade = 0.82 + 0.36 * chance(int(row), 7, seed)
    across = z / width - row
    gap = ease(0.0, 0.035 + blur / width, min(across, 1.0 - across))
    grain = noise(x * 2.0 + row * 5.3, z * 34.0, seed + 1) * 0.6 + noise(x * 5.0, z * 90.0, seed + 2) * 0.4
    knots = noise(x * 1.3 + row * 3.7, z * 7.0, seed + 3)
    grain_kept = fade(0.02, blur)
    return shade * (0.8 + (grain - 0.5) * 0.36 * grain_kept + 0.36 * knots) * (0.4 + 0.6 * gap)


@njit(fastmath=True)
def fabric(x: float, z: float, seed: int) -> float:
    """Brightness factor of soft cloth with folds."""
    bend = noise(x * 0.8, z * 0.8, seed) * 5.0
    fold = math.sin(x * 2.6 + z * 1.7 + bend) * 0.5 + math.sin(z * 3.1 - x * 1.2 + bend * 1.3) * 0.35
    return 0.9 + 0.2 * fold


@njit(fastmath=True)
def bricks(x: float, y: float, blur: float, seed: int) -> Colour:
    """Colour of a brick wall with mortar."""
    h = 0.13
    row = math.floor(y / h)
    s = x / (2.6 * h) + 0.5 * (row % 2.0)
    col = math.floor(s)
    u, v = (s - col) * 2.6 * h, y - row * h
    edge = min(min(u, 2.6 * h - u), min(v, h - v))
    m = ease(0.006 - blur * 0.5, 0.016 + blur * 0.5, edge)
    tone = 0.68 + 0.6 * chance(int(row), int(col), seed) * (0.75 + 0.5 * noise(x * 22.0, y * 22.0, seed + 1))
    warm = chance(int(col), int(row), seed + 5)
    r, g, b = 0.46 * tone, (0.13 + 0.05 * warm) * tone, (0.075 + 0.04 * warm) * tone
    return r * m + 0.5 * (1.0 - m), g * m + 0.46 * (1.0 - m), b * m + 0.42 * (1.0 - m)


@njit(fastmath=True)
def joints(x: float, z: float, side: float, width: float, blur: float, dark: float) -> float:
    """Brightness factor of square tiles: 1 on them, `dark` in the joints between."""
    u, v = abs(x - math.floor(x / side + 0.5) * side), abs(z - math.floor(z / side + 0.5) * side)
    return dark + (1.0 - dark) * ease(0.3 * width, width + blur, min(u, v))


@njit(fastmath=True)
def tile_shade(x: float, z: float, side: float, seed: int) -> float:
    """A random number, 0..1, of the tile at (x, z)."""
    return chance(int(math.floor(x / side + 0.5)), int(math.floor(z / side + 0.5)), seed)


@njit(fastmath=True)
def leaves(x: float, z: float, blur: float, seed: int) -> Look:
    """Fallen leaves in three layers on brown earth."""
    f = 0.6 + 0.6 * clouds(x * 3.0, z * 3.0, seed)
    r, g, b = 0.16 * f, 0.09 * f, 0.045 * f
    for layer in range(3):
        s, t = x * 4.5 + 0.37 * layer, z * 4.5 + 0.71 * layer
        i, j = int(math.floor(s)), int(math.floor(t))
        hue, way = chance(i, j, seed + 7 * layer), 6.28 * chance(i, j, seed + 7 * layer + 1)
        u, v = s - i - 0.5, t - j - 0.5
        p, q = u * math.cos(way) + v * math.sin(way), v * math.cos(way) - u * math.sin(way)
        inside = ease(1.0, 0.8 - 3.0 * blur, math.sqrt((p / 0.44) ** 2 + (q / 0.27) ** 2))
        inside *= 0.35 + 0.65 * fade(0.25, blur)
        tone = (0.75 + 0.5 * chance(i, j, seed + 7 * layer + 2)) * (0.8 + 0.2 * ease(0.0, 0.05, abs(q)))
        red, green = (0.62, 0.2 + 0.26 * hue) if hue < 0.7 else (0.5 - 0.4 * (hue - 0.7), 0.12)
        r, g = r + (red * tone - r) * inside, g + (green * tone - g) * inside
        b += (0.035 * tone - b) * inside
    return r, g, b, 0.0


@njit(fastmath=True)
def pavement(x: float, z: float, blur: float, seed: int) -> Look:
    """Pale slabs before a brick wall."""
    f = 0.9 + 0.3 * (clouds(x * 3.0, z * 3.0, seed) - 0.5)
    f += 0.2 * (noise(x * 50.0, z * 50.0, seed + 3) - 0.5) * fade(0.02, blur)
    line = ease(0.0, 0.02 + blur, abs(x - math.floor(x / 0.9 + 0.5) * 0.9))
    f *= 0.75 + 0.25 * line
    return 0.4 * f, 0.37 * f, 0.34 * f, 0.03


@njit(fastmath=True)
def ground(scene: int, x: float, z: float, blur: float, seed: int) -> Look:
    """Colour and gloss (r, g, b, gloss) of the floor at (x, z)."""
    tint = 0.85 + 0.3 * chance(3, 1, seed)
    if scene == WOOD:
        f = planks(x, z, 0.42, blur, seed) * tint
        return 0.5 * f, 0.25 * f, 0.105 * f, 0.12
    if scene == MARBLE:
        w = clouds(x * 1.3, z * 1.3, seed)
        vein = abs(math.sin((x * 0.9 + z * 1.4 + 3.2 * w) * 2.2))
        thin = ease(0.0, 0.12, vein) * 0.5 + 0.5 * ease(0.0, 0.5, vein)
        f = 0.36 + 0.44 * thin + 0.12 * (w - 0.5)
        return f * 1.0, f * 0.99, f * 0.98, 0.3
    if scene == BEACH:
        dune = clouds(x * 1.5, z * 3.5, seed)
        grain = (noise(x * 60.0, z * 60.0, seed + 4) - 0.5) * fade(0.02, blur)
        f = 0.84 + 0.32 * (dune - 0.5) + 0.26 * grain
        return 0.78 * f, 0.6 * f, 0.37 * f, 0.0
    if scene == GRASS:
        blade = noise(x * 42.0, z * 16.0, seed) * 0.6 + noise(x * 90.0 + z * 25.0, z * 30.0, seed + 1) * 0.4
        patch = clouds(x * 2.0, z * 2.0, seed + 2)
        f = 0.62 + 1.1 * (blade - 0.5) * (0.25 + 0.75 * fade(0.035, blur)) + 0.5 * (patch - 0.3)
        return (0.14 + 0.12 * patch) * f, 0.42 * f, 0.055 * f, 0.0
    if scene == BRICK:
        return pavement(x, z, blur, seed)
    if scene == FABRIC:
        f = fabric(x, z, seed)
        weave = 1.0 + 0.08 * math.sin(x * 160.0) * math.sin(z * 160.0) * fade(0.03, blur)
        return 0.88 * f * weave, 0.3 * f * f * weave, 0.4 * f * f * weave, 0.02
    if scene == SNOW:
        f = 0.9 + 0.3 * (clouds(x * 1.1, z * 2.2, seed) - 0.5)
        spark = 0.25 if noise(x * 60.0, z * 60.0, seed + 3) > 0.86 else 0.0
        f += spark * fade(0.03, blur)
        return 0.84 * f, 0.9 * f, 1.0 * f, 0.05
    if scene == CITY:
        f = 0.7 + 0.6 * clouds(x * 2.5, z * 2.5, seed)
        return 0.15 * f, 0.14 * f, 0.2 * f, 0.4
    if scene == GREY:
        return 0.38 * tint, 0.38 * tint, 0.39 * tint, 0.03
    if scene == WHITE:
        return 0.93, 0.93, 0.93, 0.03
    if scene == CONCRETE:
        f = (
            0.85
            + 0.5 * (clouds(x * 2.2, z * 2.2, seed) - 0.5)
            + 0.16 * (noise(x * 45.0, z * 45.0, seed + 3) - 0.5) * fade(0.025, blur)
        )
        joint = min(
            abs(x - math.floor(x / 1.8 + 0.5) * 1.8 - 0.3),
            abs(z + 0.9 - math.floor((z + 0.9) / 1.8 + 0.5) * 1.8),
        )
        f *= 0.6 + 0.4 * ease(0.0, 0.025 + blur, joint)
        return 0.52 * f, 0.52 * f, 0.51 * f, 0.05
    if scene == POOL:
        f = (0.9 + 0.3 * (clouds(x * 2.0, z * 2.0, seed) - 0.5)) * joints(x, z, 0.75, 0.03, blur, 0.7)
        return 0.74 * f, 0.69 * f, 0.6 * f, 0.08
    if scene == AUTUMN:
        return leaves(x, z, blur, seed)
    if scene == SLATE:
        layer = clouds(x * 1.6, z * 2.4, seed) + 0.4 * clouds(x * 7.0, z * 9.0, seed + 3)
        step = layer * 5.0 - math.floor(layer * 5.0)
        f = 0.7 + 0.5 * (layer - 0.7) - 0.35 * ease(0.12 + blur, 0.0, step)
        return 0.05 * f, 0.056 * f, 0.064 * f, 0.1
    if scene == TILES:
        f = (0.85 + 0.15 * tile_shade(x, z, 0.24, seed)) * joints(x, z, 0.24, 0.014, blur, 0.55)
        return 0.5 * f, 0.62 * f, 0.68 * f, 0.25
    f = planks(z, x, 0.3, blur, seed) * 1.25
    return 0.66 * f, 0.43 * f, 0.23 * f, 0.14


@njit(fastmath=True)
def ground_end(scene: int, seed: int) -> float:
    """Where the floor ends behind the product: z of its far edge or of the wall."""
    u = chance(5, 5, seed)
    if scene in (WOOD, MARBLE):
        return -1.3 - 1.2 * u
    if scene == BRICK:
        return -0.75 - 0.6 * u
    if scene in (CONCRETE, ROOM):
        return -1.8 - 1.5 * u
    if scene == BEACH:
        return -4.0 - 5.0 * u
    if scene == CITY:
        return -5.0
    if scene in (FABRIC, GREY, WHITE):
        return -1.9
    if scene in (POOL, TILES):
        return -1.1 - 0.7 * u
    if scene == SLATE:
        return -1.6 - 1.2 * u
    if scene == AUTUMN:
        return -2.2 - 1.8 * u
    return -60.0


@njit(fastmath=True)
def glow_spots(a: float, e: float, cells: float, share: float, size: float, seed: int) -> tuple[float, float]:
    """Strength of out-of-focus lights at a direction, and a random number of the light seen."""
    s, t = a * cells, e * cells
    i, j = int(math.floor(s)), int(math.floor(t))
    if chance(i, j, seed) > share:
        return 0.0, 0.0
    x = s - i - 0.5 - 0.3 * (chance(i, j, seed + 1) - 0.5)
    y = t - j - 0.5 - 0.3 * (chance(i, j, seed + 2) - 0.5)
    return ease(size, size * 0.75, math.sqrt(x * x + y * y)), chance(i, j, seed + 3)


@njit(fastmath=True)
def city(a: float, e: float, seed: int) -> Colour:
    """A street at night: blue dusk, dark houses with lit windows, large coloured lights."""
    r, g, b = (
        0.05 + 0.1 * ease(0.5, -0.1, e),
        0.05 + 0.06 * ease(0.5, -0.1, e),
        0.16 + 0.14 * ease(0.5, -0.1, e),
    )
    col = math.floor(a * 9.0)
    if e < 0.06 + 0.3 * chance(int(col), 2, seed):
        dim = 0.5 + 0.5 * chance(int(col), 3, seed)
        r, g, b = 0.05 * dim, 0.05 * dim, 0.1 * dim
        wx, wy = math.floor(a * 45.0), math.floor(e * 40.0)
        lit = chance(int(wx), int(wy), seed + 4)
        fx, fy = a * 45.0 - wx, e * 40.0 - wy
        if lit > 0.5 and 0.15 < fx < 0.85 and 0.2 < fy < 0.8:
            r, g, b = 0.9 * lit, 0.62 * lit, 0.25 * lit
    for layer in range(2):
        s, hue = glow_spots(
            a + 0.37 * layer, e + 0.21 * layer, 8.0 + 4.0 * layer, 0.4, 0.36, seed + 10 * layer
        )
        s *= 0.65 * ease(0.34, 0.1, abs(e - 0.04))
        r += s * (1.0 if hue < 0.7 else 0.15)
        g += s * (0.55 if hue < 0.45 else (0.15 if hue < 0.7 else 0.5))
        b += s * (0.15 if hue < 0.45 else (0.45 if hue < 0.7 else 0.9))
    return r, g, b


@njit(fastmath=True)
def sky(a: float, e: float, seed: int) -> Colour:
    """A blue sky with soft clouds."""
    c = ease(0.45, 0.75, clouds(a * 3.0, e * 9.0, seed)) * 0.8
    t = ease(-0.05, 0.6, e)
    r, g, b = 0.62 - 0.42 * t, 0.78 - 0.35 * t, 0.95 - 0.13 * t
    return r + (0.95 - r) * c, g + (0.95 - g) * c, b + (0.97 - b) * c


@njit(fastmath=True)
def pool(a: float, e: float, seed: int) -> Colour:
    """Turquoise water with a net of light, a hedge behind it, the sky above."""
    if e < 0.0:
        s, t = a * 7.0, 1.6 / max(0.03, -e)
        ripple = abs(noise(s * t * 0.16, t, seed) - 0.5) + abs(noise(s * t * 0.3, t * 1.9, seed + 1) - 0.5)
        net = ease(0.22, 0.05, ripple) * ease(0.0, -0.12, e)
        depth = ease(0.0, -0.25, e)
        return (
            0.05 + 0.1 * depth + 0.35 * net,
            0.5 + 0.14 * depth + 0.3 * net,
            0.66 + 0.08 * depth + 0.2 * net,
        )
    if e < 0.06 + 0.03 * noise(a * 12.0, 0.5, seed + 3):
        f = 0.5 + 0.9 * clouds(a * 18.0, e * 18.0, seed + 2)
        return 0.07 * f, 0.2 * f, 0.07 * f
    return sky(a, e, seed)


@njit(fastmath=True)
def forest(a: float, e: float, seed: int) -> Colour:
    """Autumn trees out of focus: dark trunks before orange and yellow leaves."""
    f = clouds(a * 5.0, e * 5.0, seed)
    hue = clouds(a * 2.3 + 7.0, e * 2.3, seed + 4)
    light = 0.35 + 0.9 * f
    r, g, b = 0.66 * light, (0.24 + 0.26 * hue) * light, 0.07 * light
    column = a * 7.0
    i = int(math.floor(column))
    middle = 0.5 + 0.5 * (chance(i, 4, seed) - 0.5)
    half = 0.08 + 0.13 * chance(i, 5, seed)
    trunk = ease(half + 0.05, half - 0.04, abs(column - i - middle)) * (
        1.0 if chance(i, 6, seed) < 0.7 else 0.0
    )
    dark = 0.5 + 0.6 * noise(a * 40.0, e * 6.0, seed + 5)
    return r + (0.1 * dark - r) * trunk, g + (0.065 * dark - g) * trunk, b + (0.045 * dark - b) * trunk


@njit(fastmath=True)
def backdrop(scene: int, a: float, e: float, x: float, y: float, blur: float, seed: int) -> Colour:
    """Colour of what stands behind the floor, at direction (a, e) and at (x, y) on the wall."""
    u = chance(9, 2, seed)
    if scene in (WOOD, MARBLE):
        n = clouds(a * 2.5, e * 2.5, seed + 6)
        dark = 0.75 + 0.5 * ease(0.35, 0.65, noise(a * 4.0 + 3.0 * u, e * 1.5, seed + 7))
        s, _ = glow_spots(a, e, 5.0, 0.3, 0.45, seed)
        if scene == WOOD:
            f = (0.4 + 0.5 * n) * dark
            return (0.62 + 0.15 * u) * f + 0.22 * s, 0.52 * f + 0.18 * s, (0.42 - 0.1 * u) * f + 0.1 * s
        f = (0.5 + 0.45 * n) * dark
        return 0.56 * f + 0.12 * s, 0.63 * f + 0.14 * s, 0.66 * f + 0.15 * s
    if scene == BEACH:
        if e < 0.0:
            foam = ease(0.66, 0.8, noise(a * 6.0, e * 90.0, seed)) * ease(0.0, -0.06, e)
            f = 0.85 + 0.4 * (noise(a * 14.0, e * 160.0, seed + 1) - 0.5)
            return 0.07 * f + foam * 0.7, 0.36 * f + foam * 0.5, 0.52 * f + foam * 0.4
        return sky(a, e, seed)
    if scene == GRASS:
        crest = 0.07 + 0.12 * clouds(a * 5.0, 0.5, seed)
        if e < crest:
            f = 0.5 + 0.9 * clouds(a * 14.0, e * 14.0, seed + 1)
            return 0.09 * f, 0.22 * f, 0.06 * f
        return sky(a, e, seed)
    if scene == BRICK:
        return bricks(x, y, blur, seed)
    if scene == SNOW:
        crest = 0.05 + 0.13 * noise(a * 16.0, 0.5, seed) * noise(a * 3.0, 2.5, seed)
        if e < crest:
            f = 0.7 + 0.5 * clouds(a * 20.0, e * 20.0, seed + 1)
            return 0.38 * f, 0.47 * f, 0.55 * f
        t = ease(0.0, 0.5, e)
        return 0.82 - 0.3 * t, 0.9 - 0.2 * t, 1.0 - 0.08 * t
    if scene == CITY:
        return city(a, e, seed)
    if scene == CONCRETE:
        f = 0.92 + 0.2 * (clouds(x * 0.9, y * 0.9, seed) - 0.5)
        skirt = 1.0 if y > 0.1 else 0.6
        return 0.62 * f * skirt, 0.61 * f * skirt, 0.58 * f * skirt
    if scene == ROOM:
        return room_wall(x, y, seed)
    if scene == POOL:
        return pool(a, e, seed)
    if scene == AUTUMN:
        return forest(a, e, seed)
    if scene == SLATE:
        f = 0.03 + 0.1 * ease(0.5, -0.1, e) * (0.5 + clouds(a * 1.5, e * 1.5, seed + 6))
        return 0.9 * f, 0.95 * f, 1.1 * f
    if scene == TILES:
        f = (0.88 + 0.12 * tile_shade(x, y, 0.3, seed + 2)) * joints(x, y, 0.3, 0.016, blur, 0.62)
        return 0.62 * f, 0.78 * f, 0.82 * f
    return 0.5, 0.5, 0.5


@njit(fastmath=True)
def room_wall(x: float, y: float, seed: int) -> Colour:
    """A warm wall with a bright window and a skirting board."""
    left = -1.5 + 2.4 * chance(8, 8, seed)
    u, v = x - left, y - 0.5
    if 0.0 < u < 1.3 and 0.0 < v < 2.0:
        bar = min(abs(u - 0.65), abs(v - 0.75))
        frame = min(min(u, 1.3 - u), v)
        if bar < 0.025 or frame < 0.06:
            return 0.9, 0.88, 0.84
        t = ease(0.0, 1.0, v) + 0.4 * (clouds(u * 3.0, v * 3.0, seed) - 0.5)
        return 0.72 + 0.1 * t, 0.9 - 0.02 * t, 0.66 + 0.4 * t
    if y < 0.14:
        return 0.85, 0.82, 0.76
    f = 0.93 + 0.1 * (noise(x, y, seed) - 0.5)
    return 0.86 * f, 0.74 * f, 0.5 * f
