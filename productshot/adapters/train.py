"""The adapters room, its training: sets of pictures in, adapters out, one frozen base model for all of them.

`train_adapters` goes through the sets, `train` sets one up, `fit` is the loop and nothing else. Every random
number comes from generators seeded by the recipe: on one kind of machine, with one number of threads, the same
set and recipe give the same bytes, whatever was trained before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from peft import LoraConfig, get_peft_model_state_dict
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from catalog_schemas import AdapterRecipe
from productshot.adapters.base import TrainingBase, open_training_base
from productshot.adapters.files import TrainedAdapter
from productshot.adapters.losses import add_noise, masked_error, min_snr_weight, spread_timesteps, velocity
from productshot.adapters.sets import CLASS_PROMPT, PROMPTS, Sample, TrainingSet, make_samples
from productshot.adapters.text import encode_prompts, first_row
from productshot.errors import ConfigInvalid, InputRefused
from productshot.keys import digest_json
from productshot.pixels import Pixels
from productshot.progress import Progress, ReportProgress
from productshot.records import Refusal
from productshot.render.base import memory_errors

__all__ = ["TrainingBase", "open_training_base", "train", "train_adapters"]

LORA_LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1", "conv2"]
"""Attention, feed-forward and the resnets' convolutions: a small base model needs all to learn a shape."""

GROUNDS = tuple(PROMPTS)
CLASS_PROMPT_INDEX = len(GROUNDS)
"""In the table of text embeddings the class prompt follows the product's prompts."""

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises; then it falls by a half cosine to FINAL_RATE."""
FINAL_RATE = 0.1
MAX_GRADIENT_NORM = 1.0


@dataclass(frozen=True)
class Examples:
    """All that is trained on, encoded once: the product's N samples, then the M class images."""

    mean: Tensor  # (N+M, c, h, w) of the VAE's posterior
    std: Tensor  # (N+M, c, h, w)
    mask: Tensor  # (N+M, 1, h, w) loss weight of each latent cell
    prompt: Tensor  # (N+M,) row in the table of text embeddings
    own: int  # N


@dataclass(frozen=True)
class Batch:
    """What one training step sees."""

    z: Tensor  # (B, c, h, w) noised latents
    t: Tensor  # (B,) timesteps
    target: Tensor  # (B, c, h, w) what the UNet should predict
    mask: Tensor  # (B, 1, h, w)
    prompt: Tensor  # (B,)
    weight: Tensor  # (B,) share of each sample in the loss


@dataclass(frozen=True)
class Learned:
    """The weights that one training changes."""

    lora: list[Parameter]
    row: Parameter | None  # (1, width)


def train_adapters(
    sets: Sequence[TrainingSet], recipe: AdapterRecipe, base: TrainingBase, report: ReportProgress
) -> Iterator[TrainedAdapter | Refusal]:
    """One outcome per set, in order, each as soon as it is there; a refused set leaves its neighbours alone.

    `report` is told of every training step. The base model is afterwards what it was. Raises ConfigInvalid
    when the recipe trains nothing, OutOfMemory when a batch does not fit the device.
    """
    if recipe.method == "textual-inversion" and recipe.token_learning_rate == 0:
        raise ConfigInvalid(
            "adapters.token_learning_rate",
            "is 0",
            "textual-inversion learns the token only",
            "set it above 0",
        )
    for item in sets:
        try:
            outcome: TrainedAdapter | Refusal = train(item, recipe, base, report)
        except InputRefused as error:
            outcome = Refusal.of(item.sku, "adapters", error)
        yield outcome


def train(
    item: TrainingSet, recipe: AdapterRecipe, base: TrainingBase, report: ReportProgress
) -> TrainedAdapter:
    """The adapter of one set; InputRefused when it cannot be learned from or its loss is not finite."""
    samples = make_samples(item, base.side_px, recipe.seed)
    class_images = _class_images(item, recipe)
    generator = torch.Generator().manual_seed(recipe.seed)
    with memory_errors(f"adapter of SKU {item.sku}"), learned_weights(base, item.noun, recipe) as learned:
        examples = encode_examples(base, samples, class_images, recipe.mask_floor)
        optimiser, rate = _optimiser(learned, recipe)
        steps = islice(batches(examples, recipe, base, generator), recipe.steps)
        texts = text_table(base, item.noun, recipe.token, learned.row)

        def tell(step: int) -> None:
            report(Progress("adapters", step, recipe.steps, item.sku))

        losses = fit(base, learned, steps, texts, optimiser, rate, tell)
        return TrainedAdapter(
            sku=item.sku,
            lora=_lora_weights(base) if learned.lora else {},
            row=None if learned.row is None else learned.row.detach().cpu(),
            losses=tenths(losses),
            token=recipe.token,
            noun=item.noun,
            steps=recipe.steps,
            method=recipe.method,
            base=base.digest,
            recipe=digest_json(recipe.model_dump(mode="json", exclude={"base"})),
        )


