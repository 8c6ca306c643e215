"""Pocket's figures, measured on seeds that no training set saw; MODEL_CARD.md quotes them.

    python -m benchmarks.pocket                    all parts, JSON on stdout, sheets and figures.json in out/pocket
    python -m benchmarks.pocket --only vae clip    some parts
    python -m benchmarks.pocket --release DIR      other weights than the released ones

Parts: pictures (scene, class, colour of 240 generated ones), second (a second product beside a pasted one), clip,
fidelity (instances; the real photos of PRODUCTSHOT_PHOTOS too, where they are), vae, speed, controlnet, matte.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_dilation, label
from scipy.stats import spearmanr

from benchmarks.judge import KINDS, Labelled, fit_judge, renders, right, verdicts, with_none
from benchmarks.parts import run_parts, timed
from catalog_schemas.recipes import CutoutRecipe, RenderRecipe
from catalog_schemas.scene import Scene
from productshot.cutout import coarse_alpha, cut_out, open_session
from productshot.errors import InputRefused
from productshot.pixels import lay, paste, resize
from productshot.pocket import clip, files, text, vae
from productshot.pocket.composites import composite, stocked
from productshot.pocket.controlnet import EDGES, control_image
from productshot.pocket.instances import VIEWS, square_cutout, views_of
from productshot.pocket.sheets import contact_sheet, control_sheet, edge_correlation, sample
from productshot.pocket.studio import (
    COLOURS,
    NOUNS,
    SCENES,
    random_drawing,
    random_product,
    shop_photo,
    with_article,
)
from productshot.render.base import open_base
from productshot.render.fleet import paint_one
from productshot.render.keep import paint_around

UNSEEN_SEED = 90_000_000
"""Drawings from here on were in no training set."""
PICTURES = 240
STEPS = 25


@dataclass(frozen=True)
class Release:
    """The weights that are measured, and where sheets go."""

    weights: Path
    out: Path

    def pipeline(self, dtype: torch.dtype = torch.float32) -> StableDiffusionPipeline:
        """The base model."""
        found = StableDiffusionPipeline.from_pretrained(
            self.weights / "base", dtype=dtype, use_safetensors=True
        )
        found.set_progress_bar_config(disable=True)
        return found

    def tower(self) -> clip.ImageTower:
        """The image tower."""
        return clip.load_tower(self.weights / "clip")


def drawings(count: int, first: int = UNSEEN_SEED, empty_share: float = 0.15) -> list:
    """Unseen drawings with their captions."""
    return [random_drawing(first + k, empty_share=empty_share) for k in range(count)]


def asked_for(count: int) -> tuple[list[str], dict[str, NDArray[np.int64]]]:
    """Prompts over all scenes, nouns and colours in even shares, and what each asks for."""
    rng = np.random.default_rng(7)
    labels = {kind: rng.permutation(np.arange(count) % len(words)) for kind, words in KINDS.items()}
    prompts = [
        f"a photo of {with_article(f'{COLOURS[c]} {NOUNS[n]}')} {SCENES[s]}"
        for n, c, s in zip(labels["noun"], labels["colour"], labels["scene"], strict=True)
    ]
    return prompts, labels


def measure_pictures(release: Release) -> dict[str, object]:
    """Shares of generated pictures with the scene, class and colour asked for, by judges fitted to renders."""
    base, tower = release.pipeline(), release.tower()
    rng = np.random.default_rng(1)
    judge = fit_judge(tower, with_none(renders(8_192, UNSEEN_SEED + 1), base, rng))
    unseen = with_none(renders(512, UNSEEN_SEED + 2), base, rng)
    prompts, labels = asked_for(PICTURES)
    pictures = np.concatenate([
        sample(base, prompts[i : i + 24], steps=STEPS, first_seed=i) for i in range(0, PICTURES, 24)
    ])  # fmt: skip
    contact_sheet(pictures[:96], columns=12, path=release.out / "pictures.png")
    told = verdicts(judge, pictures)
    none = {f"{kind}_none": round(float((told[kind] == len(KINDS[kind])).mean()), 3) for kind in KINDS}
    by_noun = {
        noun: round(float((told["noun"][labels["noun"] == k] == k).mean()), 2) for k, noun in enumerate(NOUNS)
    }
    return {
        "judge_right_on_renders": right(judge, unseen),
        **{f"{kind}_right": value for kind, value in right(judge, Labelled(pictures, labels)).items()},
        **none,
        "noun_right_by_noun": by_noun,
    }


def measure_second(release: Release, count: int = 200) -> dict[str, object]:
    """Share of keep pictures in which the matte finds nothing but the pasted product."""
    recipe = RenderRecipe(
        base=str(release.weights / "base"),
        controlnet=str(release.weights / "controlnet"),
        controlnet_reads="pocket",
    )
    base, session = open_base(recipe), open_session("pocket-matte")
    alone, shown = 0, []
    for k in range(count):
        rng = np.random.default_rng((UNSEEN_SEED, 3, k))
        cutout = views_of(k, UNSEEN_SEED + 3)[0]
        scene = SCENES[k % len(SCENES)]
        brief = Scene(name="bench", lane="keep", scene_prompt=f"a photo of an empty scene {scene}")
        plate = paint_one(base, paint_around(base, brief, cutout, [(1, 1)], int(rng.integers(2**31)), recipe))
        assert plate.product is not None
        laid = resize(cutout, plate.product.size)
        picture = paste(laid, plate.rgb, plate.product)
        alpha = lay(laid[..., 3], plate.size, plate.product)
        alone += second_area(coarse_alpha(picture, session), alpha) < 0.2
        if k < 48:
            shown.append(picture)
    contact_sheet(shown, columns=8, path=release.out / "keep.png")
    return {"no_second_product": round(alone / count, 3)}


def second_area(found: NDArray[np.uint8], product: NDArray[np.uint8]) -> float:
    """Largest connected area that the matte found apart from the product, as a share of the product's area."""
    known = binary_dilation(product > 25, iterations=5)
    parts, count = label((found > 127) & ~known)
    if not count:
        return 0.0
    return float(np.bincount(parts.ravel())[1:].max() / max(1, (product > 127).sum()))


