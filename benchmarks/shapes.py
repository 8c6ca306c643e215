"""Base models of full size with random weights: speed and memory hang on shapes, not on what was learned."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from productshot.adapters import TrainingBase
from productshot.adapters.text import Reader
from productshot.pocket.files import base_path
from productshot.render.base import best_dtype

DOWN, CROSS_DOWN = "DownBlock2D", "CrossAttnDownBlock2D"
UP, CROSS_UP = "UpBlock2D", "CrossAttnUpBlock2D"
UNETS: dict[str, dict[str, Any]] = {
    "tiny": {
        "sample_size": 16,
        "down_block_types": (DOWN, CROSS_DOWN),
        "up_block_types": (CROSS_UP, UP),
        "block_out_channels": (32, 64),
        "cross_attention_dim": 32,
        "attention_head_dim": 4,
    },
    "sd15": {
        "sample_size": 64,
        "down_block_types": (CROSS_DOWN, CROSS_DOWN, CROSS_DOWN, DOWN),
        "up_block_types": (UP, CROSS_UP, CROSS_UP, CROSS_UP),
        "block_out_channels": (320, 640, 1280, 1280),
        "cross_attention_dim": 768,
        "attention_head_dim": 8,
    },
    "sdxl": {
        "sample_size": 128,
        "down_block_types": (DOWN, CROSS_DOWN, CROSS_DOWN),
        "up_block_types": (CROSS_UP, CROSS_UP, UP),
        "block_out_channels": (320, 640, 1280),
        "cross_attention_dim": 2048,
        "attention_head_dim": (5, 10, 20),
        "transformer_layers_per_block": (1, 2, 10),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
"""As the released models' own configuration files have them; tiny tries the code out."""

TEXTS: dict[str, tuple[dict[str, int], ...]] = {
    "tiny": ({"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 2},),
    "sd15": (
        {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    ),
    "sdxl": (
        {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
        {
            "hidden_size": 1280,
            "intermediate_size": 5120,
            "num_hidden_layers": 32,
            "num_attention_heads": 20,
            "projection_dim": 1280,
        },
    ),
}


def random_base(shape: str, device: torch.device) -> TrainingBase:
    """A frozen base model of that shape, its UNet in the device's best precision; words by pocket's tokenizer."""
    torch.manual_seed(0)
    fields = {"in_channels": 4, "out_channels": 4, "layers_per_block": 2, **UNETS[shape]}
    widths = (8, 8, 8, 8) if shape == "tiny" else (128, 256, 512, 512)
    with device:
        unet = UNet2DConditionModel(**fields)
        vae = AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=widths,
            norm_num_groups=8,
            layers_per_block=2,
        )
        readers = tuple(_reader(k, config) for k, config in enumerate(TEXTS[shape]))
    for model in (unet, vae, *(reader.encoder for reader in readers)):
        model.requires_grad_(False).eval().to(device)
    compute = best_dtype(device)
    schedule = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    return TrainingBase(
        unet=unet.to(memory_format=torch.channels_last),
        vae=vae,
        readers=readers,
        alpha_bars=schedule.alphas_cumprod.to(device),
        prediction="epsilon",
        digest=shape,
        compute=compute,
    )


def _reader(number: int, fields: dict[str, int]) -> Reader:
    """The first text encoder has no projection; the second, SDXL's, has one."""
    tokenizer = CLIPTokenizer.from_pretrained(base_path() / "tokenizer", local_files_only=True)
    config = CLIPTextConfig(
        **fields,
        vocab_size=49_408,
        max_position_embeddings=77,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Reader(tokenizer, CLIPTextModelWithProjection(config) if number else CLIPTextModel(config))
