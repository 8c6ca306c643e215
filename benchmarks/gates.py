"""Planted faults: what share of them the gates catch, and what share of honest composites they refuse.

    python -m benchmarks.gates                     JSON on stdout; a sheet of wrong verdicts in out/gates
    python -m benchmarks.gates --pictures 200

Pictures are composed as a night does it: an empty scene of the studio as the plate, a product that no training set
saw as the cutout, shadow, grain, JPEG. Half of them are honest, the others have one fault of FAULTS each. Limits are
chosen on every other twenty pictures and reported on the rest, and on the real products of PRODUCTSHOT_PHOTOS, which
are never tuned on.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation, gaussian_filter, map_coordinates

from catalog_schemas import GateRecipe, Recipes, Shadow
from productshot.assets.compose import product_box
from productshot.assets.ground import add_grain, cast_shadow, enlarge
from productshot.cutout import bring_own, coarse_alpha, open_session
from productshot.errors import InputRefused
from productshot.gates import GATES, Comparison, Gate, Senses, judge, measure_render
from productshot.gates.comparison import lab
from productshot.geometry import Box, Size, fit_inside, stand_on
from productshot.pixels import Pixels, lay, paste, resize, size_of
from productshot.pocket.studio import (
    LABELLED_NOUNS,
    PRINTED_NOUNS,
    SCENES,
    ProductSpec,
    ViewSpec,
    draw,
    frame_product,
    photograph,
    random_product,
    random_view,
)
from productshot.records import Measures
from productshot.render.eyes import open_eyes, open_words
from productshot.stages.gates import COMPARE_PX, compare, scaled

UNSEEN_SEED = 97_000_000
"""Products from here on were in no training set."""
FAULTS = (
    "grown",
    "shifted",
    "recoloured",
    "doubled",
    "erased",
    "halo",
    "floating",
    "garbled",
    "seam",
    "black",
)
PRODUCT_PX = 448
PLATE_PX = (128, 256, 512)
"""Sides of the master: pocket's, and what larger models paint."""
SHADOW = Shadow()
THUMB_PX = 192
SHEET_COLUMNS = 6
REAL_SEED = 500_000
REAL_PLACES = 2
"""Each real product is put into so many places."""


@dataclass(frozen=True)
class Setup:
    """What a picture is composed from; a fault changes one thing in it, or the finished picture."""

    seed: int
    product: ProductSpec
    view: ViewSpec
    cutout: Pixels  # (h, w, 4)
    plate: Pixels  # (h, w, 3)
    master: Box
    stands: Box  # where the cutout belongs, px of the plate
    scene: str

    def rng(self) -> np.random.Generator:
        """Chance for the fault, the same whenever it is asked."""
        return np.random.default_rng((self.seed, 1))


def a_setup(seed: int, marked: bool = False) -> Setup:
    """A product in a place; `marked`: with a label or print on it."""
    rng = np.random.default_rng((UNSEEN_SEED, seed))
    nouns = sorted(LABELLED_NOUNS | PRINTED_NOUNS)
    product = random_product(rng, str(rng.choice(nouns)) if marked else None)
    if marked:
        mark = "label" if product.noun in LABELLED_NOUNS else "print"
        product = replace(product, mark=mark, pattern="plain")
    view = frame_product(product, random_view(rng))
    if marked:
        view = replace(view, yaw=float(rng.uniform(-20, 20)))
    cutout = cut(product, view)
    side = int(rng.choice(PLATE_PX))
    scene = str(rng.choice(SCENES))
    plate, master = an_empty_plate(rng, scene, side)
    room = Size(round(rng.uniform(0.35, 0.66) * side), round(rng.uniform(0.4, 0.62) * side))
    box = stand_on(
        fit_inside(size_of(cutout), room), master.size, rng.uniform(0.42, 0.58), rng.uniform(0.78, 0.86)
    )
    stands = Box(
        box.left + master.left, box.top + master.top, box.right + master.left, box.bottom + master.top
    )
    return Setup(seed, product, view, cutout, plate, master, stands, scene)