def measure_clip(release: Release) -> dict[str, object]:
    """How often the own caption is nearest among 32, on unseen drawings."""
    tower, base = release.tower(), release.pipeline()
    seen = drawings(1_024)
    ids = text.token_ids(base.tokenizer, [drawing.caption for drawing in seen])
    with torch.no_grad():
        said = tower.of_words(base.text_encoder(ids).pooler_output)
    pictures = clip.see_pictures(tower, np.stack([drawing.picture for drawing in seen]))
    return {"retrieval_top1_of_32": clip.retrieval(pictures, said, 32)}


def measure_fidelity(release: Release) -> dict[str, object]:
    """Chance that two views of one product score above views of two products of its noun: studio and real photos."""
    tower, count = release.tower(), 320
    views = np.concatenate([views_of(k, UNSEEN_SEED + 4) for k in range(count)])
    products = np.repeat(np.arange(count), VIEWS)
    known = clip.see_products(tower, views)
    figures: dict[str, object] = {"studio_auc": clip.instance_auc(known, products, products % len(NOUNS))}
    photos = Path(os.environ.get("PRODUCTSHOT_PHOTOS", "../shared")) / "photos"
    if not photos.is_dir():
        return figures | {"real_auc": "not measured: no photos"}
    return figures | real_fidelity(tower, photos)


