"""Pocket studio, rays: the one kernel that looks at products and scene and colours every pixel."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from productshot.pocket.shapes import (
    ACCENT,
    BODY,
    CARD,
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
)
from productshot.pocket.textures import (
    BRICK, CITY, CONCRETE, FABRIC, GREY, ROOM, WHITE, backdrop, chance, ground, ground_end, noise,
)  # fmt: skip

MISS = 1e9


@njit(cache=True, fastmath=True)
def enter_box(ox, oy, oz, dx, dy, dz, box):
    """Where a ray enters and leaves a box, or (MISS, -MISS)."""
    near, far = 0.0, MISS
    for axis in range(3):
        o = ox if axis == 0 else (oy if axis == 1 else oz)
        d = dx if axis == 0 else (dy if axis == 1 else dz)
        inv = 1.0 / d if abs(d) > 1e-9 else 1e9
        t0, t1 = (box[2 * axis] - o) * inv, (box[2 * axis + 1] - o) * inv
        near, far = max(near, min(t0, t1)), min(far, max(t0, t1))
    if near > far:
        return MISS, -MISS
    return near, far


@njit(cache=True, fastmath=True)
def to_product(x, y, z, place):
    """A world point in product space; place = (x, z, cos yaw, sin yaw, scale)."""
    u, w = x - place[0], z - place[1]
    s = 1.0 / place[4]
    return (u * place[2] - w * place[3]) * s, y * s, (u * place[3] + w * place[2]) * s


@njit(cache=True, fastmath=True)
def turn(x, z, place):
    """A world direction in product space (y stays)."""
    return x * place[2] - z * place[3], x * place[3] + z * place[2]


@njit(cache=True, fastmath=True)
def march(kind, q, box, ox, oy, oz, dx, dy, dz, limit):
    """First hit (t, part) of a ray in product space, or (MISS, 0)."""
    t, far = enter_box(ox, oy, oz, dx, dy, dz, box)
    far = min(far, limit)
    for _ in range(70):
        if t > far:
            return MISS, 0
        d, part = distance(kind, ox + dx * t, oy + dy * t, oz + dz * t, q)
        if d < 0.0015:
            return t, part
        t += d * 0.85
    return MISS, 0


@njit(cache=True, fastmath=True)
def shade_of(kind, q, box, ox, oy, oz, dx, dy, dz, softness):
    """Light that passes a product on its way to a point, 0 (dark) .. 1 (free)."""
    t, far = enter_box(ox, oy, oz, dx, dy, dz, box)
    t = max(t, 0.03)
    light = 1.0
    for _ in range(18):
        if t > far:
            break
        d, _part = distance(kind, ox + dx * t, oy + dy * t, oz + dz * t, q)
        light = min(light, 0.5 + 0.5 * d / (softness * t))
        if light < 0.02:
            return 0.0
        t += max(0.035, d * 0.9)
    light = max(0.0, light)
    return light * light * (3.0 - 2.0 * light)


@njit(cache=True, fastmath=True)
def facing(kind, q, x, y, z):
    """Unit normal of a product at a surface point (tetrahedron differences)."""
    h = 0.003
    a = distance(kind, x + h, y - h, z - h, q)[0]
    b = distance(kind, x - h, y - h, z + h, q)[0]
    c = distance(kind, x - h, y + h, z - h, q)[0]
    d = distance(kind, x + h, y + h, z + h, q)[0]
    nx, ny, nz = a - b - c + d, -a - b + c + d, -a + b - c + d
    n = 1.0 / max(1e-9, math.sqrt(nx * nx + ny * ny + nz * nz))
    return nx * n, ny * n, nz * n


@njit(cache=True, fastmath=True)
def pattern_share(pattern, is_round, count, upright, x, y, z, nx, ny, nz):
    """1 where the pattern (0 plain, 1 striped, 2 dotted, 3 checkered) wears the second colour, else 0."""
    if pattern == 0:
        return 0.0
    v = y * count
    if is_round:
        around = round(count * 0.75) * 2.0
        u = math.atan2(x, z) * around * 0.15915494
    elif abs(nz) > max(abs(nx), abs(ny)):
        u = x * count
    elif abs(nx) > abs(ny):
        u = z * count
    else:
        u, v = x * count, z * count
    if pattern == 1:
        s = u if upright else v
        return 1.0 if s - math.floor(s) < 0.5 else 0.0
    if pattern == 2:
        row = math.floor(v)
        s = u + 0.5 * (row % 2.0) if not is_round else u
        p, w = s - math.floor(s) - 0.5, v - row - 0.5
        return 1.0 if p * p + w * w < 0.095 else 0.0
    return (math.floor(u) + math.floor(v)) % 2.0


@njit(cache=True, fastmath=True)
def label_tone(x, y, z, nz, label, is_round, seed):
    """Brightness of the paper label at a front point: -1 outside, else paper or ink; label = (low, high, half width)."""
    if z <= 0.0 or nz < 0.25 or y < label[0] or y > label[1] or label[2] <= 0.0:
        return -1.0
    s = math.atan2(x, z) * label[3] if is_round else x
    if abs(s) > label[2]:
        return -1.0
    u, v = 0.5 + 0.5 * s / label[2], (y - label[0]) / (label[1] - label[0])
    if v > 0.6:
        ink = 0.16 < u < 0.84 and 0.68 < v < 0.86 and chance(int(u * 11.0), 3, seed) < 0.8
    else:
        row = math.floor(v * 8.0)
        ink = 0.14 < u < 0.6 + 0.3 * chance(int(row), 9, seed) and v > 0.12 and v * 8.0 - row < 0.42
    return 0.08 if ink else 0.88


@njit(cache=True, fastmath=True)
def env_light(scene, dx, dy, dz, lx, ly, lz, sky, floor):
    """What a mirror sees in a direction: sky, floor, a softbox towards the light and a strip beside it."""
    t = ease(-0.15, 0.25, dy)
    r = floor[0] * (1.0 - t) + sky[0] * t
    g = floor[1] * (1.0 - t) + sky[1] * t
    b = floor[2] * (1.0 - t) + sky[2] * t
    c = dx * lx + dy * ly + dz * lz
    s = 2.2 * ease(0.9, 0.97, c) + 0.7 * ease(0.12, 0.0, abs(dx + 0.75)) * ease(-0.2, 0.1, dy)
    return r + s, g + s, b + s


@njit(cache=True, fastmath=True)
def paint(part, pattern_on, paints):
    """Base colour (r, g, b) of a part; paints[0] is the colour, paints[1] the second colour."""
    if part == BODY or part == GLOW:
        i = 1 if pattern_on > 0.5 else 0
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
    return 0.6, 0.44, 0.26


@njit(cache=True, fastmath=True)
def product_colour(part, x, y, z, nx, ny, nz, looks, paints, label):
    """Base colour (r, g, b) and kind of finish of a product point; looks as in `Stage`."""
    on = pattern_share(int(looks[0]), looks[3] > 0.5, looks[4], looks[5] > 0.5, x, y, z, nx, ny, nz)
    r, g, b = paint(part, on, paints)
    if part == BODY:
        tone = label_tone(x, y, z, nz, label, looks[3] > 0.5, int(looks[6]))
        if tone >= 0.0:
            return tone, tone * 0.98, tone * 0.93, LIGHT
    return r, g, b, part


@njit(cache=True, fastmath=True)
def lit_product(
    scene, r, g, b, finish, material, nx, ny, nz, dx, dy, dz, light, sun, sky, floor, shadow, occlusion
):
    """Colour of a product point under key light, sky, floor bounce and reflections; n, d, light in world space."""
    if finish == FLAME:
        return 1.7, 1.15 + 0.3 * ny, 0.35
    key = max(0.0, nx * light[0] + ny * light[1] + nz * light[2]) * shadow
    up = 0.5 + 0.5 * ny
    cr = r * (key * sun[0] + occlusion * (sky[0] * up + floor[0] * 0.55 * (1.0 - up)))
    cg = g * (key * sun[1] + occlusion * (sky[1] * up + floor[1] * 0.55 * (1.0 - up)))
    cb = b * (key * sun[2] + occlusion * (sky[2] * up + floor[2] * 0.55 * (1.0 - up)))
    if finish == GLOW:
        return cr * 0.5 + r * 0.62 + 0.12, cg * 0.5 + g * 0.6 + 0.09, cb * 0.5 + b * 0.5 + 0.03
    if finish == INSIDE or (material == 0 and finish != METAL):
        return cr, cg, cb
    along = -2.0 * (dx * nx + dy * ny + dz * nz)
    er, eg, eb = env_light(
        scene, dx + along * nx, dy + along * ny, dz + along * nz, light[0], light[1], light[2], sky, floor
    )
    fresnel = (1.0 - min(1.0, abs(0.5 * along))) ** 5
    if finish == METAL or (material == 2 and finish != LIGHT and finish != DARK):
        k = 0.75 * (0.3 + 0.7 * occlusion)
        return cr * 0.25 + er * k * (r + 0.1), cg * 0.25 + eg * k * (g + 0.1), cb * 0.25 + eb * k * (b + 0.1)
    k = (0.05 + 0.5 * fresnel) * (0.4 + 0.6 * occlusion) * (1.0 if finish != LIGHT else 0.4)
    return cr + er * k, cg + eg * k, cb + eb * k


@njit(cache=True, fastmath=True)
def floor_shadow(stage_kinds, qs, boxes, places, x, z, light, softness):
    """Key light that reaches a floor point and how open its sky is: (shadow, occlusion), each 0..1."""
    shadow, occlusion = 1.0, 1.0
    for i in range(stage_kinds.shape[0]):
        ox, oy, oz = to_product(x, 0.0, z, places[i])
        lx, lz = turn(light[0], light[2], places[i])
        shadow *= shade_of(stage_kinds[i], qs[i], boxes[i], ox, oy, oz, lx, light[1], lz, softness)
        bx = max(0.0, max(boxes[i, 0] - ox, ox - boxes[i, 1]))
        bz = max(0.0, max(boxes[i, 4] - oz, oz - boxes[i, 5]))
        if hypot2(bx, bz) < 0.3:
            near = distance(stage_kinds[i], ox, 0.04, oz, qs[i])[0]
            far = distance(stage_kinds[i], ox, 0.18, oz, qs[i])[0]
            occlusion *= (0.3 + 0.7 * ease(-0.02, 0.16, near)) * (0.65 + 0.35 * ease(-0.05, 0.3, far))
    return shadow, occlusion


@njit(cache=True, fastmath=True)
def scene_colour(
    scene, seed, ox, oy, oz, dx, dy, dz, kinds, qs, boxes, places, light, sun, sky, softness, pixel
):
    """Colour of floor or backdrop along a ray, and its distance: (r, g, b, t)."""
    end = ground_end(scene, seed)
    t = -oy / dy if dy < -1e-4 else MISS
    ahead = max(0.05, -dz)
    if t < 80.0 and oz + dz * t > end:
        x, z = ox + dx * t, oz + dz * t
        blur = pixel * t / max(0.08, -dy)
        r, g, b, gloss = ground(scene, x, z, blur, seed)
        shadow, open_sky = floor_shadow(kinds, qs, boxes, places, x, z, light, softness)
        fill = 1.0 + 0.6 * (1.0 - ease(0.0, 0.6, sun[0]))
        if scene == ROOM:
            s, v = x + 0.35 * z, z * 0.9 - 0.35 * x
            patch = ease(0.02, 0.1, abs(v - math.floor(v / 0.9 + 0.5) * 0.9)) * ease(
                0.02, 0.1, abs(s - math.floor(s / 0.7 + 0.5) * 0.7)
            )
            shadow *= 0.5 + 0.6 * patch
        kr = light[1] * shadow * sun[0] + open_sky * sky[0] * fill
        kg = light[1] * shadow * sun[1] + open_sky * sky[1] * fill
        kb = light[1] * shadow * sun[2] + open_sky * sky[2] * fill
        r, g, b = r * kr, g * kg, b * kb
        if gloss > 0.1:
            wobble = (noise(x * 7.0, z * 7.0, seed) - 0.5) * 0.06 if scene == CITY else 0.0
            er, eg, eb = backdrop(scene, dx / ahead + wobble, -dy / ahead + wobble, x, 0.6, blur, seed)
            k = (
                gloss
                * (0.15 + 0.85 * (1.0 + dy) ** 4)
                * (0.35 + 0.65 * open_sky)
                * (0.7 if scene != CITY else 1.0)
            )
            r, g, b = r * (1.0 - k) + er * k, g * (1.0 - k) + eg * k, b * (1.0 - k) + eb * k
        return sweep(scene, r, g, b, dy / ahead, t)
    reach = (end - oz) / min(-0.05, dz)
    x, y = ox + dx * reach, oy + dy * reach
    if scene == FABRIC or scene == GREY or scene == WHITE:
        r, g, b, _ = ground(scene, ox + dx * 25.0, oz + dz * 25.0, 1.0, seed)
        k = light[1] * sun[0] + sky[0]
        return sweep(scene, r * k, g * k, b * k, dy / ahead, 30.0)
    r, g, b = backdrop(scene, dx / ahead, dy / ahead, x, y, pixel * reach, seed)
    if scene == BRICK or scene == CONCRETE or scene == ROOM:
        k = 0.55 * max(0.0, light[2]) * sun[0] + 0.85 * sky[0] + 0.1
        corner = 0.7 + 0.3 * ease(0.0, 0.35, y)
        return r * k * corner * 1.15, g * k * corner * 1.15, b * k * corner * 1.15, reach
    return r, g, b, 30.0


@njit(cache=True, fastmath=True)
def sweep(scene, r, g, b, e, t):
    """Blend the far floor of sweeps and cloth into an even backdrop, so that no horizon shows."""
    if scene == GREY or scene == WHITE or scene == FABRIC:
        far = ease(-0.32, 0.05, e)
        f = 1.0 - (0.38 if scene == GREY else (0.12 if scene == WHITE else 0.3)) * far
        return r * f, g * f, b * f, t
    return r, g, b, t


@njit(cache=True, fastmath=True)
def look(ox, oy, oz, dx, dy, dz, kinds, qs, boxes, places):
    """Nearest product along a ray: (t in world units, index, part), index -1 for none."""
    best, which, seen = MISS, -1, 0
    for i in range(kinds.shape[0]):
        px, py, pz = to_product(ox, oy, oz, places[i])
        ux, uz = turn(dx, dz, places[i])
        t, part = march(kinds[i], qs[i], boxes[i], px, py, pz, ux, dy, uz, best / places[i, 4])
        if t < MISS and t * places[i, 4] < best:
            best, which, seen = t * places[i, 4], i, part
    return best, which, seen


@njit(cache=True, fastmath=True)
def product_light(
    scene,
    i,
    part,
    t,
    ox,
    oy,
    oz,
    dx,
    dy,
    dz,
    kinds,
    qs,
    boxes,
    places,
    looks,
    paints,
    labels,
    light,
    sun,
    sky,
    floor,
    softness,
):
    """Colour of product i where a ray hits it."""
    x, y, z = to_product(ox + dx * t, oy + dy * t, oz + dz * t, places[i])
    nx, ny, nz = facing(kinds[i], qs[i], x, y, z)
    r, g, b, finish = product_colour(part, x, y, z, nx, ny, nz, looks[i], paints[i], labels[i])
    lx, lz = turn(light[0], light[2], places[i])
    shadow = 0.0
    if nx * lx + ny * light[1] + nz * lz > 0.0:
        shadow = shade_of(
            kinds[i], qs[i], boxes[i], x + nx * 0.02, y + ny * 0.02, z + nz * 0.02, lx, light[1], lz, softness
        )
    near = distance(kinds[i], x + nx * 0.07, y + ny * 0.07, z + nz * 0.07, qs[i])[0]
    occlusion = (0.35 + 0.65 * min(1.0, max(0.0, near / 0.07))) * (0.55 + 0.45 * ease(-0.05, 0.3, y))
    wx, wz = nx * places[i, 2] + nz * places[i, 3], -nx * places[i, 3] + nz * places[i, 2]
    return lit_product(
        scene,
        r,
        g,
        b,
        finish,
        int(looks[i, 1]),
        wx,
        ny,
        wz,
        dx,
        dy,
        dz,
        light,
        sun,
        sky,
        floor,
        shadow,
        occlusion,
    )


@njit(cache=True, fastmath=True)
def encode(value):
    """Linear light as an sRGB byte, with a soft shoulder."""
    v = max(0.0, value)
    if v > 0.75:
        v = 0.75 + 0.25 * (1.0 - math.exp(-(v - 0.75) / 0.25))
    return np.uint8(min(255.0, 255.0 * v**0.45454545 + 0.5))


@njit(cache=True, fastmath=True)
def expose(
    scene, seed, camera, sub, kinds, qs, boxes, places, looks, paints, labels, lights, picture, mask, depth
):
    """Fill picture (h, w, 3) uint8 sRGB, mask (h, w) uint8 of product 0, depth (h, w) float32 in product units.

    camera = position (3), right (3), up (3), forward (3), tangent per pixel, centre x, centre y (pixels);
    lights = direction, sun, sky, floor colour (4, 3), then softness at [4, 0].
    """
    height, width = mask.shape
    ox, oy, oz = camera[0], camera[1], camera[2]
    light, sun, sky, floor, softness = lights[0], lights[1], lights[2], lights[3], lights[4, 0]
    pixel = camera[12] / sub
    share = 1.0 / (sub * sub)
    for row in range(height):
        for col in range(width):
            r, g, b, covered, nearest = 0.0, 0.0, 0.0, 0.0, MISS
            for k in range(sub * sub):
                u = (col + (k % sub + 0.5) / sub - camera[13]) * camera[12]
                v = (camera[14] - row - (k // sub + 0.5) / sub) * camera[12]
                dx = camera[9] + u * camera[3] + v * camera[6]
                dy = camera[10] + u * camera[4] + v * camera[7]
                dz = camera[11] + u * camera[5] + v * camera[8]
                n = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
                dx, dy, dz = dx * n, dy * n, dz * n
                t, i, part = look(ox, oy, oz, dx, dy, dz, kinds, qs, boxes, places)
                if i >= 0:
                    cr, cg, cb = product_light(
                        scene,
                        i,
                        part,
                        t,
                        ox,
                        oy,
                        oz,
                        dx,
                        dy,
                        dz,
                        kinds,
                        qs,
                        boxes,
                        places,
                        looks,
                        paints,
                        labels,
                        light,
                        sun,
                        sky,
                        floor,
                        softness,
                    )
                    if i == 0:
                        covered += share
                else:
                    cr, cg, cb, t = scene_colour(
                        scene,
                        seed,
                        ox,
                        oy,
                        oz,
                        dx,
                        dy,
                        dz,
                        kinds,
                        qs,
                        boxes,
                        places,
                        light,
                        sun,
                        sky,
                        softness,
                        pixel,
                    )
                r, g, b, nearest = r + cr * share, g + cg * share, b + cb * share, min(nearest, t)
            picture[row, col, 0], picture[row, col, 1], picture[row, col, 2] = encode(r), encode(g), encode(b)
            mask[row, col] = np.uint8(255.0 * covered + 0.5)
            depth[row, col] = nearest