def fit(
    base: TrainingBase,
    learned: Learned,
    steps: Iterable[Batch],
    texts: Callable[[], Tensor],
    optimiser: Optimizer,
    rate: LRScheduler,
    tell: Callable[[int], None],
) -> list[float]:
    """The loss of each step, one step a batch; InputRefused at the first loss that is not finite."""
    parameters = [*learned.lora, *([] if learned.row is None else [learned.row])]
    losses: list[float] = []
    for step, batch in enumerate(steps, 1):
        predicted = base.predict(batch.z, batch.t, texts()[batch.prompt])
        loss = (batch.weight * masked_error(predicted, batch.target, batch.mask)).sum()
        if not torch.isfinite(loss):
            raise InputRefused(
                f"training step {step}",
                f"has loss {loss.item()}",
                "a finite loss is needed",
                "lower learning_rate",
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)
        optimiser.step()
        rate.step()
        optimiser.zero_grad()
        losses.append(loss.item())
        tell(step)
    return losses


@contextmanager
def learned_weights(base: TrainingBase, noun: str, recipe: AdapterRecipe) -> Iterator[Learned]:
    """Fresh weights to train, seeded by the recipe; the LoRA sits in the base's UNet until the end."""
    row = None
    if recipe.token_learning_rate > 0:
        row = Parameter(first_row(base.tokenizer, base.text_encoder, recipe.token, noun))
    if recipe.method == "textual-inversion":
        yield Learned([], row)
        return
    config = LoraConfig(r=recipe.rank, lora_alpha=recipe.rank, target_modules=LORA_LAYERS)
    with torch.random.fork_rng(devices=[]):  # peft draws from torch's global generator
        torch.manual_seed(recipe.seed)
        base.unet.add_adapter(config)
    try:
        yield Learned([weight for weight in base.unet.parameters() if weight.requires_grad], row)
    finally:
        base.unet.unload_lora()


@torch.no_grad()
def encode_examples(
    base: TrainingBase, samples: Sequence[Sample], class_images: Sequence[Pixels], mask_floor: float
) -> Examples:
    """Latents and loss masks of all pictures; a class image counts everywhere."""
    pictures = [sample.rgb for sample in samples] + list(class_images)
    encoded = [base.encode(torch.tensor(rgb)[None]) for rgb in pictures]
    mean, std = (torch.cat(part) for part in zip(*encoded, strict=True))
    alpha = torch.stack([torch.tensor(sample.alpha) for sample in samples])[:, None].float() / 255
    soft = torch.nn.functional.adaptive_avg_pool2d(alpha.to(base.device), mean.shape[2:])
    mask = torch.ones_like(mean[:, :1])
    mask[: len(samples)] = mask_floor + (1 - mask_floor) * soft
    prompts = [GROUNDS.index(sample.ground) for sample in samples] + [CLASS_PROMPT_INDEX] * len(class_images)
    return Examples(mean, std, mask, torch.tensor(prompts, device=base.device), len(samples))


