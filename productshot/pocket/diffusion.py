"""Pocket, the diffusion model: a small UNet2DConditionModel in Stable Diffusion's layout, and its loss.

Symbols as in Ho et al. 2020 (DDPM): x_0 a latent, epsilon the noise, alpha_bar_t the signal left at t.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

CPU_WIDTHS = (48, 96, 160)
GPU_WIDTHS = (96, 160, 256)


def build_unet(widths: Sequence[int] = CPU_WIDTHS, text_width: int = 192) -> UNet2DConditionModel:
    """A fresh UNet on 32 x 32 x 4 latents with attention at its two lower levels."""
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=4,
        out_channels=4,
        block_out_channels=tuple(widths),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,  # diffusers reads this field as the number of heads
        cross_attention_dim=text_width,
        norm_num_groups=16,
    )


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule: scaled-linear betas over 1,000 timesteps, epsilon prediction."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def draw_noise(x_0: Tensor, offset: float = 0.15) -> Tensor:
    """Epsilon like x_0: unit normal, plus `offset` times one normal number for each sample and channel.

    At the last timestep the mean of a smooth latent still shows through plain noise (Lin et al. 2024, section 3.2);
    a model that reads it there draws every scene grey when it starts from noise alone. The offset hides it.
    """
    return torch.randn_like(x_0) + offset * torch.randn_like(x_0[:, :, :1, :1])


def add_noise(x_0: Tensor, epsilon: Tensor, alpha_bar: Tensor) -> Tensor:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) epsilon; alpha_bar is (n,)."""
    a = alpha_bar.view(-1, 1, 1, 1)
    return a.sqrt() * x_0 + (1 - a).sqrt() * epsilon


def min_snr_weight(alpha_bar: Tensor, gamma: float = 5.0) -> Tensor:
    """min(SNR, gamma) / SNR with SNR = alpha_bar / (1 - alpha_bar), for epsilon: Hang et al. 2023, 3.4."""
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clamp(max=gamma) / snr


def epsilon_loss(epsilon: Tensor, epsilon_hat: Tensor, weight: Tensor) -> Tensor:
    """Mean over the batch of weight_i * mean((epsilon_i - epsilon_hat_i)^2)."""
    return (weight * (epsilon - epsilon_hat).square().mean(dim=(1, 2, 3))).mean()


def save_pipeline(
    folder: Path,
    vae: AutoencoderKL,
    text: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    unet: UNet2DConditionModel,
) -> None:
    """Write a StableDiffusionPipeline directory in safetensors, in the modules' own precision."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)
