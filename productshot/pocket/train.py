"""Pocket, training from nothing: what is learned from the studio's drawings, in which order.

    python -m productshot.pocket.train vae        --data DIR --out RUN/vae
    python -m productshot.pocket.train diffusion  --data DIR --out RUN/diffusion --vae RUN/vae/vae
    python -m productshot.pocket.train controlnet --data DIR --out RUN/controlnet --base RUN/diffusion/base

DIR is what studio.render_set wrote. The last HELD_OUT drawings are never trained on. Each run writes
log.jsonl, a checkpoint and sheet-<step>.png; --resume goes on, also with another --samples. To train in several
processes: python -m torch.distributed.run --nproc-per-node 2 -m productshot.pocket.train ...
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from diffusers import AutoencoderKL, ControlNetModel, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from torch import Tensor, nn

from productshot.pocket import controlnet, diffusion, text, vae
from productshot.pocket.loop import Budget, Report, Task, fit, follow, half_precision, place_in_group
from productshot.pocket.sheets import contact_sheet, control_sheet, prompt_sheet
from productshot.pocket.textures import SCENES

HELD_OUT = 256
EMPTY_CAPTION = "a photo of an empty scene {scene}"


@dataclass(frozen=True)
class Preset:
    """Sizes and budgets for one kind of machine."""

    vae_widths: tuple[int, ...]
    unet_widths: tuple[int, ...]
    vae: Budget
    diffusion: Budget
    controlnet: Budget


PRESETS = {
    "cpu": Preset(
        vae_widths=vae.CPU_WIDTHS,
        unet_widths=diffusion.CPU_WIDTHS,
        vae=Budget(samples=80_000, batch=32, peak_lr=2e-3, flat_share=0.85, save_every_s=120.0),
        diffusion=Budget(samples=80_000, batch=16, peak_lr=8e-4, flat_share=0.6, save_every_s=480.0),
        controlnet=Budget(samples=20_000, batch=16, peak_lr=6e-4, flat_share=0.5, save_every_s=600.0),
    ),
    "gpu": Preset(
        vae_widths=vae.GPU_WIDTHS,
        unet_widths=diffusion.GPU_WIDTHS,
        vae=Budget(samples=400_000, batch=64, peak_lr=1.5e-3, flat_share=0.3),
        diffusion=Budget(samples=3_000_000, batch=256, peak_lr=7e-4, warmup_steps=500),
        controlnet=Budget(samples=300_000, batch=128, peak_lr=5e-4, flat_share=0.5),
    ),
}


@dataclass(frozen=True)
class Drawings:
    """A rendered set: pictures (n, h, w, 3) uint8, masks (n, h, w) uint8 0..255, one caption each."""

    pictures: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    captions: list[str]

    @classmethod
    def load(cls, folder: Path) -> Drawings:
        """Open what studio.render_set wrote, without reading the pictures."""
        return cls(
            np.load(folder / "pictures.npy", mmap_mode="r"),
            np.load(folder / "masks.npy", mmap_mode="r"),
            json.loads((folder / "captions.json").read_text()),
        )

    @property
    def trained(self) -> int:
        """How many drawings, from the first, may be trained on."""
        return len(self.captions) - HELD_OUT


class VaeTask:
    """The autoencoder: crops for most of the budget, as it is convolutional, whole pictures at the end."""

    def __init__(self, drawings: Drawings, widths: tuple[int, ...], device: torch.device) -> None:
        self.drawings, self.device = drawings, device
        self.model = vae.build_vae(widths).to(device)

    def modules(self) -> dict[str, nn.Module]:
        """The autoencoder."""
        return {"vae": self.model}

    def trained(self) -> list[nn.Parameter]:
        """All of it."""
        return list(self.model.parameters())

    def loss(self, rng: np.random.Generator, batch: int, progress: float) -> Tensor:
        """Reconstruction, 0.5 times the distance to the colour anchor, 3e-4 times the KL term; means per element."""
        crop = 64 if progress < 0.99 else self.drawings.pictures.shape[1]
        pictures = self.drawings.pictures[: self.drawings.trained]
        x = vae.to_model(vae.random_crops(pictures, rng, batch, crop), self.device)
        with half_precision(self.device):
            posterior = self.model.encode(x).latent_dist
            x_hat = self.model.decode(posterior.sample()).sample
        kl = vae.kl_to_normal(posterior.mean.float(), posterior.logvar.float())
        anchor = (posterior.mean[:, :3].float() - vae.colour_anchor(x)).abs().mean()
        return vae.reconstruction_loss(x, x_hat.float()) + 0.5 * anchor + 3e-4 * kl

    def after_step(self, step: int) -> None:
        """Nothing."""

    def export(self, folder: Path, step: int) -> dict[str, float]:
        """Write vae/ with its measured scaling factor, originals beside reconstructions; returns the PSNR."""
        held = np.asarray(self.drawings.pictures[self.drawings.trained :][:64])
        x = vae.to_model(held, self.device)
        with torch.no_grad():
            latents = self.model.encode(x).latent_dist.mean
            x_hat = self.model.decode(latents).sample
        self.model.register_to_config(scaling_factor=round(1.0 / float(latents.std()), 4))
        replace_folder(
            folder / "vae", lambda partial: copy.deepcopy(self.model).half().save_pretrained(partial)
        )
        rows = np.stack([held[:12], vae.to_pictures(x_hat[:12])], axis=1).reshape(24, *held.shape[1:])
        contact_sheet(rows, columns=6, path=folder / f"sheet-{step:06d}.png")
        return {"psnr_db": round(vae.psnr(x, x_hat), 2), "scaling_factor": self.model.config.scaling_factor}


class DiffusionTask:
    """UNet and text encoder together, on cached latents, with averaged copies that are what is exported."""

    def __init__(
        self, drawings: Drawings, autoencoder: AutoencoderKL, widths: tuple[int, ...], device: torch.device
    ) -> None:
        self.device, self.vae = device, autoencoder.to(device)
        rank, ranks = place_in_group()
        mine = slice(rank, drawings.trained, ranks)
        self.latents = encode(autoencoder, drawings.pictures[mine], device)
        self.tokenizer = text.build_tokenizer(drawings.captions)
        self.ids = text.token_ids(self.tokenizer, drawings.captions[mine])
        self.no_text = text.token_ids(self.tokenizer, [""])[0]
        self.text = text.build_text_encoder(self.tokenizer).to(device)
        self.unet = fast_attention(diffusion.build_unet(widths).to(device))
        self.mean_text, self.mean_unet = copy.deepcopy(self.text), copy.deepcopy(self.unet)
        self.alpha_bar = diffusion.build_scheduler().alphas_cumprod.to(device)

    def modules(self) -> dict[str, nn.Module]:
        """Live and averaged weights."""
        return {
            "unet": self.unet,
            "text": self.text,
            "mean_unet": self.mean_unet,
            "mean_text": self.mean_text,
        }

    def trained(self) -> list[nn.Parameter]:
        """UNet and text encoder."""
        return [*self.unet.parameters(), *self.text.parameters()]

    def loss(self, rng: np.random.Generator, batch: int, progress: float) -> Tensor:
        """Weighted epsilon loss of random drawings at random timesteps; one caption in ten is dropped."""
        rows = torch.from_numpy(rng.integers(len(self.latents), size=batch))
        ids = self.ids[rows].clone()
        ids[torch.from_numpy(rng.random(batch) < 0.1)] = self.no_text
        x_0 = self.latents[rows].to(self.device, torch.float32)
        t = torch.from_numpy(rng.integers(len(self.alpha_bar), size=batch)).to(self.device)
        epsilon, alpha_bar = diffusion.draw_noise(x_0), self.alpha_bar[t]
        with half_precision(self.device):
            words = self.text(ids.to(self.device)).last_hidden_state
            epsilon_hat = self.unet(diffusion.add_noise(x_0, epsilon, alpha_bar), t, words).sample
        return diffusion.epsilon_loss(epsilon, epsilon_hat.float(), diffusion.min_snr_weight(alpha_bar))

    def after_step(self, step: int) -> None:
        """Let the averages follow, faster in the beginning."""
        decay = min(0.999, (1 + step) / (10 + step))
        follow(self.mean_unet, self.unet, decay)
        follow(self.mean_text, self.text, decay)

    def export(self, folder: Path, step: int) -> dict[str, float]:
        """Write base/ (fp16) from the averages and a sheet of samples."""
        replace_folder(folder / "base", self.save)
        pipeline = load_pipeline(folder / "base").to(self.device)
        prompt_sheet(pipeline, folder / f"sheet-{step:06d}.png")
        return {}

    def save(self, folder: Path) -> None:
        """Write the averaged model as a pipeline in half precision."""
        unet = copy.deepcopy(self.mean_unet).half()
        halves = [copy.deepcopy(module).half() for module in (self.vae, self.mean_text)]
        diffusion.save_pipeline(folder, halves[0], halves[1], self.tokenizer, unet)


class ControlTask:
    """The ControlNet on a frozen base model."""

    def __init__(self, drawings: Drawings, base: StableDiffusionPipeline, device: torch.device) -> None:
        self.device, self.base, self.drawings = device, base.to(device), drawings
        for module in (base.unet, base.text_encoder, base.vae):
            module.requires_grad_(False)
        fast_attention(base.unet)
        self.net = fast_attention(controlnet.build_controlnet(base.unet).to(device))
        self.words = self.encode_captions(drawings.captions[: drawings.trained])
        empty = self.encode_captions([EMPTY_CAPTION.format(scene=scene) for scene in SCENES])
        self.scene_words = empty[[scene_of(caption) for caption in drawings.captions[: drawings.trained]]]
        self.no_words = self.encode_captions([""])[0]
        self.alpha_bar = diffusion.build_scheduler().alphas_cumprod.to(device)

    def encode_captions(self, captions: list[str]) -> Tensor:
        """(n, TOKENS, width) float16 text embeddings."""
        ids = text.token_ids(self.base.tokenizer, captions).to(self.device)
        with torch.no_grad():
            chunks = [
                self.base.text_encoder(chunk).last_hidden_state.half().cpu() for chunk in ids.split(512)
            ]
        return torch.cat(chunks)

    def modules(self) -> dict[str, nn.Module]:
        """The ControlNet."""
        return {"controlnet": self.net}

    def trained(self) -> list[nn.Parameter]:
        """All of it."""
        return list(self.net.parameters())

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor]:
        """Latents, control images in 0..1 and text embeddings; most silhouettes come with the scene alone."""
        rows = rng.integers(self.drawings.trained, size=size)
        pictures = self.drawings.pictures[rows]
        alone = rng.random(size) < 0.5
        controls = [
            controlnet.control_image(picture, mask, product_only)
            for picture, mask, product_only in zip(pictures, self.drawings.masks[rows], alone, strict=True)
        ]
        kept, silhouette = controlnet.keep_channels(np.stack(controls), rng)
        words = self.words[rows].clone()
        scene_only = silhouette & (rng.random(size) < 0.6)
        words[torch.from_numpy(scene_only)] = self.scene_words[rows[scene_only]]
        words[torch.from_numpy(rng.random(size) < 0.1)] = self.no_words
        with torch.no_grad(), half_precision(self.device):
            x_0 = self.base.vae.encode(vae.to_model(pictures, self.device)).latent_dist.mean
        control = torch.from_numpy(kept).to(self.device).permute(0, 3, 1, 2).float().div_(255)
        return (
            x_0.float() * self.base.vae.config.scaling_factor,
            control,
            words.to(self.device, torch.float32),
        )

    def loss(self, rng: np.random.Generator, batch: int, progress: float) -> Tensor:
        """Weighted epsilon loss of the base model with the ControlNet's residuals added."""
        x_0, control, words = self.batch(rng, batch)
        t = torch.from_numpy(rng.integers(len(self.alpha_bar), size=batch)).to(self.device)
        epsilon, alpha_bar = diffusion.draw_noise(x_0), self.alpha_bar[t]
        x_t = diffusion.add_noise(x_0, epsilon, alpha_bar)
        with half_precision(self.device):
            down, mid = self.net(x_t, t, words, controlnet_cond=control, return_dict=False)
            epsilon_hat = self.base.unet(
                x_t, t, words, down_block_additional_residuals=down, mid_block_additional_residual=mid
            ).sample
        return diffusion.epsilon_loss(epsilon, epsilon_hat.float(), diffusion.min_snr_weight(alpha_bar))

    def after_step(self, step: int) -> None:
        """Nothing."""

    def export(self, folder: Path, step: int) -> dict[str, float]:
        """Write controlnet/ (fp16) and a sheet of held-out controls with what they steer."""
        replace_folder(
            folder / "controlnet", lambda partial: copy.deepcopy(self.net).half().save_pretrained(partial)
        )
        held = slice(self.drawings.trained, self.drawings.trained + 12)
        return control_sheet(self.base, self.net, self.drawings.pictures[held], self.drawings.masks[held],
                             self.drawings.captions[held], folder / f"sheet-{step:06d}.png")  # fmt: skip


