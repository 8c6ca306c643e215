"""Pocket, the diffusion model: a small UNet2DConditionModel in Stable Diffusion's layout, and its loss.

Symbols as in Ho et al. 2020 (DDPM): x_0 a latent, epsilon the noise, alpha_bar_t the signal left at t.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
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
