"""Painting side by side: speed of a batch whose pictures wear different adapters, and what painting really does.

    python -m benchmarks.rendering                      all parts; JSON, sheets in out/rendering
    python -m benchmarks.rendering --only fleet

Parts: fleet (pictures a second of one batch with eight adapters, of diffusers' `set_adapters` one picture after the
other, and of the same batch without adapters, interleaved; whether place and company change a bit), batch (the same
batch at several sizes), outpaint (seams, and whether the continued part is still the scene), adapter (keep with and
without the SKU's adapter: does the product's ground get better or worse), upscale (keep plates painted once more at
twice and four times their size: seams, scenes, verdicts, sharpness, seconds; sheets at the size of a slot), fewer (keep
pictures by fewer steps and with a step cache beside the usual ones, in turns: how many times their pictures a second
of CPU time, verdicts, and how far each is from the usual picture).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from PIL import Image
from scipy.ndimage import sobel
from torch import Tensor

from benchmarks.judge import KINDS, Judge, fit_judge, nearest, renders, right, with_none
from benchmarks.learning import a_set, trained
from benchmarks.parts import run_parts, timed
from catalog_schemas import AdapterRecipe, AssetRecipe, Recipes, RenderRecipe, Scene, Slot, load_scene
from productshot.assets import scene_picture
from productshot.assets.ground import enlarge
from productshot.gates import Comparison, Senses, measure_render
from productshot.gates import judge as judge_measures
from productshot.gates.comparison import luma
from productshot.gates.ground import seam
from productshot.geometry import Box, Size
from productshot.models import Models
from productshot.pixels import Pixels, resize, size_of
from productshot.pocket import clip, files
from productshot.pocket.instances import views_of
from productshot.pocket.sheets import contact_sheet
from productshot.pocket.studio import COLOURS, NOUNS, SCENES, with_article
from productshot.render.base import Base, open_base
from productshot.render.fleet import Painting, paint
from productshot.render.keep import paint_around
from productshot.render.outpaint import Brief, outpaint
from productshot.render.plate import Plate
from productshot.render.sample import (
    Conditions,
    Request,
    Steps,
    decode_pixels,
    encode_text,
    sample,
    steps_of,
    windows,
)
from productshot.render.upscale import upscale
from productshot.stages.gates import compare, senses_of

UNSEEN_SEED = 95_000_000
RANK, SLOTS = 8, 8
ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
EMPTY = "a photo of an empty scene "
LIBRARY = ("wooden-table", "sandy-beach", "green-grass", "marble-counter",
           "brick-wall", "pink-fabric", "sunny-room", "autumn-forest")  # fmt: skip
UPSCALES = ((1, 0.1), (2, 0.05), (2, 0.1), (2, 0.2), (4, 0.05))
"""Factor and strength."""
FEWER: dict[str, dict[str, object]] = {
    "usual": {},
    "ddim 10": {"steps": 10},
    "dpm-solver++ 10": {"steps": 10, "scheduler": "dpm-solver++"},
    "ddim 20, cache 2": {"cache_every": 2},
    "dpm-solver++ 10, cache 2": {"steps": 10, "scheduler": "dpm-solver++", "cache_every": 2},
}
"""What each way changes in the recipe."""
WIDE = Size(384, 128)
"""Three squares beside each other: the outer ones are continued, nothing of the first is in them."""


def loras(unet: torch.nn.Module, count: int) -> list[dict[str, Tensor]]:
    """Random adapters of rank 8 on the attention, by the names of an adapter's file."""
    generator = torch.Generator().manual_seed(1)
    made = []
    for _ in range(count):
        lora: dict[str, Tensor] = {}
        for name, layer in unet.named_modules():
            if name.endswith(ATTENTION):
                outputs, inputs = layer.weight.shape
                lora[f"unet.{name}.lora_A.weight"] = 0.1 * torch.randn(RANK, inputs, generator=generator)
                lora[f"unet.{name}.lora_B.weight"] = 0.1 * torch.randn(outputs, RANK, generator=generator)
        made.append(lora)
    return made


def requests(base: Base, adapters: Sequence[Mapping[str, Tensor] | None], steps: int) -> list[Request]:
    """One picture an adapter, of different products in different scenes."""
    return [
        Request(
            Conditions(encode_text(base, a_prompt(k), ""), None, 1.0, 4.0),
            Size(128, 128),
            Steps(steps),
            seed=k,
            adapter=adapter,
        )
        for k, adapter in enumerate(adapters)
    ]


