"""The adapters room, its training: a queue of sets in, adapters out, as many at a time as the machine holds."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator

from catalog_schemas import AdapterRecipe
from productshot.adapters.base import TrainingBase
from productshot.adapters.checkpoints import Checkpoints, checkpoint, restore
from productshot.adapters.files import TrainedAdapter
from productshot.adapters.fleet import Fleet, slots_that_fit
from productshot.adapters.proof import Fidelity
from productshot.adapters.sets import TrainingSet
from productshot.errors import ConfigInvalid, InputRefused, ModelDamaged, OutOfMemory
from productshot.progress import ReportProgress
from productshot.records import Refusal

log = logging.getLogger(__name__)


def train_adapters(
    sets: Iterable[TrainingSet],
    recipe: AdapterRecipe,
    base: TrainingBase,
    report: ReportProgress,
    slots: int | None = None,
    fidelity: Fidelity | None = None,
    checkpoints: Checkpoints | None = None,
) -> Iterator[TrainedAdapter | Refusal]:
    """One outcome per set, each as soon as it is there; `slots` of them (default: what memory holds) learn together.

    A product that is finished, or that is refused, leaves its slot to the next set; its neighbours' numbers are
    what they would have been without it. `report` is told of every step of every product; `fidelity` judges what
    the adapters draw on the way, so that the best weights are kept. With `checkpoints` a product goes on from its own,
    to the same end. The base model is afterwards what it was.
    ConfigInvalid: the recipe trains nothing, or a target or the rank does not fit the base. OutOfMemory: not even
    one product's batch fits the device; before that the fleet halves itself and goes on.
    """
    if recipe.method == "textual-inversion" and recipe.token_learning_rate == 0:
        raise ConfigInvalid(
            "adapters.token_learning_rate",
            "is 0",
            "textual-inversion learns the token only",
            "set it above 0",
        )
    fleet, waiting = Fleet(base, recipe, slots or slots_that_fit(base, recipe), fidelity), iter(sets)
    saved = time.monotonic()
    while True:
        yield from fill(fleet, waiting, checkpoints)
        if not fleet.seats:
            return
        try:
            outcomes = fleet.step(report)
        except OutOfMemory:
            if len(fleet.stack.busy) == 1:
                raise
            fleet.halve()
        else:
            yield from outcomes
        if checkpoints and time.monotonic() - saved >= checkpoints.every_s:
            for slot, seat in fleet.seats.items():
                checkpoints.save(seat.item.sku, checkpoint(fleet, slot))
            saved = time.monotonic()


def fill(
    fleet: Fleet, waiting: Iterator[TrainingSet], checkpoints: Checkpoints | None = None
) -> Iterator[Refusal]:
    """Seat the next sets in the free slots, where they stopped; those that cannot be learned from are refused."""
    for slot in fleet.free():
        for item in waiting:
            try:
                fleet.seat(slot, item)
            except InputRefused as error:
                yield Refusal.of(item.sku, "adapters", error)
            else:
                go_on(fleet, slot, checkpoints)
                break


def go_on(fleet: Fleet, slot: int, checkpoints: Checkpoints | None) -> None:
    """Bring the slot's product to where its checkpoint is, if there is a sound one."""
    sku = fleet.seats[slot].item.sku
    data = checkpoints.load(sku) if checkpoints else None
    if data is None:
        return
    try:
        restore(fleet, slot, data)
    except ModelDamaged as error:
        log.warning("SKU %s: %s", sku, error)
    else:
        log.info("SKU %s: training goes on after step %d", sku, len(fleet.seats[slot].losses))
