"""Who says what a generated picture shows: classifiers of noun, colour and scene, fitted to renders nobody trained on.

Each has a class "none". Blurred and half-denoised pictures belong to it, so that a blob of the right colour does not
count as a mug.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from productshot.adapters.losses import add_noise
from productshot.pocket import clip, vae
from productshot.pocket.loop import half_precision
from productshot.pocket.studio import COLOURS, NOUNS, SCENES, draw, frame_product, random_product, random_view
from productshot.render.sample import split

KINDS = {"noun": NOUNS, "colour": COLOURS, "scene": SCENES}
NONE_SHARE = 0.2


@dataclass(frozen=True)
class Labelled:
    """Pictures (n, h, w, 3) uint8 and, for each kind, the number of its word; the number after the last is "none"."""

    pictures: NDArray[np.uint8]
    labels: dict[str, NDArray[np.int64]]


def _render(job: tuple[int, int]) -> tuple[NDArray[np.uint8], tuple[str, str, str]]:
    """Drawing number k of a set, with its noun, colour and scene; k goes through all pairs of noun and scene."""
    _, k = job
    rng = np.random.default_rng(job)
    product = random_product(rng, NOUNS[k % len(NOUNS)])
    view = random_view(rng, SCENES[(k // len(NOUNS)) % len(SCENES)])
    return draw(product, frame_product(product, view)).picture, (product.noun, product.colour, view.scene)


def renders(count: int, first_seed: int) -> Labelled:
    """Drawings of one product each; a patterned product has the name of its first colour."""
    with get_context("spawn").Pool(2) as pool:
        drawn = pool.map(_render, [(first_seed, k) for k in range(count)], chunksize=64)
    words = list(zip(*(told for _, told in drawn), strict=True))
    labels = {
        kind: np.array([KINDS[kind].index(word) for word in column])
        for kind, column in zip(KINDS, words, strict=True)
    }
    return Labelled(np.stack([picture for picture, _ in drawn]), labels)


@torch.inference_mode()
def spoiled(pictures: NDArray[np.uint8], base: Any, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Half of them blurred, half as the base model guesses them from heavy noise without a prompt."""
    half = len(pictures) // 2
    blurred = [gaussian_filter(p.astype(np.float32), (s, s, 0)) for p in pictures[:half]
               for s in [rng.uniform(3.5, 9.0)]]  # fmt: skip
    scale = base.vae.config.scaling_factor
    alpha_bars = base.scheduler.alphas_cumprod
    ids = base.tokenizer([""], padding="max_length", max_length=32, return_tensors="pt").input_ids
    words = base.text_encoder(ids).last_hidden_state
    guessed = []
    for first in range(half, len(pictures), 16):
        x = vae.to_model(pictures[first : first + 16], torch.device("cpu"))
        x_0 = base.vae.encode(x).latent_dist.mean * scale
        t = torch.from_numpy(rng.integers(600, 900, len(x)))
        alpha_bar = alpha_bars[t]
        x_t = add_noise(
            x_0, torch.randn(x_0.shape, generator=torch.Generator().manual_seed(first)), alpha_bar
        )
        v = base.unet(x_t, t, words.expand(len(x), -1, -1)).sample
        kind = base.scheduler.config.prediction_type
        x_0_hat, _ = split(kind, v, x_t, alpha_bar.view(-1, 1, 1, 1))
        guessed.append(vae.to_pictures(base.vae.decode(x_0_hat / scale).sample))
    return np.concatenate([np.asarray(np.stack(blurred).round(), np.uint8), *guessed])


class Judge(nn.Module):
    """The body of pocket's image tower, fitted again, with one linear head a kind."""

    def __init__(self, tower: clip.ImageTower) -> None:
        super().__init__()
        self.body = copy.deepcopy(tower.body)
        width = tower.text.in_features
        self.heads = nn.ModuleDict({kind: nn.Linear(width, len(words) + 1) for kind, words in KINDS.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(n, 3, SIDE, SIDE) in -1..1 -> logits of each kind."""
        pooled = clip.pool(self.body(x))
        return {kind: head(pooled) for kind, head in self.heads.items()}


def with_none(seen: Labelled, base: Any, rng: np.random.Generator) -> Labelled:
    """The renders, and NONE_SHARE as many spoiled ones."""
    count = int(NONE_SHARE * len(seen.pictures)) // 2 * 2
    rows = rng.choice(len(seen.pictures), count, replace=False)
    pictures = np.concatenate([seen.pictures, spoiled(seen.pictures[rows], base, rng)])
    labels = {
        kind: np.concatenate([told, np.full(count, len(KINDS[kind]))]) for kind, told in seen.labels.items()
    }
    return Labelled(pictures, labels)


def fit_judge(tower: clip.ImageTower, seen: Labelled, epochs: int = 4, batch: int = 64) -> Judge:
    """A judge fitted to labelled pictures, with slight noise and shifts, so that no artefact decides."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    judge = Judge(tower)
    steps = epochs * (len(seen.pictures) // batch)
    optimizer = torch.optim.AdamW(judge.parameters(), weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-3, total_steps=steps, pct_start=0.1)
    judge.train()
    for _ in range(steps):
        rows = rng.integers(len(seen.pictures), size=batch)
        crops = vae.crop_each(seen.pictures[rows], rng, 118)
        x = clip.to_tower(crops) + 0.03 * torch.randn(batch, 3, clip.SIDE, clip.SIDE)
        with half_precision(torch.device("cpu")):
            logits = judge(x)
        loss = sum(
            cross_entropy(logits[kind].float(), torch.from_numpy(seen.labels[kind][rows])) for kind in KINDS
        )
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    return judge.eval()


@torch.inference_mode()
def verdicts(judge: Judge, pictures: NDArray[np.uint8]) -> dict[str, NDArray[np.int64]]:
    """For each kind, the number of the word that each picture shows."""
    x = clip.to_tower(np.ascontiguousarray(pictures[:, 5:123, 5:123]))
    parts = [judge(part) for part in x.split(128)]
    return {kind: np.concatenate([p[kind].argmax(dim=1).numpy() for p in parts]) for kind in KINDS}


@torch.inference_mode()
def nearest(judge: Judge, pictures: NDArray[np.uint8], kind: str) -> NDArray[np.int64]:
    """The number of the kind's word that each picture shows most; "none", which soft pictures count as, is not one."""
    x = clip.to_tower(np.ascontiguousarray(pictures[:, 5:123, 5:123]))
    return np.concatenate([judge(part)[kind][:, :-1].argmax(dim=1).numpy() for part in x.split(128)])


def right(judge: Judge, seen: Labelled) -> dict[str, float]:
    """Share of pictures judged rightly, for each kind."""
    told = verdicts(judge, seen.pictures)
    return {kind: round(float((told[kind] == seen.labels[kind]).mean()), 3) for kind in KINDS}
