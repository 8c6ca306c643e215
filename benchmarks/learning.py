"""What adapters know: base, textual inversion and LoRA compared on studio products that nobody trained on.

    python -m benchmarks.learning                 JSON on stdout; figures.json and a sheet in out/learning
    python -m benchmarks.learning --photos DIR    real products: a folder of photos each, cut out by pocket-matte;
                                                  nouns.csv (sku,noun) beside DIR

Subject fidelity is the mean cosine of 16 drawn pictures (4 prompts, 4 seeds) with a photo that was held out, on
what the cutout model keeps of each (Ruiz et al. 2023, section 4). `leak`: how far "a photo of a red <noun>" moves
when the adapter is worn, as a share of how far the token's own prompts move, at the same seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from catalog_schemas import AdapterRecipe, CutoutRecipe, Recipes
from productshot.adapters import TrainingBase, TrainingSet, make_class_images
from productshot.adapters.fleet import Fleet
from productshot.adapters.pictures import draw_pictures
from productshot.adapters.proof import draw_product
from productshot.adapters.sets import TrainingPicture
from productshot.adapters.text import encode_prompts
from productshot.cutout import cut_out
from productshot.errors import InputRefused
from productshot.geometry import Size, fit_inside
from productshot.models import Models
from productshot.pixels import Pixels, resize, size_of
from productshot.pocket.instances import views_of
from productshot.pocket.sheets import contact_sheet
from productshot.pocket.studio import NOUNS
from productshot.progress import silent
from productshot.stages.adapters import TRAINING_SIDE_PX, subject_fidelity

SEED = 92_000_000
PICTURES = 16
Drawn = Sequence[Sequence[Pixels]]
"""Pictures of each product."""


def recipes(steps: int) -> dict[str, AdapterRecipe]:
    """The methods that are compared; the usual recipe, trained longer than the demo does."""
    usual = AdapterRecipe(steps=steps + 1, look_pictures=PICTURES)
    return {
        "textual_inversion": usual.model_copy(update={"method": "textual-inversion"}),
        "lora": usual,
        "lora_without_prior": usual.model_copy(update={"prior_weight": 0.0}),
    }


def a_set(number: int, base: TrainingBase, recipe: AdapterRecipe) -> TrainingSet:
    """Views of one studio product."""
    views = [
        (np.ascontiguousarray(view[..., :3]), np.ascontiguousarray(view[..., 3]))
        for view in views_of(number, SEED)
    ]
    return as_set(f"sku-{number}", NOUNS[number % len(NOUNS)], views, base, recipe)


def as_set(
    sku: str, noun: str, views: Sequence[TrainingPicture], base: TrainingBase, recipe: AdapterRecipe
) -> TrainingSet:
    """A set whose last view is held out."""
    images = tuple(make_class_images(base, noun, recipe))
    return TrainingSet(sku, noun, tuple(views[:-1]), False, images, tuple(views[-1:]))


def real_sets(photos: Path, models: Models, recipe: AdapterRecipe) -> list[TrainingSet]:
    """The products of a folder of folders, their photos cut out as a night does; one photo teaches nothing here."""
    nouns = dict(line.split(",") for line in (photos.parent / "nouns.csv").read_text().split()[1:])
    sets = []
    for folder in sorted(path for path in photos.iterdir() if path.is_dir()):
        views = [view for path in sorted(folder.iterdir()) for view in cut_photo(path, models)]
        if len(views) > 1:
            sets.append(as_set(folder.name, nouns[folder.name], views, models.training_base, recipe))
    return sets


def cut_photo(path: Path, models: Models) -> Iterator[TrainingPicture]:
    """The photo and its product's alpha; nothing where there is no product, or one that a person must see."""
    recipe, size = CutoutRecipe(), Size(TRAINING_SIDE_PX, TRAINING_SIDE_PX)
    with Image.open(path) as picture:
        rgb = np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    small = resize(np.ascontiguousarray(rgb), fit_inside(size_of(rgb), size))
    try:
        cutout = cut_out(small, models.cutout_session, recipe, str(path))
    except InputRefused:
        return
    if cutout.confidence >= recipe.min_confidence:
        yield small, np.ascontiguousarray(cutout.rgba[..., 3])


