"""Pocket, the model card's figures: measures the committed weights and prints them as JSON, for a person to quote.

python -m productshot.pocket.card            what MODEL_CARD.md quotes
python -m productshot.pocket.card --digests  rewrite weights/digests.json after a new release
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionPipeline
from numpy.typing import NDArray

from productshot.pocket import files, vae
from productshot.pocket.sheets import control_sheet, prompt_sheet, sample
from productshot.pocket.studio import PALETTE, draw, random_drawing, random_view
from productshot.pocket.textures import SCENES

UNSEEN_SEED = 78_000_000
"""Drawings from here on were in no training set."""


def measure(sheets: Path, count: int = 64) -> dict[str, float]:
    """What the card quotes; leaves two contact sheets. A few minutes on two cores."""
    base = StableDiffusionPipeline.from_pretrained(
        files.base_path(), dtype=torch.float32, use_safetensors=True
    )
    net = ControlNetModel.from_pretrained(files.controlnet_path(), dtype=torch.float32, use_safetensors=True)
    drawings = [random_drawing(UNSEEN_SEED + k) for k in range(count)]
    pictures = np.stack([drawing.picture for drawing in drawings])
    x = vae.to_model(pictures, torch.device("cpu"))
    with torch.no_grad():
        x_hat = base.vae.decode(base.vae.encode(x).latent_dist.mean).sample
    prompt_sheet(base, sheets / "prompts.png")
    with_product = [drawing for drawing in drawings if drawing.noun][:12]
    steered = control_sheet(
        base,
        net,
        np.stack([drawing.picture for drawing in with_product]),
        np.stack([drawing.mask for drawing in with_product]),
        [drawing.caption for drawing in with_product],
        sheets / "controls.png",
    )
    return {
        "vae_psnr_db": round(vae.psnr(x, x_hat), 2),
        **steered,
        "scene_accuracy": scene_accuracy(base),
        "colour_accuracy": colour_accuracy(base),
        "megabytes": megabytes(),
    }


def scene_accuracy(base: StableDiffusionPipeline, seeds: int = 2) -> float:
    """Share of generated empty scenes that a ridge classifier, fitted to drawings, takes for the scene asked for.

    Its features are 8 x 8 block means; chance is one in len(SCENES).
    """
    scenes = range(len(SCENES))
    drawn = [
        draw(None, random_view(np.random.default_rng((n, k)), SCENES[n])) for n in scenes for k in range(24)
    ]
    x = block_means(np.stack([drawing.picture for drawing in drawn]))
    one_hot = np.repeat(np.eye(len(SCENES)), 24, axis=0)
    weights = np.linalg.solve(x.T @ x + 0.1 * np.eye(x.shape[1]), x.T @ one_hot)
    prompts = [f"a photo of an empty scene {scene}" for scene in SCENES for _ in range(seeds)]
    guessed = (block_means(sample(base, prompts)) @ weights).argmax(axis=1)
    return round(float((guessed == np.repeat(scenes, seeds)).mean()), 3)


def block_means(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n, 193) float64: the means of 8 x 8 blocks in 0..1, and a one for the bias."""
    n, h, w, _ = pictures.shape
    means = pictures.reshape(n, 8, h // 8, 8, w // 8, 3).mean(axis=(2, 4)).reshape(n, -1) / 255
    return np.concatenate([means, np.ones((n, 1))], axis=1)


def colour_accuracy(base: StableDiffusionPipeline, seeds: int = 2) -> float:
    """Share of generated balls whose middle is nearest to the colour asked for, of all in PALETTE."""
    colours = np.array(list(PALETTE.values()))
    prompts = [f"a photo of a {c} ball on a grey studio sweep" for c in PALETTE for _ in range(seeds)]
    middle = sample(base, prompts)[:, 56:84, 50:78].reshape(len(prompts), -1, 3).mean(axis=1)
    nearest = np.linalg.norm(middle[:, None] - colours[None], axis=2).argmin(axis=1)
    return round(float((nearest == np.repeat(np.arange(len(colours)), seeds)).mean()), 3)


def megabytes() -> float:
    """Size of base model and ControlNet together, in millions of bytes."""
    folders = (files.base_path(), files.controlnet_path())
    return round(
        sum(f.stat().st_size for folder in folders for f in folder.rglob("*") if f.is_file()) / 1e6, 2
    )


def main(argv: list[str] | None = None) -> None:
    """Print the figures, or record the digests."""
    parser = argparse.ArgumentParser(prog="productshot.pocket.card", description=__doc__)
    parser.add_argument(
        "--digests", action="store_true", help="rewrite digests.json from the files as they are"
    )
    parser.add_argument(
        "--sheets", type=Path, default=Path("out/pocket"), help="folder for the contact sheets"
    )
    arguments = parser.parse_args(argv)
    if arguments.digests:
        files.write_digests()
        return
    print(json.dumps(measure(arguments.sheets), indent=2))


if __name__ == "__main__":
    main()
