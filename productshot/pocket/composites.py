"""Training pictures of pocket-matte: invented and rendered products in front of invented worlds, with their masks.

One composite is a pure function of its seed: a ground, things that are not the product (clutter, trays, arms, cropped
neighbours, shadows), the product on top, then a camera. What counts as product: the whole, uppermost thing near the
middle. What touches it from the border, lies under it or is blurred behind it is ground.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from .patterns import Field, Rng, colour, fractal, noise, random_pattern
from .silhouettes import SILHOUETTES, Points, Stroke, fill, oval


@dataclass(frozen=True)
class Tile:
    """A thing cut out tightly or loosely: colours (h, w, 3) float32 0..1, alpha (h, w) float32 0..1."""

    colours: Field
    alpha: Field


@dataclass(frozen=True)
class Stock:
    """What composites are put together from, drawn once: uint8 arrays, the masks as alpha 0..255.

    patterns (n, s, s, 3); things (m, t, t, 4), invented objects; pictures (k, u, u, 3) and masks (k, u, u),
    drawings of the studio (k may be 0: then every product is invented).
    """

    patterns: NDArray[np.uint8]
    things: NDArray[np.uint8]
    pictures: NDArray[np.uint8]
    masks: NDArray[np.uint8]

    def pattern(self, rng: Rng, size: int) -> Field:
        """A piece of a pattern, turned and recoloured by a swap of channels: (size, size, 3) float32, 0..1."""
        whole = self.patterns[rng.integers(len(self.patterns))][..., rng.permutation(3)]
        side = int(len(whole) * rng.uniform(0.5, 1.0))
        x, y = rng.integers(0, len(whole) - side + 1, 2)
        piece = Image.fromarray(np.ascontiguousarray(whole[y : y + side, x : x + side]))
        if rng.random() < 0.5:
            piece = piece.transpose(Image.Transpose(int(rng.integers(7))))
        return np.asarray(piece.resize((size, size), Image.Resampling.BILINEAR), np.float32) / 255

    def thing(self, rng: Rng) -> Tile:
        """An invented object, recoloured by a swap of channels."""
        whole = self.things[rng.integers(len(self.things))].astype(np.float32) / 255
        return trimmed(Tile(whole[..., rng.permutation(3)], whole[..., 3]))

    def scene(self, rng: Rng) -> Stage:
        """One drawing of the studio as it is."""
        index = int(rng.integers(len(self.pictures)))
        return Stage(
            self.pictures[index].astype(np.float32) / 255, self.masks[index].astype(np.float32) / 255
        )

    def product(self, rng: Rng) -> Tile:
        """An invented object or, as often, the product of a drawing."""
        if not len(self.pictures) or rng.random() < 0.5:
            return self.thing(rng)
        while True:
            scene = self.scene(rng)
            if (scene.alpha > 0.5).mean() > 0.03:
                return trimmed(Tile(scene.colours[..., rng.permutation(3)], scene.alpha))


def stocked(
    patterns: int,
    things: int,
    size: int,
    pictures: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    seed: int = 0,
) -> Stock:
    """A stock with that many patterns and things at `size` px, beside the studio's drawings."""
    rng = np.random.default_rng(seed)
    covers = np.stack([(random_pattern(rng, size) * 255).astype(np.uint8) for _ in range(patterns)])
    objects = np.stack([(drawn_thing(rng, size) * 255).astype(np.uint8) for _ in range(things)])
    return Stock(covers, objects, pictures, masks)


# ---- things: silhouettes with surfaces


def blurred(field: Field, radius: float) -> Field:
    """`field` (h, w) or (h, w, 3), 0..1, under a Gaussian of `radius` px (8-bit inside)."""
    picture = Image.fromarray((np.clip(field, 0, 1) * 255).astype(np.uint8))
    return np.asarray(picture.filter(ImageFilter.GaussianBlur(radius)), np.float32) / 255


def lit(rng: Rng, surface: Field, cover: Field, light: Points, gloss: float) -> Field:
    """`surface` shaded as if `cover` were a cushion under `light` (x, y, depth of the shading), with a highlight."""
    height = blurred(cover, len(cover) * rng.uniform(0.02, 0.12))
    down, right = np.asarray(np.gradient(height), np.float32)
    x, y, deep = (float(v) for v in light)
    slope = (right * x + down * y) * (len(cover) * 0.15)
    shade = 1 + deep * np.clip(slope, -1, 1) - deep * 0.5 * (1 - height)
    peak = np.clip(slope - 0.25, 0, 1) * gloss
    shaded: Field = surface * shade[..., None] + peak[..., None]
    return shaded.clip(0, 1)


