"""Solvers against diffusers' and against a case whose answer is known; the step cache counts what it computes."""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler
from torch import Tensor, nn

from productshot.render.recall import recalling
from productshot.render.solve import Solver, ddim, dpm_solver, timesteps

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
SPREAD = 0.7
"""Standard deviation of the latents of the known case."""


def alpha_bars(zero_snr: bool = False) -> Tensor:
    """Stable Diffusion's, or rescaled so that the last is pure noise (Lin et al. 2024, algorithm 1)."""
    bars = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2, 0)
    if not zero_snr:
        return bars
    roots = bars.sqrt()
    return ((roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2


def noise() -> Tensor:
    return torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(5))


def keep(x: Tensor, alpha_bar: Tensor) -> Tensor:
    """Nothing is known."""
    return x


def of_gaussian(bars: Tensor) -> Any:
    """The exact guess where clean latents are normal with deviation SPREAD: their mean, given x."""

    def guess(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        variance = bars[t] * SPREAD**2 + 1 - bars[t]
        clean = bars[t].sqrt() * SPREAD**2 / variance * x
        return clean, (x - bars[t].sqrt() * clean) / (1 - bars[t]).sqrt()

    return guess


@pytest.mark.parametrize("steps", [1, 2, 8, 25])
def test_dpm_solver_is_that_of_diffusers(steps: int) -> None:
    """The same timesteps, guesses of the clean latents and start: the same end, to float32."""
    bars, times = alpha_bars(), timesteps(1000, steps)
    scheduler = DPMSolverMultistepScheduler(**BETAS, prediction_type="sample", lower_order_final=True)
    scheduler.set_timesteps(timesteps=times)

    def guess(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        return torch.tanh(x * (1 + t / 1000)), x

    theirs = noise()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for t in scheduler.timesteps:
            theirs = scheduler.step(guess(theirs, int(t))[0], t, theirs).prev_sample
    assert torch.allclose(dpm_solver(bars, times, noise(), guess, keep), theirs, atol=1e-4)


@pytest.mark.parametrize("zero_snr", [False, True])
def test_dpm_solver_needs_fewer_steps(zero_snr: bool) -> None:
    """Where the end is known, its error after 12 steps is below DDIM's after 20; from pure noise too."""
    bars = alpha_bars(zero_snr)
    start = (bars[-1] * SPREAD**2 + 1 - bars[-1]).sqrt()
    exact = noise() * SPREAD / start

    def error(solver: Solver, steps: int) -> float:
        end = solver(bars, timesteps(1000, steps), noise(), of_gaussian(bars), keep)
        return float((end - exact).abs().max())

    assert error(dpm_solver, 12) < error(ddim, 20) < error(ddim, 12)


@pytest.mark.parametrize("solver", [ddim, dpm_solver])
def test_what_is_put_back_is_in_the_end(solver: Solver) -> None:
    """Exactly, whatever the guesses."""

    def put_back(x: Tensor, alpha_bar: Tensor) -> Tensor:
        return torch.cat([x[:1], (alpha_bar * 3).expand_as(x[1:])])

    bars = alpha_bars()
    end = solver(bars, timesteps(1000, 5), noise(), of_gaussian(bars), put_back)
    assert (end[1:] == 3).all() and not (end[:1] == 3).any()


class Layer(nn.Module):
    """Adds 1 and counts how often it is asked."""

    def __init__(self, name: str, asked: Counter[str]) -> None:
        super().__init__()
        self.name, self.asked = name, asked

    def forward(self, x: Tensor) -> Tensor:
        self.asked[self.name] += 1
        return x + 1


def test_deep_layers_are_computed_at_every_third_step() -> None:
    """Of seven steps at the first, fourth and last; the shallow one at each; afterwards all is as it was."""
    asked = Counter[str]()
    deep, shallow = Layer("deep", asked), Layer("shallow", asked)
    guess = recalling([deep], 3, lambda x, t: (shallow(deep(x)), x))
    answers = [float(guess(torch.tensor(float(step)), step)[0]) for step in range(7)]
    assert asked == {"deep": 3, "shallow": 7}
    assert answers == [2, 2, 2, 5, 5, 5, 8]
    assert float(deep(torch.tensor(9.0))) == 10 and "forward" not in vars(deep)


def test_an_error_leaves_the_layers_as_they_were() -> None:
    """Whatever stops a step."""
    deep = Layer("deep", Counter())

    def fails(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recalling([deep], 2, fails)(torch.zeros(1), 0)
    assert "forward" not in vars(deep)
