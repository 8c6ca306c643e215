"""The adapters room, what is learned: the weights of K products side by side, as render/lora.py's layers wear them.

With the losses of the slots summed, the gradient of slot k's weights is that of training it alone: no term of another
slot depends on them. The layers see the stacked tensors; a slot's optimiser its rows of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from productshot.errors import ConfigInvalid
from productshot.render.lora import DOWN, MAGNITUDE, UP, Layer

LORA, TOKEN = "lora", "token"
"""The two groups of what is learned; a token has a row for each text encoder: token.0, token.1."""


class Stack:
    """What K slots learn: tensors (K, *shape) by name, with gradients that backward adds to; slot k is row k.

    `busy` says which slots have samples in the batch, in its order. `kept` is what is looked at and written: the
    tensors themselves, or their averages over the steps.
    """

    def __init__(
        self, shapes: Mapping[str, tuple[int, ...]], slots: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.slots = slots
        self.busy: list[int] = []
        self.tensors: dict[str, Tensor] = {}
        for name, shape in shapes.items():
            stacked = torch.zeros(slots, *shape, device=device, dtype=dtype, requires_grad=True)
            stacked.grad = torch.zeros_like(stacked)
            self.tensors[name] = stacked
        self.kept = self.tensors

    def keep_averages(self) -> None:
        """From now on keep averages, which `follow` moves."""
        self.kept = {name: stacked.detach().clone() for name, stacked in self.tensors.items()}

    @torch.no_grad()
    def start(self, slot: int, values: Mapping[str, Tensor]) -> None:
        """Set the slot's weights, and with them its averages."""
        for name, value in values.items():
            self.tensors[name][slot] = value
            self.kept[name][slot] = self.tensors[name][slot]

    @torch.no_grad()
    def follow(self, slot: int, decay: float) -> None:
        """Move the slot's averages towards its weights: average = decay * average + (1 - decay) * weight."""
        for name, average in self.kept.items():
            average[slot].lerp_(self.tensors[name][slot], 1 - decay)

    def parameters(self, slot: int) -> dict[str, list[nn.Parameter]]:
        """The slot's rows as parameters of an optimiser, sharing memory: LORA, TOKEN, or both."""
        found: dict[str, list[nn.Parameter]] = {}
        for name, stacked in self.tensors.items():
            parameter = nn.Parameter(stacked.detach()[slot])
            assert stacked.grad is not None
            parameter.grad = stacked.grad[slot]
            found.setdefault(TOKEN if name.startswith(TOKEN) else LORA, []).append(parameter)
        return found

    def zero_gradients(self) -> None:
        """Set all gradients to zero, in place."""
        for stacked in self.tensors.values():
            assert stacked.grad is not None
            stacked.grad.zero_()

    def seen(self, name: str, kept: bool = False) -> Tensor:
        """The busy slots' rows of a tensor, with gradients; or of what is kept of it."""
        every = (self.kept if kept else self.tensors)[name]
        return every if self.busy == list(range(self.slots)) else every[self.busy]


def target_layers(unet: nn.Module, targets: Sequence[str]) -> dict[str, Layer]:
    """The linear and convolution layers that the targets name, as peft's LoraConfig reads its target_modules.

    ConfigInvalid: a target fits no such layer.
    """
    layers = {name: module for name, module in unet.named_modules() if isinstance(module, Layer)}
    found: dict[str, Layer] = {}
    for target in targets:
        fitting = {n: layer for n, layer in layers.items() if n == target or n.endswith(f".{target}")}
        if not fitting:
            limit = "the base model has no linear or convolution layer of that name"
            raise ConfigInvalid(
                "adapters.targets", f"has {target!r}", limit, "name others, such as to_q, conv1"
            )
        found |= fitting
    return {name: layer for name, layer in layers.items() if name in found}


def lora_shapes(layers: Mapping[str, Layer], rank: int, dora: bool) -> dict[str, tuple[int, ...]]:
    """Shapes of one product's LoRA by peft's names: A (r, in) and B (out, r), with kernels for convolutions.

    With DoRA also the outputs' magnitudes, (out,) or (1, out, 1, 1).

    ConfigInvalid: the rank is larger than every layer is wide.
    """
    widest = max(min(layer.weight.shape[:2]) for layer in layers.values())
    if rank > widest:
        limit = f"{widest} is the width of the widest target"
        raise ConfigInvalid("adapters.rank", f"is {rank}", limit, "lower it; a rank beyond it adds nothing")
    shapes = {}
    for name, layer in layers.items():
        outputs, inputs, *kernel = layer.weight.shape
        shapes[f"{name}.{DOWN}"] = (rank, inputs, *kernel)
        shapes[f"{name}.{UP}"] = (outputs, rank, *(1 for _ in kernel))
        if dora:
            shapes[f"{name}.{MAGNITUDE}"] = (1, outputs, 1, 1) if kernel else (outputs,)
    return shapes


@contextmanager
def replaced(model: nn.Module, stack: Stack, kept: bool = False) -> Iterator[None]:
    """Within it the model's parameters are the only slot's tensors of their names; backward adds to their gradients."""
    base = {name: parameter.data for name, parameter in model.named_parameters()}
    for name, parameter in model.named_parameters():
        stacked = stack.tensors[name]
        assert stacked.grad is not None
        parameter.data = (stack.kept if kept else stack.tensors)[name].detach()[0]
        parameter.requires_grad_(not kept).grad = stacked.grad[0]
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.data = base[name]
            parameter.requires_grad_(False).grad = None
