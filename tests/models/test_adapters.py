"""Adapters on a tiny random base model of pocket's layout: what training changes, what it leaves, what it writes."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load
from transformers import AddedToken, CLIPTokenizer

from catalog_schemas import AdapterRecipe
from productshot.adapters import (
    TrainedAdapter,
    TrainingBase,
    TrainingSet,
    about,
    join,
    make_class_images,
    open_training_base,
    split,
    train_adapters,
)
from productshot.adapters.batches import Examples, class_samples
from productshot.adapters.files import as_kohya
from productshot.adapters.fleet import Fleet, learning_rate_share, tenths
from productshot.adapters.losses import add_noise, masked_error, min_snr_weight, spread_timesteps, velocity
from productshot.adapters.text import Words, encode_prompts, first_row, prompt_ids
from productshot.errors import ConfigInvalid, ModelDamaged
from productshot.progress import Progress, silent
from productshot.records import Refusal
from tests.models.adapter_builders import SIDE, a_recipe, a_set

pytestmark = pytest.mark.usefixtures("one_thread")


def train_one(base: TrainingBase, recipe: AdapterRecipe, item: TrainingSet | None = None) -> TrainedAdapter:
    (outcome,) = train_adapters([item or a_set()], recipe, base, silent)
    assert isinstance(outcome, TrainedAdapter), outcome
    return outcome


def weights_digest(base: TrainingBase) -> str:
    """Over the names and bytes of all weights of the base."""
    digest = hashlib.sha256()
    for model in (base.unet, base.vae, *(reader.encoder for reader in base.readers)):
        for name, weight in model.state_dict().items():
            digest.update(name.encode() + weight.numpy().tobytes())
    return digest.hexdigest()


def test_damaged_base_is_told(base_path: Path, tmp_path: Path) -> None:
    """A weight file that was cut off is named with what to do."""
    shutil.copytree(base_path, tmp_path / "base")
    weights = tmp_path / "base" / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelDamaged, match="base model .* cannot be read .*restore its files"):
        open_training_base(a_recipe(base=str(tmp_path / "base")))


def test_training_leaves_the_base_as_it_was(base: TrainingBase) -> None:
    """Names and bytes of every base weight are the same before and after both methods."""
    before = weights_digest(base)
    train_one(base, a_recipe())
    train_one(base, a_recipe(method="textual-inversion"))
    assert weights_digest(base) == before
    assert not any(weight.requires_grad for weight in base.unet.parameters())


def test_training_changes_lora_and_token(base: TrainingBase) -> None:
    """Every LoRA layer leaves zero and the token's row leaves its start."""
    adapter = train_one(base, a_recipe())
    ups = [weight for name, weight in adapter.lora.items() if name.endswith("lora_B.weight")]
    assert len(ups) > 20 and all(weight.abs().max() > 0 for weight in ups)
    (row,) = adapter.rows
    assert not torch.equal(row, first_row(base.readers[0], "sks", "mug"))


def test_sets_trained_together_equal_each_alone(base: TrainingBase) -> None:
    """The bytes of an adapter do not depend on what was trained before it."""
    recipe, sets = a_recipe(), [a_set("a", red=220), a_set("b", red=60)]
    together = [join(outcome) for outcome in train_adapters(sets, recipe, base, silent)]
    torch.manual_seed(99)
    alone = [join(train_one(base, recipe, item)) for item in reversed(sets)]
    assert together == alone[::-1]
    assert together[0] != together[1]


def test_training_leaves_the_global_generator_alone(base: TrainingBase) -> None:
    """What a caller draws from torch after a training is what it would have drawn without it."""
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    train_one(base, a_recipe())
    assert torch.equal(torch.rand(3), expected)


def test_refused_set_leaves_its_neighbours_alone(base: TrainingBase) -> None:
    """A set without a noun ends as a refusal in its place; the others train as if it were not there."""
    sets = [a_set("a"), a_set("b", noun=""), a_set("c")]
    refused, first, third = train_adapters(sets, a_recipe(), base, silent)
    assert isinstance(refused, Refusal) and refused.sku == "b"
    assert str(refused).startswith("SKU b has no noun")
    assert isinstance(first, TrainedAdapter) and isinstance(third, TrainedAdapter)
    assert join(first) == join(third)


def test_loss_that_is_not_finite_is_a_refusal(base: TrainingBase) -> None:
    """Training stops at the first such step and says so."""
    broken = replace(base, alpha_bars=torch.full_like(base.alpha_bars, float("nan")))
    (outcome,) = train_adapters([a_set()], a_recipe(), broken, silent)
    assert isinstance(outcome, Refusal)
    told = "training step 1 has loss nan and gradient norm nan; finite ones are needed; lower learning_rate"
    assert str(outcome) == told