def cut(product: ProductSpec, view: ViewSpec) -> Pixels:
    """The product as RGBA, cropped to its box."""
    drawing = draw(product, view, PRODUCT_PX)
    rows, columns = np.nonzero(drawing.mask)
    rgba = np.dstack([drawing.picture, drawing.mask])
    return np.ascontiguousarray(rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])


def an_empty_plate(rng: np.random.Generator, scene: str, side: int) -> tuple[Pixels, Box]:
    """An empty scene that was grown to one side, wide or tall, and the master in it."""
    view = random_view(rng, scene)
    wide = rng.random() < 0.5
    more = round(side * rng.uniform(0.25, 0.8))
    width, height = (side + more, side) if wide else (side, side + more)
    plate, _, _ = photograph((), view, width, height, 2)
    start = more // 2
    return plate, Box(start, 0, start + side, side) if wide else Box(0, start, side, start + side)


def honest(setup: Setup) -> Comparison:
    """The picture as a night composes it."""
    seen = compare(setup.plate, setup.master, setup.stands, setup.cutout, SHADOW)
    return replace(seen, described=seen.bare, prompt=f"a photo of an empty scene {setup.scene}")


def with_jpeg(seen: Comparison, seed: int) -> Comparison:
    """The picture as it comes out of a file."""
    buffer = io.BytesIO()
    quality = int(np.random.default_rng((seed, 2)).integers(88, 96))
    Image.fromarray(seen.picture).save(buffer, "JPEG", quality=quality, subsampling=0)
    return replace(seen, picture=np.asarray(Image.open(buffer)))


# -- the faults: each takes a set-up and returns its picture beside the honest truth


def pictured(setup: Setup, seen: Comparison, **changes: object) -> Comparison:
    """The honest truth with the picture that a changed set-up or shadow gives."""
    shadow = changes.pop("shadow", SHADOW)
    assert isinstance(shadow, Shadow)
    other = replace(setup, **changes)  # type: ignore[arg-type]
    made = compare(other.plate, other.master, other.stands, other.cutout, shadow)
    return replace(seen, picture=made.picture)


def grown(setup: Setup, seen: Comparison) -> Comparison:
    """The product's area is 10 to 20 % larger, its foot where it was."""
    scale = setup.rng().uniform(1.10, 1.20) ** 0.5
    box = setup.stands
    width, height = box.size.width * scale, box.size.height * scale
    middle = (box.left + box.right) / 2
    larger = Box(round(middle - width / 2), round(box.bottom - height), round(middle + width / 2), box.bottom)
    return pictured(setup, seen, stands=larger)


def shifted(setup: Setup, seen: Comparison) -> Comparison:
    """The product stands 2 to 6 % of the frame from its place."""
    rng = setup.rng()
    angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0.02, 0.06) * COMPARE_PX
    return replace(
        seen, picture=move_product(setup, seen, round(far * np.cos(angle)), round(far * np.sin(angle)))
    )


def move_product(setup: Setup, seen: Comparison, across: int, down: int) -> Pixels:
    """The picture with the product and its shadow moved by px of the compare size."""
    scale = COMPARE_PX / setup.master.size.width
    if scale == 1:
        box = setup.stands
        moved = Box(box.left + across, box.top + down, box.right + across, box.bottom + down)
        return pictured(setup, seen, stands=moved).picture
    enlarged = enlarged_setup(setup, scale)
    return move_product(enlarged, seen, across, down)


def enlarged_setup(setup: Setup, scale: float) -> Setup:
    """The same place with a plate whose master has the compare size."""
    times = [Box(*(round(side * scale) for side in box)) for box in (setup.master, setup.stands)]
    size = Size(round(setup.plate.shape[1] * scale), round(setup.plate.shape[0] * scale))
    return replace(setup, plate=resize(setup.plate, size), master=times[0], stands=times[1])


