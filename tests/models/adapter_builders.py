"""What the tests of adapters are made of: a tiny random base model of pocket's layout, recipes and sets."""

from __future__ import annotations

import numpy as np
from diffusers import AutoencoderKL, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

from catalog_schemas import AdapterRecipe
from productshot.adapters import TrainingSet

SIDE = 32
CAPTIONS = ["a photo of a red mug on a plain background", "a blurred photo of a mug"]


def a_unet(**changes: object) -> UNet2DConditionModel:
    fields: dict[str, object] = {"cross_attention_dim": 16, **changes}
    return UNet2DConditionModel(
        sample_size=SIDE // 2,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(8, 16),
        layers_per_block=1,
        attention_head_dim=2,
        norm_num_groups=4,
        **fields,
    )


def an_sdxl_unet() -> UNet2DConditionModel:
    """As above, told of two text encoders (16 and 24 wide), of a pooled text (20) and of six numbers of sizes."""
    return a_unet(
        cross_attention_dim=16 + 24,
        addition_embed_type="text_time",
        addition_time_embed_dim=4,
        projection_class_embeddings_input_dim=20 + 6 * 4,
    )


def a_vae() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(4, 8),
        norm_num_groups=2,
        mid_block_add_attention=False,
        sample_size=SIDE,
    )


def a_text_config(tokenizer: CLIPTokenizer, width: int = 16, projected: int = 16) -> CLIPTextConfig:
    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=32,
        projection_dim=projected,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=tokenizer.model_max_length,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )


def a_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    return CLIPTextModel(a_text_config(tokenizer))


def a_second_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModelWithProjection:
    return CLIPTextModelWithProjection(a_text_config(tokenizer, 24, 20))


def a_recipe(**changes: object) -> AdapterRecipe:
    return AdapterRecipe.model_validate({"rank": 2, "steps": 3, "batch": 2, "prior_images": 2, **changes})


def a_set(sku: str = "mug-1", noun: str = "mug", red: int = 200) -> TrainingSet:
    """One picture of a coloured square on grey, with two grey class images."""
    rgb, alpha = np.full((60, 50, 3), 90, np.uint8), np.zeros((60, 50), np.uint8)
    rgb[15:45, 10:40], alpha[15:45, 10:40] = (red, 30, 30), 255
    grey = np.full((SIDE, SIDE, 3), 128, np.uint8)
    return TrainingSet(sku, noun, ((rgb, alpha),), class_images=(grey, grey))