def drawn_thing(rng: Rng, size: int) -> Field:
    """An invented object, whole: (size, size, 4) float32, 0..1, colours and alpha."""
    parts = SILHOUETTES[rng.integers(len(SILHOUETTES))](rng)
    turn, flip = rng.normal(0, 0.25), rng.choice([-1.0, 1.0])
    squeeze = np.diag([flip * rng.uniform(0.7, 1), rng.uniform(0.7, 1)])
    pose = np.column_stack(
        [np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ squeeze, [0, 0]]
    )
    light = np.array([rng.normal(), rng.normal(), rng.uniform(0.1, 0.9)])
    gloss = float(rng.choice([0.0, 0.0, rng.uniform(0.5, 4)]))
    shared = random_pattern(rng, size)
    colours, alpha = shared.copy(), np.zeros((size, size), np.float32)
    for part in parts:
        own = random_pattern(rng, size) if rng.random() < 0.4 else shared * np.float32(rng.uniform(0.6, 1.15))
        cover = fill(part, size, pose)
        colours += (lit(rng, own, cover, light, gloss) - colours) * cover[..., None]
        alpha = np.minimum(alpha + cover, 1)
    if rng.random() < 0.35:
        label = fill(
            [Stroke(oval(rng.normal(0, 0.1), 0.15, rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3), 8))],
            size,
            pose,
        )
        colours += (random_pattern(rng, size) - colours) * (label * (alpha > 0.5))[..., None]
    return np.concatenate([np.clip(colours, 0, 1), alpha[..., None]], 2)


def trimmed(tile: Tile) -> Tile:
    """The tile cropped to where its alpha is above a half (whole when nothing is)."""
    rows, columns = (np.flatnonzero((tile.alpha > 0.5).any(axis)) for axis in (1, 0))
    if not len(rows):
        return tile
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Tile(tile.colours[window], tile.alpha[window])


def resized(tile: Tile, width: int, height: int) -> Tile:
    """The tile at another size in px."""
    colours = Image.fromarray((tile.colours * 255).astype(np.uint8)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    alpha = Image.fromarray((tile.alpha * 255).astype(np.uint8)).resize(
        (width, height), Image.Resampling.BILINEAR
    )
    return Tile(np.asarray(colours, np.float32) / 255, np.asarray(alpha, np.float32) / 255)


@dataclass
class Stage:
    """The picture while it is made: colours (s, s, 3) and the product's alpha (s, s), float32; changes in place."""

    colours: Field
    alpha: Field

    @property
    def size(self) -> int:
        return len(self.alpha)

    def paste(self, tile: Tile, left: int, top: int, is_product: bool) -> None:
        """Lays the tile over the picture, cropped at the frame; hides or extends the product's alpha."""
        height, width = tile.alpha.shape
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + width, self.size), min(top + height, self.size)
        if x0 >= x1 or y0 >= y1:
            return
        source, target = np.s_[y0 - top : y1 - top, x0 - left : x1 - left], np.s_[y0:y1, x0:x1]
        cover = tile.alpha[source]
        self.colours[target] += (tile.colours[source] - self.colours[target]) * cover[..., None]
        self.alpha[target] += ((1.0 if is_product else 0.0) - self.alpha[target]) * cover

    def cover(self, colours: Field, alpha: Field) -> None:
        """Lays something that is not the product over the whole picture."""
        self.paste(Tile(colours, alpha), 0, 0, is_product=False)


# ---- grounds


def receding(rng: Rng, stock: Stock, size: int, rows: int) -> Field:
    """A patterned floor in perspective: (rows, size, 3), near edge last."""
    pattern = stock.pattern(rng, size)
    depth = 1 / np.linspace(rng.uniform(0.05, 0.6), 1, rows)
    x = (np.linspace(-0.5, 0.5, size)[None] * depth[:, None] * 0.6 + 0.5) * size
    y = np.broadcast_to((depth * rng.uniform(0.3, 1) * size)[:, None], x.shape)
    return pattern[y.astype(int) % size, x.astype(int) % size]


