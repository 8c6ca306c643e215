"""The adapters room, its base model: frozen, opened once, shared by all SKUs that a worker trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from safetensors import SafetensorError
from torch import Tensor
from transformers import CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer
from transformers.utils import logging as transformers_logging

from catalog_schemas import AdapterRecipe
from productshot.adapters.text import Reader, Words
from productshot.errors import ConfigInvalid, ModelDamaged
from productshot.render.base import best_dtype, model_digest, resolve_model

PREDICTIONS = ("epsilon", "v_prediction")


@dataclass(frozen=True)
class TrainingBase:
    """A model of Stable Diffusion's or SDXL's layout; nothing in it has a gradient and nothing in it changes."""

    unet: UNet2DConditionModel
    vae: AutoencoderKL  # float32
    readers: tuple[Reader, ...]  # float32; two with SDXL
    alpha_bars: Tensor  # ᾱ_t, (T,)
    prediction: str  # what the UNet predicts, one of PREDICTIONS
    digest: str
    compute: torch.dtype  # of the UNet's products: float32, or bfloat16 by autocast

    @property
    def device(self) -> torch.device:
        return self.alpha_bars.device

    @property
    def dtype(self) -> torch.dtype:
        """Of the UNet's weights and of what is learned beside them."""
        return self.unet.dtype

    @property
    def side_px(self) -> int:
        """The side of the square pictures that the model was made for."""
        return int(self.unet.config.sample_size) * 2 ** (len(self.vae.config.block_out_channels) - 1)

    def encode(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the latents of (B, h, w, 3) uint8, scaled for the UNet."""
        x = pixels.to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        posterior = self.vae.encode(x).latent_dist
        scale = self.vae.config.scaling_factor
        return posterior.mean * scale, posterior.std * scale

    def decode(self, latents: Tensor) -> Tensor:
        """(B, h, w, 3) uint8 of the UNet's latents."""
        x = self.vae.decode(latents / self.vae.config.scaling_factor).sample
        return ((x.clamp(-1, 1) + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu()

    def predict(self, z: Tensor, t: Tensor, words: Words) -> Tensor:
        """The UNet's output, of z's dtype, for latents (B, c, h, w), timesteps (B,) and what B prompts say.

        SDXL is told that its pictures are whole and of its own size (its paper's size and crop conditioning).
        """
        added = None
        if words.pooled is not None:
            size = torch.tensor([self.side_px, self.side_px, 0, 0, self.side_px, self.side_px])
            added = {"text_embeds": words.pooled, "time_ids": size.to(z).expand(len(z), -1)}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.compute == torch.bfloat16):
            return self.unet(z, t, words.tokens, added_cond_kwargs=added).sample.to(z.dtype)


def open_training_base(recipe: AdapterRecipe, device: torch.device | None = None) -> TrainingBase:
    """The base model that the recipe names, on `device` (default: the GPU where there is one).

    ModelMissing: it is not on this machine. ModelDamaged: a file in it cannot be read. ConfigInvalid: its kind
    cannot be trained.
    """
    path = resolve_model(recipe.base, "base")
    device = device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        unet, vae, readers, schedule = _load(path)
    except (OSError, SafetensorError) as error:
        raise ModelDamaged(
            f"base model {path}", f"cannot be read ({error})", "", "restore its files"
        ) from error
    prediction = schedule.config.prediction_type
    if prediction not in PREDICTIONS:
        limit = f"{' and '.join(PREDICTIONS)} can be trained"
        raise ConfigInvalid(f"base model {recipe.base}", f"predicts {prediction}", limit, "name another")
    for model in (unet, vae, *(reader.encoder for reader in readers)):
        model.requires_grad_(False).eval().to(device)
    # on two AVX512-BF16 cores a LoRA step took 0.72 s as loaded, 0.47 s in bfloat16 with these two lines
    unet.set_attn_processor(AttnProcessor())  # plain matmuls: the fused kernel's backward is slower on a CPU
    unet.to(memory_format=torch.channels_last)
    return TrainingBase(
        unet=unet,
        vae=vae,
        readers=readers,
        alpha_bars=schedule.alphas_cumprod.to(device),
        prediction=prediction,
        digest=model_digest(path),
        compute=best_dtype(device),
    )


def _load(
    path: Path,
) -> tuple[UNet2DConditionModel, AutoencoderKL, tuple[Reader, ...], DDIMScheduler]:
    """The parts of a Stable Diffusion or SDXL directory, in float32; the second has text_encoder_2."""
    how: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
    encoders = {"text_encoder": CLIPTextModel, "text_encoder_2": CLIPTextModelWithProjection}
    with _without_progress_bar():
        readers = tuple(
            Reader(
                CLIPTokenizer.from_pretrained(
                    path / folder.replace("text_encoder", "tokenizer"), local_files_only=True
                ),
                kind.from_pretrained(path / folder, dtype=torch.float32, **how),
            )
            for folder, kind in encoders.items()
            if folder == "text_encoder" or (path / folder).is_dir()
        )
        return (
            UNet2DConditionModel.from_pretrained(path / "unet", torch_dtype=torch.float32, **how),
            AutoencoderKL.from_pretrained(path / "vae", torch_dtype=torch.float32, **how),
            readers,
            DDIMScheduler.from_pretrained(path / "scheduler", local_files_only=True),
        )


@contextmanager
def _without_progress_bar() -> Iterator[None]:
    """transformers shows one for every model it loads; its setting is put back afterwards."""
    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()
