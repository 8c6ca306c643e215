"""Several products in one pass: each learns exactly what it would have learned alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from peft import LoraConfig
from torch import Tensor

from catalog_schemas import AdapterRecipe
from productshot.adapters import TrainedAdapter, TrainingBase, TrainingSet, join, train_adapters
from productshot.adapters.batches import Batch
from productshot.adapters.fleet import Fleet, averaging, slots_that_fit
from productshot.adapters.lora import TOKEN, target_layers
from productshot.adapters.text import Reader, Words
from productshot.errors import ConfigInvalid, OutOfMemory
from productshot.pixels import Pixels
from productshot.progress import Progress, silent
from productshot.records import Refusal
from productshot.render.lora import MAGNITUDE
from tests.models.adapter_builders import SIDE, a_recipe, a_set

pytestmark = pytest.mark.usefixtures("one_thread")

REDS = {"a": 220, "b": 180, "c": 120, "d": 60}


def four_sets() -> list[TrainingSet]:
    return [a_set(sku, red=red) for sku, red in REDS.items()]


def trained(
    base: TrainingBase, recipe: AdapterRecipe, sets: list[TrainingSet], slots: int
) -> dict[str, TrainedAdapter]:
    outcomes = {outcome.sku: outcome for outcome in train_adapters(sets, recipe, base, silent, slots)}
    assert all(isinstance(outcome, TrainedAdapter) for outcome in outcomes.values()), outcomes
    return outcomes  # type: ignore[return-value]


def learned(base: TrainingBase, recipe: AdapterRecipe, sets: list[TrainingSet]) -> list[dict[str, Tensor]]:
    """Every product's tensors after the recipe's steps, in full precision, all of them in one fleet."""
    fleet = Fleet(base, recipe.model_copy(update={"steps": recipe.steps + 1}), len(sets))
    for slot, item in enumerate(sets):
        fleet.seat(slot, item)
    for _ in range(recipe.steps):
        assert fleet.step(silent) == []
    return [
        {name: stacked.detach()[slot].clone() for name, stacked in fleet.stack.tensors.items()}
        for slot in range(len(sets))
    ]


@pytest.fixture(scope="module")
def exact_base(base: TrainingBase) -> TrainingBase:
    """The base in double precision, where sums in another order differ by 1e-16."""
    readers = tuple(Reader(each.tokenizer, copy.deepcopy(each.encoder).double()) for each in base.readers)
    return replace(base, unet=copy.deepcopy(base.unet).double(), readers=readers, compute=torch.float64)


@pytest.mark.parametrize(
    "changes", [{}, {"method": "textual-inversion"}, {"dora": True}], ids=["lora", "token", "dora"]
)
def test_a_fleet_learns_what_each_learns_alone(exact_base: TrainingBase, changes: dict[str, object]) -> None:
    """In double precision, after 20 steps, no weight differs by more than 1e-9 of its tensor's largest."""
    recipe = a_recipe(steps=20, **changes)
    together = learned(exact_base, recipe, four_sets())
    alone = [learned(exact_base, recipe, [item])[0] for item in four_sets()]
    for ours, solo in zip(together, alone, strict=True):
        assert ours.keys() == solo.keys()
        for name in ours:
            assert (ours[name] - solo[name]).abs().max() <= 1e-9 * solo[name].abs().max(), name
    assert (together[0][f"{TOKEN}.0"] - together[1][f"{TOKEN}.0"]).abs().max() > 1e-6


def gradients_of_a_step(base: TrainingBase, sets: list[TrainingSet]) -> list[dict[str, Tensor]]:
    """Every product's gradients of a step from the same random weights, all of them in one fleet."""
    fleet = Fleet(base, a_recipe(steps=3), len(sets))
    for slot, item in enumerate(sets):
        fleet.seat(slot, item)
        generator = torch.Generator().manual_seed(5)
        first = fleet.learned(slot)
        fleet.stack.start(
            slot, {name: torch.randn(row.shape, generator=generator) * 0.1 for name, row in first.items()}
        )
    fleet._update = lambda losses: iter(())  # type: ignore[method-assign]  # gradients as backward left them
    fleet.step(silent)
    return [
        {name: stacked.grad[slot].clone() for name, stacked in fleet.stack.tensors.items()}  # type: ignore[index]
        for slot in range(len(sets))
    ]