def real_fidelity(tower: clip.ImageTower, photos: Path) -> dict[str, object]:
    """The same on real photos, cut by the coarse matte: one folder a product, nouns.csv beside them."""
    nouns = dict(line.split(",") for line in (photos.parent / "nouns.csv").read_text().split()[1:])
    session = open_session("pocket-matte")
    cutouts, product = [], []
    for path in sorted(photos.glob("*/*.jpg")):
        with Image.open(path) as picture:
            picture.draft("RGB", (512, 512))
            rgb = np.asarray(picture.convert("RGB").resize((320, 320 * picture.height // picture.width)))
        alpha = coarse_alpha(rgb, session)
        if (alpha >= 250).any():
            cutouts.append(square_cutout(np.dstack([rgb, alpha])))
            product.append(path.parent.name)
    known = clip.see_products(tower, np.stack(cutouts))
    value = clip.instance_auc(known, product, [nouns[name] for name in product])
    return {"real_auc": value, "real_photos": len(cutouts)}


def measure_vae(release: Release) -> dict[str, object]:
    """PSNR of unseen drawings after encoding and decoding."""
    model, seen = release.pipeline().vae, drawings(128)
    x = vae.to_model(np.stack([drawing.picture for drawing in seen]), torch.device("cpu"))
    with torch.no_grad():
        x_hat = torch.cat([model.decode(model.encode(part).latent_dist.mean).sample for part in x.split(16)])
    pairs = np.stack([vae.to_pictures(x[:24]), vae.to_pictures(x_hat[:24])], axis=1).reshape(48, 128, 128, 3)
    contact_sheet(pairs, columns=12, path=release.out / "vae.png")
    each = [vae.psnr(a, b) for a, b in zip(x, x_hat, strict=True)]
    return {
        "psnr_db": round(vae.psnr(x, x_hat), 2),
        "psnr_db_mean_of_pictures": round(float(np.mean(each)), 2),
    }


def measure_speed(release: Release) -> dict[str, object]:
    """Seconds a picture: 25 steps, guidance 4, eight at once, bfloat16; the best of three."""
    base = release.pipeline(torch.bfloat16)
    prompts, _ = asked_for(8)
    best = min(timed(lambda: sample(base, prompts, steps=STEPS)) for _ in range(3))
    return {"seconds_a_picture": round(best / 8, 3)}


def measure_controlnet(release: Release, count: int = 24) -> dict[str, object]:
    """Correlation of drawn gradients with the edges asked for, at scale 1, at scale 0 and of the renders themselves."""
    base = release.pipeline()
    net = ControlNetModel.from_pretrained(
        release.weights / "controlnet", dtype=torch.float32, use_safetensors=True
    )
    seen = drawings(count, UNSEEN_SEED + 50_000, empty_share=0.0)
    pictures, masks = (np.stack(part) for part in zip(*((d.picture, d.mask) for d in seen), strict=True))
    captions = [drawing.caption for drawing in seen]
    steered = control_sheet(base, net, pictures, masks, captions, release.out / "controls.png")
    edges = np.stack([control_image(p, m)[..., EDGES] for p, m in zip(pictures, masks, strict=True)])
    return {**steered, "edge_correlation_of_renders": edge_correlation(pictures, edges)}


def measure_matte(release: Release, photos: int = 48, composites: int = 220) -> dict[str, object]:
    """IoU of the coarse matte on unseen shop photos; rank correlation of confidence with IoU on composites."""
    session, recipe = open_session("pocket-matte"), CutoutRecipe()
    ious = []
    for k in range(photos):
        drawn = shop_photo(random_product(np.random.default_rng((UNSEEN_SEED, k))), k, 512, 640)
        ious.append(iou_of(coarse_alpha(drawn.picture, session), drawn.mask))
    stock = stocked(60, 60, 256, np.empty((0, 256, 256, 3), np.uint8), np.empty((0, 256, 256), np.uint8), 99)
    sure, true = [], []
    for k in range(composites):
        picture, mask = composite(UNSEEN_SEED + k, 320, stock)
        if not mask.any():
            continue
        try:
            found = cut_out(picture, session, recipe)
        except InputRefused:
            continue
        sure.append(found.confidence)
        true.append(iou_of(found.rgba[..., 3], mask))
    return {
        "studio_iou_mean": round(float(np.mean(ious)), 3),
        "studio_iou_worst": round(min(ious), 3),
        "composites_found": len(true),
        "composites_iou_mean": round(float(np.mean(true)), 3),
        "confidence_rank_correlation": round(float(spearmanr(sure, true).statistic), 3),
    }


def iou_of(found: NDArray[np.uint8], true: NDArray[np.uint8]) -> float:
    """Intersection over union at one half."""
    a, b = found > 127, true > 127
    return float((a & b).sum() / max(1, (a | b).sum()))


PARTS: dict[str, Callable[[Release], dict[str, object]]] = {
    "vae": measure_vae,
    "clip": measure_clip,
    "fidelity": measure_fidelity,
    "pictures": measure_pictures,
    "second": measure_second,
    "controlnet": measure_controlnet,
    "speed": measure_speed,
    "matte": measure_matte,
}


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.pocket", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=tuple(PARTS), default=tuple(PARTS))
    parser.add_argument("--release", type=Path, default=files.WEIGHTS)
    parser.add_argument("--out", type=Path, default=Path("out/pocket"))
    asked = parser.parse_args()
    release = Release(asked.release, asked.out)
    parts = {name: partial(measure, release) for name, measure in PARTS.items()}
    run_parts(parts, asked.only, release.out)


if __name__ == "__main__":
    main()