def recoloured(setup: Setup, seen: Comparison) -> Comparison:
    """A fifth to all of the product has another colour, by a CIEDE2000 of 5 to 12."""
    from skimage.color import deltaE_ciede2000, lab2rgb

    rng = setup.rng()
    product = seen.alpha >= 128
    rows, columns = np.nonzero(product)
    turn = rng.uniform(0, 2 * np.pi)
    across = rows * np.sin(turn) + columns * np.cos(turn)
    share = rng.uniform(0.22, 1.0)
    part = np.zeros_like(product)
    part[rows, columns] = across <= np.quantile(across, share)
    true, goal, way = lab(seen.picture), rng.uniform(5.5, 12), rng.normal(size=3) * (0.6, 1, 1)
    way *= -np.sign(way[0]) if true[part][:, 0].mean() * 2 > 100 else np.sign(way[0])
    for strength in np.arange(2, 60, 1.0):
        changed = lab2rgb(true + strength * way / np.linalg.norm(way) * part[..., None])
        out = np.rint(changed * 255).clip(0, 255).astype(np.uint8)
        if np.quantile(deltaE_ciede2000(lab(out[part]), true[part]), 0.1) >= min(goal, 5.0 + goal / 10):
            break
    soft = gaussian_filter(part.astype(np.float32), 0.7)[..., None]
    return replace(seen, picture=np.rint(out * soft + seen.picture * (1 - soft)).astype(np.uint8))


def doubled(setup: Setup, seen: Comparison) -> Comparison:
    """A second product beside the first: the same or another view of it, 45 to 100 % as high."""
    rng = setup.rng()
    other = setup.cutout
    if rng.random() < 0.5:
        other = cut(setup.product, replace(setup.view, yaw=setup.view.yaw + float(rng.uniform(-50, 50))))
    if rng.random() < 0.3:
        other = np.ascontiguousarray(other[:, ::-1])
    scale = COMPARE_PX / setup.master.size.width
    stands = enlarged_setup(setup, scale).stands
    left = stands.left - round(setup.master.left * scale)
    right = left + stands.size.width
    gaps = {"left": left, "right": COMPARE_PX - right}
    side = max(gaps, key=lambda name: gaps[name])
    room = Size(round(gaps[side] * 0.95), round(stands.size.height * rng.uniform(0.45, 1.0)))
    size = fit_inside(size_of(other), room)
    free = gaps[side] - size.width
    start = round(free * rng.uniform(0, 1)) + (0 if side == "left" else right)
    bottom = stands.bottom - round(setup.master.top * scale) + round(rng.uniform(-0.1, 0.02) * COMPARE_PX)
    at = Box(start, bottom - size.height, start + size.width, bottom)
    return replace(seen, picture=paste(resize(other, size), seen.picture, at))


def erased(setup: Setup, seen: Comparison) -> Comparison:
    """The product, or at least half of it, is not there."""
    rng = setup.rng()
    empty = pictured(setup, seen, cutout=np.zeros_like(setup.cutout), shadow=Shadow(kind="none"))
    if rng.random() < 0.5:
        return empty
    height = setup.cutout.shape[0]
    cutout = setup.cutout.copy()
    cutout[: round(height * rng.uniform(0.5, 0.8))] = 0
    return pictured(setup, seen, cutout=cutout)


def haloed(setup: Setup, seen: Comparison) -> Comparison:
    """A rim of 2 to 5 px around the product, of a colour that neither has."""
    rng = setup.rng()
    product = seen.alpha >= 8
    rim = binary_dilation(product, iterations=int(rng.integers(2, 6))) & ~product
    away = binary_dilation(product, iterations=12) & ~binary_dilation(product, iterations=6)
    both = lab(np.stack([seen.picture[rim].mean(axis=0), seen.picture[away].mean(axis=0),
                         seen.reference[product].mean(axis=0)]).astype(np.uint8))  # fmt: skip
    colours = np.uint8([(250, 250, 250), (225, 225, 220), (20, 20, 22), (150, 150, 150), (120, 200, 110),
                        (90, 140, 220), (215, 180, 140), (235, 120, 120)])  # fmt: skip
    apart = np.linalg.norm(lab(colours)[:, None] - both[None], axis=2).min(axis=1)
    colour = colours[rng.choice(np.flatnonzero(apart >= min(20, np.sort(apart)[-3])))]
    opacity = rng.uniform(0.6, 1.0)
    soft = (
        np.clip(gaussian_filter(rim.astype(np.float32), 0.6), 0, 1)[..., None] * ~product[..., None] * opacity
    )
    return replace(seen, picture=np.rint(colour * soft + seen.picture * (1 - soft)).astype(np.uint8))


