"""The adapters room, its fleet: K products learn side by side in one pass through one frozen base model.

A slot holds one product at a time. Everything a product's training changes (its rows of the stack, its optimiser,
its random numbers) is its own, so its numbers do not depend on who learns beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from math import isfinite

import psutil
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.init import kaiming_uniform_
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from catalog_schemas import AdapterRecipe
from productshot.adapters.base import TrainingBase
from productshot.adapters.batches import Batch, batches, encode_examples, joined, prior_count
from productshot.adapters.files import TrainedAdapter
from productshot.adapters.lora import LORA, TOKEN, Stack, lora_shapes, replaced, target_layers
from productshot.adapters.losses import masked_error
from productshot.adapters.proof import Fidelity, best_of, is_due, is_enough, look
from productshot.adapters.sets import CLASS_PROMPTS, TrainingSet, make_samples
from productshot.adapters.text import Reader, Words, embed, encode_prompts, first_row, fits, prompt_ids
from productshot.errors import InputRefused
from productshot.keys import digest_json
from productshot.pixels import Pixels
from productshot.progress import Progress, ReportProgress
from productshot.records import Refusal
from productshot.render.base import memory_errors
from productshot.render.lora import DOWN, MAGNITUDE, Layer, worn

WARM_UP = 0.05
"""Share of the steps in which the learning rate rises; then it falls by a half cosine to FINAL_RATE."""
FINAL_RATE = 0.1
MAX_GRADIENT_NORM = 1.0
MOST_SLOTS = 16
"""More products in one batch make it no faster."""


@dataclass
class Seat:
    """One product in its slot, with everything of its training that no other product shares."""

    item: TrainingSet
    words: Words  # what its P prompts and the class prompts say without a learned token
    ids: list[Tensor]  # for each text encoder (P, n), its prompts with the learned token
    parameters: dict[str, list[Parameter]]  # the slot's row of the stack: LORA, TOKEN or both
    optimiser: Optimizer
    rate: LRScheduler
    batches: Iterator[Batch]
    drawn: Batch | None = None  # the batch of a step that is not done yet
    losses: list[float] = field(default_factory=list)
    looks: list[tuple[int, float]] = field(default_factory=list)  # (step, subject fidelity)
    best: dict[str, Tensor] = field(default_factory=dict)  # what was learned at the best of them


class Fleet:
    """K slots on one base model, which wears their LoRA during a step only. A free slot costs nothing.

    With method dreambooth the one slot holds all weights of a UNet, which take the base's place during a step.
    """

    def __init__(
        self, base: TrainingBase, recipe: AdapterRecipe, slots: int, fidelity: Fidelity | None = None
    ) -> None:
        self.base, self.recipe, self.fidelity = base, recipe, fidelity
        self.layers: dict[str, Layer] = {}
        shapes: dict[str, tuple[int, ...]] = {}
        if recipe.method == "dreambooth-lora":
            self.layers = target_layers(base.unet, recipe.targets)
            shapes = lora_shapes(self.layers, recipe.rank, recipe.dora)
        elif recipe.method == "dreambooth":
            slots, shapes = 1, {name: weight.shape for name, weight in base.unet.named_parameters()}
        if recipe.token_learning_rate > 0:
            shapes |= {f"{TOKEN}.{k}": (1, reader.table.shape[1]) for k, reader in enumerate(base.readers)}
        self.stack = Stack(shapes, slots, base.device, base.dtype)
        if recipe.ema:
            self.stack.keep_averages()
        self.seats: dict[int, Seat] = {}
        self.at_once = slots  # products in one batch; fewer than slots after the device ran out of memory

    def wearing(self, kept: bool = False) -> AbstractContextManager[None]:
        """Within it the base answers with what the busy slots learn, or with what is kept of it."""
        if self.recipe.method == "dreambooth":
            return replaced(self.base.unet, self.stack, kept)
        return worn(self.layers, partial(self.stack.seen, kept=kept), self.recipe.dora)

    def free(self) -> list[int]:
        """Slots that a product may take."""
        empty = [slot for slot in range(self.stack.slots) if slot not in self.seats]
        return empty[: max(0, self.at_once - len(self.seats))]

    def seat(self, slot: int, item: TrainingSet) -> None:
        """Begin with a product; InputRefused when it cannot be learned from."""
        base, recipe = self.base, self.recipe
        samples = make_samples(item, base.side_px, recipe.seed)
        class_images = _class_images(item, recipe)
        generator = torch.Generator().manual_seed(recipe.seed)
        table = tuple(dict.fromkeys(sample.prompt for sample in samples))
        with memory_errors(f"training pictures of SKU {item.sku}"):
            examples = encode_examples(base, samples, class_images, table, recipe.mask_floor)
        if not torch.isfinite(examples.mean).all():
            limit = "finite numbers are needed"
            raise InputRefused(
                f"SKU {item.sku}", "has a picture that encodes to NaN", limit, "look at its photos"
            )
        self.stack.start(slot, self._first_weights(item.noun))
        parameters = self.stack.parameters(slot)
        optimiser, rate = _optimiser(parameters, recipe)
        prompts = [prompt.format(f"{recipe.token} {item.noun}") for prompt in table]
        check_length(base.readers, item, prompts)
        with torch.no_grad():
            words = encode_prompts(
                base.readers, [*prompts, *(prompt.format(item.noun) for prompt in CLASS_PROMPTS)]
            )
        self.seats[slot] = Seat(
            item=item,
            words=words,
            ids=self.token_ids(slot, prompts),
            parameters=parameters,
            optimiser=optimiser,
            rate=rate,
            batches=batches(examples, recipe, base, generator),
        )

    def _first_weights(self, noun: str) -> dict[str, Tensor]:
        """What peft starts from: A uniform (He et al. 2015), B zero, magnitudes those of the base; the noun's token.

        With method dreambooth the base's own weights.
        """
        generator = torch.Generator().manual_seed(self.recipe.seed)
        first = {}
        for name, stacked in self.stack.tensors.items():
            first[name] = torch.zeros(stacked.shape[1:])
            if name.endswith(DOWN):
                kaiming_uniform_(first[name], a=5**0.5, generator=generator)
            elif name.endswith(MAGNITUDE):
                weight = self.layers[name.removesuffix(f".{MAGNITUDE}")].weight
                first[name] = weight.flatten(1).norm(dim=1).view(stacked.shape[1:])
            elif name.startswith(TOKEN):
                reader = self.base.readers[int(name.removeprefix(f"{TOKEN}."))]
                first[name] = first_row(reader, self.recipe.token, noun)
            elif self.recipe.method == "dreambooth":
                first[name] = self.base.unet.get_parameter(name).detach()
        return first

    def token_rows(self, kept: bool = False) -> list[Tensor]:
        """(K, width) learned rows for each text encoder; none where no token is learned."""
        tensors = self.stack.kept if kept else self.stack.tensors
        return [stacked.flatten(0, 1) for name, stacked in tensors.items() if name.startswith(TOKEN)]

    def token_ids(self, slot: int, prompts: Sequence[str]) -> list[Tensor]:
        """(len(prompts), n) ids for each text encoder; where a token is learned it is the slot's row of the above."""
        learned = self.recipe.token if self.recipe.token_learning_rate > 0 else None
        return [
            torch.tensor(
                [
                    prompt_ids(reader.tokenizer, prompt, learned, len(reader.table) + slot)
                    for prompt in prompts
                ]
            )
            for reader in self.base.readers
        ]

    def _words(self) -> Words:
        """What the busy products' tables of prompts say; their own prompts with the learned token, with gradients."""
        seats = [self.seats[slot] for slot in self.stack.busy]
        parts = [seat.words for seat in seats]
        if self.token_rows():
            ids = [torch.cat(each) for each in zip(*(seat.ids for seat in seats), strict=True)]
            own = embed(self.base.readers, ids, self.token_rows())
            counts = [len(seat.ids[0]) for seat in seats]
            firsts = accumulate(counts, initial=0)
            parts = [
                part
                for seat, first, count in zip(seats, firsts, counts, strict=False)
                for part in (own[first : first + count], seat.words[count:])
            ]
        return Words.merged(parts, torch.cat)

    @torch.no_grad()
    def _target(self, batch: Batch, words: Words) -> Tensor:
        """What the UNet should predict, (B, c, h, w): of class images what the base, which wears nothing, predicts."""
        target, rows = batch.target.to(batch.z.dtype, copy=True), batch.of_class
        if rows.any():
            target[rows] = self.base.predict(batch.z[rows], batch.t[rows], words[rows])
        return target

    def step(self, report: ReportProgress) -> list[TrainedAdapter | Refusal]:
        """One training step of the products in the batch; those that are finished, or refused for their loss.

        OutOfMemory: nothing has changed, and the step may be tried again after `halve`.
        """
        batch = self._batch()
        doing = f"a training step of {len(self.stack.busy)} adapters"
        with memory_errors(doing):
            words = self._words()[batch.prompt]
            target = self._target(batch, words)
        with memory_errors(doing), self.wearing():
            predicted = self.base.predict(batch.z, batch.t, words)
            errors = batch.weight * masked_error(predicted, target, batch.mask)
            losses = errors.unflatten(0, (len(self.stack.busy), -1)).sum(1)
            self.stack.zero_gradients()
            losses.sum().backward()
        outcomes: list[TrainedAdapter | Refusal] = list(self._update(losses.tolist()))
        for slot in [slot for slot in self.stack.busy if slot in self.seats]:
            seat = self.seats[slot]
            if self.fidelity and is_due(seat, self.recipe):
                look(self, slot, self.fidelity)
            report(Progress("adapters", len(seat.losses), self.recipe.steps, seat.item.sku))
            if len(seat.losses) == self.recipe.steps or is_enough(seat, self.recipe):
                outcomes.append(self._adapter(slot, self.seats.pop(slot)))
        return outcomes

    def _update(self, losses: Sequence[float]) -> Iterator[Refusal]:
        """Move the weights of each product in the batch along their gradient; refusals of those that cannot."""
        for slot, loss in zip(self.stack.busy, losses, strict=True):
            seat = self.seats[slot]
            seat.losses.append(loss)
            seat.drawn = None
            norm = float(clip_grad_norm_(sum(seat.parameters.values(), []), MAX_GRADIENT_NORM))
            if isfinite(loss + norm):
                seat.optimiser.step()
                seat.rate.step()
                if self.recipe.ema:
                    self.stack.follow(slot, averaging(len(seat.losses), self.recipe.ema))
                continue
            error = InputRefused(
                f"training step {len(seat.losses)}",
                f"has loss {loss} and gradient norm {norm}",
                "finite ones are needed",
                "lower learning_rate",
            )
            yield Refusal.of(self.seats.pop(slot).item.sku, "adapters", error)

    def halve(self) -> None:
        """Put at most half as many products into one batch from now on; the others wait, with all that they know."""
        self.at_once = max(1, len(self.stack.busy) // 2)

    def _batch(self) -> Batch:
        """The next batch of every product, one after the other, and which slots they belong to."""
        self.stack.busy = sorted(self.seats)[: self.at_once]
        seats = [self.seats[slot] for slot in self.stack.busy]
        for seat in seats:
            seat.drawn = seat.drawn or next(seat.batches)
        drawn = [seat.drawn for seat in seats if seat.drawn]
        return joined(drawn, [len(seat.words.tokens) for seat in seats])

    def learned(self, slot: int) -> dict[str, Tensor]:
        """A copy of what is kept of the slot's product."""
        return {name: stacked.detach()[slot].cpu().clone() for name, stacked in self.stack.kept.items()}

    def _adapter(self, slot: int, seat: Seat) -> TrainedAdapter:
        """What a product keeps: its best weights, the last ones where nobody looked; float16 halves their size."""
        learned = dict(seat.best or self.learned(slot))
        rows = tuple(learned.pop(name).float() for name in list(learned) if name.startswith(TOKEN))
        return TrainedAdapter(
            sku=seat.item.sku,
            lora={f"unet.{name}": weight.half() for name, weight in learned.items()},
            rows=rows,
            losses=tenths(seat.losses),
            looks=tuple(seat.looks),
            token=self.recipe.token,
            noun=seat.item.noun,
            steps=best_of(seat.looks)[0] if seat.looks else len(seat.losses),
            method=self.recipe.method,
            base=self.base.digest,
            recipe=digest_json(self.recipe.model_dump(mode="json", exclude={"base"})),
        )


def check_length(readers: Sequence[Reader], item: TrainingSet, prompts: Sequence[str]) -> None:
    """InputRefused where a text encoder cannot read a prompt to its end, because it knows the noun in pieces only."""
    for reader in readers:
        long = next((prompt for prompt in prompts if not fits(reader.tokenizer, prompt)), None)
        if long:
            pieces = len(reader.tokenizer(item.noun, add_special_tokens=False).input_ids)
            raise InputRefused(
                f"SKU {item.sku}, noun {item.noun!r},",
                f"is {pieces} tokens to the base model",
                f"{reader.tokenizer.model_max_length} must hold {long!r}",
                "name its class by a common word, or shorten the photo's view",
            )


def slots_that_fit(base: TrainingBase, recipe: AdapterRecipe) -> int:
    """How many products' batches half of the free memory holds, at most MOST_SLOTS.

    What one needs is counted, not guessed: the bytes that a forward pass keeps for its backward pass.
    """
    kept: dict[int, int] = {}

    def count(saved: Tensor) -> Tensor:
        kept[saved.untyped_storage().data_ptr()] = saved.untyped_storage().nbytes()
        return saved

    samples, side = recipe.batch + prior_count(recipe), int(base.unet.config.sample_size)
    z = torch.zeros(samples, base.unet.config.in_channels, side, side, device=base.device, dtype=base.dtype)
    fleet = Fleet(base, recipe, 1)
    fleet.stack.busy = [0]
    counted = torch.autograd.graph.saved_tensors_hooks(count, lambda saved: saved)
    with memory_errors("one product's batch"), fleet.wearing(), counted:
        base.predict(
            z, torch.zeros(samples, device=base.device), encode_prompts(base.readers, [""] * samples)
        )
    for weight in base.unet.parameters():
        kept.pop(weight.untyped_storage().data_ptr(), None)
    free = torch.cuda.mem_get_info()[0] if base.device.type == "cuda" else psutil.virtual_memory().available
    return max(1, min(MOST_SLOTS, free // 2 // max(1, sum(kept.values()))))


def averaging(step: int, decay: float) -> float:
    """The decay after step 1, 2, ...: small at first, so that an average does not remember the start."""
    return min(decay, step / (step + 10))


def learning_rate_share(step: int, steps: int) -> float:
    """The share of the full rate at step 0..steps-1: a short rise, then a half cosine to FINAL_RATE."""
    rise = max(1, round(WARM_UP * steps))
    if step < rise:
        return (step + 1) / rise
    progress = torch.tensor((step - rise) / max(1, steps - rise))
    return FINAL_RATE + (1 - FINAL_RATE) * float(1 + torch.cos(progress * torch.pi)) / 2


def tenths(losses: Sequence[float]) -> tuple[float, ...]:
    """The mean of each tenth of the losses; of each loss where there are fewer than ten."""
    parts = min(10, len(losses))
    ends = [len(losses) * i // parts for i in range(parts + 1)]
    return tuple(sum(losses[a:b]) / (b - a) for a, b in zip(ends, ends[1:], strict=False))


def _optimiser(
    parameters: Mapping[str, list[Parameter]], recipe: AdapterRecipe
) -> tuple[Optimizer, LRScheduler]:
    """AdamW over LoRA and token row, each at its own rate; the row without weight decay."""
    settings = {
        LORA: {"lr": recipe.rate},
        TOKEN: {"lr": recipe.token_learning_rate, "weight_decay": 0.0},
    }
    optimiser = AdamW(
        [{"params": weights, **settings[name]} for name, weights in parameters.items()], fused=True
    )
    return optimiser, LambdaLR(optimiser, lambda step: learning_rate_share(step, recipe.steps))


def _class_images(item: TrainingSet, recipe: AdapterRecipe) -> tuple[Pixels, ...]:
    """The set's class images where the recipe uses them; a token alone cannot change what the noun means."""
    if not prior_count(recipe):
        return ()
    if not item.class_images:
        limit = f"prior_weight {recipe.prior_weight} needs {recipe.prior_images}"
        raise InputRefused(
            f"SKU {item.sku}", "has no class images", limit, "make them with make_class_images"
        )
    return item.class_images
