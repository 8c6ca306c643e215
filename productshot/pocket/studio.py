"""Pocket studio: draws captioned product photos, so that models can be trained and tested without a download.

`draw` photographs one product (or none) in a scene and returns picture, alpha mask, depth and caption; everything
is a function of its arguments. Lengths are in product units: a product is about one unit large and stands on the
floor.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from productshot.errors import InputRefused
from productshot.pocket import rays, shapes
from productshot.pocket.shapes import NOUNS
from productshot.pocket.textures import SCENES
from productshot.render.control import edges as find_edges

PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (205, 32, 38), "orange": (245, 125, 20), "yellow": (248, 208, 30), "green": (50, 150, 60),
    "teal": (20, 155, 155), "blue": (35, 80, 195), "purple": (120, 55, 165), "pink": (245, 130, 175),
    "white": (238, 238, 236), "black": (32, 32, 36), "brown": (120, 74, 42), "grey": (128, 130, 134),
}  # fmt: skip
SKINS: dict[str, tuple[int, int, int]] = {
    "skin-pale": (232, 190, 165), "skin-tan": (190, 135, 100), "skin-dark": (105, 68, 50),
}  # fmt: skip
COLOURS: tuple[str, ...] = tuple(PALETTE)
PATTERNS: tuple[str, ...] = ("plain", "striped", "dotted", "checkered")
MATERIALS: tuple[str, ...] = ("matte", "glossy", "metal", "glass", "fabric")
TOLD_MATERIALS = frozenset({"metal", "glass"})
"""What captions name."""
MARKS: tuple[str, ...] = ("none", "label", "print")
LABELLED_NOUNS = frozenset({"bottle", "can", "box", "candle", "book"})
PRINTED_NOUNS = frozenset({"mug", "bag", "backpack", "box", "can", "bowl", "vase", "ball"})
GLASS_NOUNS = frozenset({"vase", "bowl", "bottle", "mug", "candle"})
FABRIC_NOUNS = frozenset({"backpack", "bag", "sneaker", "toy", "ball"})
HOUSEHOLD: tuple[str, ...] = ("vase", "bowl", "candle", "mug", "bottle", "lamp", "box", "book")
SHOP_SCENES: tuple[str, ...] = (
    "on a wooden table", "on a marble counter", "on a grey studio sweep", "on a white studio sweep",
    "on a concrete floor", "in a sunny room",
)  # fmt: skip
MIN_SIDE_PX = 16
HALF_FIELD = math.tan(math.radians(15.0))
"""Tangent of half the camera's field of view along the shorter side of the frame."""

SCENE_LIGHT: dict[str, tuple[float, tuple[float, float, float]]] = {
    "on a sandy beach": (1.0, (0.42, 0.5, 0.6)),
    "on green grass": (1.0, (0.42, 0.5, 0.55)),
    "in the snow": (0.62, (0.5, 0.55, 0.64)),
    "in a city at night": (0.5, (0.55, 0.5, 0.68)),
    "on a grey studio sweep": (0.85, (0.55, 0.55, 0.55)),
    "on a white studio sweep": (0.6, (0.68, 0.68, 0.68)),
    "in a sunny room": (1.05, (0.5, 0.46, 0.4)),
    "by a swimming pool": (1.05, (0.46, 0.54, 0.6)),
    "in an autumn forest": (0.85, (0.56, 0.48, 0.38)),
    "in a tiled bathroom": (0.7, (0.58, 0.61, 0.63)),
}
SUNLIT = frozenset({"on a sandy beach", "on green grass", "in a sunny room", "by a swimming pool"})
LIGHT_SETUPS: tuple[tuple[float, tuple[float, float], tuple[float, float], float], ...] = (
    (0.4, (-75, 75), (35, 68), 1.0),  # key light from the front
    (0.2, (55, 110), (22, 45), 1.4),  # window from the right
    (0.2, (-110, -55), (22, 45), 1.4),  # window from the left
    (0.1, (-60, 60), (68, 82), 1.2),  # overhead
    (0.1, (120, 240), (35, 60), 0.8),  # from behind
)
"""Share, azimuth span, elevation span (degrees) and softness factor of each light set-up."""
INDOOR_LIGHT = (0.85, (0.5, 0.49, 0.47))


