"""The adapters room, its batches: all that one product is trained on, encoded once, and what each step sees of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice

import torch
from torch import Tensor

from catalog_schemas import AdapterRecipe
from productshot.adapters.base import TrainingBase
from productshot.adapters.losses import add_noise, min_snr_weight, spread_timesteps, velocity
from productshot.adapters.sets import CLASS_PROMPTS, Sample
from productshot.pixels import Pixels


@dataclass(frozen=True)
class Examples:
    """All that is trained on, encoded once: the product's N samples, then the M class images."""

    mean: Tensor  # (N+M, c, h, w) of the VAE's posterior
    std: Tensor  # (N+M, c, h, w)
    mask: Tensor  # (N+M, 1, h, w) loss weight of each latent cell
    prompt: Tensor  # (N+M,) row in the product's table of prompts: its own, then CLASS_PROMPTS
    own: int  # N


@dataclass(frozen=True)
class Batch:
    """What one training step sees."""

    z: Tensor  # (B, c, h, w) noised latents
    t: Tensor  # (B,) timesteps
    target: Tensor  # (B, c, h, w) what the UNet should predict; of a class image its base, which is asked in the step
    mask: Tensor  # (B, 1, h, w)
    prompt: Tensor  # (B,)
    weight: Tensor  # (B,) share of each sample in the loss
    of_class: Tensor  # (B,) bool, whether it is a class image


def joined(batches: Sequence[Batch], prompts: Sequence[int]) -> Batch:
    """One batch of several products', in their order, whose tables of so many prompts follow each other."""
    firsts = accumulate(prompts, initial=0)
    return Batch(
        z=torch.cat([batch.z for batch in batches]),
        t=torch.cat([batch.t for batch in batches]),
        target=torch.cat([batch.target for batch in batches]),
        mask=torch.cat([batch.mask for batch in batches]),
        prompt=torch.cat([batch.prompt + first for batch, first in zip(batches, firsts, strict=False)]),
        weight=torch.cat([batch.weight for batch in batches]),
        of_class=torch.cat([batch.of_class for batch in batches]),
    )


@torch.no_grad()
def encode_examples(
    base: TrainingBase,
    samples: Sequence[Sample],
    class_images: Sequence[Pixels],
    table: Sequence[str],
    mask_floor: float,
) -> Examples:
    """Latents and loss masks of all pictures, and their rows in the table; a class image counts everywhere."""
    pictures = [sample.rgb for sample in samples] + list(class_images)
    encoded = [base.encode(torch.tensor(rgb)[None]) for rgb in pictures]
    mean, std = (torch.cat(part).to(base.dtype) for part in zip(*encoded, strict=True))
    alpha = torch.stack([torch.tensor(sample.alpha) for sample in samples])[:, None].float() / 255
    soft = torch.nn.functional.adaptive_avg_pool2d(alpha.to(base.device), mean.shape[2:])
    mask = torch.ones_like(mean[:, :1])
    mask[: len(samples)] = mask_floor + (1 - mask_floor) * soft
    prompts = [table.index(sample.prompt) for sample in samples]
    prompts += [len(table) + i % len(CLASS_PROMPTS) for i in range(len(class_images))]
    return Examples(mean, std, mask, torch.tensor(prompts, device=base.device), len(samples))


def batches(
    examples: Examples, recipe: AdapterRecipe, base: TrainingBase, generator: torch.Generator
) -> Iterator[Batch]:
    """Batches without end: recipe.batch samples of the product and a quarter as many class images, if any.

    The weights make the loss E_product[w_t |..|²] + λ E_class[w_t |..|²] (Ruiz et al. 2023, equation 2) with
    λ = recipe.prior_weight. Class images were drawn by the base, so what it predicts of one, noised, is the mean of
    all the targets that this noised picture may have come from: taught that, the class part has the same minimum
    without the targets' noise, and it is 0 as long as the adapter leaves the class alone. So w_t is min-SNR's for the
    product alone, and 1 for the class: near pure noise, where min-SNR is 0, the first steps of a picture decide what it
    shows, and a class that counts nothing there is given up.
    """
    own_samples, of_the_class = endless(examples.own, generator), class_samples(examples, generator)
    counts = recipe.batch, prior_count(recipe)
    share = torch.tensor([1 / counts[0]] * counts[0] + [recipe.prior_weight / max(1, counts[1])] * counts[1])
    of_class = (torch.arange(sum(counts)) >= counts[0]).to(base.device)
    while True:
        own = list(islice(own_samples, counts[0]))
        pairs = [*zip(own, own, strict=True), *islice(of_the_class, counts[1])]
        pictures, prompts = (list(rows) for rows in zip(*pairs, strict=True))
        t = torch.cat([spread_timesteps(n, len(base.alpha_bars), generator) for n in counts]).to(base.device)
        xi, eps = (
            torch.randn((len(pictures), *examples.mean.shape[1:]), generator=generator) for _ in range(2)
        )
        if recipe.offset_noise:
            eps = eps + recipe.offset_noise * torch.randn((len(eps), eps.shape[1], 1, 1), generator=generator)
        eps = eps.to(base.device)
        z0 = examples.mean[pictures] + examples.std[pictures] * xi.to(base.device)
        alpha_bar = base.alpha_bars[t]
        yield Batch(
            z=add_noise(z0, eps, alpha_bar),
            t=t,
            target=eps if base.prediction == "epsilon" else velocity(z0, eps, alpha_bar),
            mask=examples.mask[pictures].masked_fill(of_class.view(-1, 1, 1, 1), 1),
            prompt=examples.prompt[prompts],
            weight=share.to(base.device)
            * min_snr_weight(alpha_bar, recipe.snr_gamma, base.prediction).masked_fill(of_class, 1),
            of_class=of_class,
        )


def class_samples(examples: Examples, generator: torch.Generator) -> Iterator[tuple[int, int]]:
    """Row of a picture and row of what is said of it, without end: class images in random order; nothing without them.

    In every second place stands the product's own picture, called what the class image was called: there the adapter
    changes most, and only the token tells it that it may.
    """
    products = endless(examples.own, generator)
    for number, index in enumerate(endless(len(examples.mean) - examples.own, generator)):
        image = examples.own + index
        yield (next(products) if number % 2 else image), image


def prior_count(recipe: AdapterRecipe) -> int:
    """Class images in one product's batch: a quarter of its own samples, none where a token alone is learned."""
    if recipe.prior_weight == 0 or recipe.method == "textual-inversion":
        return 0
    return max(1, recipe.batch // 4)


def endless(count: int, generator: torch.Generator) -> Iterator[int]:
    """0..count-1 in random order, again and again in new orders; nothing when count is 0."""
    while count:
        yield from torch.randperm(count, generator=generator).tolist()