def test_in_single_precision_a_fleet_differs_by_rounding_only(base: TrainingBase) -> None:
    """K=4 against solo: gradients of a step within 1e-5 by norm; after 20 steps within 1e-3 of the way gone.

    A single tensor may be at 5e-5: gradients of attention's keys and queries are small differences of large terms.
    """
    base = replace(base, compute=torch.float32)
    together = gradients_of_a_step(base, four_sets())
    for ours, item in zip(together, four_sets(), strict=True):
        (solo,) = gradients_of_a_step(base, [item])
        for name, gradient in solo.items():
            assert (ours[name] - gradient).norm() <= 5e-5 * gradient.norm(), name
        apart, whole = (
            torch.cat([row.flatten() for row in each])
            for each in ([ours[name] - gradient for name, gradient in solo.items()], solo.values())
        )
        assert apart.norm() <= 1e-5 * whole.norm()
    recipe, start = a_recipe(steps=20), learned(base, a_recipe(steps=1), four_sets()[:1])[0]
    together = learned(base, recipe, four_sets())
    for ours, item in zip(together, four_sets(), strict=True):
        (solo,) = learned(base, recipe, [item])
        for name, weight in solo.items():
            assert (ours[name] - weight).norm() <= 1e-3 * (weight - start[name]).norm(), name


def test_dreambooth_learns_every_weight_and_leaves_the_base_alone(exact_base: TrainingBase) -> None:
    """Its step is torch's own: AdamW on the UNet's clipped gradients; the base has the same bits afterwards."""
    before = {name: weight.clone() for name, weight in exact_base.unet.state_dict().items()}
    recipe = a_recipe(method="dreambooth", steps=9, prior_weight=0, token_learning_rate=0)
    fleet = Fleet(exact_base, recipe, 4)
    assert fleet.free() == [0]  # one product at a time
    fleet.seat(0, a_set())
    batch = next(fleet.seats[0].batches)
    fleet.seats[0].drawn = batch
    fleet.step(silent)
    assert all(torch.equal(weight, before[name]) for name, weight in exact_base.unet.state_dict().items())
    theirs = copy.deepcopy(exact_base.unet).requires_grad_(True)
    optimiser = torch.optim.AdamW(theirs.parameters(), 1e-4, fused=True)
    answer = theirs(batch.z, batch.t, fleet.seats[0].words[batch.prompt].tokens).sample
    error = ((answer - batch.target).square().mean(1, keepdim=True) * batch.mask).sum((1, 2, 3))
    (batch.weight * error / batch.mask.sum((1, 2, 3))).sum().backward()
    torch.nn.utils.clip_grad_norm_(theirs.parameters(), 1.0)
    optimiser.step()
    learned = fleet.learned(0)
    for name, weight in theirs.named_parameters():
        assert (learned[name] - weight).norm() <= 1e-6 * (before[name] - weight).norm(), name


def test_photos_of_one_product_are_learned_by_their_captions(exact_base: TrainingBase) -> None:
    """Beside a product without captions one with two views learns as alone, and otherwise than without them."""
    item = a_set("views")
    captioned = replace(item, pictures=item.pictures * 2, captions=("", "back view"))
    recipe = a_recipe(steps=4)
    alone = learned(exact_base, recipe, [captioned])[0]
    together = learned(exact_base, recipe, [item, captioned])[1]
    plain = learned(exact_base, recipe, [replace(captioned, captions=())])[0]
    for name, weight in alone.items():
        assert (together[name] - weight).abs().max() <= 1e-9 * weight.abs().max(), name
    assert any((plain[name] - weight).abs().max() > 1e-6 for name, weight in alone.items())


def test_class_images_teach_nothing_while_the_class_is_left_alone(exact_base: TrainingBase) -> None:
    """Their target is what the base says: at the start no gradient; once the class has moved, one that is not 0."""
    fleet = Fleet(exact_base, a_recipe(batch=1), 1)
    fleet.seat(0, a_set())
    only_class = next(fleet.seats[0].batches)
    only_class = replace(only_class, weight=only_class.weight * only_class.of_class)
    for moved in (False, True):
        fleet.seats[0].drawn = only_class
        if moved:
            fleet.stack.start(0, {name: row + 0.1 for name, row in fleet.learned(0).items()})
        fleet._batch()
        fleet.step(silent)
        assert (fleet.seats[0].losses[-1] > 1e-6) == moved