def test_noun_that_fills_the_prompt_is_refused(base: TrainingBase) -> None:
    """A noun that the tokenizer knows in single letters pushes the end of the prompt out; the neighbour trains."""
    refused, trained = train_adapters([a_set(noun="q" * 30), a_set("b")], a_recipe(), base, silent)
    assert str(refused) == (
        f"SKU mug-1, noun '{'q' * 30}', is 30 tokens to the base model; 32 must hold "
        f"'a photo of a sks {'q' * 30}'; name its class by a common word, or shorten the photo's view"
    )
    assert isinstance(trained, TrainedAdapter)


def test_prior_without_class_images_is_refused(base: TrainingBase) -> None:
    """The recipe asks for prior preservation, so its pictures are not silently left out."""
    (outcome,) = train_adapters([replace(a_set(), class_images=())], a_recipe(), base, silent)
    assert str(outcome) == (
        "SKU mug-1 has no class images; prior_weight 1.0 needs 2; make them with make_class_images"
    )


def test_textual_inversion_without_token_rate_is_refused(base: TrainingBase) -> None:
    """A recipe that trains nothing is a mistake in the recipe."""
    recipe = a_recipe(method="textual-inversion", token_learning_rate=0)
    with pytest.raises(ConfigInvalid, match="adapters.token_learning_rate is 0; textual-inversion learns"):
        list(train_adapters([a_set()], recipe, base, silent))


def test_progress_is_told_every_step(base: TrainingBase) -> None:
    """The caller's function hears of each step with the SKU's name."""
    heard: list[Progress] = []
    list(train_adapters([a_set("a")], a_recipe(), base, heard.append))
    assert heard == [Progress("adapters", step, 3, "a") for step in (1, 2, 3)]


def test_lora_file_loads_in_diffusers(base_path: Path, base: TrainingBase, tmp_path: Path) -> None:
    """`load_lora_weights` takes the file as it is, token's row included, and the UNet then answers differently."""
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(join(train_one(base, a_recipe(steps=20))))
    pipeline = a_pipeline(base_path)
    z, t, text = torch.ones(1, 4, 16, 16), torch.tensor([500]), torch.ones(1, 32, 16)
    before = pipeline.unet(z, t, text).sample
    pipeline.load_lora_weights(str(path))
    adapter = split(path.read_bytes())[0]
    loaded = {f"unet.{name.replace('.default_0', '')}" for name, _ in pipeline.unet.named_parameters()}
    assert set(adapter) <= loaded
    assert (pipeline.unet(z, t, text).sample - before).abs().max() > 1e-3


def test_dora_file_loads_in_diffusers(base_path: Path, base: TrainingBase, tmp_path: Path) -> None:
    """The magnitudes too: the UNet answers as ours does while it wears the adapter."""
    recipe = a_recipe(steps=5, dora=True, learning_rate=0.05, token_learning_rate=0)
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(join(train_one(base, recipe)))
    pipeline = a_pipeline(base_path)
    pipeline.load_lora_weights(str(path))
    z, t, text = torch.ones(1, 4, 16, 16), torch.tensor([500]), torch.ones(1, 32, 16)
    fleet = Fleet(replace(base, compute=torch.float32), recipe, 1)
    for name, weight in split(path.read_bytes())[0].items():
        fleet.stack.tensors[name.removeprefix("unet.")].detach()[0] = weight
    fleet.stack.busy = [0]
    with torch.no_grad(), fleet.wearing():
        ours = fleet.base.predict(z, t, Words(text, None))
    assert torch.allclose(pipeline.unet(z, t, text).sample, ours, atol=1e-3)
    assert (base.unet(z, t, text).sample - ours).abs().max() > 1e-2


def test_offset_noise_moves_whole_channels(base: TrainingBase) -> None:
    """With it the noise of a channel has a mean of its own; without it nearly none."""
    spread = []
    for offset in (0.0, 1.0):
        recipe = a_recipe(batch=8, offset_noise=offset, prior_weight=0, token_learning_rate=0)
        fleet = Fleet(base, recipe, 1)
        fleet.seat(0, a_set())
        batch = next(fleet.seats[0].batches)
        spread.append(batch.target.mean((2, 3)).std().item())
    assert spread[0] < 0.15 and spread[1] > 0.5


def test_token_file_loads_in_diffusers(base_path: Path, base: TrainingBase, tmp_path: Path) -> None:
    """`load_textual_inversion` takes the file as it is; the pipeline then reads the token as our own code does."""
    adapter = train_one(base, a_recipe(method="textual-inversion"))
    path = tmp_path / "token.safetensors"
    path.write_bytes(join(adapter))
    pipeline = a_pipeline(base_path)
    pipeline.load_textual_inversion(str(path))
    prompt = "a photo of a sks mug"
    theirs = pipeline.encode_prompt(prompt, torch.device("cpu"), 1, False)[0]
    ours = encode_prompts(base.readers, [prompt], "sks", adapter.rows).tokens
    assert torch.allclose(theirs, ours, atol=1e-6)