def a_prompt(number: int) -> str:
    """A product in a scene."""
    colour, noun = COLOURS[number % len(COLOURS)], NOUNS[number % len(NOUNS)]
    return f"a photo of {with_article(f'{colour} {noun}')} {SCENES[number % len(SCENES)]}"


def peer(base: Base, adapters: Sequence[Mapping[str, Tensor]]) -> StableDiffusionPipeline:
    """diffusers' pipeline on a copy of the base in the same precision, with the adapters p0, p1, ... loaded."""
    pipeline = StableDiffusionPipeline.from_pretrained(files.base_path(), dtype=torch.float32)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    for number, lora in enumerate(adapters):
        pipeline.load_lora_into_unet(dict(lora), None, pipeline.unet, adapter_name=f"p{number}")
    pipeline.to(base.dtype).unet.to(memory_format=torch.channels_last)
    return pipeline


@torch.inference_mode()
def switch(base: Base, pipeline: StableDiffusionPipeline, asked: Sequence[Request]) -> None:
    """Each picture alone, its adapter switched on before; text embeddings are given, latents are the output."""
    for number, request in enumerate(asked):
        pipeline.set_adapters(f"p{number}")
        negative, positive = request.conditions.text.to(base.dtype).chunk(2)
        pipeline(
            prompt_embeds=positive,
            negative_prompt_embeds=negative,
            num_inference_steps=request.steps.count,
            guidance_scale=request.conditions.guidance_scale,
            generator=torch.Generator().manual_seed(request.seed),
            output_type="latent",
        )