def test_files_do_not_depend_on_the_neighbours(base: TrainingBase) -> None:
    """Two by two in any order, with whichever neighbour and after whichever predecessor: the same bytes."""
    recipe = a_recipe(ema=0.9)
    files = {sku: join(adapter) for sku, adapter in trained(base, recipe, four_sets(), 2).items()}
    a, b, c, d = four_sets()
    for sets in ([d, c, b, a], [a, c, b, d], [c, a, d, b]):
        assert {sku: join(adapter) for sku, adapter in trained(base, recipe, sets, 2).items()} == files
    assert len(set(files.values())) == 4


def poisoned(batches: Iterator[Batch], step: int) -> Iterator[Batch]:
    """The batches, with NaN in the latents of one step."""
    for number, batch in enumerate(batches, 1):
        yield replace(batch, z=batch.z * torch.nan) if number == step else batch


def test_nan_in_one_slot_leaves_the_others_bitwise_unchanged(base: TrainingBase) -> None:
    """The product with the NaN is refused at that step; the adapters of the others have the same bytes."""
    recipe, fleet = a_recipe(steps=4), Fleet(base, a_recipe(steps=4), 4)
    for slot, item in enumerate(four_sets()):
        fleet.seat(slot, item)
    fleet.seats[1].batches = poisoned(fleet.seats[1].batches, step=2)
    outcomes = {outcome.sku: outcome for _ in range(4) for outcome in fleet.step(silent)}
    refused = outcomes.pop("b")
    assert isinstance(refused, Refusal)
    assert str(refused).startswith("training step 2 has loss nan and gradient norm nan; finite ones are")
    healthy = trained(base, recipe, four_sets(), 4)
    assert {sku: join(outcome) for sku, outcome in outcomes.items()} == {  # type: ignore[arg-type]
        sku: join(healthy[sku]) for sku in "acd"
    }


def test_a_free_slot_takes_the_next_set(base: TrainingBase) -> None:
    """Sets are read only when a slot is free for them, and outcomes come as soon as they are there."""
    read: list[str] = []

    def sets() -> Iterator[TrainingSet]:
        for item in four_sets():
            read.append(item.sku)
            yield item

    outcomes = train_adapters(sets(), a_recipe(), base, silent, slots=2)
    assert next(outcomes).sku == "a" and read == ["a", "b"]
    assert [outcome.sku for outcome in outcomes] == ["b", "c", "d"]