@dataclass(frozen=True)
class ProductSpec:
    """The identity of a product: what stays the same on all of its photos."""

    noun: str
    colour: str
    second_colour: str
    pattern: str
    material: str
    mark: str
    shape_seed: int

    def __post_init__(self) -> None:
        check_choice("noun", self.noun, shapes.KINDS)
        check_choice("colour", self.colour, (*COLOURS, *SKINS))
        check_choice("second colour", self.second_colour, COLOURS)
        check_choice("pattern", self.pattern, PATTERNS)
        check_choice("material", self.material, MATERIALS)
        check_choice("mark", self.mark, MARKS)


@dataclass(frozen=True)
class ViewSpec:
    """Where the product stands and how camera and light look at it."""

    scene: str
    yaw: float
    """Turn of the product in degrees; 0 shows its front."""
    pitch: float
    """How far the camera looks down, degrees."""
    aim: float
    """Height that the camera looks at, product units."""
    scale: float
    """Share of the frame's shorter side that one product unit fills."""
    offset_x: float
    offset_y: float
    """Shift of the aim in the frame, shares of its shorter side; right and up are positive."""
    light_azimuth: float
    """Degrees to the right of the camera."""
    light_elevation: float
    """Degrees above the floor."""
    warmth: float
    """Colour temperature of the key light, -1 (cold) .. 1 (warm)."""
    exposure: float
    texture_seed: int
    softness: float = 1.0
    """Factor on the softness of the scene's shadows."""

    def __post_init__(self) -> None:
        check_choice("scene", self.scene, SCENES)


@dataclass(frozen=True)
class Drawing:
    """A picture and all that is known about it."""

    picture: NDArray[np.uint8]
    """(h, w, 3) sRGB."""
    mask: NDArray[np.uint8]
    """(h, w), 0..255: the product's antialiased alpha."""
    depth: NDArray[np.float32]
    """(h, w), distance from the camera in product units; 30 and more behind the floor."""
    caption: str
    noun: str | None
    colour: str | None
    scene: str

    @property
    def edges(self) -> NDArray[np.uint8]:
        """(h, w) uint8, 255 on the thin edges of the whole picture: what the ControlNet is steered by."""
        return find_edges(np.dstack([self.picture, np.full_like(self.mask, 255)]))


@dataclass(frozen=True)
class Prop:
    """A product at its place on the floor; the first prop of a drawing is the one that the mask shows."""

    product: ProductSpec
    x: float
    z: float
    yaw: float
    size: float


def check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    """Refuse a word that the studio does not know (InputRefused)."""
    if value not in choices:
        raise InputRefused(
            f"{what} {value!r}", "is unknown to the studio", f"one of {', '.join(choices)} is needed"
        )


def random_product(rng: np.random.Generator, noun: str | None = None) -> ProductSpec:
    """A random product, of the given noun or any."""
    noun = noun or str(rng.choice(NOUNS))
    colour, second = rng.choice(COLOURS, 2, replace=False)
    if rng.random() < 0.5:
        second = "white" if colour != "white" else "black"
    pattern = str(rng.choice(PATTERNS, p=(0.55, 0.17, 0.14, 0.14)))
    material, mark = random_material(rng, noun), random_mark(rng, noun)
    if mark == "print":
        pattern = "plain"
    return ProductSpec(noun, str(colour), str(second), pattern, material, mark, int(rng.integers(2**31)))


def random_material(rng: np.random.Generator, noun: str) -> str:
    """A material that such a product is made of."""
    roll = rng.random()
    if noun in FABRIC_NOUNS and roll < 0.5:
        return "fabric"
    if noun in GLASS_NOUNS and roll < 0.15:
        return "glass"
    return str(rng.choice(MATERIALS[:3], p=(0.4, 0.48, 0.12)))


def random_mark(rng: np.random.Generator, noun: str) -> str:
    """A label or print where such a product has one, else none."""
    roll = rng.random()
    if noun in LABELLED_NOUNS and roll < 0.35:
        return "label"
    return "print" if noun in PRINTED_NOUNS and roll > 0.8 else "none"


def random_view(rng: np.random.Generator, scene: str | None = None) -> ViewSpec:
    """A random camera and light, in the given scene or any."""
    setups = [share for share, *_ in LIGHT_SETUPS]
    _, azimuth, elevation, softness = LIGHT_SETUPS[rng.choice(len(setups), p=setups)]
    return ViewSpec(
        scene=scene or str(rng.choice(SCENES)),
        yaw=float(rng.uniform(-55, 55)),
        pitch=float(rng.triangular(4, 10, 24)),
        aim=0.4,
        scale=float(rng.uniform(0.52, 0.74)),
        offset_x=float(rng.uniform(-0.08, 0.08)),
        offset_y=float(rng.uniform(-0.04, 0.04)),
        light_azimuth=float(rng.uniform(*azimuth)),
        light_elevation=float(rng.uniform(*elevation)),
        warmth=float(rng.uniform(-0.5, 1.0)),
        exposure=float(rng.uniform(0.9, 1.15)),
        texture_seed=int(rng.integers(2**20)),
        softness=softness,
    )


