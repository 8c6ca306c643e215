"""Pocket, the tasks: what each model learns from the studio's drawings, and what it leaves behind.

A task is driven by `loop.fit`; train.py says with which budget.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    ModelMixin,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d
from transformers import CLIPTextModel, CLIPTokenizer

from productshot.adapters.losses import add_noise, spread_timesteps, velocity
from productshot.pocket import clip, controlnet, diffusion, text, vae
from productshot.pocket.instances import Instances, vary
from productshot.pocket.loop import follow, half_precision, place_in_group
from productshot.pocket.sheets import contact_sheet, control_sheet, prompt_sheet
from productshot.pocket.textures import SCENES

HELD_OUT = 256
LATENT_NOISE = 0.3
"""Most deviation of noise on latents (of about 1.2) that the decoder learns to overlook; this UNet leaves 0.15."""
PRODUCT_WEIGHT, EDGE_WEIGHT = 3.0, 3.0
EMPTY_CAPTION = "a photo of an empty scene {scene}"


@dataclass(frozen=True)
class Drawings:
    """A rendered set: pictures (n, h, w, 3) uint8, masks (n, h, w) uint8 0..255, one caption each."""

    pictures: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    captions: list[str]
    folder: Path

    @classmethod
    def load(cls, folder: Path) -> Drawings:
        """Open what studio.render_set wrote, without reading the pictures."""
        return cls(
            np.load(folder / "pictures.npy", mmap_mode="r"),
            np.load(folder / "masks.npy", mmap_mode="r"),
            json.loads((folder / "captions.json").read_text()),
            folder,
        )

    def latents(self, model: AutoencoderKL) -> Tensor:
        """(trained, 4, h/4, w/4) float16 scaled posterior means; encoded once for each encoder, then read again."""
        digest = hashlib.sha256()
        for weight in (*model.encoder.parameters(), *model.quant_conv.parameters()):
            digest.update(weight.detach().half().cpu().numpy().tobytes())
        kept = self.folder / f"latents-{digest.hexdigest()[:16]}.safetensors"
        if not kept.is_file():
            encoded = encode(model, self.pictures[: self.trained], model.device)
            partial = kept.with_suffix(f".{os.getpid()}")
            save_file({"latents": encoded}, partial)
            partial.replace(kept)
        return load_file(kept)["latents"]

    @property
    def trained(self) -> int:
        """How many drawings, from the first, may be trained on."""
        return len(self.captions) - HELD_OUT


class VaeTask:
    """The autoencoder: crops for most of the budget, as it is convolutional, whole pictures at the end."""

    def __init__(
        self,
        drawings: Drawings,
        widths: tuple[int, ...],
        device: torch.device,
        start: Path | None = None,
        decoder_only: bool = False,
    ) -> None:
        self.drawings, self.device, self.decoder_only = drawings, device, decoder_only
        model = released(AutoencoderKL, start) if start else vae.build_vae(widths)
        self.model, self.anchor_weight = model.to(device), 0.1 if start else 0.5
        if decoder_only:
            self.model.encoder.requires_grad_(False)
            self.model.quant_conv.requires_grad_(False)

    def modules(self) -> dict[str, nn.Module]:
        """The autoencoder."""
        return {"vae": self.model}

    def trained(self) -> list[nn.Parameter]:
        """All of it, or the decoder alone: then the latents, and what was trained on them, stay as they are."""
        return [weight for weight in self.model.parameters() if weight.requires_grad]

    def loss(self, rng: np.random.Generator, batch: int, progress: float) -> Tensor:
        """Reconstruction, the weighted distance to the colour anchor, 3e-4 times the KL term; means per element.

        The anchor is loosened when training goes on from released weights: their colours are right already. A decoder
        that is trained alone sees half of its latents with noise, as a UNet leaves it in them: else it draws speckle.
        """
        crop = 64 if progress < 0.99 else self.drawings.pictures.shape[1]
        pictures = self.drawings.pictures[: self.drawings.trained]
        x = vae.to_model(vae.random_crops(pictures, rng, batch, crop), self.device)
        with half_precision(self.device):
            posterior = self.model.encode(x).latent_dist
            latents = posterior.sample()
            if self.decoder_only:
                level = LATENT_NOISE * torch.rand(batch, 1, 1, 1) * (torch.rand(batch, 1, 1, 1) < 0.5)
                latents = latents + level.to(latents) * torch.randn_like(latents)
            x_hat = self.model.decode(latents).sample
        kl = vae.kl_to_normal(posterior.mean.float(), posterior.logvar.float())
        anchor = (posterior.mean[:, :3].float() - vae.colour_anchor(x)).abs().mean()
        return vae.reconstruction_loss(x, x_hat.float()) + self.anchor_weight * anchor + 3e-4 * kl

    def after_step(self, step: int) -> None:
        """Nothing."""

    def export(self, folder: Path, step: int) -> dict[str, float]:
        """Write vae/ with its measured scaling factor, originals beside reconstructions; returns the PSNR."""
        held = np.asarray(self.drawings.pictures[self.drawings.trained :][:64])
        x = vae.to_model(held, self.device)
        with torch.no_grad():
            latents = self.model.encode(x).latent_dist.mean
            x_hat = self.model.decode(latents).sample
        if not self.decoder_only:
            self.model.register_to_config(scaling_factor=round(1.0 / float(latents.std()), 4))
        replace_folder(
            folder / "vae", lambda partial: copy.deepcopy(self.model).half().save_pretrained(partial)
        )
        rows = np.stack([held[:12], vae.to_pictures(x_hat[:12])], axis=1).reshape(24, *held.shape[1:])
        contact_sheet(rows, columns=6, path=folder / f"sheet-{step:06d}.png")
        return {"psnr_db": round(vae.psnr(x, x_hat), 2), "scaling_factor": self.model.config.scaling_factor}


class ClipTask:
    """Text tower and image tower: captions against pictures, and one view of a product against another."""

    def __init__(
        self, drawings: Drawings, instances: Instances, device: torch.device, start: Path | None = None
    ) -> None:
        self.drawings, self.instances, self.device = drawings, instances, device
        self.tokenizer = text.build_tokenizer(drawings.captions)
        self.text = text.build_text_encoder(self.tokenizer).to(device)
        self.tower = clip.ImageTower().to(device)
        if start:
            self.tokenizer = CLIPTokenizer.from_pretrained(start / "tokenizer")
            self.text = CLIPTextModel.from_pretrained(start / "text_encoder", dtype=torch.float32).to(device)
            self.tower.load_state_dict(clip.load_tower(start / "clip").state_dict())
        self.ids = text.token_ids(self.tokenizer, drawings.captions)

    def modules(self) -> dict[str, nn.Module]:
        """Both towers."""
        return {"text": self.text, "tower": self.tower}

    def trained(self) -> list[nn.Parameter]:
        """Both towers."""
        return [*self.text.parameters(), *self.tower.parameters()]

    def loss(self, rng: np.random.Generator, batch: int, progress: float) -> Tensor:
        """Contrastive loss of pictures with captions, plus that of views with views among products of few nouns."""
        self.tower.train()
        rows = rng.integers(self.drawings.trained, size=batch)
        pictures = vae.crop_each(self.drawings.pictures[rows], rng, 118)
        one, two = self.instances.draw_pairs(rng, batch)
        x = torch.cat([clip.to_tower(pictures), clip.to_tower(vary(one, rng)), clip.to_tower(vary(two, rng))])
        with half_precision(self.device):
            seen, known = self.tower(x.to(self.device))
            pooled = self.text(self.ids[rows].to(self.device)).pooler_output
            said = self.tower.of_words(pooled)
        scale = self.tower.log_scale.clamp(max=4.6).exp()
        instance = clip.contrastive_loss(known[batch : 2 * batch], known[2 * batch :], 14.0)
        return clip.contrastive_loss(seen[:batch], said, scale) + instance

    def after_step(self, step: int) -> None:
        """Nothing."""

    def export(self, folder: Path, step: int) -> dict[str, float]:
        """Write words/ (text encoder, tokenizer, clip/); returns retrieval and instance figures on held-out ones."""
        replace_folder(folder / "words", self.save)
        tower = clip.load_tower(folder / "words" / "clip")
        held = slice(self.drawings.trained, len(self.drawings.captions))
        with torch.no_grad():
            said = tower.of_words(self.text(self.ids[held]).pooler_output)
        seen = clip.see_pictures(tower, np.asarray(self.drawings.pictures[held]))
        return {
            "retrieval_top1_of_32": clip.retrieval(seen, said, 32),
            "instance_auc": self.instances.auc_of_held_out(tower),
        }

    def save(self, folder: Path) -> None:
        """Write both towers and the tokenizer in half precision."""
        copy.deepcopy(self.text).half().save_pretrained(folder / "text_encoder")
        self.tokenizer.save_pretrained(folder / "tokenizer")
        clip.save_tower(self.tower, folder / "clip")


class DiffusionTask:
    """The UNet, on cached latents and CLIP's frozen words, with an averaged copy that is what is exported."""

    def __init__(
        self,
        drawings: Drawings,
        autoencoder: AutoencoderKL,
        words: Path,
        widths: tuple[int, ...],
        device: torch.device,
        start: Path | None = None,
    ) -> None:
        self.device, self.vae = device, autoencoder.to(device)
        rank, ranks = place_in_group()
        mine = slice(rank, drawings.trained, ranks)
        self.latents = drawings.latents(self.vae)[mine]
        self.masks = torch.from_numpy(np.ascontiguousarray(drawings.masks[mine]))
        self.tokenizer = CLIPTokenizer.from_pretrained(words / "tokenizer")
        self.ids = text.token_ids(self.tokenizer, drawings.captions[mine])
        self.no_text = text.token_ids(self.tokenizer, [""])[0]
        self.text = CLIPTextModel.from_pretrained(words / "text_encoder", dtype=torch.float32).to(device)
        self.text.requires_grad_(False)
        unet = released(UNet2DConditionModel, start) if start else diffusion.build_unet(widths)
        self.mean_unet = unet.to(device)
        self.unet = fast_attention(copy.deepcopy(self.mean_unet))
        self.alpha_bar = diffusion.build_scheduler().alphas_cumprod.to(device)

    def modules(self) -> dict[str, nn.Module]:
        """Live and averaged weights."""
        return {"unet": self.unet, "mean_unet": self.mean_unet}

    def trained(self) -> list[nn.Parameter]:
        """The UNet."""
        return list(self.unet.parameters())

    def loss(self, rng: np.random.Generator, batch: int, progress: float) -> Tensor:
        """Weighted squared error of the velocity of random drawings at spread timesteps; one caption in ten is dropped.

        The product and a rim of 2 latent cells weigh 1 + PRODUCT_WEIGHT: they are a sixth of a picture, and scenes
        are learned long before shapes.
        """
        rows = torch.from_numpy(rng.integers(len(self.latents), size=batch))
        ids = self.ids[rows].clone()
        ids[torch.from_numpy(rng.random(batch) < 0.1)] = self.no_text
        x_0 = self.latents[rows].to(self.device, torch.float32)
        t = spread_timesteps(batch, len(self.alpha_bar), torch.default_generator).to(self.device)
        epsilon, alpha_bar = torch.randn_like(x_0), self.alpha_bar[t]
        with half_precision(self.device):
            with torch.no_grad():
                words = self.text(ids.to(self.device)).last_hidden_state
            v_hat = self.unet(add_noise(x_0, epsilon, alpha_bar), t, words).sample
        product = avg_pool2d(self.masks[rows, None].to(self.device).float().div_(255), 4)
        weight = 1 + PRODUCT_WEIGHT * max_pool2d(product, 5, stride=1, padding=2)
        return weighted_error(v_hat.float(), velocity(x_0, epsilon, alpha_bar), weight)

    def after_step(self, step: int) -> None:
        """Let the average follow, faster in the beginning."""
        follow(self.mean_unet, self.unet, min(0.999, (1 + step) / (10 + step)))

    def export(self, folder: Path, step: int) -> dict[str, float]:
        """Write base/ (fp16) from the averages and a sheet of samples."""
        replace_folder(folder / "base", self.save)
        pipeline = load_pipeline(folder / "base").to(self.device)
        prompt_sheet(pipeline, folder / f"sheet-{step:06d}.png")
        return {}

    def save(self, folder: Path) -> None:
        """Write the averaged model as a pipeline in half precision."""
        unet = copy.deepcopy(self.mean_unet).half()
        halves = [copy.deepcopy(module).half() for module in (self.vae, self.text)]
        diffusion.save_pipeline(folder, halves[0], halves[1], self.tokenizer, unet)


