"""Pocket, the diffusion model: a small UNet2DConditionModel in Stable Diffusion's layout, and its loss.

Symbols as in Ho et al. 2020 (DDPM): x_0 a latent, epsilon the noise, alpha_bar_t the signal left at t.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer

CPU_WIDTHS = (64, 128, 192)
"""Size S: 11.0 M weights."""


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
    """Stable Diffusion's betas, rescaled to end in pure noise, with velocity prediction (Lin et al. 2024, 3.1-3.3).

    With the plain schedule the mean of a smooth picture shows through the last timestep, and a model that reads it
    there draws every scene grey when it starts from noise alone.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
    )


def velocity_weight(alpha_bar: Tensor, gamma: float = 5.0) -> Tensor:
    """(min(SNR, gamma) + 1) / (SNR + 1) with SNR = alpha_bar / (1 - alpha_bar).

    The clamp of Hang et al. 2023 (section 3.4) on the loss that velocity weighs by SNR + 1 (Salimans and Ho 2022,
    section 4): 1 where noise rules, so that the last timestep, which decides the layout, is learned in full.
    """
    snr = alpha_bar / (1 - alpha_bar)
    return (snr.clamp(max=gamma) + 1) / (snr + 1)


def weighted_loss(target: Tensor, predicted: Tensor, weight: Tensor) -> Tensor:
    """Mean over the batch of weight_i * mean((target_i - predicted_i)^2)."""
    return (weight * (target - predicted).square().mean(dim=(1, 2, 3))).mean()


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