def test_out_of_memory_halves_the_fleet_and_loses_nothing(
    base: TrainingBase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that holds two products' batches trains four of them two by two, to the same weights."""
    recipe, predict, sizes = a_recipe(), TrainingBase.predict, []

    def small_device(self: TrainingBase, z: Tensor, t: Tensor, text: Words) -> Tensor:
        sizes.append(len(z))
        if len(z) > 2 * 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(self, z, t, text)

    expected = trained(base, recipe, four_sets(), 4)
    monkeypatch.setattr(TrainingBase, "predict", small_device)
    for sku, adapter in trained(base, recipe, four_sets(), 4).items():
        for name, weight in adapter.lora.items():
            other = expected[sku].lora[name]
            assert (weight - other).float().norm() <= 1e-3 * other.float().norm(), name
    assert sizes.count(4 * 3) == 1 and 2 * 3 in sizes


def test_out_of_memory_with_one_product_is_told(base: TrainingBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left to halve: the error says what did not fit."""

    def no_device(*_: object) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TrainingBase, "predict", no_device)
    with pytest.raises(OutOfMemory, match="a training step of 1 adapters does not fit into memory"):
        list(train_adapters(four_sets(), a_recipe(), base, silent, slots=2))


def test_progress_tells_every_step_of_every_product(base: TrainingBase) -> None:
    """The caller hears of each step with the SKU's name."""
    heard: list[Progress] = []
    list(train_adapters(four_sets()[:2], a_recipe(steps=2), base, heard.append, slots=2))
    assert heard == [Progress("adapters", step, 2, sku) for step in (1, 2) for sku in "ab"]


def test_half_of_the_free_memory_sets_the_slots(base: TrainingBase, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twice the memory holds twice the products; the least is one, the most 16."""

    def slots_with(megabytes: int) -> int:
        memory = type("Memory", (), {"available": megabytes * 10**6})
        monkeypatch.setattr("productshot.adapters.fleet.psutil.virtual_memory", lambda: memory)
        return slots_that_fit(base, a_recipe())

    one = next(m for m in range(1, 2000) if slots_with(m) == 2)
    assert slots_with(2 * one) in (4, 5)
    assert slots_with(0) == 1
    assert slots_with(10**6) == 16


def test_targets_are_read_as_peft_reads_them(base: TrainingBase) -> None:
    """The same layers get a LoRA as with peft's LoraConfig; a name that fits nothing is refused."""
    targets = ("to_q", "attn2.to_k", "conv1", "proj_in")
    unet = copy.deepcopy(base.unet)
    unet.add_adapter(LoraConfig(r=2, target_modules=list(targets)))
    theirs = {name.split(".lora_A")[0] for name, _ in unet.named_parameters() if ".lora_A" in name}
    assert set(target_layers(base.unet, targets)) == theirs
    with pytest.raises(ConfigInvalid, match="adapters.targets has 'to_z'; the base model has no linear"):
        target_layers(base.unet, ("to_q", "to_z"))


def test_rank_beyond_every_layer_is_refused(base: TrainingBase) -> None:
    """Such a LoRA would be larger than the layers it changes."""
    with pytest.raises(ConfigInvalid, match="adapters.rank is 200; .* is the width of the widest target"):
        list(train_adapters(four_sets(), a_recipe(rank=200), base, silent))


def test_the_best_look_is_kept(base: TrainingBase) -> None:
    """Of four looks the second was best: its weights are the adapter, and the steps say so."""
    recipe, said = a_recipe(steps=8, look_every=2, look_pictures=3, patience=4), iter([0.2, 0.6, 0.6, 0.1])
    seen: list[int] = []

    def fidelity(pictures: Sequence[Pixels], item: TrainingSet) -> float:
        assert item.sku == "mug-1"
        assert {picture.shape for picture in pictures} == {(SIDE, SIDE, 3)}
        seen.append(len(pictures))
        return next(said)

    (adapter,) = train_adapters([a_set()], recipe, base, silent, fidelity=fidelity)
    assert isinstance(adapter, TrainedAdapter)
    assert seen == [3] * 4
    assert adapter.looks == ((2, 0.2), (4, 0.6), (6, 0.6), (8, 0.1))
    assert adapter.steps == 4
    (short,) = train_adapters([a_set()], recipe.model_copy(update={"look_every": 0}), base, silent)
    assert isinstance(short, TrainedAdapter) and short.steps == 8 and short.looks == ()
    assert any(not torch.equal(adapter.lora[name], short.lora[name]) for name in short.lora)


def test_looking_changes_no_training(base: TrainingBase) -> None:
    """The last weights are the same whether or not someone looked on the way."""
    recipe = a_recipe(steps=4, look_every=1, look_pictures=1, patience=9)
    rising = iter(range(4))
    (looked,) = train_adapters([a_set()], recipe, base, silent, fidelity=lambda *_: float(next(rising)))
    (plain,) = train_adapters([a_set()], recipe, base, silent)
    assert isinstance(looked, TrainedAdapter) and isinstance(plain, TrainedAdapter)
    assert all(torch.equal(looked.lora[name], plain.lora[name]) for name in plain.lora)


@pytest.mark.parametrize(
    ("changes", "looks"),
    [({"enough": 0.5}, ((1, 0.3), (2, 0.5))), ({"patience": 2}, ((1, 0.3), (2, 0.5), (3, 0.4), (4, 0.5)))],
    ids=["good enough", "no longer better"],
)
def test_training_stops_early(
    base: TrainingBase, changes: dict[str, object], looks: tuple[tuple[int, float], ...]
) -> None:
    """At a fidelity that is enough, or after so many looks without a better one; the neighbour goes on."""
    recipe = a_recipe(steps=6, look_every=1, look_pictures=1, patience=9).model_copy(update=changes)
    said = {"a": [0.3, 0.5, 0.4, 0.5], "b": [0.1, 0.2, 0.3, 0.31, 0.32, 0.33]}
    sets = [a_set("a"), a_set("b")]
    outcomes = train_adapters(
        sets, recipe, base, silent, slots=2, fidelity=lambda _, item: said[item.sku].pop(0)
    )
    first, second = outcomes
    assert isinstance(first, TrainedAdapter) and first.looks == looks
    assert isinstance(second, TrainedAdapter) and len(second.looks) == 6


def test_pictures_do_not_depend_on_the_neighbours(base: TrainingBase) -> None:
    """What a product's adapter draws is the same beside whichever neighbour, and differs between products."""
    recipe = a_recipe(steps=8, look_every=8, look_pictures=2, learning_rate=0.05)
    a, b, c, d = four_sets()
    drawn: list[dict[str, bytes]] = []
    for sets in ([a, b, c, d], [d, b, a, c]):
        seen: dict[str, bytes] = {}

        def fidelity(pictures: Sequence[Pixels], item: TrainingSet, seen: dict[str, bytes] = seen) -> float:
            seen[item.sku] = b"".join(picture.tobytes() for picture in pictures)
            return 0.5

        list(train_adapters(sets, recipe, base, silent, 2, fidelity))
        drawn.append(seen)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0].values())) > 1


