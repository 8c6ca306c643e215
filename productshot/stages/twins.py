"""Stage twins: which cutouts of a SKU show what others of it show, and which stand alone.

A cutout that lost a part of the product, or brought its plate along, is wrong in its own way and has no twin among the
SKU's photos; right ones resemble each other. The cutout model may be sure of both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from productshot.gates.comparison import solid
from productshot.ledger import Ledger, Task
from productshot.models import Models
from productshot.pixels import Pixels, from_png
from productshot.records import Cutout, Refusal, Twins

if TYPE_CHECKING:
    from productshot.render.eyes import Eyes

FEWEST = 3
"""Of two cutouts that differ nobody can say which is wrong."""


def twins_task(sku: str, cutouts: Sequence[Cutout], models: Models) -> Task | None:
    """What is compared of a SKU: its cutouts of a view with each other; None where no view has enough of them."""
    views: dict[str | None, set[str]] = defaultdict(set)
    for cutout in cutouts:
        views[cutout.photo.view].add(cutout.digest)
    groups = sorted(sorted(digests) for digests in views.values() if len(digests) >= FEWEST)
    if not groups:
        return None
    parents = tuple(digest for group in groups for digest in group)
    return Task(
        sku, "twins", parents, {"tower": models.eyes_digest, "groups": [len(group) for group in groups]}
    )


def find_twins(sku: str, cutouts: Sequence[Cutout], ledger: Ledger, models: Models) -> Twins | Refusal | None:
    """How far each cutout is from having a twin; None where too few are there to tell."""
    task = twins_task(sku, cutouts, models)
    if task is None:
        return None
    outcome = ledger.once(task, lambda: _compare(task, ledger, models))
    assert isinstance(outcome, (Twins, Refusal))
    return outcome


def _compare(task: Task, ledger: Ledger, models: Models) -> Twins:
    unlike: dict[str, float] = {}
    digests = iter(task.parents)
    for size in task.recipe["groups"]:
        cutouts = {
            digest: from_png(ledger.data(task.sku, "cutouts", digest, "png"))
            for digest in islice(digests, size)
        }
        seen = {
            digest: rgba for digest, rgba in cutouts.items() if solid(rgba[..., 3]).any()
        }  # not clear glass
        if len(seen) >= FEWEST:
            unlike |= unlikeness(seen, models.eyes)
    return Twins(sku=task.sku, unlike=unlike)


def unlikeness(cutouts: Mapping[str, Pixels], eyes: Eyes) -> dict[str, float]:
    """How much less alike each cutout (h, w, 4) and its nearest are than the most alike pair is: cosines, 0..2."""
    likeness = eyes.likeness(list(cutouts.values()), list(cutouts.values()))
    np.fill_diagonal(likeness, -1)
    nearest = likeness.max(axis=1)
    return {
        name: round(float(nearest.max() - value), 4) for name, value in zip(cutouts, nearest, strict=True)
    }
