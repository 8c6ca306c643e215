"""The render room, adapters: how a UNet wears one, or in one batch a different one for each picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from productshot.errors import InputRefused
from productshot.render.lora import DOWN, MAGNITUDE, worn

PREFIX = "unet."
"""Before every name in an adapter's file; what follows is peft's name of a LoRA, or a parameter of a whole UNet."""


def is_lora(adapter: Mapping[str, Tensor]) -> bool:
    """Whether the weights are low-rank ones, which many pictures of a batch can wear side by side."""
    return any(".lora_" in name for name in adapter)


def kind_of(adapter: Mapping[str, Tensor] | None) -> object:
    """Equal for adapters that one batch can hold: LoRA of the same layers and ranks; a whole UNet is alone."""
    if not adapter:
        return None
    if is_lora(adapter):
        return tuple(sorted((name, tuple(weight.shape)) for name, weight in adapter.items()))
    return id(adapter)


@contextmanager
def wearing(unet: Any, adapters: Sequence[Mapping[str, Tensor] | None]) -> Iterator[None]:
    """Within it the UNet answers picture i of a batch with adapter i on; afterwards it is as it was.

    The adapters are of one kind (`kind_of`), and were found to fit (`check_fit`). Every picture is as many samples of
    the batch as every other, one picture's after another's.
    """
    first = adapters[0]
    if not first:
        yield
    elif is_lora(first):
        like = next(unet.parameters())
        stacked = {
            name.removeprefix(PREFIX): torch.stack([adapter[name] for adapter in adapters if adapter]).to(
                like
            )
            for name in first
        }
        modules = dict(unet.named_modules())
        named = [name.removesuffix(f".{DOWN}") for name in stacked if name.endswith(DOWN)]
        dora = any(name.endswith(MAGNITUDE) for name in stacked)
        with worn({name: modules[name] for name in named}, stacked.__getitem__, dora):
            yield
    else:
        own = {name: weight.clone() for name, weight in unet.state_dict().items()}
        try:
            unet.load_state_dict({name.removeprefix(PREFIX): weight for name, weight in first.items()})
            yield
        finally:
            unet.load_state_dict(own)


def check_fit(unet: Any, adapter: Mapping[str, Tensor], noun: str, base_digest: str) -> None:
    """InputRefused: the adapter has weights that the UNet has no place for, or lacks some of a whole one."""
    own = {name: tuple(weight.shape) for name, weight in unet.state_dict().items()}
    given = {name.removeprefix(PREFIX): weight for name, weight in adapter.items()}
    wanted = {} if is_lora(adapter) else own
    for name in given.keys() | wanted.keys():
        weight = given.get(name, torch.empty(0))
        layer, low_rank, part = name.rpartition(".lora_")
        shape = own.get(f"{layer}.weight" if low_rank else name, ())
        if not (_fits_layer(weight, part, shape) if low_rank else weight.shape == shape):
            value = f"has {PREFIX}{name} of shape {tuple(weight.shape)}"
            limit = f"base model {base_digest[:12]} has {shape or 'nothing'} there"
            raise InputRefused(f"adapter of {noun}", value, limit, "train it again for this base")


def _fits_layer(weight: Tensor, part: str, shape: tuple[int, ...]) -> bool:
    """Whether one part of a LoRA ("A.weight", "B.weight", "magnitude_vector") fits a layer's weight (out, in, ...)."""
    if len(shape) < 2:
        return False
    if part.startswith("magnitude"):
        return weight.numel() == shape[0]
    axis = 1 if part.startswith("A") else 0
    return weight.shape[axis] == shape[axis]