def a_pipeline(path: Path) -> StableDiffusionPipeline:
    pipeline = StableDiffusionPipeline.from_pretrained(path, torch_dtype=torch.float32)
    for model in (pipeline.unet, pipeline.text_encoder):
        model.requires_grad_(False)
    return pipeline


def test_file_comes_back_as_it_was_joined(base: TrainingBase) -> None:
    """split gives the LoRA and the row of join; the header names what the file belongs to."""
    adapter = train_one(base, a_recipe())
    lora, rows = split(join(adapter))
    assert lora.keys() == adapter.lora.keys()
    assert all(torch.equal(lora[name], adapter.lora[name]) for name in lora)
    assert len(rows) == 1 and torch.equal(rows[0], adapter.rows[0])
    told = about(join(adapter))
    assert told == {**told, "base": base.digest, "token": "sks", "noun": "mug", "method": "dreambooth-lora"}


def test_kohya_names_hold_the_same_weights(base: TrainingBase) -> None:
    """Every LoRA half under kohya's name, with alpha = rank; a learned token alone is one row."""
    data = join(train_one(base, a_recipe()))
    lora, kohya = split(data)[0], load(as_kohya(data))
    name = "unet.down_blocks.0.resnets.0.conv1"
    theirs = name.replace("unet", "lora_unet").replace(".", "_")
    assert torch.equal(kohya[f"{theirs}.lora_down.weight"], lora[f"{name}.lora_A.weight"])
    assert torch.equal(kohya[f"{theirs}.lora_up.weight"], lora[f"{name}.lora_B.weight"])
    assert kohya[f"{theirs}.alpha"].item() == 2
    assert len(kohya) == len(lora) * 3 // 2
    token = load(as_kohya(join(train_one(base, a_recipe(method="textual-inversion")))))
    assert {name: value.shape for name, value in token.items()} == {"emb_params": (1, 16)}


def test_kohya_file_loads_in_diffusers(base_path: Path, base: TrainingBase, tmp_path: Path) -> None:
    """diffusers reads kohya's names too: the UNet then answers as with our own file."""
    data = join(train_one(base, a_recipe(steps=20, token_learning_rate=0)))
    z, t, text = torch.ones(1, 4, 16, 16), torch.tensor([500]), torch.ones(1, 32, 16)
    answers = []
    for name, written in (("own", data), ("kohya", as_kohya(data))):
        (tmp_path / f"{name}.safetensors").write_bytes(written)
        pipeline = a_pipeline(base_path)
        pipeline.load_lora_weights(str(tmp_path / f"{name}.safetensors"))
        answers.append(pipeline.unet(z, t, text).sample)
    assert torch.allclose(*answers, atol=1e-3)


def test_without_token_rate_no_token_is_learned(base: TrainingBase) -> None:
    """token_learning_rate 0 leaves the token to the tokenizer: the file holds LoRA weights only."""
    lora, rows = split(join(train_one(base, a_recipe(token_learning_rate=0, prior_weight=0))))
    assert lora and rows == ()


def test_damaged_file_is_told() -> None:
    """Bytes that are no adapter are a damaged model, with the remedy."""
    with pytest.raises(ModelDamaged, match="adapter file cannot be read .*train this adapter again"):
        split(b"not an adapter")
    with pytest.raises(ModelDamaged, match="adapter file has no header of productshot"):
        about(b"not an adapter")


def test_class_image_follows_from_its_seed(base: TrainingBase) -> None:
    """Image i is the same however many are asked for, and differs from the others."""
    one = make_class_images(base, "mug", a_recipe(prior_images=1))
    two = make_class_images(base, "mug", a_recipe(prior_images=2))
    assert np.array_equal(one[0], two[0])
    assert two[1].shape == (SIDE, SIDE, 3) and not np.array_equal(two[0], two[1])


@pytest.mark.parametrize("prompt", ["a photo of a sks mug", "sks", "a mug sks, sks", "mug " * 40 + "sks"])
def test_learned_word_is_read_as_an_added_token(base_path: Path, prompt: str) -> None:
    """Our ids are those of a tokenizer to which the token was added, also where the prompt is cut."""
    tokenizer = CLIPTokenizer.from_pretrained(base_path, subfolder="tokenizer")
    ours = prompt_ids(tokenizer, prompt, "sks", len(tokenizer))
    tokenizer.add_tokens([AddedToken("sks", single_word=True)])
    assert ours == tokenizer(prompt, padding="max_length", truncation=True, max_length=32).input_ids