def batches(
    examples: Examples, recipe: AdapterRecipe, base: TrainingBase, generator: torch.Generator
) -> Iterator[Batch]:
    """Batches without end: recipe.batch samples of the product and a quarter as many class images, if any.

    The weights make the loss E_product[w_t |..|²] + λ E_class[w_t |..|²] (Ruiz et al. 2023, equation 2) with
    λ = recipe.prior_weight.
    """
    prior = len(examples.mean) - examples.own
    own_indices, prior_indices = endless(examples.own, generator), endless(prior, generator)
    own_count, prior_count = recipe.batch, max(1, recipe.batch // 4) if prior else 0
    share = torch.tensor(
        [1 / own_count] * own_count + [recipe.prior_weight / max(1, prior_count)] * prior_count
    )
    while True:
        chosen = [
            *islice(own_indices, own_count),
            *(examples.own + i for i in islice(prior_indices, prior_count)),
        ]
        t = torch.cat(
            [spread_timesteps(n, len(base.alpha_bars), generator) for n in (own_count, prior_count)]
        ).to(base.device)
        xi, eps = (
            torch.randn((len(chosen), *examples.mean.shape[1:]), generator=generator) for _ in range(2)
        )
        eps = eps.to(base.device)
        z0 = examples.mean[chosen] + examples.std[chosen] * xi.to(base.device)
        alpha_bar = base.alpha_bars[t]
        yield Batch(
            z=add_noise(z0, eps, alpha_bar),
            t=t,
            target=eps if base.prediction == "epsilon" else velocity(z0, eps, alpha_bar),
            mask=examples.mask[chosen],
            prompt=examples.prompt[chosen],
            weight=share.to(base.device) * min_snr_weight(alpha_bar, recipe.snr_gamma, base.prediction),
        )


def endless(count: int, generator: torch.Generator) -> Iterator[int]:
    """0..count-1 in random order, again and again in new orders; nothing when count is 0."""
    while count:
        yield from torch.randperm(count, generator=generator).tolist()


def text_table(base: TrainingBase, noun: str, token: str, row: Parameter | None) -> Callable[[], Tensor]:
    """A function that gives the text embeddings (prompts, n, d): one per ground, then the class prompt.

    They are computed once; where a token is learned, those with the token at every call, for the gradient.
    """
    prompts = [PROMPTS[ground].format(f"{token} {noun}") for ground in GROUNDS]
    with torch.no_grad():
        plain = encode_prompts(base.tokenizer, base.text_encoder, [*prompts, CLASS_PROMPT.format(noun)])
    if row is None:
        return lambda: plain
    of_class = plain[CLASS_PROMPT_INDEX:]
    return lambda: torch.cat(
        [encode_prompts(base.tokenizer, base.text_encoder, prompts, token, row), of_class]
    )


def tenths(losses: Sequence[float]) -> tuple[float, ...]:
    """The mean of each tenth of the losses; of each loss where there are fewer than ten."""
    parts = min(10, len(losses))
    ends = [len(losses) * i // parts for i in range(parts + 1)]
    return tuple(sum(losses[a:b]) / (b - a) for a, b in zip(ends, ends[1:], strict=False))


def learning_rate_share(step: int, steps: int) -> float:
    """The share of the full rate at step 0..steps-1: a short rise, then a half cosine to FINAL_RATE."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    progress = torch.tensor((step - rise) / max(1, steps - rise))
    return FINAL_RATE + (1 - FINAL_RATE) * float(1 + torch.cos(progress * torch.pi)) / 2


def _optimiser(learned: Learned, recipe: AdapterRecipe) -> tuple[Optimizer, LRScheduler]:
    """AdamW over LoRA and row, each at its own rate; the row without weight decay."""
    groups = [{"params": learned.lora, "lr": recipe.learning_rate}] if learned.lora else []
    if learned.row is not None:
        groups.append({"params": [learned.row], "lr": recipe.token_learning_rate, "weight_decay": 0.0})
    optimiser = AdamW(groups)
    return optimiser, LambdaLR(optimiser, lambda step: learning_rate_share(step, recipe.steps))


def _class_images(item: TrainingSet, recipe: AdapterRecipe) -> tuple[Pixels, ...]:
    """The set's class images where the recipe uses them; a token alone cannot change what the noun means."""
    if recipe.prior_weight == 0 or recipe.method == "textual-inversion":
        return ()
    if not item.class_images:
        limit = f"prior_weight {recipe.prior_weight} needs {recipe.prior_images}"
        raise InputRefused(
            f"SKU {item.sku}", "has no class images", limit, "make them with make_class_images"
        )
    return item.class_images


def _lora_weights(base: TrainingBase) -> dict[str, Tensor]:
    """The UNet's LoRA by the names that diffusers loads; float16 halves what a catalog of adapters weighs."""
    weights = get_peft_model_state_dict(base.unet, adapter_name="default")
    return {f"unet.{name}": weight.detach().half().cpu() for name, weight in weights.items()}
