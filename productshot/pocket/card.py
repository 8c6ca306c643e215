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

from productshot.pocket import files, vae
from productshot.pocket.sheets import control_sheet, prompt_sheet
from productshot.pocket.studio import random_drawing

UNSEEN_SEED = 78_000_000
"""Drawings from here on were in no training set."""


def measure(sheets: Path, count: int = 64) -> dict[str, float]:
    """PSNR of the autoencoder, edge correlations of the ControlNet and bytes; leaves two contact sheets."""
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
    return {"vae_psnr_db": round(vae.psnr(x, x_hat), 2), **steered, "megabytes": megabytes()}


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