def floating(setup: Setup, seen: Comparison) -> Comparison:
    """No shadow, or one that lies 6 to 12 % of the frame below the product."""
    rng = setup.rng()
    bare = pictured(setup, seen, shadow=Shadow(kind="none"))
    if rng.random() < 0.5:
        return bare
    down = round(rng.uniform(0.06, 0.12) * COMPARE_PX)
    canvas = Size(COMPARE_PX, COMPARE_PX)
    master = setup.master
    ground = enlarge(setup.plate, (master.left, master.top, master.right, master.bottom), canvas)
    lower = lay(seen.alpha, canvas, Box(0, down, COMPARE_PX, COMPARE_PX + down))
    stands = product_box(lower)
    assert stands is not None
    picture = add_grain(cast_shadow(ground, lower, stands, SHADOW), setup.plate)
    product = resize(setup.cutout, (at := scaled(setup.stands, master, COMPARE_PX)).size)
    return replace(seen, picture=paste(product, picture, at))


def garbled(setup: Setup, seen: Comparison) -> Comparison:
    """The label or print is warped by letters' size, scrambled in tiles, or smeared."""
    rng = setup.rng()
    blank = cut_like(setup, replace(setup.product, mark="none"))
    marked = lay_on(setup, setup.cutout, seen)
    mark = binary_dilation(np.abs(marked - lay_on(setup, blank, seen)).max(axis=2) > 12, iterations=2)
    mark &= seen.alpha >= 250
    if mark.sum() < 150:
        raise InputRefused(
            "the label", f"has {mark.sum()} px", "at least 150 are needed", "take another seed"
        )
    box = [slice(int(at.min()), int(at.max()) + 1) for at in np.nonzero(mark)]
    out = seen.picture.copy().astype(np.float32)
    part = out[box[0], box[1]]
    ways = (warped, scrambled, smeared)
    new = ways[int(rng.integers(len(ways)))](part, rng)
    inside = mark[box[0], box[1]][..., None]
    if np.abs(new - part)[inside[..., 0]].mean() < 6:
        new = scrambled(part[:, ::-1], rng)
    out[box[0], box[1]] = np.where(inside, new, part)
    return replace(seen, picture=np.rint(out).clip(0, 255).astype(np.uint8))


def cut_like(setup: Setup, product: ProductSpec) -> Pixels:
    """Another product in the same view, cropped to the first one's box."""
    first = draw(setup.product, setup.view, PRODUCT_PX).mask
    rows, columns = np.nonzero(first)
    drawing = draw(product, setup.view, PRODUCT_PX)
    rgba = np.dstack([drawing.picture, drawing.mask])
    return np.ascontiguousarray(rgba[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])


def lay_on(setup: Setup, cutout: Pixels, seen: Comparison) -> NDArray[np.float32]:
    """The reference with that cutout in it, float."""
    return compare(setup.plate, setup.master, setup.stands, cutout, SHADOW).reference.astype(np.float32)