@pytest.mark.parametrize("dora", [False, True])
def test_layers_answer_as_peft_answers(exact_base: TrainingBase, dora: bool) -> None:
    """With the same weights, and after the same gradients, our hooks and peft's layers give the same numbers."""
    recipe = a_recipe(steps=3, dora=dora, learning_rate=0.02, prior_weight=0, token_learning_rate=0)
    fleet = Fleet(exact_base, recipe, 1)
    fleet.seat(0, a_set())
    fleet.step(silent)
    fleet.step(silent)
    theirs = copy.deepcopy(exact_base.unet)
    theirs.add_adapter(LoraConfig(r=2, lora_alpha=2, target_modules=list(recipe.targets), use_dora=dora))
    own = {name: weight for name, weight in theirs.named_parameters() if weight.requires_grad}
    for name, weight in own.items():
        plain = name.replace(".default", "").replace(f"{MAGNITUDE}.weight", MAGNITUDE)
        weight.data.copy_(fleet.learned(0)[plain])
    z, t = torch.randn(2, 4, 16, 16, dtype=torch.float64), torch.tensor([10, 700])
    words = fleet.seats[0].words[:2]
    answer = theirs(z, t, words.tokens).sample
    fleet.stack.busy = [0]
    fleet.stack.zero_gradients()
    with fleet.wearing():
        ours = exact_base.predict(z, t, words)
    assert torch.allclose(ours, answer, atol=1e-9)
    ours.square().sum().backward()
    answer.square().sum().backward()
    for name, weight in own.items():
        plain = name.replace(".default", "").replace(f"{MAGNITUDE}.weight", MAGNITUDE)
        assert torch.allclose(fleet.stack.tensors[plain].grad[0], weight.grad, atol=1e-8), name


def test_the_average_is_kept(exact_base: TrainingBase) -> None:
    """With a decay near 1 the kept weights are the mean of the steps', each with its share; training is the same."""
    plain, averaged = a_recipe(steps=9), a_recipe(steps=9, ema=0.9999)
    fleets = [Fleet(exact_base, recipe, 1) for recipe in (plain, averaged)]
    for fleet in fleets:
        fleet.seat(0, a_set())
    expected = fleets[0].learned(0)
    for step in range(1, 9):
        for fleet in fleets:
            fleet.step(silent)
        for name, weight in fleets[0].learned(0).items():
            expected[name].lerp_(weight, 1 - step / (step + 10))
    for name, kept in fleets[1].learned(0).items():
        assert torch.equal(fleets[1].stack.tensors[name].detach()[0], fleets[0].learned(0)[name])
        assert torch.allclose(kept, expected[name], atol=1e-9), name
    assert averaging(10**9, 0.99) == 0.99
