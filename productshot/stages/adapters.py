"""Stage adapters: per SKU the trained weights that know this very product."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, NoReturn

import numpy as np

from catalog_schemas import AdapterRecipe, PhotoRecipe, Sku
from productshot.adapters.sets import CLASS_PROMPTS, SOLID, TrainingSet
from productshot.errors import InputRefused, StorageMissing
from productshot.geometry import Size, fit_inside
from productshot.keys import digest_json
from productshot.ledger import Ledger, Task
from productshot.models import Models
from productshot.photos import Decoder
from productshot.pixels import Pixels, from_png, lay, png_bytes, resize, size_of
from productshot.progress import Progress, ReportProgress, silent
from productshot.records import Adapter, Cutout, Record, Refusal
from productshot.store import Store

if TYPE_CHECKING:
    from productshot.adapters import TrainedAdapter

TRAINING_SIDE_PX = 768
"""Photos are handed to training at most this large; the base model's resolution is far below."""
LEAST_TO_SPARE_ONE = 4
"""With so many cutouts one can be kept from training."""
ComparedWith = Literal["held-out photo", "training photos"]


def adapter_task(sku: Sku, cutouts: Sequence[Cutout], recipe: AdapterRecipe, models: Models) -> Task:
    """What the stage trains for a SKU: from its own cutouts only, never a sibling's.

    Who looks at what it draws decides what is kept, so the cutout model and the image tower count where one looks.
    """
    written = recipe.model_dump(mode="json", exclude={"base"})
    eyes = {"model": models.cutout_digest, "tower": models.eyes_digest} if recipe.look_every else {}
    of_sku = {"base": models.training_digest, "noun": sku.noun, "flip": sku.flip}
    said = captions_of(cutouts)
    of_photos = {"captions": said} if any(said) else {}
    inputs = tuple(cutout.digest for cutout in cutouts)
    return Task(sku.sku, "adapters", inputs, {**written, **of_sku, **of_photos, **eyes})


def captions_of(cutouts: Sequence[Cutout]) -> tuple[str, ...]:
    """What is said of each cutout's photo beyond its product: its view, where the catalog names one."""
    return tuple(f"{cutout.photo.view} view" if cutout.photo.view else "" for cutout in cutouts)


def train_skus(
    skus: Sequence[Sku],
    cutouts: Mapping[str, Sequence[Cutout]],
    recipe: AdapterRecipe,
    photo_recipe: PhotoRecipe,
    ledger: Ledger,
    decoder: Decoder,
    models: Models,
    report: ReportProgress,
    slots: int | None = None,
    checkpoint_every_s: float = float("inf"),
) -> Iterator[Adapter | Refusal]:
    """One outcome per SKU, those that are done already first; the others train side by side, as a fleet.

    A finished adapter is kept at once, whatever becomes of its neighbours. One that a stopped run left unfinished
    goes on from its last checkpoint, to the same bytes. `report` is told of finished SKUs.
    """
    todo: dict[str, tuple[Task, Sku]] = {}
    for sku in skus:
        task = adapter_task(sku, cutouts[sku.sku], recipe, models)
        done = ledger.adopt(task)
        if done is None:
            todo[sku.sku] = (task, sku)
        else:
            yield _of_stage(done)
    if not todo:
        return
    refused: list[Adapter | Refusal] = []

    def sets() -> Iterator[TrainingSet]:
        """What the SKUs learn from, read when their turn comes; what cannot be learned from is set aside."""
        for task, sku in list(todo.values()):
            began = ledger.now()
            try:
                found = _training_set(sku, cutouts[sku.sku], recipe, photo_recipe, ledger, decoder, models)
            except InputRefused as error:
                refused.append(_of_stage(ledger.make_now(task, partial(_fail, error), began)))
            else:
                yield found

    from productshot.adapters import train_adapters

    began = ledger.now()
    judge = partial(subject_fidelity, models) if recipe.look_every else None
    kept = StoredCheckpoints(ledger.store, {sku: task for sku, (task, _) in todo.items()}, checkpoint_every_s)
    for outcome in train_adapters(sets(), recipe, models.training_base, silent, slots, judge, kept):
        task, sku = todo.pop(outcome.sku)
        compared: ComparedWith = "held-out photo" if held_out(cutouts[sku.sku], recipe) else "training photos"
        make = partial(_kept, outcome, task, compared, ledger, kept)
        yield _of_stage(ledger.make_now(task, make, began))
        began = ledger.now()
        report(Progress("adapters", len(skus) - len(todo), len(skus), outcome.sku))
    ledger.share_seconds("adapters")
    yield from refused


class StoredCheckpoints:
    """Checkpoints in the store, each under its task's key: of another recipe or of other photos there is none."""

    def __init__(self, store: Store, tasks: Mapping[str, Task], every_s: float) -> None:
        self.store, self.tasks, self.every_s = store, tasks, every_s
        self._there: set[str] = set()

    def load(self, sku: str) -> bytes | None:
        """The bytes of the SKU's checkpoint, None when there is none."""
        try:
            data = self.store.get(self._key(sku))
        except StorageMissing:
            return None
        self._there.add(sku)
        return data

    def save(self, sku: str, data: bytes) -> None:
        """Put the checkpoint in the place of the last."""
        self.store.put(self._key(sku), data, "application/octet-stream")
        self._there.add(sku)

    def forget(self, sku: str) -> None:
        """Delete the checkpoint of a SKU whose training is over."""
        if sku in self._there:
            self.store.delete(self._key(sku))

    def _key(self, sku: str) -> str:
        task = self.tasks[sku]
        return f"work/{sku}/{task.stage}/{task.key}.checkpoint"


