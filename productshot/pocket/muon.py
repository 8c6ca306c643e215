"""Pocket, the optimizer: Muon for weight matrices and convolutions, AdamW for everything else.

Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks") takes the momentum of a matrix to
the nearest orthogonal one, so that no direction of a layer learns slowly because another is steep. The step is scaled
to the size of AdamW's (Liu et al. 2025, "Muon is scalable for LLM training", section 2.2), so both share one rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

MOMENTUM = 0.95
BETAS, EPSILON = (0.9, 0.99), 1e-8


def orthogonalised(matrix: Tensor, steps: int = 5) -> Tensor:
    """The orthogonal factor of an (n, m) matrix, roughly: singular values near 1 (Newton-Schulz, bfloat16)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix.bfloat16()
    tall = x.shape[0] > x.shape[1]
    if tall:
        x = x.T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    return (x.T if tall else x).float()


class Muon(torch.optim.Optimizer):
    """Muon for parameters of two and more dimensions (a convolution counts as outputs x all else), AdamW for others."""

    def __init__(self, parameters: Iterable[Parameter], lr: float, weight_decay: float = 0.01) -> None:
        super().__init__(list(parameters), {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Move every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                move = self._matrix_move if parameter.ndim > 1 else self._vector_move
                parameter.sub_(group["lr"] * move(parameter.grad, self.state[parameter]))

    def _matrix_move(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """Nesterov momentum, orthogonalised, with the root mean square of a usual AdamW step, 0.2."""
        momentum = state.setdefault("momentum", torch.zeros_like(gradient))
        momentum.lerp_(gradient, 1 - MOMENTUM)
        flat = gradient.lerp(momentum, MOMENTUM).flatten(1)
        return orthogonalised(flat).view_as(gradient) * (0.2 * max(flat.shape) ** 0.5)

    def _vector_move(self, gradient: Tensor, state: dict[str, Any]) -> Tensor:
        """AdamW's step (Kingma and Ba 2015, algorithm 1)."""
        count = state.setdefault("step", torch.zeros(()))
        mean, square = (state.setdefault(name, torch.zeros_like(gradient)) for name in ("mean", "square"))
        count += 1
        mean.lerp_(gradient, 1 - BETAS[0])
        square.lerp_(gradient.square(), 1 - BETAS[1])
        scale = (square / (1 - BETAS[1] ** float(count))).sqrt() + EPSILON
        return mean / (1 - BETAS[0] ** float(count)) / scale
