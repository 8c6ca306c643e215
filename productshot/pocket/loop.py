"""Pocket, the training loop: counted samples, a learning rate, checkpoints that resume; nothing of one model.

`fit` drives a `Task` (the VAE, the diffusion model or the ControlNet of train.py). A step's randomness comes
from (seed, step, rank) alone, so a resumed run draws the batches that an uninterrupted one would have drawn. Under
torchrun the processes split each batch and average their gradients: on shared cores two processes of one thread
each get more done than one of two threads, which wait for each other in every operation.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from productshot.adapters.checkpoints import flat_state, put_state

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Budget:
    """How much a run may learn from, and how fast it walks."""

    samples: int
    batch: int
    peak_lr: float
    warmup_steps: int = 100
    flat_share: float = 0.6  # of the steps before the cosine begins
    save_every_s: float = 240.0
    log_every: int = 50
    clip_norm: float = 1.0
    seed: int = 0

    @property
    def steps(self) -> int:
        """Optimizer steps that use up the samples."""
        return math.ceil(self.samples / self.batch)


class Task(Protocol):
    """One thing to train."""

    def modules(self) -> dict[str, nn.Module]:
        """Everything a checkpoint must hold, by name."""
        ...

    def trained(self) -> list[nn.Parameter]:
        """The parameters that the optimizer moves."""
        ...

    def loss(self, rng: np.random.Generator, batch: int, progress: float) -> Tensor:
        """Scalar loss of one batch; progress runs 0..1 over the budget."""
        ...

    def after_step(self, step: int) -> None:
        """Called when the optimizer has moved, with the number of steps done."""
        ...

    def export(self, folder: Path, step: int) -> dict[str, float]:
        """Write the model and a sheet of samples; return what was measured on held-out pictures."""
        ...


def place_in_group() -> tuple[int, int]:
    """This process's rank and the number of processes that train together; (0, 1) alone."""
    return (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Replace each gradient by its mean over the processes of the run."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.flatten() for g in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def learning_rate(step: int, budget: Budget) -> float:
    """Linear warm-up, flat, then a cosine to zero at the last step."""
    warm = min(1.0, (step + 1) / max(1, budget.warmup_steps))
    flat_steps = budget.flat_share * budget.steps
    if step <= flat_steps:
        return budget.peak_lr * warm
    done = (step - flat_steps) / max(1.0, budget.steps - flat_steps)
    return budget.peak_lr * warm * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def fit(task: Task, budget: Budget, folder: Path, report: Report, resume: bool = False) -> None:
    """Train until the budget's samples are used; leaves a checkpoint and the export in `folder`."""
    rank, ranks = place_in_group()
    optimizer = torch.optim.AdamW(
        task.trained(), lr=budget.peak_lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    step = load_checkpoint(folder, task, optimizer) if resume else 0
    meter = Meter(budget)
    while step < budget.steps:
        rng = np.random.default_rng((budget.seed, step, rank))
        torch.manual_seed(int(rng.integers(2**62)))
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, budget)
        loss = task.loss(rng, budget.batch // ranks, step / budget.steps)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(task.trained())
        nn.utils.clip_grad_norm_(task.trained(), budget.clip_norm)
        optimizer.step()
        step += 1
        task.after_step(step)
        meter.add(float(loss.detach()))
        if rank > 0:
            continue
        if step % budget.log_every == 0:
            report(meter.line(step))
        if meter.save_is_due() or step == budget.steps:
            save_checkpoint(folder, task, optimizer, step)
            report({"step": step, **task.export(folder, step)})
            meter.saved()


class Meter:
    """Mean loss and throughput since the last line, and the time since the last checkpoint."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.losses: list[float] = []
        self.began = self.line_began = self.last_save = time.monotonic()

    def add(self, loss: float) -> None:
        """Take one step's loss."""
        self.losses.append(loss)

    def line(self, step: int) -> dict[str, float]:
        """Figures of the steps since the last line."""
        now = time.monotonic()
        rate = len(self.losses) * self.budget.batch / (now - self.line_began)
        figures = {
            "step": step,
            "samples": step * self.budget.batch,
            "loss": round(sum(self.losses) / len(self.losses), 5),
            "samples_per_s": round(rate, 1),
            "wall_s": round(now - self.began),
        }
        self.losses, self.line_began = [], now
        return figures

    def save_is_due(self) -> bool:
        """Whether the last checkpoint is older than the budget allows."""
        return time.monotonic() - self.last_save > self.budget.save_every_s

    def saved(self) -> None:
        """A checkpoint was written."""
        self.last_save = time.monotonic()


def save_checkpoint(folder: Path, task: Task, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write modules, optimizer state and the step count as one safetensors file, replacing the last."""
    tensors = {f"module/{name}/{key}": value for name, module in task.modules().items()
               for key, value in module.state_dict().items()}  # fmt: skip
    tensors |= {f"optimizer/{key}": value for key, value in flat_state(optimizer).items()}
    tensors = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / "checkpoint.partial"
    save_file(tensors, partial, metadata={"step": str(step)})
    partial.replace(folder / "checkpoint.safetensors")
    (folder / "checkpoint.json").write_text(json.dumps({"step": step}))


def load_checkpoint(folder: Path, task: Task, optimizer: torch.optim.Optimizer) -> int:
    """Restore what `save_checkpoint` wrote; returns the number of steps done."""
    tensors = load_file(folder / "checkpoint.safetensors")
    for name, module in task.modules().items():
        prefix = f"module/{name}/"
        module.load_state_dict(
            {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        )
    prefix = "optimizer/"
    flat = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    put_state(optimizer, flat, optimizer.state_dict()["param_groups"])
    return int(json.loads((folder / "checkpoint.json").read_text())["step"])


def follow(average: nn.Module, live: nn.Module, decay: float) -> None:
    """Move an averaged copy towards the live weights: average = decay * average + (1 - decay) * live."""
    with torch.no_grad():
        for mean, value in zip(average.parameters(), live.parameters(), strict=True):
            mean.lerp_(value, 1.0 - decay)


@contextmanager
def half_precision(device: torch.device) -> Iterator[None]:
    """Bfloat16 autocast for forward passes on this device."""
    with torch.autocast(device.type, torch.bfloat16):
        yield
