"""The render room's step cache: the network's deep layers are computed at some steps and recalled at the others.

From one timestep to the next the deep features of a UNet hardly change (DeepCache, Ma et al. 2024, figure 2), and a
ControlNet's answer neither. At a step that recalls, only the shallowest blocks are computed, those that the deepest
skip connection but one spans.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

from torch import Tensor

from productshot.render.base import Base
from productshot.render.solve import Guess


def deep_modules(base: Base) -> list[Any]:
    """What is recalled: the ControlNet, and of the UNet all between its first block down and its last block up."""
    unet = base.unet
    return [base.controlnet, *unet.down_blocks[1:], unet.mid_block, *unet.up_blocks[:-1]]


def recalling(modules: Sequence[Any], every: int, guess: Guess) -> Guess:
    """The guess, whose calls are the steps of one batch: at each `every`-th the modules' answers are computed."""
    answers: dict[int, Any] = {}
    steps = count()

    def recalled(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        with _answering(modules, answers, next(steps) % every == 0):
            return guess(x, t)

    return recalled


@contextmanager
def _answering(modules: Sequence[Any], answers: dict[int, Any], anew: bool) -> Iterator[None]:
    """Within it the modules put their answers down, or where not `anew` give those that were put down."""

    def answer(number: int, compute: Any, *args: Any, **named: Any) -> Any:
        if anew:
            answers[number] = compute(*args, **named)
        return answers[number]

    for number, module in enumerate(modules):
        module.forward = partial(answer, number, module.forward)
    try:
        yield
    finally:
        for module in modules:
            del module.forward
