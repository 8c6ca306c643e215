"""The adapters room, its checkpoints: a product's training as bytes, so that a killed run of hours goes on.

A product's state is its own rows, its optimiser and its rate, what was looked at, and the number of its steps: the
batches follow from the seed, and those that were seen are drawn again and passed over. What goes on from a checkpoint
ends in the same bytes as what was never stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import Optimizer

from productshot.adapters.files import HEADER_ENTRY, header_of
from productshot.errors import ModelDamaged

if TYPE_CHECKING:
    from productshot.adapters.fleet import Fleet, Seat

ROW, KEPT, BEST, OPTIMISER = "row", "kept", "best", "optimiser"


class Checkpoints(Protocol):
    """Where checkpoints lie, one a product; a new one replaces the last, and is there whole or not at all."""

    every_s: float
    """Seconds between two checkpoints of the fleet."""

    def load(self, sku: str) -> bytes | None:
        """The product's checkpoint, None when there is none."""

    def save(self, sku: str, data: bytes) -> None:
        """Keep the product's checkpoint."""


def checkpoint(fleet: Fleet, slot: int) -> bytes:
    """The training of the slot's product after its last whole step."""
    seat, stack = fleet.seats[slot], fleet.stack
    tensors = {f"{ROW}/{name}": stacked[slot] for name, stacked in stack.tensors.items()}
    if fleet.recipe.ema:
        tensors |= {f"{KEPT}/{name}": stacked[slot] for name, stacked in stack.kept.items()}
    tensors |= {f"{BEST}/{name}": weight for name, weight in seat.best.items()}
    tensors |= {f"{OPTIMISER}/{name}": value for name, value in flat_state(seat.optimiser).items()}
    header = {"losses": seat.losses, "looks": seat.looks, "rate": seat.rate.state_dict(),
              "groups": seat.optimiser.state_dict()["param_groups"]}  # fmt: skip
    copies = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return save(copies, {HEADER_ENTRY: json.dumps(header)})


@torch.no_grad()
def restore(fleet: Fleet, slot: int, data: bytes) -> None:
    """Bring the slot's product, which was seated just now, to where the checkpoint is.

    ModelDamaged: the bytes are no checkpoint of this training; the product is at its start then.
    """
    tensors, header = _read(data)
    seat, stack = fleet.seats[slot], fleet.stack
    groups: dict[str, dict[str, Tensor]] = {ROW: {}, KEPT: {}, BEST: {}, OPTIMISER: {}}
    for name, value in tensors.items():
        group, _, rest = name.partition("/")
        groups[group][rest] = value
    if {name: row.shape for name, row in groups[ROW].items()} != {
        name: stacked.shape[1:] for name, stacked in stack.tensors.items()
    }:
        raise _damaged("is of another training")
    stack.start(slot, groups[ROW])
    for name, value in groups[KEPT].items():
        stack.kept[name][slot] = value
    seat.best = groups[BEST]
    seat.losses, seat.looks = list(header["losses"]), [(step, value) for step, value in header["looks"]]
    put_state(seat.optimiser, groups[OPTIMISER], header["groups"])
    seat.rate.load_state_dict(header["rate"])
    pass_over(seat)


def flat_state(optimiser: Optimizer) -> dict[str, Tensor]:
    """What an optimiser remembers of each parameter, as "<number>/<name>"."""
    return {
        f"{number}/{name}": value
        for number, state in optimiser.state_dict()["state"].items()
        for name, value in state.items()
    }


def put_state(optimiser: Optimizer, flat: Mapping[str, Tensor], groups: Sequence[dict[str, Any]]) -> None:
    """Give an optimiser what `flat_state` told, and its groups of parameters as its own state has them."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = value
    optimiser.load_state_dict({"state": state, "param_groups": groups})


def pass_over(seat: Seat) -> None:
    """Draw the batches that the product has seen already."""
    for _ in seat.losses:
        next(seat.batches)


def _read(data: bytes) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        return load(data), header_of(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise _damaged(f"cannot be read ({error})") from error


def _damaged(told: str) -> ModelDamaged:
    return ModelDamaged("checkpoint of an adapter", told, "", "it is trained from its start")
