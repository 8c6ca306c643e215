"""Pocket studio, shapes: signed-distance functions of the products that the studio photographs.

Every product takes a point in product space (y up, the floor at y = 0, the front towards +z, about one unit
high) and `q`, eight random proportions in 0..1, and returns (distance, part): a distance that is safe to walk
along a ray, or nearly so, and the part, which says what paint the surface wears.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

Row = NDArray[np.float64]
Hit = tuple[float, int]

NOUNS: tuple[str, ...] = (
    "vase", "teapot", "bowl", "backpack", "toy", "candle", "sneaker", "mug",
    "bottle", "can", "bag", "lamp", "box", "ball", "book", "clock",
)  # fmt: skip
DISTRACTORS: tuple[str, ...] = ("tray", "hand")
"""What stands in shop photos beside a product and is never one itself."""
KINDS: tuple[str, ...] = NOUNS + DISTRACTORS
ROUND_NOUNS = frozenset({"vase", "teapot", "bowl", "candle", "mug", "bottle", "can", "lamp", "ball"})

BODY, ACCENT, LIGHT, DARK, METAL, FLAME, INSIDE, GLOW, ORANGE, CARD = range(10)


@njit(fastmath=True)
def hypot2(x: float, y: float) -> float:
    """Length of (x, y)."""
    return math.sqrt(x * x + y * y)


@njit(fastmath=True)
def hypot3(x: float, y: float, z: float) -> float:
    """Length of (x, y, z)."""
    return math.sqrt(x * x + y * y + z * z)


@njit(fastmath=True)
def ease(low: float, high: float, x: float) -> float:
    """Smoothstep of x between low and high, 0..1."""
    t = min(1.0, max(0.0, (x - low) / (high - low)))
    return t * t * (3.0 - 2.0 * t)


@njit(fastmath=True)
def smooth_min(a: float, b: float, k: float) -> float:
    """Union with a fillet of about k/4."""
    h = max(0.0, k - abs(a - b)) / k
    return min(a, b) - h * h * k * 0.25


@njit(fastmath=True)
def smooth_max(a: float, b: float, k: float) -> float:
    """Intersection with a rounded edge."""
    return -smooth_min(-a, -b, k)


@njit(fastmath=True)
def sphere(x: float, y: float, z: float, r: float) -> float:
    """Distance to a sphere at the origin."""
    return hypot3(x, y, z) - r


@njit(fastmath=True)
def ellipsoid(x: float, y: float, z: float, a: float, b: float, c: float) -> float:
    """Approximate distance to an ellipsoid with half axes a, b, c."""
    k0 = hypot3(x / a, y / b, z / c)
    k1 = hypot3(x / (a * a), y / (b * b), z / (c * c))
    return k0 * (k0 - 1.0) / max(k1, 1e-6)


@njit(fastmath=True)
def cuboid(x: float, y: float, z: float, a: float, b: float, c: float, r: float) -> float:
    """Distance to a box with half sides a, b, c and edges rounded by r."""
    u, v, w = abs(x) - a + r, abs(y) - b + r, abs(z) - c + r
    return hypot3(max(u, 0.0), max(v, 0.0), max(w, 0.0)) + min(max(u, max(v, w)), 0.0) - r


@njit(fastmath=True)
def drum(x: float, y: float, z: float, radius: float, half: float, r: float) -> float:
    """Distance to an upright cylinder of the given half height with edges rounded by r."""
    u, v = hypot2(x, z) - radius + r, abs(y) - half + r
    return hypot2(max(u, 0.0), max(v, 0.0)) + min(max(u, v), 0.0) - r


@njit(fastmath=True)
def rod(
    x: float, y: float, z: float,
    ax: float, ay: float, az: float, bx: float, by: float, bz: float,
    ra: float, rb: float,
) -> float:  # fmt: skip
    """Approximate distance to a rod from a to b whose radius goes from ra to rb."""
    ux, uy, uz = bx - ax, by - ay, bz - az
    px, py, pz = x - ax, y - ay, z - az
    t = min(1.0, max(0.0, (px * ux + py * uy + pz * uz) / (ux * ux + uy * uy + uz * uz)))
    return hypot3(px - t * ux, py - t * uy, pz - t * uz) - (ra + t * (rb - ra))


@njit(fastmath=True)
def ring(x: float, y: float, z: float, a: float, b: float, thick: float) -> float:
    """Approximate distance to an elliptic ring in the xy plane with half axes a and b."""
    k0 = hypot2(x / a, y / b)
    k1 = hypot2(x / (a * a), y / (b * b))
    flat = k0 * (k0 - 1.0) / max(k1, 1e-6)
    return hypot2(flat, z) - thick


@njit(fastmath=True)
def vase(x: float, y: float, z: float, q: Row) -> Hit:
    """A vase: foot, belly, neck and lip at random radii."""
    foot, belly, neck = 0.16 + 0.1 * q[0], 0.29 + 0.16 * q[1], 0.09 + 0.09 * q[2]
    lip = neck + 0.03 + 0.1 * q[3]
    low, high = 0.28 + 0.2 * q[4], 0.74 + 0.12 * q[5]
    if y < low:
        t = max(0.0, y / low)
        radius = foot + (belly - foot) * math.sin(1.5708 * t)
    elif y < high:
        radius = belly + (neck - belly) * ease(low, high, y)
    else:
        radius = neck + (lip - neck) * min(1.0, (y - high) / (1.0 - high)) ** 2
    r = hypot2(x, z)
    outer = max((r - radius) * 0.6, max(y - 1.0, -y))
    inner = max((r - radius + 0.035) * 0.6, 0.55 - y)
    part = INSIDE if r < radius - 0.028 and y > 0.5 else BODY
    return max(outer, -inner), part


@njit(fastmath=True)
def teapot(x: float, y: float, z: float, q: Row) -> Hit:
    """A teapot: squashed body, lid with knob, spout to +x, handle to -x."""
    a, b = 0.36 + 0.08 * q[0], 0.29 + 0.1 * q[1]
    body = max(ellipsoid(x, y - b * 0.92, z, a, b, a), -y)
    spout = rod(x, y, z, a * 0.75, b * 0.65, 0.0, a + 0.26, b * 1.55 + 0.1 * q[2], 0.0, 0.1, 0.04)
    spout = max(
        spout,
        -rod(x, y, z, a + 0.2, b * 1.5 + 0.09 * q[2], 0.0, a + 0.3, b * 1.7 + 0.12 * q[2], 0.0, 0.025, 0.03),
    )
    d, part = smooth_min(body, spout, 0.1), BODY
    handle = ring(x + a + 0.03, y - b, z, 0.17 + 0.05 * q[3], 0.2 + 0.06 * q[4], 0.04)
    handle = max(handle, -ellipsoid(x, y - b * 0.92, z, a * 0.9, b * 0.9, a * 0.9))
    d = min(d, handle)
    lid = ellipsoid(x, y - b * 1.72, z, a * 0.55, 0.09, a * 0.55)
    if lid < d:
        d, part = lid, ACCENT if q[5] > 0.6 else BODY
    knob = sphere(x, y - b * 1.72 - 0.13, z, 0.065)
    if knob < d:
        d, part = knob, ACCENT if q[5] > 0.3 else BODY
    return d, part


@njit(fastmath=True)
def bowl(x: float, y: float, z: float, q: Row) -> Hit:
    """A hollow bowl on a foot ring."""
    h = 0.34 + 0.16 * q[0]
    outer = ellipsoid(x, y - h - 0.03, z, 0.5, h, 0.5)
    inner = ellipsoid(x, y - h - 0.03, z, 0.46, h - 0.05, 0.46)
    d = max(max(outer, -inner), y - h - 0.03)
    part = INSIDE if inner < 0.006 else BODY
    foot = drum(x, y - 0.04, z, 0.2 + 0.06 * q[1], 0.04, 0.01)
    if foot < d:
        d, part = foot, BODY
    return d, part


@njit(fastmath=True)
def backpack(x: float, y: float, z: float, q: Row) -> Hit:
    """A backpack seen from its pocket side: domed body, front and side pockets, handle, zip."""
    a, c = 0.28 + 0.06 * q[0], 0.15 + 0.04 * q[1]
    body = cuboid(x, y - 0.38, z, a, 0.38, c, 0.1)
    dome = ellipsoid(x, y - 0.68, z, a, 0.25, c)
    d, part = smooth_min(body, dome, 0.12), BODY
    zip_height = 0.66 - 0.9 * x * x
    if z > 0.0 and abs(y - zip_height) < 0.012:
        part = DARK
    pocket = cuboid(x, y - 0.24, z - c, a * 0.78, 0.17 + 0.03 * q[2], 0.085, 0.06)
    if pocket < d:
        seam = abs(y - 0.33) < 0.011
        d, part = pocket, DARK if seam else (ACCENT if q[3] > 0.4 else BODY)
    side = cuboid(abs(x) - a, y - 0.18, z, 0.055, 0.16, c * 0.7, 0.05)
    if side < d:
        d, part = side, ACCENT if q[3] > 0.4 else BODY
    handle = ring(x, y - 0.92, z + c * 0.5, 0.09, 0.085, 0.02)
    strap = ring(abs(x) - a * 0.5, y - 0.46, z + c, 0.05 + a * 0.5, 0.34, 0.035)
    strap = max(strap, z + c * 0.8)
    if min(handle, strap) < d:
        d, part = min(handle, strap), DARK
    return d, part


@njit(fastmath=True)
def duck(x: float, y: float, z: float, q: Row) -> Hit:
    """A bath duck that looks to +x."""
    s = abs(z)
    body = ellipsoid(x, y - 0.27, z, 0.44, 0.28, 0.32)
    tail = rod(x, y, z, -0.3, 0.34, 0.0, -0.5, 0.52, 0.0, 0.13, 0.03)
    hx, hy, hr = 0.2 + 0.06 * q[1], 0.66 + 0.05 * q[2], 0.22 + 0.03 * q[3]
    d = smooth_min(smooth_min(body, tail, 0.1), sphere(x - hx, y - hy, z, hr), 0.09)
    wing = ellipsoid(x + 0.06, y - 0.33, s - 0.29, 0.22, 0.13, 0.06)
    d, part = max(smooth_min(d, wing, 0.03), -y), BODY
    beak = ellipsoid(x - hx - hr - 0.05, y - hy + 0.05, z, 0.12, 0.045, 0.1)
    if beak < d:
        d, part = beak, ORANGE
    eye = sphere(x - hx - 0.68 * hr, y - hy - 0.36 * hr, s - 0.58 * hr, 0.045)
    if eye < d:
        d, part = eye, DARK
    return d, part


@njit(fastmath=True)
def teddy(x: float, y: float, z: float, q: Row) -> Hit:
    """A sitting teddy bear that looks to +z."""
    s = abs(x)
    head_y = 0.74 + 0.03 * q[1]
    body = ellipsoid(x, y - 0.3, z, 0.27 + 0.04 * q[2], 0.31, 0.23)
    head = ellipsoid(x, y - head_y, z - 0.02, 0.25, 0.23, 0.22)
    ear = sphere(s - 0.2, y - head_y - 0.18, z, 0.09)
    arm = rod(s, y, z, 0.22, 0.45, 0.04, 0.36, 0.24, 0.17, 0.09, 0.085)
    leg = rod(s, y, z, 0.16, 0.12, 0.05, 0.26, 0.11, 0.34, 0.11, 0.11)
    d = smooth_min(smooth_min(body, head, 0.05), min(ear, smooth_min(arm, leg, 0.02)), 0.03)
    d, part = max(d, -y), BODY
    pale = min(
        ellipsoid(x, y - head_y + 0.07, z - 0.2, 0.11, 0.085, 0.08),
        ellipsoid(x, y - 0.3, z - 0.13, 0.17, 0.2, 0.13),
    )
    pale = min(pale, ellipsoid(s - 0.28, y - 0.11, z - 0.42, 0.075, 0.075, 0.04))
    if pale < d:
        d, part = pale, LIGHT
    dots = min(
        sphere(s - 0.09, y - head_y - 0.05, z - 0.21, 0.034),
        ellipsoid(x, y - head_y + 0.045, z - 0.275, 0.045, 0.032, 0.03),
    )
    if dots < d:
        d, part = dots, DARK
    return d, part


@njit(fastmath=True)
def robot(x: float, y: float, z: float, q: Row) -> Hit:
    """A tin robot that looks to +z: box body and head, dial, round eyes, aerial, arms and feet."""
    s = abs(x)
    a, b = 0.2 + 0.05 * q[1], 0.2 + 0.04 * q[2]
    head_y = 0.2 + 2.0 * b + 0.18
    d = cuboid(x, y - 0.18 - b, z, a, b, 0.15, 0.03)
    part = LIGHT if z > 0.1 and hypot2(x, y - 0.2 - b * 1.1) < 0.1 else BODY
    head = cuboid(x, y - head_y, z, 0.15 + 0.03 * q[3], 0.14, 0.13, 0.03)
    if head < d:
        d, part = head, ACCENT if q[4] > 0.5 else BODY
    arm = rod(s, y, z, a + 0.05, 0.12 + 2.0 * b, 0.0, a + 0.12, 0.28, 0.1, 0.05, 0.05)
    leg = cuboid(s - 0.11, y - 0.1, z, 0.055, 0.1, 0.06, 0.02)
    aerial = rod(x, y, z, 0.0, head_y + 0.12, 0.0, 0.0, head_y + 0.24, 0.0, 0.012, 0.012)
    metal = min(min(arm, leg), aerial)
    if metal < d:
        d, part = metal, METAL
    tips = min(
        sphere(x, y - head_y - 0.25, z, 0.035), cuboid(s - 0.12, y - 0.035, z - 0.05, 0.08, 0.035, 0.13, 0.02)
    )
    tips = min(tips, sphere(s - a - 0.12, y - 0.25, z - 0.12, 0.065))
    if tips < d:
        d, part = tips, ACCENT
    eye = sphere(s - 0.07, y - head_y - 0.02, z - 0.13, 0.042)
    if eye < d:
        d, part = eye, LIGHT if z < 0.16 else DARK
    mouth = cuboid(x, y - head_y + 0.08, z - 0.13, 0.07, 0.014, 0.006, 0.0)
    if mouth < d:
        d, part = mouth, DARK
    return d, part


@njit(fastmath=True)
def toy(x: float, y: float, z: float, q: Row) -> Hit:
    """A bath duck, a teddy bear or a tin robot."""
    if q[0] < 0.36:
        return duck(x, y, z, q)
    if q[0] < 0.72:
        return teddy(x, y, z, q)
    return robot(x, y, z, q)


@njit(fastmath=True)
def candle(x: float, y: float, z: float, q: Row) -> Hit:
    """A lit pillar candle, sometimes on a metal dish."""
    r, h = 0.2 + 0.1 * q[0], 0.55 + 0.25 * q[1]
    lift = 0.035 if q[2] > 0.5 else 0.0
    d, part = drum(x, y - h * 0.5 - lift, z, r, h * 0.5, 0.035), BODY
    d = max(d, -ellipsoid(x, y - h - lift, z, r * 0.8, 0.05, r * 0.8))
    if lift > 0.0:
        dish = drum(x, y - 0.03, z, r + 0.13, 0.03, 0.02)
        if dish < d:
            d, part = dish, METAL
    wick = rod(x, y, z, 0.0, h + lift - 0.05, 0.0, 0.005, h + lift + 0.06, 0.0, 0.014, 0.012)
    if wick < d:
        d, part = wick, DARK
    fy = y - h - lift - 0.15
    flame = (
        ellipsoid(x, fy, z, 0.062 - 0.3 * max(0.0, fy) * 0.55, 0.13, 0.062 - 0.3 * max(0.0, fy) * 0.55)
        if fy < 0.14
        else sphere(x, fy, z, 0.13)
    )
    if flame < d:
        d, part = flame, FLAME
    return d, part


@njit(fastmath=True)
def sneaker(x: float, y: float, z: float, q: Row) -> Hit:
    """A sports shoe, toe to +x: sole, upper, opening, laces, a wave on the side."""
    t = min(1.0, max(0.0, (x + 0.36) / 0.66))
    outline = hypot2(x + 0.36 - 0.66 * t, z) - (0.135 + 0.04 * t)
    toe_lift = 0.06 * ease(0.2, 0.55, x)
    sole_h = 0.1 + 0.04 * q[0]
    sole = smooth_max(outline - 0.018, abs(y - sole_h * 0.5 - toe_lift * 0.5) - sole_h * 0.5, 0.04)
    ankle = 0.42 + 0.12 * q[1]
    top = 0.21 + (ankle - 0.21) * ease(0.28, -0.14, x) + 0.03 * ease(-0.3, -0.5, x)
    upper = smooth_max(outline + 0.22 * max(0.0, y - 0.18), (y - top) * 0.75, 0.14)
    upper = max(upper, sole_h * 0.5 - y)
    hole = ellipsoid(x + 0.24, y - ankle - 0.02, z, 0.175, 0.17, 0.088)
    part = BODY
    if hole < 0.012:
        part = INSIDE
    elif abs(y - 0.2 - 0.35 * (0.1 - x) * (0.1 - x) - 0.02) < 0.028 and -0.42 < x < 0.2:
        part = ACCENT
    elif x > 0.3 and q[2] > 0.5:
        part = LIGHT
    d = max(upper, -hole)
    slope = (x - 0.16) / -0.24
    lace_y = 0.21 + (ankle - 0.21) * ease(0.28, -0.14, x) + 0.004
    if 0.0 < slope < 1.0:
        lace = max(
            abs(y - lace_y + 0.012) - 0.03,
            max(abs(z) - 0.075, abs(slope * 4.0 - math.floor(slope * 4.0) - 0.5) * 0.06 - 0.014),
        )
        if lace < d:
            d, part = lace, LIGHT
    if sole < d:
        d, part = sole, LIGHT if q[3] > 0.2 else DARK
    return d, part


@njit(fastmath=True)
def mug(x: float, y: float, z: float, q: Row) -> Hit:
    """A mug, handle to +x."""
    r, h = 0.31 + 0.1 * q[0], 0.7 + 0.25 * q[1]
    rr = r + 0.06 * (q[2] - 0.5) * (y / h - 0.5)
    outer = drum(x, y - h * 0.5, z, rr, h * 0.5, 0.03)
    inner = drum(x, y - h * 0.5 - 0.1, z, rr - 0.045, h * 0.5, 0.03)
    handle = ring(x - r, y - h * 0.5, z, 0.17 + 0.05 * q[3], 0.2 + 0.06 * q[4], 0.042)
    d = max(min(outer, handle), -inner)
    part = INSIDE if hypot2(x, z) < rr - 0.03 and y > 0.06 else BODY
    return d, part


@njit(fastmath=True)
def bottle(x: float, y: float, z: float, q: Row) -> Hit:
    """A bottle with shoulder, neck and cap."""
    r, neck = 0.15 + 0.07 * q[0], 0.055 + 0.025 * q[1]
    low = 0.45 + 0.15 * q[2]
    radius = r + (neck - r) * ease(low, low + 0.16 + 0.1 * q[3], y)
    d = smooth_max((hypot2(x, z) - radius) * 0.7, max(y - 0.93, -y), 0.03)
    cap = drum(x, y - 0.94, z, neck + 0.022, 0.065, 0.012)
    if cap < d:
        return cap, ACCENT
    return d, BODY


@njit(fastmath=True)
def can(x: float, y: float, z: float, q: Row) -> Hit:
    """A drinks can with bevelled metal ends."""
    r, h = 0.27 + 0.08 * q[0], 0.86 + 0.14 * q[1]
    bevel = 0.05
    end = max(0.0, max(bevel - y, y - h + bevel))
    d = max((hypot2(x, z) - r + end * 0.8) * 0.8, max(y - h, -y))
    d = max(d, -drum(x, y - h, z, r - bevel - 0.012, 0.025, 0.0))
    if y > h - bevel * 0.8 or y < bevel * 0.7:
        tab = cuboid(x - 0.05, y - h + 0.02, z, 0.07, 0.008, 0.035, 0.005)
        return min(d, tab), METAL
    return d, BODY


@njit(fastmath=True)
def bag(x: float, y: float, z: float, q: Row) -> Hit:
    """A handbag or tote: tapered body, two handles, flap with clasp."""
    h = 0.5 + 0.14 * q[0]
    t = min(1.0, max(0.0, y / h))
    a, c = 0.42 - (0.04 + 0.1 * q[1]) * t, 0.17 - 0.08 * t
    d, part = cuboid(x, y - h * 0.5, z, a, h * 0.5, c, 0.05) * 0.9, BODY
    if q[2] > 0.5 and z > 0.0 and y > h * 0.42 + 0.25 * x * x:
        part = ACCENT
        if y < h * 0.42 + 0.25 * x * x + 0.012:
            part = DARK
    if q[2] > 0.5:
        clasp = cuboid(x, y - h * 0.42 - 0.03, z - c - 0.0, 0.045, 0.035, 0.02, 0.01)
        if clasp < d:
            d, part = clasp, METAL
    handle = ring(x, y - h + 0.02, abs(z) - 0.05, 0.17 + 0.05 * q[3], 0.26 + 0.1 * q[4], 0.022)
    handle = max(handle, h * 0.72 - y)
    if handle < d:
        d, part = handle, ACCENT if q[2] > 0.5 else DARK
    return d, part


@njit(fastmath=True)
def lamp(x: float, y: float, z: float, q: Row) -> Hit:
    """A lit table lamp: foot, stem or round ceramic base, conical shade."""
    r = hypot2(x, z)
    foot = drum(x, y - 0.025, z, 0.17 + 0.05 * q[0], 0.025, 0.015)
    stem = drum(x, y - 0.35, z, 0.022, 0.35, 0.0)
    d, part = min(foot, stem), METAL
    if q[1] > 0.45:
        base = ellipsoid(x, y - 0.22, z, 0.15 + 0.06 * q[2], 0.21, 0.15 + 0.06 * q[2])
        if base < d:
            d, part = max(base, -y), ACCENT
    low = 0.5 + 0.08 * q[3]
    wide, slim = 0.32 + 0.06 * q[4], 0.17 + 0.1 * q[5]
    radius = wide + (slim - wide) * (y - low) / (1.0 - low)
    shade = max((abs(r - radius) - 0.012) * 0.85, abs(y - 0.5 * (1.0 + low)) - 0.5 * (1.0 - low))
    if shade < d:
        d, part = shade, GLOW
    return d, part


@njit(fastmath=True)
def box(x: float, y: float, z: float, q: Row) -> Hit:
    """A box with an overlapping lid and a ribbon, or a carton with tape."""
    a, h, c = 0.3 + 0.2 * q[0], 0.4 + 0.35 * q[1], 0.25 + 0.2 * q[2]
    d, part = cuboid(x, y - h * 0.5, z, a, h * 0.5, c, 0.015), BODY
    if q[3] > 0.45:
        lid = cuboid(x, y - h * 0.87, z, a + 0.02, h * 0.13, c + 0.02, 0.012)
        d = min(d, lid)
        if abs(x) < 0.055 or abs(z) < 0.055:
            part = ACCENT
        bow = min(
            ring((abs(x) - 0.09) * 0.8 - (y - h - 0.07) * 0.5, y - h - 0.07, z, 0.09, 0.055, 0.028),
            sphere(x, y - h - 0.03, z, 0.045),
        )
        if bow < d:
            d, part = bow, ACCENT
    elif abs(z) < 0.05 and (y > h - 0.03 or y > h * 0.7):
        part = CARD
    return d, part


@njit(fastmath=True)
def ball(x: float, y: float, z: float, q: Row) -> Hit:
    """A ball, with or without dark seams."""
    v = y - 0.5
    part = BODY
    if q[0] > 0.5:
        bend = abs(hypot2(x * 0.9 + 0.62, v) - 0.52) if x < 0.0 else abs(hypot2(x * 0.9 - 0.62, v) - 0.52)
        if min(min(abs(v), abs(x)), bend) < 0.012:
            part = DARK
    return sphere(x, v, z, 0.5), part


@njit(fastmath=True)
def book(x: float, y: float, z: float, q: Row) -> Hit:
    """A hardcover that stands upright, spine to -x."""
    a, b, c = 0.3 + 0.06 * q[0], 0.45 + 0.05 * q[1], 0.06 + 0.06 * q[2]
    boards = cuboid(x, y - b, abs(z) - c + 0.012, a, b, 0.014, 0.006)
    spine = cuboid(x + a - 0.012, y - b, z, 0.014, b, c, 0.006)
    d = min(boards, spine)
    part = ACCENT if x < -a + 0.07 and q[3] > 0.5 else BODY
    pages = cuboid(x + 0.012, y - b, z, a - 0.03, b - 0.03, c - 0.01, 0.0)
    if pages < d:
        d, part = pages, LIGHT
    return d, part


@njit(fastmath=True)
def clock(x: float, y: float, z: float, q: Row) -> Hit:
    """An alarm clock that looks to +z: round case, face with hands, two bells, two feet."""
    s, radius, half = abs(x), 0.33 + 0.05 * q[0], 0.1 + 0.05 * q[1]
    middle = 0.08 + radius
    v = y - middle
    d, part = drum(x, z, v, radius, half, 0.04), BODY
    r = hypot2(x, v)
    if z > 0.0 and r < radius - 0.05:
        part = clock_face(x, v, r, radius - 0.05, q)
    bell = max(ellipsoid(s - 0.21, v - radius - 0.05, z, 0.15, 0.11, 0.11), radius * 0.98 - r)
    if bell < d:
        d, part = bell, METAL if q[4] > 0.5 else ACCENT
    foot = rod(s, y, z, 0.17, 0.15, 0.0, 0.27, 0.03, 0.0, 0.03, 0.035)
    grip = ring(x, v - radius - 0.12, z, 0.11, 0.09, 0.016)
    grip = max(grip, radius + 0.1 - v)
    if min(foot, grip) < d:
        d, part = min(foot, grip), METAL
    return d, part


@njit(fastmath=True)
def clock_face(x: float, v: float, r: float, radius: float, q: Row) -> int:
    """The part of a clock's face at (x, v) from its middle: pale, with twelve marks and two dark hands."""
    angle = math.atan2(x, v)
    hour, minute = 6.2832 * q[2], 6.2832 * q[3]
    for way, length, width in ((hour, 0.55 * radius, 0.026), (minute, 0.8 * radius, 0.018)):
        forward = x * math.sin(way) + v * math.cos(way)
        aside = abs(x * math.cos(way) - v * math.sin(way))
        if -0.04 < forward < length and aside < width:
            return DARK
    mark = angle * 1.90986 - math.floor(angle * 1.90986 + 0.5)
    if 0.8 * radius < r < 0.93 * radius and abs(mark) < 0.1:
        return DARK
    return LIGHT