def trained(base: TrainingBase, recipe: AdapterRecipe, sets: Sequence[TrainingSet], steps: int) -> Fleet:
    """A fleet of these products after so many steps, all still in their slots."""
    fleet = Fleet(base, recipe, len(sets))
    for slot, item in enumerate(sets):
        fleet.seat(slot, item)
    for _ in range(steps):
        fleet.step(silent)
    return fleet


def named(fleet: Fleet) -> list[list[Pixels]]:
    """What each product's own prompts draw."""
    return [draw_product(fleet, slot) for slot in fleet.seats]


def unnamed(fleet: Fleet) -> list[list[Pixels]]:
    """What "a photo of a red <noun>" draws while each product's LoRA is worn, with seeds 0 to 3."""
    base, slots = fleet.base, list(fleet.seats)
    prompts = [f"a photo of a red {fleet.seats[slot].item.noun}" for slot in slots for _ in range(4)]
    with torch.no_grad():
        words = encode_prompts(base.readers, ["", *prompts])
    fleet.stack.busy = slots
    with fleet.wearing(kept=True):
        drawn = draw_pictures(base, words[:1], words[1:], [0, 1, 2, 3] * len(slots))
    return [drawn[first : first + 4] for first in range(0, len(drawn), 4)]


def moved(before: Drawn, after: Drawn) -> float:
    """Mean absolute difference of all pictures, 0..255."""
    return float(np.abs(np.asarray(before, np.float32) - np.asarray(after, np.float32)).mean())


def main() -> None:
    """Train, draw, compare."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.learning", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--products", type=int, default=8, help="studio products")
    parser.add_argument("--photos", type=Path, help="real products instead: a folder of photos each")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("out/learning"))
    asked = parser.parse_args()
    models, methods = Models(Recipes()), recipes(asked.steps)
    judge, base = partial(subject_fidelity, models), models.training_base
    sets = (
        real_sets(asked.photos, models, methods["lora"])
        if asked.photos
        else [a_set(number, base, methods["lora"]) for number in range(asked.products)]
    )
    start = trained(base, methods["lora"], sets, 0)
    drawn = {"base": named(start)}
    red, leak = unnamed(start), {}
    for name, recipe in methods.items():
        fleet = trained(base, recipe, sets, asked.steps)
        drawn[name] = named(fleet)
        leak[name] = round(moved(red, unnamed(fleet)) / moved(drawn["base"], drawn[name]), 3)
    scores = {
        name: [round(judge(own, item), 3) for own, item in zip(each, sets, strict=True)]
        for name, each in drawn.items()
    }
    pairs = zip(scores["base"], scores["lora"], strict=True)
    figures = {
        "steps": asked.steps,
        "fidelity": {name: round(statistics.mean(each), 3) for name, each in scores.items()},
        "fidelity_by_product": scores,
        "lora_halves_the_distance": f"{sum(1 - b <= 0.5 * (1 - a) for a, b in pairs)} of {len(sets)}",
        "leak": leak,
    }
    asked.out.mkdir(parents=True, exist_ok=True)
    rows = [[own[k] for own in each for k in range(3)] for each in drawn.values()]
    true = [(item.held_out + item.pictures)[k % len(item.pictures)][0] for item in sets for k in range(3)]
    sheet = [np.asarray(picture) for row in ([_fitted(each) for each in true], *rows) for picture in row]
    contact_sheet(sheet, columns=3 * len(sets), path=asked.out / "learning.png")
    (asked.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))


def _fitted(rgb: Pixels) -> Pixels:
    """The picture's middle square at pocket's size."""
    side, (width, height) = min(rgb.shape[:2]), size_of(rgb)
    left, top = (width - side) // 2, (height - side) // 2
    return resize(np.ascontiguousarray(rgb[top : top + side, left : left + side]), Size(128, 128))


if __name__ == "__main__":
    main()