def room(rng: Rng, stock: Stock, size: int) -> Field:
    """A wall and a floor or table, with the edge between them, perhaps a skirting or the table's front."""
    ground = stock.pattern(rng, size)
    edge = int(size * rng.uniform(0.2, 0.85))
    ground[edge:] = receding(rng, stock, size, size - edge)
    if rng.random() < 0.4:
        thick = int(size * rng.uniform(0.01, 0.08)) + 1
        ground[edge - thick : edge] = colour(rng)
    if rng.random() < 0.2:
        front = edge + int((size - edge) * rng.uniform(0.5, 0.95))
        ground[front:] = stock.pattern(rng, size)[front:] * 0.7
    return ground


def sweep(rng: Rng, stock: Stock, size: int) -> Field:
    """A studio sweep: nearly one colour, light falling off."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    fall = np.hypot(x - rng.uniform(0, 1), y - rng.uniform(0, 1)) * rng.uniform(0, 0.5)
    band = np.clip((y - rng.uniform(0.4, 0.8)) * rng.uniform(2, 20), 0, 1) * rng.uniform(-0.15, 0.15)
    base = colour(rng) if rng.random() < 0.5 else np.float32(rng.uniform(0.6, 1)) * np.ones(3, np.float32)
    return np.clip(base * (1 - fall + band)[..., None], 0, 1)


def bars(rng: Rng, stock: Stock, size: int) -> Field:
    """A window, shelf or fence: bright or patterned panes behind straight bars."""
    ground = stock.pattern(rng, size) * 0.5 + 0.5 if rng.random() < 0.5 else stock.pattern(rng, size)
    tone, surface = colour(rng), stock.pattern(rng, size)
    for axis in (0, 1):
        for at in np.sort(rng.uniform(0, 1, int(rng.integers(0, 5)))):
            start, thick = int(at * size), int(size * rng.uniform(0.01, 0.09)) + 1
            window = np.s_[start : start + thick] if axis == 0 else np.s_[:, start : start + thick]
            ground[window] = surface[window] * 0.5 + tone * 0.5
    return ground


def lights(rng: Rng, stock: Stock, size: int) -> Field:
    """Out-of-focus lights in a dim place."""
    ground = stock.pattern(rng, size) * np.float32(rng.uniform(0.1, 0.7))
    discs = Image.new("RGB", (size, size))
    pen = ImageDraw.Draw(discs)
    for _ in range(int(rng.integers(5, 40))):
        x, y, r = rng.uniform(0, size), rng.uniform(0, size), size * rng.uniform(0.01, 0.08)
        red, green, blue = (int(c) for c in colour(rng) * 255)
        pen.ellipse((x - r, y - r, x + r, y + r), (red, green, blue))
    return np.clip(
        ground + blurred(np.asarray(discs, np.float32) / 255, size * rng.uniform(0.003, 0.02)), 0, 1
    )


def flat(rng: Rng, stock: Stock, size: int) -> Field:
    """One pattern all over: a table from above, a wall."""
    return stock.pattern(rng, size)


GROUNDS = ((0.40, room), (0.22, flat), (0.18, sweep), (0.12, bars), (0.08, lights))


def light_field(rng: Rng, size: int) -> Field:
    """Uneven light (size, size, 1), about 1: a slope, a blotch, sometimes hard-edged like sun through a window."""
    field = 1 + (noise(rng, size, 1) - 0.5) * rng.uniform(0, 0.8)
    if rng.random() < 0.15:
        hard = np.clip((fractal(rng, size, 2, octaves=2) - 0.5) * 20, 0, 1)
        field = field * (1 - hard * rng.uniform(0.1, 0.5))
    return field[..., None]


# ---- what is not the product


def clutter(rng: Rng, stock: Stock, stage: Stage, count: int) -> None:
    """Smaller things behind, and neighbours cut by the border."""
    size = stage.size
    for _ in range(count):
        side = int(size * rng.uniform(0.1, 0.7))
        tile = stock.thing(rng) if rng.random() < 0.7 else stock.product(rng)
        shrink = side / max(tile.alpha.shape)
        tile = resized(
            tile, max(2, int(tile.alpha.shape[1] * shrink)), max(2, int(tile.alpha.shape[0] * shrink))
        )
        height, width = tile.alpha.shape
        if side > size * 0.3 or rng.random() < 0.4:
            reach = rng.uniform(0.25, 0.7)
            left = rng.choice([-int(width * reach), size - int(width * (1 - reach))])
            place = (int(left), int(rng.uniform(-0.2, 0.9) * size))
            place = place if rng.random() < 0.7 else (place[1], place[0])
        else:
            place = (int(rng.uniform(-0.1, 1) * size), int(rng.uniform(0, 0.8) * size))
        stage.paste(tile, *place, is_product=False)


def skin(rng: Rng, stock: Stock, size: int) -> Field:
    """Skin of any tone, or the cloth of a sleeve."""
    if rng.random() < 0.25:
        return stock.pattern(rng, size)
    tone = np.array([0.95, 0.75, 0.62]) * rng.uniform(0.3, 1.05) + rng.normal(0, 0.03, 3)
    return np.clip(tone + (fractal(rng, size, 3) - 0.5)[..., None] * 0.08, 0, 1).astype(np.float32)


def arm(rng: Rng, stock: Stock, size: int, target: Points) -> Tile:
    """An arm from the border that ends in a hand with fingers at `target` (x, y in px)."""
    angle = rng.uniform(0.1, 0.9) * np.pi if rng.random() < 0.7 else rng.uniform(0, 2 * np.pi)
    heading = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-heading[1], heading[0]])
    wide = rng.uniform(0.12, 0.4)
    hand = target / size * 2 - 1
    limb = [Stroke(np.stack([hand + heading * 3, hand + heading * 0.15]), wide * rng.uniform(0.7, 1.3))]
    limb.append(Stroke(oval(hand[0], hand[1], wide * 0.9, wide * 0.7, 2.5, angle)))
    for finger in np.linspace(-0.8, 0.8, int(rng.integers(2, 6))):
        root = hand + across * wide * finger
        tip = root - heading * rng.uniform(0.1, 0.3) + across * rng.normal(0, 0.05)
        limb.append(Stroke(np.stack([root, tip]), wide * 0.35))
        limb.append(Stroke(oval(tip[0], tip[1], wide * 0.17, wide * 0.17)))
    pose = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    cover = fill(limb, size, pose)
    light = np.array([rng.normal(), rng.normal(), rng.uniform(0.2, 0.7)])
    return Tile(lit(rng, skin(rng, stock, size), cover, light, 0.0), cover)


def person(rng: Rng, stock: Stock, stage: Stage, box: tuple[int, int, int, int]) -> None:
    """A wearer behind the product: torso to the lower border, arms, perhaps a head."""
    size = stage.size
    x, y = ((box[0] + box[2]) / size - 1 + rng.normal(0, 0.15)), ((box[1] + box[3]) / size - 1)
    wide = max((box[2] - box[0]) / size * rng.uniform(0.8, 1.8), 0.3)
    torso = [Stroke(oval(x, y + 1.2, wide, 1.2 + rng.uniform(0.3, 0.8), rng.uniform(2, 5)))]
    limbs = [
        Stroke(np.array([[x + s * wide * 0.8, y - 0.3], [x + s * wide * 1.3, y + 1.5]]), 0.25)
        for s in (-1, 1)
    ]
    head = [Stroke(oval(x, y - rng.uniform(0.6, 1.2), 0.25, 0.32))]
    pose = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    light = np.array([rng.normal(), rng.normal(), rng.uniform(0.2, 0.7)])
    for part, surface in ((limbs + torso, stock.pattern(rng, size)), (head, skin(rng, stock, size))):
        cover = fill(part, size, pose)
        stage.cover(lit(rng, surface, cover, light, 0.0), cover)


def stand(rng: Rng, stock: Stock, stage: Stage, box: tuple[int, int, int, int]) -> None:
    """Something under the product: a tray, plate, cloth, board, stool or a stack, wider than it or a plinth."""
    size = stage.size
    x, foot = (box[0] + box[2]) / size - 1 + rng.normal(0, 0.05), box[3] / size * 2 - 1
    wide = (box[2] - box[0]) / size * rng.uniform(0.8, 2.2)
    flat = wide * rng.uniform(0.12, 0.6)
    power = rng.choice([2.0, rng.uniform(3, 30)])
    middle = foot - flat * rng.uniform(0.1, 0.7)
    thick = rng.uniform(0.01, 0.1) if rng.random() < 0.7 else rng.uniform(0.2, 1.5)
    side = np.array(
        [[x - wide, middle], [x + wide, middle], [x + wide, middle + thick], [x - wide, middle + thick]]
    )
    lower = [Stroke(oval(x, middle + thick, wide, flat, power)), Stroke(side)]
    pose = np.array([[1.0, 0, 0], [0, 1.0, 0]])
    light = np.array([rng.normal(), rng.normal(), rng.uniform(0, 0.4)])
    surface = stock.pattern(rng, size)
    stage.cover(surface * np.float32(rng.uniform(0.4, 0.9)), fill(lower, size, pose))
    cover = fill([Stroke(oval(x, middle, wide, flat, power))], size, pose)
    stage.cover(lit(rng, surface, cover, light, 0.0), cover)
    if rng.random() < 0.5:
        inner = rng.uniform(0.8, 0.95)
        stage.cover(
            surface * np.float32(rng.uniform(0.7, 1)),
            fill([Stroke(oval(x, middle, wide * inner, flat * inner, power))], size, pose),
        )


def shadow(rng: Rng, stage: Stage, tile: Tile, left: int, top: int) -> None:
    """Darkens the ground where the product keeps the light away: a cast shape, and a tight one at the foot."""
    size = stage.size
    height, width = tile.alpha.shape
    flat = rng.choice([rng.uniform(0.1, 0.5), rng.uniform(0.6, 1.1)])
    lean = rng.normal(0, 0.7)
    depth = np.zeros((size, size), np.float32)
    foot = top + height
    matrix = (1, lean / flat, -left - lean / flat * foot, 0, 1 / flat, -(foot - height * flat) / flat)
    cast = Image.fromarray((tile.alpha * 255).astype(np.uint8)).transform(
        (size, size), Image.Transform.AFFINE, matrix
    )
    depth += blurred(np.asarray(cast, np.float32) / 255, size * rng.uniform(0.004, 0.06)) * rng.uniform(
        0, 0.75
    )
    contact = fill(
        [Stroke(oval(left + width / 2 - size / 2, foot - size / 2, width * 0.45, height * 0.05))],
        size,
        np.array([[2 / size, 0, 0], [0, 2 / size, 0]]),
    )
    depth = np.maximum(depth, blurred(contact, size * rng.uniform(0.005, 0.03)) * rng.uniform(0, 0.9))
    stage.colours *= (1 - depth)[..., None]


def reflection(rng: Rng, stage: Stage, tile: Tile, left: int, top: int) -> None:
    """The product upside down in a glossy table: ground, not product."""
    fade = np.linspace(rng.uniform(0.2, 0.7), 0, len(tile.alpha), dtype=np.float32)[:, None]
    stage.paste(
        Tile(tile.colours[::-1], tile.alpha[::-1] * fade), left, top + len(tile.alpha) - 1, is_product=False
    )


# ---- the camera


def photographed(rng: Rng, stage: Stage) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """What a camera and a shop's software make of it: light, cast, softness, noise, JPEG; uint8 picture and mask."""
    cast = rng.uniform(0.85, 1.15, 3).astype(np.float32)
    colours: Field = stage.colours * light_field(rng, stage.size) * cast
    colours = np.clip(colours * rng.uniform(0.7, 1.35), 0, 1) ** np.float32(rng.uniform(0.6, 1.3))
    colours = (colours - 0.5) * rng.uniform(0.75, 1.15) + 0.5
    if rng.random() < 0.4:
        colours = blurred(colours, rng.uniform(0.3, 1.2))
    if rng.random() < 0.5:
        colours = colours + rng.standard_normal(colours.shape, np.float32) * rng.uniform(0.003, 0.05)
    if rng.random() < 0.05:
        colours = np.broadcast_to(colours.mean(-1, keepdims=True), colours.shape)
    picture = Image.fromarray((np.clip(colours, 0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.6:
        file = BytesIO()
        picture.save(file, "JPEG", quality=int(rng.integers(35, 96)))
        picture = Image.open(file)
    return np.asarray(picture), (np.clip(stage.alpha, 0, 1) * 255).astype(np.uint8)


# ---- the whole


def placed(rng: Rng, tile: Tile, size: int) -> tuple[Tile, int, int]:
    """The product scaled to 25-90 % of the frame's side, and its left and top: near the middle, seldom cropped."""
    height, width = tile.alpha.shape
    scale = size * (0.25 + 0.7 * rng.beta(2, 1.5)) / max(height, width)
    width, height = max(8, int(width * scale)), max(8, int(height * scale))
    slack = np.array([size - width, size - height])
    left, top = np.array(slack / 2 + slack * np.clip(rng.normal(0, 0.18, 2), -0.5, 0.5), int)
    if rng.random() < 0.06:
        left = int(left + rng.choice([-1, 1]) * (slack[0] / 2 + width * rng.uniform(0, 0.2)))
    tile = resized(tile, width, height)
    return (
        (Tile(tile.colours[:, ::-1], tile.alpha[:, ::-1]) if rng.random() < 0.5 else tile),
        int(left),
        int(top),
    )


def background(rng: Rng, stock: Stock, size: int) -> Stage:
    """A ground with clutter, in or out of focus, without a product."""
    make = GROUNDS[rng.choice(len(GROUNDS), p=[share for share, _ in GROUNDS])][1]
    stage = Stage(
        np.ascontiguousarray(make(rng, stock, size), np.float32), np.zeros((size, size), np.float32)
    )
    clutter(rng, stock, stage, int(rng.choice([0, 0, 1, 2, 3, 5])))
    if rng.random() < 0.35:
        stage.colours = blurred(stage.colours, size * rng.uniform(0.003, 0.03)).copy()
    return stage


def arranged(rng: Rng, stock: Stock, size: int) -> Stage:
    """A background with a product on it, and what stands around, under and behind the product."""
    stage = background(rng, stock, size)
    tile, left, top = placed(rng, stock.product(rng), size)
    box = (left, top, left + tile.alpha.shape[1], top + tile.alpha.shape[0])
    if rng.random() < 0.12:
        person(rng, stock, stage, box)
    if rng.random() < 0.25:
        stand(rng, stock, stage, box)
    if rng.random() < 0.08:
        reflection(rng, stage, tile, left, top)
    elif rng.random() < 0.75:
        shadow(rng, stage, tile, left, top)
    if rng.random() < 0.06:
        stage.paste(
            tile,
            left + int((box[2] - left) * rng.uniform(-0.7, 0.7)),
            top - int(rng.uniform(0, 0.1) * size),
            is_product=True,
        )
    stage.paste(tile, left, top, is_product=True)
    return stage


def rendered(rng: Rng, stock: Stock, size: int) -> Stage:
    """A studio drawing, zoomed, mirrored or not, its channels perhaps swapped, perhaps with clutter at the border."""
    whole = stock.scene(rng)
    side = int(whole.size * rng.uniform(0.75, 1.0))
    x, y = rng.integers(0, whole.size - side + 1, 2)
    window = np.s_[y : y + side, x : x + side]
    tile = resized(Tile(whole.colours[window], whole.alpha[window]), size, size)
    channels = rng.permutation(3) if rng.random() < 0.3 else np.arange(3)
    step = int(rng.choice([-1, 1]))
    return Stage(tile.colours[:, ::step, channels].copy(), tile.alpha[:, ::step].copy())


def composite(seed: int, size: int, stock: Stock) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One training pair: picture (size, size, 3) and mask (size, size), uint8; about 1 in 25 has no product."""
    rng = np.random.default_rng((seed, size))
    kind = rng.random()
    if kind < 0.04:
        stage = background(rng, stock, size)
    elif len(stock.pictures) and kind < 0.25:
        stage = rendered(rng, stock, size)
    else:
        stage = arranged(rng, stock, size)
    if kind >= 0.04 and rng.random() < 0.12:
        rows, columns = np.nonzero(stage.alpha > 0.5)
        if len(rows):
            touch = int(rng.integers(len(rows)))
            hand = arm(rng, stock, size, np.array([columns[touch], rows[touch]], float))
            stage.paste(hand, 0, 0, is_product=False)
    return photographed(rng, stage)
