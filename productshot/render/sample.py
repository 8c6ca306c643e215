"""The render room's sampler: prompts and pixels to latents, DDIM with guidance, latents to pixels.

One picture at a time and its own generator: the bytes follow from the arguments alone (on one kind of machine
and number of threads), whatever else a night renders.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from productshot.errors import InputRefused
from productshot.geometry import Size
from productshot.pixels import Pixels
from productshot.render.base import Base, memory_errors

LATENTS = 4


@dataclass(frozen=True)
class Conditions:
    """What steers one picture."""

    text: Tensor  # (2, tokens, width): negative prompt, prompt; of the base's dtype
    control: Tensor | None  # (1, 3, h, w), 0..1; of the base's dtype
    control_scale: float
    guidance_scale: float


@dataclass(frozen=True)
class Known:
    """Latents that are given, and where: 1 keeps, 0 is painted (from these latents where strength is below 1)."""

    latents: Tensor  # (1, 4, h/cell, w/cell)
    mask: Tensor  # (1, 1, h/cell, w/cell)


@torch.inference_mode()
def encode_text(base: Base, prompt: str, negative_prompt: str) -> Tensor:
    """(2, tokens, width) text embeddings, the negative prompt first.

    InputRefused: a prompt is longer than the model reads; its end, often the scene, would be lost.
    """
    for text in (negative_prompt, prompt):
        tokens, limit = len(base.tokenizer.tokenize(text)) + 2, base.tokenizer.model_max_length
        if tokens > limit:
            told, most = f"has {tokens} tokens", f"this base model reads {limit}"
            raise InputRefused(f'prompt "{text}"', told, most, "use fewer or more common words")
    words = base.tokenizer(
        [negative_prompt, prompt],
        padding="max_length",
        max_length=base.tokenizer.model_max_length,
        return_tensors="pt",
    )
    embedded: Tensor = base.text_encoder(words.input_ids.to(base.device)).last_hidden_state
    return embedded.to(base.dtype)


@torch.inference_mode()
def encode_pixels(base: Base, rgb: Pixels) -> Tensor:
    """(1, 4, h/cell, w/cell) latents, the mean of the VAE's posterior, of an (h, w, 3) uint8 picture."""
    x = torch.from_numpy(rgb.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None].to(base.device)
    mean: Tensor = base.vae.encode(x).latent_dist.mean
    return mean * float(base.vae.config.scaling_factor)


@torch.inference_mode()
def decode_pixels(base: Base, latents: Tensor) -> Pixels:
    """The (h, w, 3) uint8 picture of (1, 4, h/cell, w/cell) latents, its rim mended."""
    x = base.vae.decode(latents / float(base.vae.config.scaling_factor)).sample[0]
    picture = ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return without_rim(picture.permute(1, 2, 0).cpu().numpy(), base.cell_px)


def without_rim(rgb: Pixels, width_px: int) -> Pixels:
    """The picture with its outermost pixels replaced by a mirror image of those inside them.

    Convolutions see zeros beyond the border: a painting's last latent cell is a frame of another brightness.
    """
    w = width_px
    return np.pad(rgb[w:-w, w:-w], ((w, w), (w, w), (0, 0)), mode="reflect")


def as_control(base: Base, control: Pixels | None) -> Tensor | None:
    """(1, 3, h, w) in 0..1 on the base's device, of an (h, w, 3) uint8 control map."""
    if control is None:
        return None
    return (
        torch.from_numpy(control.astype(np.float32) / 255).permute(2, 0, 1)[None].to(base.device, base.dtype)
    )


def timesteps(trained: int, steps: int) -> list[int]:
    """Timesteps from the noisiest down, spaced evenly from the end ("trailing", Lin et al. 2024, table 2)."""
    return [round(trained - i * trained / steps) - 1 for i in range(steps)]


def split(prediction: str, output: Tensor, x: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    """The clean x0 and the noise in x that the network's output stands for (v: Salimans & Ho 2022, appendix D).

    With v the last timestep may be pure noise (alpha_bar 0, Lin et al. 2024); with epsilon x0 would be lost there.
    """
    signal, spread = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    if prediction == "v_prediction":
        return signal * x - spread * output, signal * output + spread * x
    return (x - spread * output) / signal, output


def add_noise(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x0 at the noise level alpha_bar (Ho et al. 2020, "DDPM", equation 4)."""
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


@torch.inference_mode()
def predict(
    base: Base, x: Tensor, t: int, alpha_bar: Tensor, conditions: Conditions
) -> tuple[Tensor, Tensor]:
    """The clean picture and the noise in x, guided: f(empty) + w (f(prompt) - f(empty)) (Ho & Salimans 2022)."""
    pair = torch.cat([x, x])
    given = {"sample": pair.to(base.dtype), "timestep": t, "encoder_hidden_states": conditions.text}
    down = mid = None
    if conditions.control is not None and conditions.control_scale > 0:
        down, mid = base.controlnet(
            **given,
            controlnet_cond=conditions.control.expand(2, -1, -1, -1),
            conditioning_scale=conditions.control_scale,
            return_dict=False,
        )
    residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
    output = base.unet(**given, **residuals).sample.float()
    without, guided = output.chunk(2)
    return split(base.prediction, without + conditions.guidance_scale * (guided - without), x, alpha_bar)


@torch.inference_mode()
def sample(
    base: Base,
    conditions: Conditions,
    size: Size,
    steps: int,
    seed: int,
    known: Known | None = None,
    strength: float = 1.0,
) -> Tensor:
    """(1, 4, h/cell, w/cell) latents of a picture of that size in px.

    Known latents are put back at every timestep at that timestep's noise (blended latent diffusion, Avrahami
    et al. 2023) and are exact in the result. Below strength 1 the first timesteps are left out and the whole
    picture starts from known.latents (SDEdit, Meng et al. 2022). OutOfMemory: the size is too large.
    """
    generator = torch.Generator("cpu").manual_seed(seed)
    shape = (1, LATENTS, size.height // base.cell_px, size.width // base.cell_px)
    noise = torch.randn(shape, generator=generator).to(base.device)
    alpha_bars = base.alphas_cumprod.to(base.device)
    times = timesteps(len(alpha_bars), steps)[round((1 - strength) * steps) :]
    ends = [alpha_bars[t] for t in times[1:]] + [torch.ones_like(alpha_bars[0])]
    x = noise
    if known is not None and strength < 1:
        x = add_noise(known.latents, noise, alpha_bars[times[0]])
    with memory_errors(f"a picture of {size.width}x{size.height} px"):
        for t, next_alpha_bar in zip(times, ends, strict=True):
            x0, seen = predict(base, x, t, alpha_bars[t], conditions)
            x = add_noise(x0, seen, next_alpha_bar)  # DDIM (Song et al. 2021), equation 12 with sigma = 0
            if known is not None:
                x = torch.where(known.mask > 0, add_noise(known.latents, noise, next_alpha_bar), x)
    return x
