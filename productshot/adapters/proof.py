"""The adapters room, its proof: now and then the fleet draws its products, and each is compared with its photos.

A loss says how well noise is guessed, not whether the product is known; what an adapter draws does. The weights
behind the best look are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch

from catalog_schemas import AdapterRecipe
from productshot.adapters.pictures import draw_pictures
from productshot.adapters.sets import LOOK_PROMPTS, TrainingSet
from productshot.adapters.text import embed, encode_prompts
from productshot.pixels import Pixels
from productshot.render.base import memory_errors

if TYPE_CHECKING:
    from productshot.adapters.fleet import Fleet, Seat

Fidelity = Callable[[Sequence[Pixels], TrainingSet], float]
"""How like pictures (side, side, 3) of a product are to its photos: -1..1, higher is better."""


def is_due(seat: Seat, recipe: AdapterRecipe) -> bool:
    """Whether it is time to look: every look_every steps, and after the last."""
    step, every = len(seat.losses), recipe.look_every
    return every > 0 and (step % every == 0 or step == recipe.steps)


def is_enough(seat: Seat, recipe: AdapterRecipe) -> bool:
    """Whether training may stop now: the look after this step was good enough, or the last ones no better."""
    if not seat.looks or seat.looks[-1][0] != len(seat.losses):
        return False
    reached = recipe.enough is not None and seat.looks[-1][1] >= recipe.enough
    return reached or len(seat.looks) - 1 - seat.looks.index(best_of(seat.looks)) >= recipe.patience


def best_of(looks: Sequence[tuple[int, float]]) -> tuple[int, float]:
    """The first of the looks (step, fidelity) with the highest fidelity."""
    return max(looks, key=lambda look: look[1])


def look(fleet: Fleet, slot: int, fidelity: Fidelity) -> None:
    """Draw a slot's product, note how like its photos it is, and keep its best weights.

    One product at a time: what is kept must not hang on who else was drawn, not even in the last bit.
    """
    seat = fleet.seats[slot]
    seat.looks.append((len(seat.losses), fidelity(draw_product(fleet, slot), seat.item)))
    if best_of(seat.looks) == seat.looks[-1]:
        seat.best = fleet.learned(slot)


@torch.no_grad()
def draw_product(fleet: Fleet, slot: int) -> list[Pixels]:
    """The recipe's look_pictures, (side, side, 3), of a slot's product: LOOK_PROMPTS in turn, picture i with seed i."""
    base, seeds = fleet.base, range(fleet.recipe.look_pictures)
    named = f"{fleet.recipe.token} {fleet.seats[slot].item.noun}"
    prompts = [LOOK_PROMPTS[seed % len(LOOK_PROMPTS)].format(named) for seed in seeds]
    texts = embed(base.readers, fleet.token_ids(slot, prompts), fleet.token_rows(kept=True))
    free = encode_prompts(base.readers, [""])
    fleet.stack.busy = [slot]
    with memory_errors("a look at an adapter"), fleet.wearing(kept=True):
        return draw_pictures(base, free, texts, seeds)
