"""A tiny random base model of pocket's layout, shared by the tests of adapters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline

from productshot.adapters import TrainingBase, open_training_base
from productshot.pocket.text import build_tokenizer
from tests.models.adapter_builders import CAPTIONS, a_recipe, a_text_encoder, a_unet, a_vae


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small tensors: more threads only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Stable Diffusion directory of random weights, a few hundred kilobytes."""
    path = tmp_path_factory.mktemp("base")
    with torch.random.fork_rng():
        torch.manual_seed(1)
        tokenizer = build_tokenizer(CAPTIONS)
        StableDiffusionPipeline(
            vae=a_vae(),
            text_encoder=a_text_encoder(tokenizer),
            tokenizer=tokenizer,
            unet=a_unet(),
            scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def base(base_path: Path) -> TrainingBase:
    return open_training_base(a_recipe(base=str(base_path)), torch.device("cpu"))
