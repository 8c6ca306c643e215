"""The render room, what a layer wears: K products' LoRA side by side in one batch.

A layer W of the base answers sample i of product k with W x_i + B_k A_k x_i (LoRA, Hu et al. 2022, equation 3); it
is seen as stacked A (K, r, in) and B (K, out, r), with kernels for convolutions. With DoRA (Liu et al. 2024) the
outputs' magnitudes, (K, out) or (K, 1, out, 1, 1), are learned too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

Layer: TypeAlias = nn.Linear | nn.Conv2d
DOWN, UP, MAGNITUDE = "lora_A.weight", "lora_B.weight", "lora_magnitude_vector"
"""What follows a layer's name in peft's spelling."""


@contextmanager
def worn(layers: Mapping[str, Layer], seen: Callable[[str], Tensor], dora: bool = False) -> Iterator[None]:
    """Within it every layer adds to its output what the K products' LoRA says of its input, scaled by 1.

    seen: the stacked tensor of a name, such as "mid_block.attentions.0.to_q.lora_A.weight"; asked at every call.
    The batch holds as many samples of each product, product after product.
    """
    handles = [layer.register_forward_hook(partial(_add, seen, dora, name)) for name, layer in layers.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _add(
    seen: Callable[[str], Tensor],
    dora: bool,
    name: str,
    layer: Layer,
    inputs: tuple[Tensor],
    output: Tensor,
) -> Tensor:
    """A forward hook: W x + B A x; with DoRA m (W x + B A x) / |W + B A|, the bias left alone."""
    down, up = seen(f"{name}.{DOWN}"), seen(f"{name}.{UP}")
    changed = output + low_rank(inputs[0], down, up, layer).to(output.dtype)
    if not dora:
        return changed
    magnitude = seen(f"{name}.{MAGNITUDE}").flatten(1)
    scale = (magnitude / norms(layer.weight, down, up)).to(output.dtype)  # (K, out)
    along = (-1,) if isinstance(layer, nn.Linear) else (-1, *(1 for _ in layer.kernel_size))
    bias = 0 if layer.bias is None else layer.bias.to(output.dtype).view(along)
    scale = scale.repeat_interleave(len(output) // len(down), 0)
    shape = (len(output), *(1 for _ in output.shape[2:]), -1) if along == (-1,) else (len(output), *along)
    return (changed - bias) * scale.view(shape) + bias


@torch.no_grad()
def norms(weight: Tensor, down: Tensor, up: Tensor) -> Tensor:
    """|W + B_k A_k| of each output, (K, out), without making the sum; a constant, as DoRA's authors take it (4.3).

    |w_o + b_o A|^2 = |w_o|^2 + 2 b_o (A w_o) + b_o (A A') b_o', with w_o the weights of output o.
    """
    w, a, b = weight.flatten(1), down.flatten(2), up.flatten(2)  # (out, in), (K, r, in), (K, out, r)
    cross = (b * (w @ a.mT)).sum(2)
    own = (b @ (a @ a.mT) * b).sum(2)
    return (w.square().sum(1) + 2 * cross + own).sqrt()


def low_rank(x: Tensor, down: Tensor, up: Tensor, layer: Layer) -> Tensor:
    """B_k A_k x_i for the samples i of each slot k; x is (K n, ...), slot after slot, n samples each.

    Convolutions go slot by slot: on a CPU a grouped one took 1.2 to 2.6 times as long, one over all slots' A 0.95 to 6.
    """
    slots = len(down)
    if isinstance(layer, nn.Linear):
        rows = x.reshape(slots, -1, x.shape[-1])
        return (rows @ down.mT @ up.mT).reshape(*x.shape[:-1], -1)
    how = (layer.stride, layer.padding, layer.dilation)
    narrow = torch.stack(
        [conv2d(own, a, None, *how) for own, a in zip(x.unflatten(0, (slots, -1)), down, strict=True)]
    )
    pixels = narrow.movedim(2, -1)  # (K, n, h, w, r)
    wide = pixels.flatten(1, 3) @ up.flatten(2).mT
    return wide.view(*pixels.shape[:-1], -1).flatten(0, 1).movedim(-1, 1)