def warped(part: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Pixels pushed about by a smooth field of 3 to 6 px."""
    height, width = part.shape[:2]
    field = [gaussian_filter(rng.normal(size=(height, width)), 3) for _ in range(2)]
    push = [rng.uniform(3, 6) * each / max(np.abs(each).std(), 1e-6) for each in field]
    rows, columns = np.mgrid[0:height, 0:width]
    at = (rows + push[0], columns + push[1])
    return np.dstack([map_coordinates(part[..., c], at, order=1, mode="nearest") for c in range(3)])


def scrambled(part: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Tiles of about an eighth of the mark in another order."""
    out = part.copy()
    tile = max(4, round(max(part.shape[:2]) / 8))
    corners = [
        (y, x)
        for y in range(0, part.shape[0] - tile + 1, tile)
        for x in range(0, part.shape[1] - tile + 1, tile)
    ]
    for (y, x), (v, u) in zip(corners, rng.permutation(corners), strict=True):
        out[y : y + tile, x : x + tile] = part[v : v + tile, u : u + tile]
    return out


def smeared(part: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Blurred by 2.5 to 4 px."""
    sigma = rng.uniform(2.5, 4)
    return np.asarray(gaussian_filter(part, (sigma, sigma, 0)))


def seamed(setup: Setup, seen: Comparison) -> Comparison:
    """What was added around the master is brighter, darker or of another tint, by 8 to 25 levels."""
    rng = setup.rng()
    way = rng.normal(size=3) * 0.4 + rng.choice((-1, 1))
    offset = rng.uniform(8, 25) * way / np.abs(way).mean()
    plate = setup.plate.astype(np.float64)
    outside = np.ones(plate.shape[:2], bool)
    master = setup.master
    outside[master.top : master.bottom, master.left : master.right] = False
    if np.mean(plate[outside] + offset > 255) > 0.3 or np.mean(plate[outside] + offset < 0) > 0.3:
        offset = -offset
    plate[outside] += offset
    return replace(seen, plate=np.rint(plate).clip(0, 255).astype(np.uint8))


def black(setup: Setup, seen: Comparison) -> Comparison:
    """All black, or the product on black, or on one plain colour."""
    rng = setup.rng()
    way = rng.integers(3)
    if way == 0:
        return replace(seen, picture=np.zeros_like(seen.picture))
    colour = (0, 0, 0) if way == 1 else rng.integers(0, 256, 3)
    plain = np.broadcast_to(np.uint8(colour), setup.plate.shape).copy()
    return replace(pictured(setup, seen, plate=plain, shadow=Shadow(kind="none")), plate=plain)


PLANT: dict[str, Callable[[Setup, Comparison], Comparison]] = {
    "grown": grown, "shifted": shifted, "recoloured": recoloured, "doubled": doubled, "erased": erased, "halo": haloed,
    "floating": floating, "garbled": garbled, "seam": seamed, "black": black,
}  # fmt: skip


def a_case(seed: int, fault: str | None) -> tuple[Setup, Comparison]:
    """A picture with that fault, or an honest one; a seed whose product cannot have the fault gives way to another."""
    while True:
        setup = a_setup(seed, marked=fault == "garbled")
        seen = honest(setup)
        try:
            made = seen if fault is None else PLANT[fault](setup, seen)
        except InputRefused:
            seed += 1_000_000
            continue
        return setup, with_jpeg(made, seed)


# -- measuring, choosing limits, reporting


@dataclass(frozen=True)
class Case:
    """One measured picture."""

    seed: int
    fault: str | None
    measures: Measures
    thumb: Pixels  # (h, w, 3) small, for the sheet


CHOSEN: dict[str, tuple[str, ...]] = {
    "moved": ("shifted",), "outline_lost": ("grown",), "object_expansion": (),
    "second_product": ("doubled",), "other_things": ("doubled",), "colour_changed": ("recoloured",), "halo": ("halo",),
    "print_kept": ("garbled",), "shadow_depth": ("floating",), "seam": ("seam",), "ground_range": ("black",),
}  # fmt: skip
"""Measures whose limits are chosen here, each with the faults that it is made for; the others keep their limits."""
MARGIN = 2.0
"""Without a fault of its own, a limit lies this many times as far from the usual picture as the worst honest one."""
NEARER = 1 / 3
"""Where in an empty gap a limit lies, from the honest side: smaller faults than the planted ones are faults too."""
FORGIVEN = 0.02
"""Share of honest pictures that may be refused."""


def senses() -> Senses:
    """The models that ship, on one core: a small network gains nothing from a second."""
    session, eyes, words = open_session("pocket-matte"), open_eyes(), open_words()
    torch.set_num_threads(1)
    return Senses(lambda rgb: coarse_alpha(rgb, session), eyes.fidelity, words.match)


def measure_cases(count: int, look: Senses, first: int = 0) -> list[Case]:
    """`count` pictures, half of them honest, the others with each fault in turn."""
    cases = []
    for number in range(first, first + count):
        fault = FAULTS[number // 2 % len(FAULTS)] if number % 2 else None
        setup, seen = a_case(number, fault)
        cases.append(
            Case(setup.seed, fault, measure_render(f"{number}", "keep", seen, look), thumb_of(seen, fault))
        )
    return cases


def thumb_of(seen: Comparison, fault: str | None) -> Pixels:
    """What a person looks at: the picture, of a seam the whole plate."""
    shown = seen.plate if fault == "seam" and seen.plate is not None else seen.picture
    return resize(shown, fit_inside(size_of(shown), Size(THUMB_PX, THUMB_PX)))


def choose_limits(cases: list[Case]) -> GateRecipe:
    """Limits between the honest pictures and the faults, such that at most FORGIVEN of the honest are flagged."""
    honest = [case for case in cases if case.fault is None]
    for weight in (5, 10, 20, 50, 100):
        chosen = {gate.limit: limit_of(gate, cases, weight) for gate in GATES if gate.measure in CHOSEN}
        limits = Recipes().limits.model_copy(update=chosen)
        if flagged(honest, limits) <= FORGIVEN:
            break
    return limits


def limit_of(gate: Gate, cases: list[Case], weight: float) -> float:
    """The limit with the most faults of its own caught less `weight` times the honest flagged; MARGIN without any."""
    sign = 1 if gate.bound == "at most" else -1
    honest = sign * numbers(cases, gate.measure, None)
    own = [sign * numbers(cases, gate.measure, fault) for fault in CHOSEN[gate.measure]]
    if not own:
        usual = float(np.median(honest))
        limit = usual + MARGIN * (float(honest.max()) - usual)
    else:
        values = np.unique(np.concatenate([honest, *own]))
        between = values[:-1] + NEARER * np.diff(values)
        worth = [(own[0] > t).mean() - weight * (honest > t).mean() for t in between]
        limit = float(between[int(np.argmax(worth))])
    return float(f"{sign * limit:.2g}")


def numbers(cases: list[Case], measure: str, fault: str | None) -> NDArray[np.float64]:
    """The measure's numbers in pictures with that fault, where it is valid."""
    told = [case.measures.numbers.get(measure) for case in cases if case.fault == fault]
    return np.array([number for number in told if number is not None])


def flagged(cases: list[Case], limits: GateRecipe) -> float:
    """Share of the pictures that are not accepted."""
    return float(np.mean([judge(case.measures, "keep", limits).status != "accepted" for case in cases]))


def caught(cases: list[Case], limits: GateRecipe) -> dict[str, object]:
    """The figures of the issue for these pictures."""
    faulty = [case for case in cases if case.fault]
    other = [case for case in faulty if case.fault not in ("grown", "shifted")]
    said = Counter(
        judge(case.measures, "keep", limits).gate or "accepted" for case in cases if case.fault is None
    )
    return {
        "pictures": len(cases),
        "caught": round(flagged(faulty, limits), 4) if faulty else None,
        "caught_without_grown_and_shifted": round(flagged(other, limits), 4) if other else None,
        "honest_flagged": round(flagged([case for case in cases if case.fault is None], limits), 4),
        "honest_verdicts": dict(said),
        "caught_by_fault": {
            fault: [round(flagged(own, limits), 3), len(own)]
            for fault in FAULTS
            if (own := [case for case in faulty if case.fault == fault])
        },
    }


# -- the real products


def real_cases(folder: Path, look: Senses) -> list[Case]:
    """Honest composites of the products with hand-drawn masks, each in two places; [] without a folder."""
    cases = []
    for number, path in enumerate(sorted((folder / "masks").glob("*.png"))):
        sku, _, shot = path.stem.rpartition("-")
        photo = next((folder / "photos" / sku).glob(f"{shot}.*"))
        cutout = masked(photo, path)
        for place in range(REAL_PLACES):
            setup = replace(a_setup(REAL_SEED + REAL_PLACES * number + place), cutout=cutout)
            setup = replace(setup, stands=standing(setup))
            seen = with_jpeg(honest(setup), number)
            cases.append(
                Case(number, None, measure_render(path.stem, "keep", seen, look), thumb_of(seen, None))
            )
    return cases


def masked(photo: Path, mask: Path) -> Pixels:
    """The photo's product as the cutouts stage cuts it when a mask lies beside the photo, cropped to its box."""
    alpha = np.asarray(Image.open(mask).convert("L"))
    rgb = np.asarray(Image.open(photo).convert("RGB").resize(alpha.shape[::-1], Image.Resampling.LANCZOS))
    soft = np.rint(gaussian_filter(alpha.astype(np.float32), 0.8)).astype(np.uint8)
    cut_ = bring_own(rgb, soft, mask.stem)
    box = cut_.box
    return np.ascontiguousarray(cut_.rgba[box.top : box.bottom, box.left : box.right])


def standing(setup: Setup) -> Box:
    """Where a cutout of another shape stands in the set-up's place."""
    room, master = setup.stands.size, setup.master.size
    centre = ((setup.stands.left + setup.stands.right) / 2 - setup.master.left) / master.width
    ground = (setup.stands.bottom - setup.master.top) / master.height
    larger = Size(max(room), max(room))
    box = stand_on(fit_inside(size_of(setup.cutout), larger), master, centre, ground)
    return Box(box.left + setup.master.left, box.top + setup.master.top,
               box.right + setup.master.left, box.bottom + setup.master.top)  # fmt: skip


# -- the front


def sheet_of(cases: list[Case], limits: GateRecipe) -> Pixels | None:
    """The pictures with a wrong verdict, each with what was planted and what was said; None without any."""
    wrong = [
        (case, verdict)
        for case in cases
        if ((verdict := judge(case.measures, "keep", limits)).status == "accepted")
        == (case.fault is not None)
    ]
    if not wrong:
        return None
    rows = -(-len(wrong) // SHEET_COLUMNS)
    sheet = Image.new("RGB", (SHEET_COLUMNS * THUMB_PX, rows * (THUMB_PX + 14)), "white")
    pen = ImageDraw.Draw(sheet)
    for place, (case, verdict) in enumerate(wrong):
        left, top = place % SHEET_COLUMNS * THUMB_PX, place // SHEET_COLUMNS * (THUMB_PX + 14)
        sheet.paste(Image.fromarray(case.thumb), (left, top + 13))
        pen.text(
            (left + 1, top),
            f"{case.fault or 'honest'}: {verdict.gate or 'accepted'} {verdict.value}",
            "black",
        )
    return np.asarray(sheet)


def halves(cases: list[Case]) -> tuple[list[Case], list[Case]]:
    """Twenty pictures to the first half, twenty to the second, and so on: each has every fault."""
    block = 2 * len(FAULTS)
    return tuple([c for i, c in enumerate(cases) if i // block % 2 == half] for half in (0, 1))  # type: ignore[return-value]


def main() -> None:
    """Run the measurement and print its figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--out", type=Path, default=Path("out/gates"))
    asked = parser.parse_args()
    began, look = time.perf_counter(), senses()
    cases = measure_cases(asked.pictures, look)
    tuning, held = halves(cases)
    chosen, shipped = choose_limits(tuning), Recipes().limits
    real = real_cases(Path(os.environ.get("PRODUCTSHOT_PHOTOS", "../shared")), look)
    figures = {
        "chosen_limits": {
            gate.limit: getattr(chosen, gate.limit) for gate in GATES if gate.measure in CHOSEN
        },
        "tuning_half": caught(tuning, chosen),
        "held_out_half": caught(held, chosen),
        "held_out_half_with_shipped_limits": caught(held, shipped),
        "real_products_with_shipped_limits": caught(real, shipped) if real else None,
        "seconds": round(time.perf_counter() - began, 1),
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    for name, some in (("wrong", held), ("real", real)):
        if (sheet := sheet_of(some, shipped)) is not None:
            Image.fromarray(sheet).save(asked.out / f"{name}.png")
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