class ControlTask:
    """The ControlNet on a frozen base model."""

    def __init__(
        self,
        drawings: Drawings,
        base: StableDiffusionPipeline,
        device: torch.device,
        start: Path | None = None,
    ) -> None:
        self.device, self.base, self.drawings = device, base.to(device), drawings
        for module in (base.unet, base.text_encoder, base.vae):
            module.requires_grad_(False)
        if start:
            net = released(ControlNetModel, start)
        else:
            some = np.stack([controlnet.control_image(p, m)
                             for p, m in zip(drawings.pictures[:32], drawings.masks[:32], strict=True)])  # fmt: skip
            net = controlnet.build_controlnet(base.unet, to_controls(some))
        self.net = fast_attention(net.to(device))
        self.unet = fast_attention(copy.deepcopy(base.unet))
        self.latents = drawings.latents(base.vae)
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

    def batch(self, rng: np.random.Generator, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Latents, control images in 0..1, text embeddings, and the edges' place in the latents (n, 1, h/4, w/4).

        Most silhouettes come with the scene alone.
        """
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
        edges = to_controls(np.stack(controls))[:, controlnet.EDGES, None]
        return (
            self.latents[torch.from_numpy(rows)].to(self.device, torch.float32),
            to_controls(kept).to(self.device),
            words.to(self.device, torch.float32),
            max_pool2d(edges, 4).to(self.device),
        )

    def loss(self, rng: np.random.Generator, batch: int, progress: float) -> Tensor:
        """Squared error of the velocity of the base model with the ControlNet's residuals added; edges weigh more."""
        x_0, control, words, edges = self.batch(rng, batch)
        t = spread_timesteps(batch, len(self.alpha_bar), torch.default_generator).to(self.device)
        epsilon, alpha_bar = torch.randn_like(x_0), self.alpha_bar[t]
        x_t = add_noise(x_0, epsilon, alpha_bar)
        with half_precision(self.device):
            down, mid = self.net(x_t, t, words, controlnet_cond=control, return_dict=False)
            v_hat = self.unet(
                x_t, t, words, down_block_additional_residuals=down, mid_block_additional_residual=mid
            ).sample
        return weighted_error(v_hat.float(), velocity(x_0, epsilon, alpha_bar), 1 + EDGE_WEIGHT * edges)

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


def weighted_error(x_hat: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error of (n, c, h, w) under (n, 1, h, w) weights, which then sum to 1."""
    error = (x_hat - x).square().mean(dim=1, keepdim=True)
    return (weight * error).sum() / weight.sum()


def to_controls(images: NDArray[np.uint8]) -> Tensor:
    """(n, 3, h, w) in 0..1 of control images (n, h, w, 3)."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float().div_(255)


def scene_of(caption: str) -> int:
    """Position in SCENES of the scene that the caption ends with; ValueError when it names none."""
    for number, scene in enumerate(SCENES):
        if scene in caption:
            return number
    raise ValueError(f"caption {caption!r} names no scene of {SCENES}")


def released(kind: type[ModelMixin], folder: Path) -> ModelMixin:
    """A released model in single precision, without the path that a loaded configuration remembers and writes."""
    found = kind.from_pretrained(folder, dtype=torch.float32)
    model = kind.from_config(
        {name: value for name, value in found.config.items() if not name.startswith("_")}
    )
    model.load_state_dict(found.state_dict())
    return model


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