def frame_product(product: ProductSpec, view: ViewSpec) -> ViewSpec:
    """The view aimed nearer to the middle of this product, for products that are flatter than tall."""
    box, scale = fit_product(product)
    return replace(view, aim=0.5 * view.aim + 0.25 * float(box[3]) * scale)


def caption_of(product: ProductSpec | None, scene: str) -> str:
    """The full caption: "a photo of a red striped mug on a wooden table"."""
    if product is None:
        return f"a photo of an empty scene {scene}"
    pattern = product.pattern if product.pattern != "plain" else ""
    material = product.material if product.material in TOLD_MATERIALS else ""
    words = [product.colour, pattern, material, product.noun]
    return f"a photo of {with_article(' '.join(word for word in words if word))} {scene}"


def vary_caption(rng: np.random.Generator, product: ProductSpec | None, scene: str) -> str:
    """A caption as people write it: mostly full, at times without pattern, colour or opening words."""
    full = caption_of(product, scene)
    roll = rng.random()
    if product is None:
        return full if roll < 0.8 else f"an empty scene {scene}"
    if roll < 0.7:
        return full
    if roll < 0.8:
        return f"a photo of {with_article(f'{product.colour} {product.noun}')} {scene}"
    if roll < 0.9:
        return f"a photo of {with_article(product.noun)} {scene}"
    return f"{with_article(product.noun)} {scene}"


def with_article(words: str) -> str:
    """The words with "a" or "an" in front."""
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def linear(colour: str) -> NDArray[np.float64]:
    """Linear RGB, 0..1, of a palette or skin colour."""
    values: NDArray[np.float64] = (np.array({**PALETTE, **SKINS}[colour]) / 255.0) ** 2.2
    return values


def fit_product(product: ProductSpec) -> tuple[NDArray[np.float64], float]:
    """The product's bounding box in product space and the factor that makes it one unit large."""
    box = shapes.measure_box(
        shapes.KINDS.index(product.noun), shapes.proportions(product.noun, product.shape_seed)
    )
    spread = 0.68 * float(box[1] - box[0]) + 0.5 * float(box[5] - box[4])
    return box, 1.0 / max(float(box[3]), spread)


def place_camera(view: ViewSpec, width: int, height: int) -> rays.Camera:
    """The camera of a view; an aim of half the frame's shorter side is `scale / 2` product units."""
    short = min(width, height)
    away = 0.5 / (HALF_FIELD * view.scale)
    pitch = math.radians(view.pitch)
    forward = (0.0, -math.sin(pitch), -math.cos(pitch))
    up = (0.0, math.cos(pitch), -math.sin(pitch))
    position = (0.0, max(0.12, view.aim - forward[1] * away), -forward[2] * away)
    centre_x, centre_y = width / 2 + view.offset_x * short, height / 2 - view.offset_y * short
    return rays.Camera(position, (1.0, 0.0, 0.0), up, forward, 2 * HALF_FIELD / short, centre_x, centre_y)


def set_lights(view: ViewSpec) -> rays.Lights:
    """Key light, sky and bounce of a view's scene."""
    azimuth, elevation = math.radians(view.light_azimuth), math.radians(view.light_elevation)
    strength, sky = SCENE_LIGHT.get(view.scene, INDOOR_LIGHT)
    level = math.cos(elevation)
    towards = (math.sin(azimuth) * level, math.sin(elevation), math.cos(azimuth) * level)
    power, warmth = strength * view.exposure, view.warmth
    sun = (power * (1.0 + 0.1 * warmth), power, power * (1.0 - 0.16 * warmth))
    above = (sky[0] * view.exposure, sky[1] * view.exposure, sky[2] * view.exposure)
    bounce = tuple(0.5 * a + 0.2 * b for a, b in zip(above, sun, strict=True))
    softness = view.softness * (0.12 if view.scene in SUNLIT else 0.3)
    return rays.Lights(towards, sun, above, (bounce[0], bounce[1], bounce[2]), softness)


