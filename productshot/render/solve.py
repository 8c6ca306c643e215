"""The render room's solvers: from noise to clean latents along the noise schedule.

A solver asks a guess for the clean latents at each of a few timesteps, from the noisiest down. What is known of the
picture is put back after every step at that step's noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from catalog_schemas.recipes import Scheduler

Guess: TypeAlias = Callable[[Tensor, int], tuple[Tensor, Tensor]]
"""(x, t) to the clean latents and the noise in x."""
PutBack: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(x, alpha_bar) to x with what is known put in its place."""
Solver: TypeAlias = Callable[[Tensor, Sequence[int], Tensor, Guess, PutBack], Tensor]


def timesteps(trained: int, steps: int) -> list[int]:
    """Timesteps from the noisiest down, spaced evenly from the end ("trailing", Lin et al. 2024, table 2)."""
    return [round(trained - i * trained / steps) - 1 for i in range(steps)]


def add_noise(x0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """x0 at the noise level alpha_bar (Ho et al. 2020, "DDPM", equation 4)."""
    return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * noise


def ddim(
    alpha_bars: Tensor,
    times: Sequence[int],
    x: Tensor,
    guess: Guess,
    put_back: PutBack = lambda x, alpha_bar: x,
) -> Tensor:
    """Latents from x at the first of the times down to clean ones (Song et al. 2021, equation 12 with sigma = 0)."""
    for t, end in zip(times, _ends(alpha_bars, times), strict=True):
        x_0, noise = guess(x, t)
        x = put_back(add_noise(x_0, noise, end), end)
    return x


def dpm_solver(
    alpha_bars: Tensor,
    times: Sequence[int],
    x: Tensor,
    guess: Guess,
    put_back: PutBack = lambda x, alpha_bar: x,
) -> Tensor:
    """The same by DPM-Solver++(2M) (Lu et al. 2022, "DPM-Solver++", algorithm 2): a step also sees the guess before it.

    The first step and the last one, to no noise at all, are of first order, which is DDIM.
    """
    before, h_before = x, math.inf
    for t, end in zip(times, _ends(alpha_bars, times), strict=True):
        x_0, _ = guess(x, t)
        h = _half_log_snr(end) - _half_log_snr(alpha_bars[t])
        ahead = x_0 if math.isinf(h) else x_0 + h / (2 * h_before) * (x_0 - before)
        fades = ((1 - end) / (1 - alpha_bars[t])).sqrt()
        x = put_back(fades * x - end.sqrt() * math.expm1(-h) * ahead, end)
        before, h_before = x_0, h
    return x


SOLVERS: dict[Scheduler, Solver] = {"ddim": ddim, "dpm-solver++": dpm_solver}


def _ends(alpha_bars: Tensor, times: Sequence[int]) -> list[Tensor]:
    """Noise levels at which the steps from these times end; the last has none."""
    return [*(alpha_bars[t] for t in times[1:]), torch.ones_like(alpha_bars[0])]


def _half_log_snr(alpha_bar: Tensor) -> float:
    """lambda, the logarithm of signal over noise; infinite where one of them is 0."""
    signal, noise = float(alpha_bar), 1 - float(alpha_bar)
    return math.log(signal / noise) / 2 if 0 < signal < 1 else math.copysign(math.inf, signal - 0.5)