@njit(fastmath=True)
def tray(x: float, y: float, z: float, q: Row) -> Hit:
    """A round or square tray with a low rim."""
    a, b = 0.5 + 0.1 * q[0], 0.44 + 0.1 * q[1]
    if q[2] > 0.5:
        outer = drum(x, y - 0.02, z, a, 0.02, 0.008)
        inner = drum(x, y - 0.04, z, a - 0.03, 0.025, 0.004)
    else:
        outer = cuboid(x, y - 0.02, z, a, 0.02, b, 0.01)
        inner = cuboid(x, y - 0.04, z, a - 0.03, 0.025, b - 0.03, 0.01)
    return max(outer, -inner), BODY


@njit(fastmath=True)
def hand(x: float, y: float, z: float, q: Row) -> Hit:
    """A forearm that comes from +x, with a palm, four fingers and a thumb towards -x."""
    palm_x, palm_y = 0.02 - 0.1 * q[0], 0.3 + 0.15 * q[1]
    sleeve = rod(x, y, z, 0.6, 0.14, -0.1, 0.42, 0.2, -0.06, 0.13, 0.12)
    d = rod(x, y, z, 0.6, 0.14, -0.1, palm_x + 0.1, palm_y - 0.02, 0.0, 0.095, 0.07)
    d = smooth_min(d, ellipsoid(x - palm_x, y - palm_y, z, 0.15, 0.075, 0.11), 0.08)
    curl = 0.05 + 0.18 * q[2]
    for k in range(4):
        side = -0.09 + 0.06 * k
        reach = palm_x - 0.3 - 0.03 * (k in (1, 2))
        finger = rod(
            x, y, z, palm_x - 0.08, palm_y + 0.01, side, reach, palm_y - curl, side * 1.15, 0.034, 0.026
        )
        d = smooth_min(d, finger, 0.02)
    thumb = rod(x, y, z, palm_x + 0.02, palm_y, 0.09, palm_x - 0.15, palm_y - 0.03, 0.2, 0.038, 0.03)
    d = smooth_min(d, thumb, 0.03)
    if q[3] > 0.4 and sleeve < d:
        return sleeve, ACCENT
    return d, BODY


