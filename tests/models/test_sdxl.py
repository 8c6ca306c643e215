"""Adapters for a base of SDXL's layout, tiny and random: two text encoders, a pooled text, size conditioning."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline
from safetensors.torch import load

from productshot.adapters import (
    TrainedAdapter,
    TrainingBase,
    join,
    make_class_images,
    open_training_base,
    split,
    train_adapters,
)
from productshot.adapters.files import as_kohya
from productshot.adapters.fleet import Fleet
from productshot.adapters.text import Reader, Words, encode_prompts
from productshot.pocket.text import build_tokenizer
from productshot.progress import silent
from tests.models.adapter_builders import (
    CAPTIONS,
    SIDE,
    a_recipe,
    a_second_encoder,
    a_set,
    a_text_encoder,
    a_vae,
    an_sdxl_unet,
)

pytestmark = pytest.mark.usefixtures("one_thread")

PROMPT = "a photo of a sks mug"


@pytest.fixture(scope="module")
def sdxl_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A StableDiffusionXLPipeline directory of random weights."""
    path = tmp_path_factory.mktemp("sdxl")
    with torch.random.fork_rng():
        torch.manual_seed(2)
        first, second = build_tokenizer(CAPTIONS), build_tokenizer(CAPTIONS)
        StableDiffusionXLPipeline(
            vae=a_vae(),
            text_encoder=a_text_encoder(first),
            text_encoder_2=a_second_encoder(second),
            tokenizer=first,
            tokenizer_2=second,
            unet=an_sdxl_unet(),
            scheduler=EulerDiscreteScheduler(beta_schedule="scaled_linear"),
        ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def sdxl(sdxl_path: Path) -> TrainingBase:
    return open_training_base(a_recipe(base=str(sdxl_path)), torch.device("cpu"))


def a_pipeline(path: Path) -> StableDiffusionXLPipeline:
    pipeline = StableDiffusionXLPipeline.from_pretrained(path, torch_dtype=torch.float32)
    for model in (pipeline.unet, pipeline.text_encoder, pipeline.text_encoder_2):
        model.requires_grad_(False)
    return pipeline


def trained(base: TrainingBase, **changes: object) -> TrainedAdapter:
    (outcome,) = train_adapters([a_set()], a_recipe(**changes), base, silent)
    assert isinstance(outcome, TrainedAdapter), outcome
    return outcome


def said(pipeline: StableDiffusionXLPipeline, prompt: str) -> tuple[torch.Tensor, torch.Tensor]:
    """What diffusers' own pipeline tells its UNet: embeddings and pooled."""
    tokens, _, pooled, _ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False)
    return tokens, pooled


def test_prompts_are_read_as_diffusers_reads_them(sdxl_path: Path, sdxl: TrainingBase) -> None:
    """Both encoders at their last but one layer side by side, and the second's pooled text."""
    tokens, pooled = said(a_pipeline(sdxl_path), "a blurred photo of a mug")
    words = encode_prompts(sdxl.readers, ["a blurred photo of a mug"])
    assert words.pooled is not None
    assert torch.allclose(words.tokens, tokens, atol=1e-6)
    assert torch.allclose(words.pooled, pooled, atol=1e-6)


@pytest.mark.parametrize("method", ["dreambooth-lora", "textual-inversion"])
def test_a_fleet_learns_what_each_learns_alone(sdxl: TrainingBase, method: str) -> None:
    """In double precision after 10 steps, with a token in both encoders."""
    readers = tuple(Reader(each.tokenizer, copy.deepcopy(each.encoder).double()) for each in sdxl.readers)
    exact = replace(sdxl, unet=copy.deepcopy(sdxl.unet).double(), readers=readers, compute=torch.float64)
    recipe, sets = a_recipe(steps=11, method=method), [a_set("a", red=220), a_set("b", red=60)]

    def learned(items: list) -> list[dict[str, torch.Tensor]]:
        fleet = Fleet(exact, recipe, len(items))
        for slot, item in enumerate(items):
            fleet.seat(slot, item)
        for _ in range(10):
            fleet.step(silent)
        return [fleet.learned(slot) for slot in range(len(items))]

    together, alone = learned(sets), [learned([item])[0] for item in sets]
    assert {"token.0", "token.1"} <= together[0].keys()
    for ours, solo in zip(together, alone, strict=True):
        for name in ours:
            assert (ours[name] - solo[name]).abs().max() <= 1e-9 * solo[name].abs().max(), name
    assert all((together[0][f"token.{k}"] - together[1][f"token.{k}"]).abs().max() > 1e-6 for k in (0, 1))


def test_lora_file_loads_in_diffusers(sdxl_path: Path, sdxl: TrainingBase, tmp_path: Path) -> None:
    """The pipeline's UNet then answers as ours does while it wears the adapter, size conditioning included."""
    data = join(trained(sdxl, steps=5, learning_rate=0.05))
    (tmp_path / "adapter.safetensors").write_bytes(data)
    pipeline = a_pipeline(sdxl_path)
    pipeline.load_lora_weights(str(tmp_path / "adapter.safetensors"))
    tokens, pooled = said(a_pipeline(sdxl_path), "a photo of a mug")
    z, t = torch.ones(1, 4, SIDE // 2, SIDE // 2), torch.tensor([500])
    sizes = pipeline._get_add_time_ids((SIDE, SIDE), (0, 0), (SIDE, SIDE), torch.float32, 20)
    added = {"text_embeds": pooled, "time_ids": sizes}
    theirs = pipeline.unet(z, t, tokens, added_cond_kwargs=added).sample
    fleet = Fleet(replace(sdxl, compute=torch.float32), a_recipe(), 1)
    for name, weight in split(data)[0].items():
        fleet.stack.tensors[name.removeprefix("unet.")].detach()[0] = weight
    fleet.stack.busy = [0]
    with torch.no_grad(), fleet.wearing():
        ours = fleet.base.predict(z, t, Words(tokens, pooled))
    assert torch.allclose(ours, theirs, atol=1e-3)


def test_token_file_loads_in_diffusers(sdxl_path: Path, sdxl: TrainingBase, tmp_path: Path) -> None:
    """One row for each encoder, under the names that SDXL embeddings have everywhere; both read it as training did."""
    data = join(trained(sdxl, method="textual-inversion"))
    rows = load(data)
    assert {name: tuple(row.shape) for name, row in rows.items()} == {"clip_l": (1, 16), "clip_g": (1, 24)}
    pipeline = a_pipeline(sdxl_path)
    for name, number in (("clip_l", ""), ("clip_g", "_2")):
        encoder, tokenizer = (
            getattr(pipeline, f"text_encoder{number}"),
            getattr(pipeline, f"tokenizer{number}"),
        )
        pipeline.load_textual_inversion(rows[name], token="sks", text_encoder=encoder, tokenizer=tokenizer)
    tokens, _ = said(pipeline, PROMPT)
    ours = encode_prompts(sdxl.readers, [PROMPT], "sks", split(data)[1])
    assert torch.allclose(ours.tokens, tokens, atol=1e-6)
    assert load(as_kohya(data)).keys() == {"clip_l", "clip_g"}


def test_class_images_are_drawn(sdxl: TrainingBase) -> None:
    """Of the base's own size, each from its seed."""
    one, two = make_class_images(sdxl, "mug", a_recipe(prior_images=2))
    assert one.shape == two.shape == (SIDE, SIDE, 3) and (one != two).any()
