"""Pocket, training from nothing: what is learned from the studio's drawings, in which order.

    python -m productshot.pocket.train draw       --data DIR
    python -m productshot.pocket.train vae        --data DIR --out RUN/vae
    python -m productshot.pocket.train clip       --data DIR --out RUN/clip
    python -m productshot.pocket.train diffusion  --data DIR --out RUN/diffusion \\
        --vae RUN/vae/vae --words RUN/clip/words
    python -m productshot.pocket.train controlnet --data DIR --out RUN/controlnet --base RUN/diffusion/base

`draw` writes the preset's drawings and product views. The last HELD_OUT drawings are never trained on. Each run
writes log.jsonl, a checkpoint and sheet-<step>.png; --resume goes on, also with another --samples; --released FOLDER
begins from released weights instead (weights/base/vae, weights/base/unet, weights/controlnet; for clip a folder
with text_encoder, tokenizer and clip). To train in several processes:
python -m torch.distributed.run --nproc-per-node 2 -m productshot.pocket.train ...
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist
from diffusers import AutoencoderKL

from productshot.pocket import diffusion, vae
from productshot.pocket.instances import Instances, render_instances
from productshot.pocket.loop import Budget, Report, Task, fit
from productshot.pocket.studio import render_set
from productshot.pocket.tasks import (
    HELD_OUT,
    ClipTask,
    ControlTask,
    DiffusionTask,
    Drawings,
    VaeTask,
    load_pipeline,
)


@dataclass(frozen=True)
class Preset:
    """Sizes and budgets for one kind of machine."""

    drawings: int
    products: int
    vae_widths: tuple[int, ...]
    unet_widths: tuple[int, ...]
    vae: Budget
    clip: Budget
    diffusion: Budget
    controlnet: Budget


PRESETS = {
    "cpu": Preset(
        drawings=24_000,
        products=3_200,
        vae_widths=vae.CPU_WIDTHS,
        unet_widths=diffusion.CPU_WIDTHS,
        vae=Budget(samples=160_000, batch=32, peak_lr=2e-3, flat_share=0.5, save_every_s=240.0),
        clip=Budget(samples=40_000, batch=64, peak_lr=2e-3, flat_share=0.3, save_every_s=240.0),
        diffusion=Budget(samples=150_000, batch=16, peak_lr=8e-4, save_every_s=900.0),
        controlnet=Budget(samples=20_000, batch=16, peak_lr=6e-4, flat_share=0.5, save_every_s=600.0),
    ),
    "gpu": Preset(
        drawings=200_000,
        products=20_000,
        vae_widths=vae.CPU_WIDTHS,
        unet_widths=diffusion.CPU_WIDTHS,
        vae=Budget(samples=2_000_000, batch=64, peak_lr=1.5e-3, flat_share=0.3),
        clip=Budget(samples=1_000_000, batch=256, peak_lr=2e-3, flat_share=0.3),
        diffusion=Budget(samples=6_000_000, batch=256, peak_lr=7e-4, warmup_steps=500),
        controlnet=Budget(samples=600_000, batch=128, peak_lr=5e-4, flat_share=0.5),
    ),
}
"""The models have one size; a faster machine shows them more."""

DRAWINGS_SEED, PRODUCTS_SEED = 5_000_000, 6_000_000


def draw(preset: Preset, folder: Path) -> None:
    """Write the preset's training data; some minutes on two cores."""
    render_set(folder, preset.drawings + HELD_OUT, DRAWINGS_SEED)
    render_instances(folder / "instances.npy", preset.products, PRODUCTS_SEED)


def build_task(arguments: argparse.Namespace, preset: Preset, device: torch.device) -> Task:
    """The task that the command line asks for."""
    drawings, start = Drawings.load(arguments.data), arguments.released
    if arguments.model == "vae":
        return VaeTask(drawings, preset.vae_widths, device, start, arguments.decoder_only)
    if arguments.model == "clip":
        return ClipTask(drawings, Instances.load(arguments.data / "instances.npy"), device, start)
    if arguments.model == "diffusion":
        autoencoder = AutoencoderKL.from_pretrained(arguments.vae, dtype=torch.float32)
        return DiffusionTask(drawings, autoencoder, arguments.words, preset.unet_widths, device, start)
    return ControlTask(drawings, load_pipeline(arguments.base), device, start)


def write_lines(folder: Path) -> Report:
    """A report that appends each line to log.jsonl and prints it."""
    folder.mkdir(parents=True, exist_ok=True)

    def report(figures: dict[str, float]) -> None:
        line = json.dumps(figures)
        print(line, flush=True)
        with (folder / "log.jsonl").open("a") as log:
            log.write(line + "\n")

    return report


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line of the module's docstring."""
    parser = argparse.ArgumentParser(prog="productshot.pocket.train", description=__doc__)
    parser.add_argument("model", choices=("draw", "vae", "clip", "diffusion", "controlnet"))
    parser.add_argument("--data", type=Path, required=True, help="folder of the drawings")
    parser.add_argument("--out", type=Path, help="folder of this run")
    parser.add_argument("--vae", type=Path, help="trained autoencoder (diffusion)")
    parser.add_argument("--words", type=Path, help="trained text encoder and tokenizer (diffusion)")
    parser.add_argument("--base", type=Path, help="trained pipeline (controlnet)")
    parser.add_argument("--released", type=Path, help="released weights to go on from")
    parser.add_argument("--samples", type=int, help="override the preset's number of samples")
    parser.add_argument(
        "--decoder-only", action="store_true", help="with --released: latents stay as they are (vae)"
    )
    parser.add_argument("--rate", type=float, help="override the preset's peak learning rate")
    parser.add_argument("--size-preset", choices=tuple(PRESETS), default="cpu")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    arguments = parser.parse_args(argv)
    for model, needed in (("diffusion", "vae"), ("diffusion", "words"), ("controlnet", "base")):
        if arguments.model == model and getattr(arguments, needed) is None:
            parser.error(f"{model} needs --{needed}")
    if arguments.decoder_only and arguments.released is None:
        parser.error("--decoder-only needs --released")
    if arguments.model != "draw" and arguments.out is None:
        parser.error(f"{arguments.model} needs --out")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Train one model as the command line says."""
    arguments = parse(argv)
    preset = PRESETS[arguments.size_preset]
    if arguments.model == "draw":
        draw(preset, arguments.data)
        return
    budget: Budget = getattr(preset, arguments.model)
    if arguments.samples is not None:
        budget = replace(budget, samples=arguments.samples)
    if arguments.rate is not None:
        budget = replace(budget, peak_lr=arguments.rate)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(budget.seed)
    if "RANK" in os.environ:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    fit(
        build_task(arguments, preset, device),
        budget,
        arguments.out,
        write_lines(arguments.out),
        arguments.resume,
    )


if __name__ == "__main__":
    main()