def test_row_of_a_known_word_changes_nothing(base: TrainingBase) -> None:
    """A word that is one token, given its own row, is embedded as without a row."""
    row = first_row(base.readers[0], "mug", "photo")
    prompts = ["a photo of a mug"]
    plain = encode_prompts(base.readers, prompts)
    learned = encode_prompts(base.readers, prompts, "mug", [row])
    assert torch.allclose(plain.tokens, learned.tokens, atol=1e-6)


def test_noise_and_velocity_give_the_latent_back() -> None:
    """z_0 = sqrt(ᾱ) z_t - sqrt(1 - ᾱ) v, by the definitions of both."""
    z0, eps, alpha_bar = torch.randn(2, 4, 3, 3), torch.randn(2, 4, 3, 3), torch.tensor([0.9, 0.2])
    z, v, a = add_noise(z0, eps, alpha_bar), velocity(z0, eps, alpha_bar), alpha_bar.view(-1, 1, 1, 1)
    assert torch.allclose(a.sqrt() * z - (1 - a).sqrt() * v, z0, atol=1e-5)


def test_min_snr_weight_caps_the_easy_timesteps() -> None:
    """SNR 9 is weighted 5/9, SNR 1 is left at 1; without gamma all count the same."""
    alpha_bar = torch.tensor([0.9, 0.5])
    assert torch.allclose(min_snr_weight(alpha_bar, 5.0, "epsilon"), torch.tensor([5 / 9, 1.0]))
    assert torch.allclose(min_snr_weight(alpha_bar, 5.0, "v_prediction"), torch.tensor([5 / 10, 1 / 2]))
    assert min_snr_weight(alpha_bar, None, "epsilon").tolist() == [1.0, 1.0]


def test_masked_error_ignores_what_the_mask_leaves_out() -> None:
    """An error outside the mask costs nothing; inside it costs the same however small the mask is."""
    target, mask = torch.zeros(2, 4, 8, 8), torch.zeros(2, 1, 8, 8)
    mask[0, :, :4, :4], mask[1, :, 0, 0] = 1, 1
    assert masked_error(target + 2 * mask, target, mask).tolist() == [4.0, 4.0]
    assert masked_error(target + 3 * (1 - mask), target, mask).tolist() == [0.0, 0.0]


def test_timesteps_of_a_batch_cover_the_range() -> None:
    """Of four timesteps one falls into each quarter."""
    t = spread_timesteps(4, 1000, torch.Generator().manual_seed(0))
    assert sorted((t // 250).tolist()) == [0, 1, 2, 3]


def test_losses_are_told_by_tenths() -> None:
    """Twenty losses give ten means; three give themselves."""
    assert tenths([float(i // 2) for i in range(20)]) == tuple(float(i) for i in range(10))
    assert tenths([3.0, 2.0, 1.0]) == (3.0, 2.0, 1.0)


def test_learning_rate_rises_then_falls() -> None:
    """It reaches its full height after the warm-up and ends near a tenth."""
    shares = [learning_rate_share(step, 100) for step in range(100)]
    assert shares[:5] == [0.2, 0.4, 0.6, 0.8, 1.0]
    assert shares[5:] == sorted(shares[5:], reverse=True)
    assert shares[-1] == pytest.approx(0.1, abs=0.01)


def test_the_class_counts_at_every_timestep(base: TrainingBase) -> None:
    """Min-SNR weighs the product's samples only: near pure noise it would give the class up."""
    fleet = Fleet(base, a_recipe(batch=4, prior_weight=0.5), 1)
    fleet.seat(0, a_set())
    drawn = [next(fleet.seats[0].batches) for _ in range(6)]
    own = torch.cat([batch.weight[~batch.of_class] for batch in drawn])
    assert all((batch.weight[batch.of_class] == 0.5).all() for batch in drawn)
    assert own.min() < own.max() <= 1 / 4


def test_the_class_is_also_kept_where_the_product_stands() -> None:
    """Class images and the product's own pictures in turn, each under a class image's prompt; none without them."""
    blank = torch.zeros(7, 1, 1, 1)
    examples = Examples(blank, blank, blank, torch.arange(7), own=3)
    pairs = list(islice(class_samples(examples, torch.Generator().manual_seed(0)), 24))
    assert all(picture == prompt >= 3 for picture, prompt in pairs[::2])
    assert {picture for picture, _ in pairs[1::2]} == {0, 1, 2}
    assert {prompt for _, prompt in pairs[1::2]} == {3, 4, 5, 6}
    without = replace(examples, own=7)
    assert not list(islice(class_samples(without, torch.Generator()), 1))