@njit(fastmath=True)
def distance(kind: int, x: float, y: float, z: float, q: Row) -> Hit:
    """Distance (units of product space) and part of product `kind` (an index into KINDS) at a point."""
    if kind == 0:
        return vase(x, y, z, q)
    if kind == 1:
        return teapot(x, y, z, q)
    if kind == 2:
        return bowl(x, y, z, q)
    if kind == 3:
        return backpack(x, y, z, q)
    if kind == 4:
        return toy(x, y, z, q)
    if kind == 5:
        return candle(x, y, z, q)
    if kind == 6:
        return sneaker(x, y, z, q)
    if kind == 7:
        return mug(x, y, z, q)
    if kind == 8:
        return bottle(x, y, z, q)
    if kind == 9:
        return can(x, y, z, q)
    if kind == 10:
        return bag(x, y, z, q)
    if kind == 11:
        return lamp(x, y, z, q)
    if kind == 12:
        return box(x, y, z, q)
    if kind == 13:
        return ball(x, y, z, q)
    if kind == 14:
        return book(x, y, z, q)
    if kind == 15:
        return clock(x, y, z, q)
    if kind == 16:
        return tray(x, y, z, q)
    return hand(x, y, z, q)


@njit(cache=True, fastmath=True)
def measure_box(kind: int, q: Row) -> Row:
    """Bounds (left, right, bottom, top, back, front) of a product, from a coarse grid of distances."""
    step, n = 0.05, 28
    low = np.array([9.0, 9.0, 9.0])
    high = np.array([-9.0, -9.0, -9.0])
    for i in range(n):
        for j in range(n):
            for k in range(n):
                x, y, z = (i - 13.5) * step, (j - 1) * step, (k - 13.5) * step
                if distance(kind, x, y, z, q)[0] < 0.02:
                    low[0], high[0] = min(low[0], x), max(high[0], x)
                    low[1], high[1] = min(low[1], y), max(high[1], y)
                    low[2], high[2] = min(low[2], z), max(high[2], z)
    pad = 0.045
    return np.array([low[0] - pad, high[0] + pad, 0.0, high[1] + pad, low[2] - pad, high[2] + pad])


def proportions(noun: str, shape_seed: int) -> NDArray[np.float64]:
    """Eight random proportions in 0..1, the same for the same noun and seed."""
    return np.random.default_rng([KINDS.index(noun), shape_seed]).random(8)