def look_of(
    product: ProductSpec, box: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows `looks` and `labels` of a product in `rays.Stage`."""
    rng = np.random.default_rng([77, product.shape_seed])
    is_round = product.noun in shapes.ROUND_NOUNS
    count = float(rng.integers(4, 8))
    radius, height = 0.5 * (box[1] - box[0]) - 0.045, box[3]
    if product.noun in {"mug", "teapot"}:
        radius = 0.38  # without handle and spout
    look = [PATTERNS.index(product.pattern), MATERIALS.index(product.material), radius, is_round, count,
            rng.random() < 0.35, rng.integers(1000)]  # fmt: skip
    low, high = rng.uniform(0.1, 0.2), rng.uniform(0.45, 0.55)
    half = radius * rng.uniform(0.6, 0.8) if product.mark != "none" else 0.0
    if product.noun == "book":
        low, high = 0.5, 0.85
    if product.mark == "print":
        low = rng.uniform(0.25, 0.4)
        high = low + rng.uniform(0.15, 0.3)
    mark = [low * height, high * height, half, radius, MARKS.index(product.mark), rng.integers(2, 6)]
    return np.array(look, dtype=np.float64), np.array(mark, dtype=np.float64)


def set_stage(props: tuple[Prop, ...], view: ViewSpec) -> rays.Stage:
    """Scene and props as the kernel takes them."""
    n = len(props)
    rows = [np.zeros((n, *shape)) for shape in ((8,), (6,), (5,), (7,), (6,), (2, 3))]
    stage = rays.Stage(SCENES.index(view.scene), view.texture_seed, np.zeros(n, np.int64), *rows)
    for i, prop in enumerate(props):
        product, yaw = prop.product, math.radians(prop.yaw)
        box, scale = fit_product(product)
        stage.kinds[i], stage.boxes[i] = shapes.KINDS.index(product.noun), box
        stage.proportions[i] = shapes.proportions(product.noun, product.shape_seed)
        stage.places[i] = (prop.x, prop.z, math.cos(yaw), math.sin(yaw), scale * prop.size)
        stage.looks[i], stage.labels[i] = look_of(product, box)
        stage.paints[i] = linear(product.colour), linear(product.second_colour)
    return stage


def photograph(
    props: tuple[Prop, ...], view: ViewSpec, width: int, height: int, supersample: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]]:
    """Picture, mask of the first prop and depth of a scene with any number of props."""
    if min(width, height) < MIN_SIDE_PX or supersample < 1:
        raise InputRefused("drawing", f"of {width}x{height} px, supersample {supersample}, is too small",
                           f"at least {MIN_SIDE_PX} px a side and supersample 1 are needed")  # fmt: skip
    picture = np.zeros((height, width, 3), np.uint8)
    mask, depth = np.zeros((height, width), np.uint8), np.zeros((height, width), np.float32)
    stage, camera, lights = set_stage(props, view), place_camera(view, width, height), set_lights(view)
    rays.expose(stage, lights, camera, supersample, picture, mask, depth)
    return picture, mask, depth


def draw(product: ProductSpec | None, view: ViewSpec, size: int = 128, supersample: int = 2) -> Drawing:
    """The photo (size x size px) of a product in a view, or of the empty scene; supersample² rays a pixel."""
    props = () if product is None else (Prop(product, 0.0, 0.0, view.yaw, 1.0),)
    picture, mask, depth = photograph(props, view, size, size, supersample)
    noun, colour = (product.noun, product.colour) if product else (None, None)
    return Drawing(picture, mask, depth, caption_of(product, view.scene), noun, colour, view.scene)


def draw_views(product: ProductSpec, rng: np.random.Generator, count: int, size: int = 128) -> list[Drawing]:
    """Photos of one product, each from another side, in another light and scene; the product large and centred."""
    views = [frame_product(product, random_view(rng)) for _ in range(count)]
    turned = [
        replace(v, yaw=float(rng.uniform(-75, 75)), scale=0.74, offset_x=0.0, offset_y=0.0) for v in views
    ]
    return [draw(product, view, size) for view in turned]


def random_drawing(seed: int, size: int = 128, empty_share: float = 0.15) -> Drawing:
    """A random photo, the same for the same seed; a share of the seeds are empty scenes."""
    rng = np.random.default_rng(seed)
    product, view = random_product(rng), random_view(rng)
    if rng.random() < empty_share:
        drawing = draw(None, view, size)
        return replace(drawing, caption=vary_caption(rng, None, view.scene))
    drawing = draw(product, frame_product(product, view), size)
    return replace(drawing, caption=vary_caption(rng, product, view.scene))


def clutter(rng: np.random.Generator, product: ProductSpec) -> tuple[Prop, ...]:
    """Up to three household things behind a product, of other nouns and quiet colours."""
    nouns = [noun for noun in HOUSEHOLD if noun != product.noun]
    props = []
    for x in rng.permutation((-0.85, 0.0, 0.8))[: rng.integers(0, 4)]:
        colours = rng.choice(("white", "grey", "brown", "teal", "blue", "black"), 2, replace=False)
        thing = ProductSpec(str(rng.choice(nouns)), str(colours[0]), str(colours[1]), "plain", "matte", "none",
                            int(rng.integers(2**31)))  # fmt: skip
        place = float(x + rng.uniform(-0.15, 0.15)), float(rng.uniform(-1.0, -0.8))
        props.append(Prop(thing, *place, float(rng.uniform(-40, 40)), float(rng.uniform(0.5, 0.8))))
    return tuple(props)


def distractors(rng: np.random.Generator) -> tuple[Prop, ...]:
    """Now and then a tray under the product, and a hand that reaches towards it from the side."""
    props = []
    if rng.random() < 0.3:
        colour = str(rng.choice(("brown", "white", "black", "grey")))
        tray = ProductSpec("tray", colour, "white", "plain", "matte", "none", int(rng.integers(2**31)))
        props.append(Prop(tray, 0.0, 0.0, float(rng.uniform(-30, 30)), float(rng.uniform(1.2, 1.5))))
    if rng.random() < 0.25:
        skin, sleeve = str(rng.choice(tuple(SKINS))), str(rng.choice(("white", "blue", "black", "green")))
        hand = ProductSpec("hand", skin, sleeve, "plain", "matte", "none", int(rng.integers(2**31)))
        side = float(rng.choice((-1.0, 1.0)))
        turn = 0.0 if side > 0 else 180.0
        props.append(Prop(hand, side * float(rng.uniform(0.68, 0.85)), float(rng.uniform(-0.35, 0.25)),
                          turn + float(rng.uniform(-25, 25)), float(rng.uniform(0.8, 1.0))))  # fmt: skip
    return tuple(props)


def shop_photo(product: ProductSpec, seed: int, width: int = 1280, height: int = 1600) -> Drawing:
    """A photo as a small shop takes it: the product large in a plain or cluttered home or a simple studio.

    The product fills 60-80 % of the shorter side of the frame; the mask shows it alone, without the clutter.
    """
    rng = np.random.default_rng([seed, product.shape_seed])
    scene = str(rng.choice(SHOP_SCENES))
    view = frame_product(product, random_view(rng, scene))
    offset_x, scale = float(rng.uniform(-0.03, 0.03)), float(rng.uniform(0.68, 0.8))
    view = replace(view, scale=scale, offset_x=offset_x, yaw=float(rng.uniform(-40, 40)))
    around = distractors(rng) if scene.endswith("sweep") else (*clutter(rng, product), *distractors(rng))
    props = (Prop(product, 0.0, 0.0, view.yaw, 1.0), *around)
    picture, mask, depth = photograph(props, view, width, height, 2)
    return Drawing(
        picture, mask, depth, caption_of(product, view.scene), product.noun, product.colour, view.scene
    )


def _draw_into(job: tuple[str, int, int, int, int]) -> list[str]:
    """Draw the pictures [start, stop) of a set into its files; the captions."""
    folder, start, stop, first_seed, size = job
    pictures = np.load(Path(folder) / "pictures.npy", mmap_mode="r+")
    masks = np.load(Path(folder) / "masks.npy", mmap_mode="r+")
    captions = []
    for i in range(start, stop):
        drawing = random_drawing(first_seed + i, size)
        pictures[i], masks[i] = drawing.picture, drawing.mask
        captions.append(drawing.caption)
    pictures.flush()
    masks.flush()
    return captions


def render_set(path: Path, count: int, first_seed: int = 0, size: int = 128, workers: int = 2) -> None:
    """Write a folder of `count` random drawings, seeds first_seed .. first_seed + count - 1.

    pictures.npy (count, size, size, 3) uint8, masks.npy (count, size, size) uint8, captions.json (a list);
    np.load(mmap_mode="r") opens the arrays at once.
    """
    path.mkdir(parents=True, exist_ok=True)
    for name, shape in (("pictures", (count, size, size, 3)), ("masks", (count, size, size))):
        np.lib.format.open_memmap(path / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape).flush()
    step = 100
    jobs = [(str(path), i, min(count, i + step), first_seed, size) for i in range(0, count, step)]
    with get_context("spawn").Pool(workers) as pool:
        captions = [caption for part in pool.imap(_draw_into, jobs) for caption in part]
    (path / "captions.json").write_text(json.dumps(captions))