def scene_of(caption: str) -> int:
    """Position in SCENES of the scene that the caption ends with; ValueError when it names none."""
    for number, scene in enumerate(SCENES):
        if scene in caption:
            return number
    raise ValueError(f"caption {caption!r} names no scene of {SCENES}")


def fast_attention(module: UNet2DConditionModel | ControlNetModel) -> UNet2DConditionModel | ControlNetModel:
    """The module with plain matmuls for attention: on a CPU the fused kernel's backward is slower."""
    module.set_attn_processor(AttnProcessor())
    return module


def load_pipeline(folder: Path) -> StableDiffusionPipeline:
    """The base model in single precision."""
    return StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)


def encode(model: AutoencoderKL, pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(n, 4, h/4, w/4) float16 scaled posterior means, kept on the CPU."""
    chunks = []
    for first in range(0, len(pictures), 64):
        with torch.no_grad(), half_precision(device):
            mean = model.encode(vae.to_model(pictures[first : first + 64], device)).latent_dist.mean
        chunks.append((mean.float() * model.config.scaling_factor).half().cpu())
    return torch.cat(chunks)


def replace_folder(folder: Path, write: Callable[[Path], object]) -> None:
    """Write a folder beside its place and swap it in, so that a reader sees the old one or the new one."""
    partial = folder.with_name(folder.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    write(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)


def build_task(arguments: argparse.Namespace, preset: Preset, device: torch.device) -> Task:
    """The task that the command line asks for."""
    drawings = Drawings.load(arguments.data)
    if arguments.model == "vae":
        return VaeTask(drawings, preset.vae_widths, device)
    if arguments.model == "diffusion":
        autoencoder = AutoencoderKL.from_pretrained(arguments.vae, dtype=torch.float32)
        return DiffusionTask(drawings, autoencoder, preset.unet_widths, device)
    return ControlTask(drawings, load_pipeline(arguments.base), device)


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
    parser.add_argument("model", choices=("vae", "diffusion", "controlnet"))
    parser.add_argument("--data", type=Path, required=True, help="folder that studio.render_set wrote")
    parser.add_argument("--out", type=Path, required=True, help="folder of this run")
    parser.add_argument("--vae", type=Path, help="trained autoencoder (diffusion)")
    parser.add_argument("--base", type=Path, help="trained pipeline (controlnet)")
    parser.add_argument("--samples", type=int, help="override the preset's number of samples")
    parser.add_argument("--size-preset", choices=tuple(PRESETS), default="cpu")
    parser.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    arguments = parser.parse_args(argv)
    for model, needed in (("diffusion", "vae"), ("controlnet", "base")):
        if arguments.model == model and getattr(arguments, needed) is None:
            parser.error(f"{model} needs --{needed}")
    return arguments


def main(argv: list[str] | None = None) -> None:
    """Train one model as the command line says."""
    arguments = parse(argv)
    preset = PRESETS[arguments.size_preset]
    budget: Budget = getattr(preset, arguments.model)
    if arguments.samples is not None:
        budget = replace(budget, samples=arguments.samples)
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