def measure_fleet(out: Path, share: float, rounds: int = 5, steps: int = 10) -> dict[str, object]:
    """Ratios of pictures a second in interleaved rounds, and the bits of a picture in other places and company."""
    base = open_base(RenderRecipe())
    adapters = loras(base.unet, SLOTS)
    dressed, plain = requests(base, adapters, steps), requests(base, [None] * SLOTS, steps)
    pipeline = peer(base, adapters)
    ways: dict[str, Callable[[], object]] = {
        "fleet": lambda: sample(base, dressed, SLOTS),
        "set_adapters": lambda: switch(base, pipeline, dressed),
        "without": lambda: sample(base, plain, SLOTS),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for round_ in range(part_of(rounds, share) + 1):
        for name, work in ways.items():
            seconds = timed(work)
            if round_:
                taken[name].append(seconds)
    together, alone = sample(base, dressed, SLOTS), sample(base, dressed[7:], SLOTS)
    turned = sample(base, dressed[::-1], SLOTS)
    same = torch.equal(alone[0], together[7]) and all(map(torch.equal, together, turned[::-1]))
    return {
        "threads": torch.get_num_threads(),
        "pictures_a_second": {
            name: round(SLOTS / statistics.median(each), 2) for name, each in taken.items()
        },
        "times_set_adapters": ratio(taken["set_adapters"], taken["fleet"]),
        "share_of_without": ratio(taken["without"], taken["fleet"]),
        "same_bits_everywhere": same,
    }


def part_of(count: int, share: float) -> int:
    """That share of a part's rounds or pictures, one at least."""
    return max(1, round(count * share))


def ratio(theirs: Sequence[float], ours: Sequence[float]) -> float:
    """How many times as fast ours is: the median over the rounds."""
    return round(statistics.median(a / b for a, b in zip(theirs, ours, strict=True)), 2)


def measure_batch(out: Path, share: float, rounds: int = 3, steps: int = 10) -> dict[str, object]:
    """Pictures a second at several sizes of a full batch, interleaved."""
    base, sizes = open_base(RenderRecipe()), (1, 2, 4, 8, 16)
    taken: dict[int, list[float]] = {size: [] for size in sizes}
    for round_ in range(part_of(rounds, share) + 1):
        for size in sizes:
            seconds = timed(lambda: sample(base, requests(base, [None] * size, steps), size)) / size  # noqa: B023
            if round_:
                taken[size].append(seconds)
    return {
        "times_batch_1": {size: ratio(taken[1], each) for size, each in taken.items()},
        "threads": torch.get_num_threads(),
    }


@cache
def a_judge(share: float) -> tuple[Judge, dict[str, float]]:
    """A judge of nouns, colours and scenes, fitted to drawings that no model was trained on; how often it is right."""
    pipeline = StableDiffusionPipeline.from_pretrained(files.base_path(), dtype=torch.float32)
    tower, rng = clip.load_tower(files.clip_path()), np.random.default_rng(1)
    judge = fit_judge(tower, with_none(renders(part_of(8_192, share), UNSEEN_SEED), pipeline, rng))
    return judge, right(judge, renders(256, UNSEEN_SEED + 1))


def measure_outpaint(out: Path, share: float) -> dict[str, object]:
    """Squares of all scenes continued to three times their width: seams, and the scenes of the outer squares."""
    recipe, count = RenderRecipe(), part_of(48, share)
    base, (judge, judge_right) = open_base(recipe), a_judge(share)

    def wide(number: int) -> Painting:
        brief = Brief(f"a photo of an empty scene {SCENES[number % len(SCENES)]}", "", number, recipe)
        text = Conditions(encode_text(base, brief.prompt, ""), None, 1.0, recipe.guidance_scale)
        latents = yield Request(text, Size(128, 128), steps_of(recipe), number)
        square = Plate(decode_pixels(base, latents), Box(0, 0, 128, 128), None)
        return (yield from outpaint(base, square, WIDE, brief))

    plates = [
        plate for _, plate in sorted(paint(base, map(wide, range(count)), SLOTS), key=lambda told: told[0])
    ]
    strips = np.stack([plate.rgb for plate in plates if isinstance(plate, Plate)])
    contact_sheet(strips[:32], columns=4, path=out / "outpaint.png")
    asked = np.arange(count) % len(KINDS["scene"])
    told = {
        name: nearest(judge, strips[:, :, left : left + 128], "scene") == asked
        for name, left in (("first", 128), ("left", 0), ("right", 256))
    }
    seams = [seam(plate.rgb, plate.master) for plate in plates if isinstance(plate, Plate)]
    kept = np.concatenate([told[side][told["first"]] for side in ("left", "right")])
    return {
        "pictures": count,
        "judge_right": judge_right["scene"],
        "first_square_right": round(float(told["first"].mean()), 3),
        "continued_right": round(float(np.concatenate([told["left"], told["right"]]).mean()), 3),
        "continued_right_where_the_first_is": round(float(kept.mean()), 3),
        "seam_median": round(float(np.median(seams)), 2),
        "seam_within_95th_percentile": round(float((np.array(seams) <= 1).mean()), 3),
    }


def measure_adapter(out: Path, share: float, steps: int = 60, scenes: int = 8) -> dict[str, object]:
    """Keep pictures of studio products with their trained adapter worn and without it, at the same seeds."""
    models, recipe, products = Models(Recipes()), RenderRecipe(), part_of(4, share)
    learning = AdapterRecipe(steps=steps + 1)
    sets = [a_set(number, models.training_base, learning) for number in range(products)]
    fleet = trained(models.training_base, learning, sets, steps)
    worn = [{f"unet.{name}": weight for name, weight in fleet.learned(slot).items()} for slot in fleet.seats]
    base, senses = models.base, senses_of(models)
    pairs = [
        (number, an_empty(SCENES[2 * k % len(SCENES)])) for number in range(products) for k in range(scenes)
    ]
    cutouts = [views_of(number, 92_000_000)[-1] for number in range(products)]
    told: dict[str, object] = {"pictures": len(pairs)}
    shown = []
    for name in ("without", "with"):
        paintings = (
            wearing_all(
                paint_around(base, scene, cutouts[number], [(1, 1)], seed, recipe),
                worn[number] if name == "with" else None,
            )
            for seed, (number, scene) in enumerate(pairs)
        )
        rows = []
        for (number, scene), plate in zip(pairs, all_of(base, paintings, recipe.batch), strict=True):
            seen = seen_of(plate, cutouts[number], scene)
            rows.append(measured(seen, senses))
            shown.append(seen.picture[::4, ::4])
        told[name] = {
            measure: round(statistics.mean(row[measure] for row in rows if measure in row), 4)
            for measure in rows[0]
        }
    contact_sheet(np.stack(shown), columns=scenes, path=out / "adapter.png")
    return told


def an_empty(place: str) -> Scene:
    """A keep scene of one of the studio's places."""
    return Scene(name="bench", lane="keep", scene_prompt=f"{EMPTY}{place}")


def seen_of(plate: Plate, cutout: Pixels, scene: Scene) -> Comparison:
    """A keep picture as the gates see it."""
    assert plate.product is not None
    seen = compare(plate.rgb, plate.master, plate.product, cutout, scene.shadow)
    return replace(seen, described=seen.bare, prompt=scene.scene_prompt)


def wearing_all(painting: Painting, adapter: Mapping[str, Tensor] | None) -> Painting:
    """The painting with an adapter worn in all that it asks for."""
    request = next(painting)
    while True:
        latents = yield replace(request, adapter=adapter)
        try:
            request = painting.send(latents)
        except StopIteration as end:
            plate: Plate = end.value
            return plate


def measured(seen: Comparison, senses: Senses) -> dict[str, float]:
    """What the choice is made by."""
    numbers = measure_render("bench", "keep", seen, senses).numbers
    wanted = ("object_expansion", "other_things", "prompt_match")
    return {name: numbers[name] for name in wanted if name in numbers}


@dataclass(frozen=True)
class Shown:
    """A keep picture to be: its scene, its product (h, w, 4) uint8, its plate, and a number to seed it with."""

    scene: Scene
    cutout: Pixels
    plate: Plate
    number: int


def measure_upscale(out: Path, share: float) -> dict[str, object]:
    """Plates of library scenes, twice as wide as high: enlarged smoothly, and painted once more in several ways."""
    models, recipe, (judge, judge_right) = Models(Recipes()), RenderRecipe(upscale=1), a_judge(share)
    asked = [(load_scene(name), views_of(number, 92_000_000)[-1]) for number in range(2) for name in LIBRARY]
    asked = asked[: part_of(len(asked), share)]
    paintings = (
        paint_around(models.base, scene, cutout, [(2, 1)], number, recipe)
        for number, (scene, cutout) in enumerate(asked)
    )
    began = time.perf_counter()
    plates = all_of(models.base, paintings, recipe.batch)
    figures: dict[str, object] = {"pictures": len(plates), "judge_right": judge_right["scene"]}
    figures |= {"painted_s": round((time.perf_counter() - began) / len(plates), 2)}
    shown = [Shown(*pair, plate, n) for n, (pair, plate) in enumerate(zip(asked, plates, strict=True))]
    sheets = {}
    for factor, strength in UPSCALES:
        larger, seconds = repainted_all(models.base, shown, recipe, factor, strength)
        name = f"{factor} at {strength:g}" if factor > 1 else "smooth"
        told, sheets[name] = upscale_figures(larger, models, judge)
        figures[name] = {**told, "seconds": seconds}
    for row, (scene, *_) in enumerate(asked[: len(LIBRARY)]):
        pictures = np.hstack([pages[row] for pages in sheets.values()])
        Image.fromarray(pictures).save(out / f"upscale-{scene.name}.png")
    return figures


def all_of(base: Base, paintings: Iterable[Painting], slots: int) -> list[Plate]:
    """The plates in order; none is refused."""
    told = sorted(paint(base, paintings, slots), key=lambda each: each[0])
    return [plate for _, plate in told if isinstance(plate, Plate)]


def repainted_all(
    base: Base, shown: Sequence[Shown], recipe: RenderRecipe, factor: int, strength: float
) -> tuple[list[Shown], float]:
    """The pictures with larger plates, and the seconds that each took."""
    began = time.perf_counter()
    paintings = (
        upscale(base, one.plate, Brief(one.scene.scene_prompt, "", one.number, recipe), factor, strength)
        for one in shown
    )
    plates = all_of(base, paintings, recipe.batch)
    seconds = (time.perf_counter() - began) / len(shown)
    larger = [replace(one, plate=plate) for one, plate in zip(shown, plates, strict=True)]
    return larger, round(seconds, 2)


def upscale_figures(
    shown: Sequence[Shown], models: Models, judge: Judge
) -> tuple[dict[str, object], list[Pixels]]:
    """What is measured of pictures, and each at 1,000 px."""
    accepted, matches, seams, energy, small, pages = [], [], [], [], [], []
    for one in shown:
        plate = one.plate
        assert plate.product is not None
        seen = seen_of(plate, one.cutout, one.scene)
        measures = measure_render("bench", "keep", seen, senses_of(models))
        accepted.append(judge_measures(measures, "keep", Recipes().limits).status == "accepted")
        matches.append(measures.numbers["prompt_match"])
        seams.append(max(seam(plate.rgb, box) for box in shown_windows(plate)))
        page = enlarge(plate.rgb, (*map(float, plate.master),), Size(1000, 1000))
        energy.append(tenengrad(page))
        small.append(resize(np.asarray(page, np.uint8), Size(128, 128)))
        cutout = resize(one.cutout, Size(*(4 * side for side in size_of(one.cutout))))
        slot = Slot(
            name="page",
            role="lifestyle",
            lanes=("keep",),
            preferred_width=1000,
            min_width=16,
            max_bytes=10**8,
        )
        pages.append(scene_picture(plate.rgb, plate.master, plate.product, cutout, one.scene.shadow, slot,
                                   AssetRecipe(max_upscale=4), "bench").rgb)  # fmt: skip
    scenes = [SCENES.index(one.scene.scene_prompt.removeprefix(EMPTY)) for one in shown]
    in_scene = nearest(judge, np.stack(small), "scene") == scenes
    figures: dict[str, object] = {
        "accepted": round(statistics.mean(accepted), 3),
        "scene_right": round(float(in_scene.mean()), 3),
        "prompt_match": round(statistics.mean(matches), 3),
        "seam_median": round(statistics.median(seams), 2),
        "seam_most": round(max(seams), 2),
        "gradient_energy": round(statistics.geometric_mean(energy), 1),
    }
    return figures, pages


def measure_fewer(out: Path, share: float) -> dict[str, object]:
    """Keep pictures of library scenes, a batch at a time by each way in turn, beside the usual ones.

    Compared is CPU time, so that others on the machine do not count.
    """
    models, senses = Models(Recipes()), senses_of(Models(Recipes()))
    ways = {name: RenderRecipe.model_validate(changed) for name, changed in FEWER.items()}
    rounds, slots = part_of(4, share), RenderRecipe().batch
    asked = [
        (load_scene(LIBRARY[number % len(LIBRARY)]), views_of(number, 92_000_000)[-1])
        for number in range(rounds * slots)
    ]
    taken: dict[str, list[float]] = {name: [] for name in ways}
    plates: dict[str, list[Plate]] = {name: [] for name in ways}
    for first in range(-slots, rounds * slots, slots):  # the first batch warms up
        for name, recipe in ways.items():
            began = time.process_time()
            paintings = (
                paint_around(models.base, *asked[number], [(1, 1), (4, 3)], number, recipe)
                for number in range(max(first, 0), max(first, 0) + slots)
            )
            painted = all_of(models.base, paintings, slots)
            if first >= 0:
                taken[name].append(time.process_time() - began)
                plates[name] += painted
    seen = {
        name: [seen_of(plate, cutout, scene) for (scene, cutout), plate in zip(asked, each, strict=True)]
        for name, each in plates.items()
    }
    sheet = [each[number].picture[::2, ::2] for number in range(len(asked)) for each in seen.values()]
    contact_sheet(np.stack(sheet), len(ways), out / "fewer.png")
    return {
        "pictures": len(asked),
        "threads": torch.get_num_threads(),
        **{
            name: {
                "times_usual_in_cpu_time": ratio(taken["usual"], taken[name]),
                **fewer_figures(each, seen["usual"], senses),
            }
            for name, each in seen.items()
        },
    }


def fewer_figures(
    seen: Sequence[Comparison], usual: Sequence[Comparison], senses: Senses
) -> dict[str, object]:
    """What is measured of one way's pictures; off: mean difference of the grounds from the usual ones, 0..255."""
    each = [measure_render("bench", "keep", one, senses) for one in seen]
    accepted = [judge_measures(one, "keep", Recipes().limits).status == "accepted" for one in each]
    pairs = [(ground_of(one), ground_of(other)) for one, other in zip(seen, usual, strict=True)]
    off = [float(np.abs(np.subtract(one, other, dtype=int)).mean()) for one, other in pairs]
    return {
        "accepted": round(statistics.mean(accepted), 3),
        "prompt_match": round(statistics.mean(one.numbers["prompt_match"] for one in each), 3),
        "seam_most": round(max(one.numbers.get("seam", 0.0) for one in each), 2),
        "gradient_energy": round(statistics.geometric_mean(tenengrad(one) for one, _ in pairs), 1),
        "off": round(statistics.mean(off), 1),
    }


def ground_of(seen: Comparison) -> Pixels:
    """The painting without the product."""
    assert seen.bare is not None
    return seen.bare


def shown_windows(plate: Plate) -> list[Box]:
    """The windows in which the network saw a plate; of one that was not painted anew, in which it would have."""
    side = min(256, plate.master.size.width)
    return windows(plate.size, Size(side, side))


def tenengrad(picture: Pixels) -> float:
    """Mean squared Sobel gradient of the luma (Krotkov 1988)."""
    y = luma(picture)
    return float((sobel(y, axis=0) ** 2 + sobel(y, axis=1) ** 2).mean())


PARTS: dict[str, Callable[[Path, float], dict[str, object]]] = {
    "fleet": measure_fleet,
    "batch": measure_batch,
    "outpaint": measure_outpaint,
    "adapter": measure_adapter,
    "upscale": measure_upscale,
    "fewer": measure_fewer,
}


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.rendering", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--share", type=float, default=1.0, help="of each part's pictures or rounds")
    parser.add_argument("--out", type=Path, default=Path("out/rendering"))
    asked = parser.parse_args()
    parts = {name: partial(measure, asked.out, asked.share) for name, measure in PARTS.items()}
    run_parts(parts, asked.only, asked.out)


if __name__ == "__main__":
    main()
