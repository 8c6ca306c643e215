"""The adapters room, its mathematics: pure functions of tensors, with the symbols of the papers."""

from __future__ import annotations

import torch
from torch import Tensor


def add_noise(z0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """z_t = sqrt(ᾱ_t) z_0 + sqrt(1 - ᾱ_t) ε (Ho et al. 2020, eq. 4); ᾱ_t is (B,), the rest (B, c, h, w)."""
    a = alpha_bar.view(-1, 1, 1, 1)
    return a.sqrt() * z0 + (1 - a).sqrt() * eps


def velocity(z0: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """v_t = sqrt(ᾱ_t) ε - sqrt(1 - ᾱ_t) z_0 (Salimans and Ho 2022, section 4)."""
    a = alpha_bar.view(-1, 1, 1, 1)
    return a.sqrt() * eps - (1 - a).sqrt() * z0


def min_snr_weight(alpha_bar: Tensor, gamma: float | None, prediction: str) -> Tensor:
    """w_t (B,): min(SNR, γ) / SNR for epsilon, / (SNR + 1) for v (Hang et al. 2023, section 3.4); without γ 1."""
    if gamma is None:
        return torch.ones_like(alpha_bar)
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clamp(max=gamma) / (snr if prediction == "epsilon" else snr + 1)


def masked_error(predicted: Tensor, target: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of each sample, (B,), weighted by a (B, 1, h, w) mask whose weights then sum to 1.

    The division lets a product that is small in its frame count as much as a large one.
    """
    squares = (predicted - target).square().mean(1, keepdim=True)
    return (squares * mask).sum((1, 2, 3)) / mask.sum((1, 2, 3))


def spread_timesteps(count: int, steps: int, generator: torch.Generator) -> Tensor:
    """(count,) timesteps in 0..steps-1, one from each of `count` equal ranges, in random order.

    Each alone is uniform, as Ho et al. (2020, algorithm 1) ask; together they cover the range, so a small
    batch has a calmer loss.
    """
    u = torch.rand(count, generator=generator)
    t = ((torch.arange(count) + u) / count * steps).long().clamp(max=steps - 1)
    return t[torch.randperm(count, generator=generator)]
