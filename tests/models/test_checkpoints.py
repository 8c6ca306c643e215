"""A training that was stopped goes on to the same bytes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from catalog_schemas import AdapterRecipe
from productshot.adapters import TrainedAdapter, TrainingBase, TrainingSet, join, train_adapters
from productshot.folder import FolderStore
from productshot.ledger import Task
from productshot.progress import Progress, silent
from productshot.stages.adapters import StoredCheckpoints
from tests.models.adapter_builders import a_recipe, a_set

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 6


class Killed(Exception):
    """The process ends here."""


def killed_after(steps: int) -> object:
    """A report that ends the run in the step after so many of SKU a."""

    def report(done: Progress) -> None:
        if done.item == "a" and done.done > steps:
            raise Killed

    return report


def sharper(pictures: object, item: TrainingSet) -> float:
    """Somebody who looks: any number that follows from the pictures."""
    return float(np.mean(pictures)) / 255  # type: ignore[arg-type]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[StoredCheckpoints]:
    """Checkpoints of SKUs a and b in a folder, after every step."""
    tasks = {sku: Task(sku, "adapters", ("x",), {"steps": STEPS}) for sku in "ab"}
    yield StoredCheckpoints(FolderStore(tmp_path / "store"), tasks, 0.0)


def run(
    base: TrainingBase,
    recipe: AdapterRecipe,
    kept: StoredCheckpoints | None = None,
    report: object = silent,
    slots: int = 2,
) -> dict[str, bytes]:
    """The files of two SKUs' adapters."""
    sets = [a_set("a", red=220), a_set("b", red=120)]
    made = train_adapters(sets, recipe, base, report, slots, sharper, kept)  # type: ignore[arg-type]
    return {outcome.sku: join(outcome) for outcome in made if isinstance(outcome, TrainedAdapter)}


@pytest.mark.parametrize(
    "changes",
    [{}, {"dora": True, "ema": 0.9}, {"method": "textual-inversion"}, {"method": "dreambooth"}],
    ids=["lora", "dora-ema", "token", "whole"],
)
@pytest.mark.parametrize("steps", [1, STEPS - 1])
def test_a_killed_training_goes_on_to_the_same_bytes(
    base: TrainingBase, kept: StoredCheckpoints, changes: dict[str, object], steps: int
) -> None:
    """Killed early and late: the second run does the steps that are left, and looks as the first would have."""
    recipe, seen = a_recipe(steps=STEPS, look_every=2, look_pictures=1, **changes), []
    slots = 1 if changes.get("method") == "dreambooth" else 2
    whole = run(base, recipe, slots=slots)
    with pytest.raises(Killed):
        run(base, recipe, kept, killed_after(steps), slots)
    again = run(base, recipe, kept, lambda done: seen.append((done.item, done.done)), slots)
    assert again == whole and len(whole) == 2
    assert min(done for sku, done in seen if sku == "a") == steps + 1


def test_a_damaged_checkpoint_costs_time_only(
    base: TrainingBase, kept: StoredCheckpoints, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a file, and one of another rank: both SKUs are trained from their start, and the log says so."""
    recipe = a_recipe(steps=STEPS)
    whole = run(base, recipe)
    with pytest.raises(Killed):
        run(base, a_recipe(steps=STEPS, rank=4), kept, killed_after(3))
    data = kept.load("a")
    assert data is not None
    kept.save("a", data[: len(data) // 2])
    with caplog.at_level(logging.WARNING, "productshot"):
        assert run(base, recipe, kept) == whole
    assert "SKU a: checkpoint of an adapter cannot be read" in caplog.text
    assert "SKU b: checkpoint of an adapter is of another training" in caplog.text


def test_a_checkpoint_goes_when_its_adapter_is_there(base: TrainingBase, kept: StoredCheckpoints) -> None:
    """Only what was written or read is deleted."""
    run(base, a_recipe(steps=3), kept)
    assert kept.load("a") is not None
    kept.forget("a")
    assert kept.load("a") is None and kept.load("b") is not None