def _of_stage(outcome: Record | Refusal) -> Adapter | Refusal:
    """The outcome, which is one of this stage."""
    assert isinstance(outcome, (Adapter, Refusal))
    return outcome


def _fail(error: InputRefused) -> NoReturn:
    raise error


def _kept(
    outcome: TrainedAdapter | Refusal,
    task: Task,
    compared_with: ComparedWith,
    ledger: Ledger,
    checkpoints: StoredCheckpoints,
) -> Adapter:
    """The record of a trained adapter whose file is stored now; InputRefused where training was refused.

    The checkpoint goes before the marker comes: killed in between, a night trains again and leaves nothing behind.
    """
    from productshot.adapters import join

    checkpoints.forget(task.sku)
    if isinstance(outcome, Refusal):
        raise InputRefused(outcome.item, outcome.value, outcome.limit, outcome.remedy)
    digest = ledger.put_data(task.sku, "adapters", join(outcome), "safetensors", "application/octet-stream")
    return Adapter(
        sku=task.sku,
        key=task.key,
        digest=digest,
        base=outcome.base,
        method=outcome.method,
        token=outcome.token,
        noun=outcome.noun,
        steps=outcome.steps,
        losses=tuple(round(loss, 5) for loss in outcome.losses),
        looks=tuple((step, round(fidelity, 4)) for step, fidelity in outcome.looks),
        compared_with=compared_with,
    )


def worth_learning(cutouts: Sequence[Cutout], min_confidence: float) -> list[Cutout]:
    """Confident cutouts of which no clutter may hide a part, each photo once; where there is none, all.

    The pictures go to a person anyway then.

    The same photo twice would count double, and one of the two could be held out to judge the other.
    """
    once: dict[str, Cutout] = {}
    for cutout in cutouts:
        once.setdefault(cutout.photo.digest, cutout)
    sound = [one for one in once.values() if one.confidence >= min_confidence and not one.hidden]
    return sound or list(once.values())


def held_out(cutouts: Sequence[Cutout], recipe: AdapterRecipe) -> Sequence[Cutout]:
    """The cutout kept aside to compare with, the last; none where nobody looks, or of fewer than LEAST_TO_SPARE_ONE."""
    return cutouts[-1:] if recipe.look_every and len(cutouts) >= LEAST_TO_SPARE_ONE else ()


def subject_fidelity(models: Models, pictures: Sequence[Pixels], item: TrainingSet) -> float:
    """Mean cosine of the products found in pictures (h, w, 3) with the held-out photo, else with all photos.

    A picture without a product counts 0. As in the DreamBooth paper (Ruiz et al. 2023, section 4), on what the
    cutout model keeps of each picture.
    """
    from productshot.cutout import coarse_alpha

    found = [np.dstack([rgb, coarse_alpha(rgb, models.cutout_session)]) for rgb in pictures]
    seen = [rgba for rgba in found if (rgba[..., 3] >= SOLID).any()]
    true = [np.dstack([rgb, alpha]) for rgb, alpha in item.held_out or item.pictures]
    return float(models.eyes.likeness(seen, true).sum()) / (len(pictures) * len(true)) if seen else 0.0


def _training_set(
    sku: Sku,
    cutouts: Sequence[Cutout],
    recipe: AdapterRecipe,
    photo_recipe: PhotoRecipe,
    ledger: Ledger,
    decoder: Decoder,
    models: Models,
) -> TrainingSet:
    if not cutouts or not sku.noun:
        raise InputRefused(f"SKU {sku.sku}", "has no usable product photo to learn from", "", "add a photo")
    pictures = [_training_picture(cutout, photo_recipe, ledger, decoder) for cutout in cutouts]
    aside = len(held_out(cutouts, recipe))
    return TrainingSet(
        sku=sku.sku,
        noun=sku.noun,
        pictures=tuple(pictures[: len(pictures) - aside]),
        held_out=tuple(pictures[len(pictures) - aside :]),
        captions=captions_of(cutouts[: len(pictures) - aside]),
        flip=sku.flip,
        class_images=_class_images(sku.noun, recipe, ledger.store, models),
    )


def _training_picture(
    cutout: Cutout, photo_recipe: PhotoRecipe, ledger: Ledger, decoder: Decoder
) -> tuple[Pixels, Pixels]:
    """The whole photo and the product's alpha in it, both at most TRAINING_SIDE_PX."""
    photo = cutout.photo
    rgb = decoder.pixels(ledger.verified(photo.key, photo.digest), photo.key, photo_recipe).rgb
    cut = from_png(ledger.data(cutout.sku, "cutouts", cutout.digest, "png"))
    alpha = lay(cut[..., 3], size_of(rgb), cutout.box)
    small = fit_inside(size_of(rgb), Size(TRAINING_SIDE_PX, TRAINING_SIDE_PX))
    if small.width >= rgb.shape[1]:
        return rgb, alpha
    return resize(rgb, small), resize(alpha, small)


def _class_images(noun: str, recipe: AdapterRecipe, store: Store, models: Models) -> tuple[Pixels, ...]:
    """The prior-preservation images of a noun, shared by all its SKUs: rendered once, image i with seed i."""
    from productshot.adapters import make_class_images

    if recipe.prior_weight == 0 or recipe.method == "textual-inversion":
        return ()
    made_of = {
        "base": models.training_digest,
        "noun": noun,
        "count": recipe.prior_images,
        "prompts": CLASS_PROMPTS,
    }
    folder = f"class-images/{digest_json(made_of)}"
    keys = [f"{folder}/{i}.png" for i in range(recipe.prior_images)]
    if store.head(keys[-1]) is None:  # written last
        for key, image in zip(keys, make_class_images(models.training_base, noun, recipe), strict=True):
            store.put(key, png_bytes(image), "image/png")
    return tuple(from_png(store.get(key)) for key in keys)
