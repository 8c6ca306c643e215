"""Stage cutouts: the product of each product photo as RGBA, cropped to its box."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence

from catalog_schemas import CutoutRecipe, PhotoRecipe
from catalog_schemas.scene import Camera
from productshot.geometry import Box
from productshot.ledger import Ledger, Task
from productshot.models import Models
from productshot.photos import Decoder
from productshot.pixels import Pixels, png_bytes, size_of
from productshot.progress import Progress, ReportProgress
from productshot.records import Cutout, Photo, Refusal

HEIGHTS: dict[str, frozenset[str]] = {
    "top": frozenset({"top", "overhead", "above", "flat", "flatlay"}),
    "below": frozenset({"bottom", "below", "sole", "underside"}),
    "high": frozenset({"high", "raised"}),
    "eye": frozenset({"front", "back", "rear", "side", "left", "right", "profile", "eye", "level"}),
}
"""The words of a view that say from what height its photo was shot; the first height with one of them counts."""


def cutout_task(photo: Photo, recipe: CutoutRecipe, models: Models) -> Task:
    """What the stage makes of a photo; `min_confidence` judges the cutout and does not change it.

    A photo that brings its own cutout needs no model, so neither model nor recipe is in its key.
    """
    parents = tuple(
        digest for digest in (photo.digest, photo.mask_digest, photo.clutter_digest) if digest is not None
    )
    names = {"photo": photo.key, **({"clutter": photo.clutter_key} if photo.clutter_key else {})}
    if brings_own(photo):
        return Task(photo.sku, "cutouts", parents, {"model": "own", **names})
    written = recipe.model_dump(mode="json", exclude={"min_confidence", "model"})
    return Task(photo.sku, "cutouts", parents, {**written, "model": models.cutout_digest, **names})


def brings_own(photo: Photo) -> bool:
    """Whether a photo has its product cut out already, by its alpha or by a mask beside it."""
    return photo.has_alpha or photo.mask_digest is not None


def cut_out_photos(
    photos: Sequence[Photo],
    recipe: CutoutRecipe,
    photo_recipe: PhotoRecipe,
    ledger: Ledger,
    decoder: Decoder,
    models: Models,
    report: ReportProgress,
) -> Iterator[Cutout | Refusal]:
    """One outcome per photo, in order. A photo with alpha or with a mask beside it brings its own cutout."""
    for done, photo in enumerate(photos, 1):
        task = cutout_task(photo, recipe, models)
        outcome = ledger.once(task, lambda: _cut(photo, task, recipe, photo_recipe, ledger, decoder, models))  # noqa: B023
        assert isinstance(outcome, (Cutout, Refusal))
        yield outcome if isinstance(outcome, Refusal) else of_photo(outcome, photo)
        report(Progress("cutouts", done, len(photos), photo.key))


def of_photo(cutout: Cutout, photo: Photo) -> Cutout:
    """A cutout that was made before, of the photo as it is called now: the catalog may tell another view of it."""
    return cutout.model_copy(update={"photo": photo})


def _cut(
    photo: Photo,
    task: Task,
    recipe: CutoutRecipe,
    photo_recipe: PhotoRecipe,
    ledger: Ledger,
    decoder: Decoder,
    models: Models,
) -> Cutout:
    from productshot.cutout import bring_own, cut_out

    def beside(key: str | None, digest: str | None) -> Pixels | None:
        if key is None or digest is None:
            return None
        return decoder.pixels(ledger.verified(key, digest), key, photo_recipe).rgb[..., 0]

    decoded = decoder.pixels(ledger.verified(photo.key, photo.digest), photo.key, photo_recipe)
    mask = beside(photo.mask_key, photo.mask_digest)
    clutter = beside(photo.clutter_key, photo.clutter_digest)
    if mask is not None:
        cut = bring_own(decoded.rgb, mask, str(photo.mask_key), clutter)
    elif decoded.alpha is not None:
        cut = bring_own(decoded.rgb, decoded.alpha, f"alpha of {photo.key}", clutter)
    else:
        cut = cut_out(decoded.rgb, models.cutout_session, recipe, photo.key, clutter)
    box = Box(*cut.box)
    rgba = cut.rgba[box.top : box.bottom, box.left : box.right]
    digest = ledger.put_data(photo.sku, "cutouts", png_bytes(rgba), "png", "image/png")
    return Cutout(
        sku=photo.sku,
        key=task.key,
        digest=digest,
        size=size_of(rgba),
        box=box,
        confidence=round(float(cut.confidence), 4),
        photo=photo,
        hidden=round(cut.hidden, 4),
    )


def touches_frame(cutout: Cutout) -> bool:
    """Whether the product runs out of its photo: such a cutout misses a part of the product."""
    box, size = cutout.box, cutout.photo.size
    return box.left <= 1 or box.top <= 1 or box.right >= size.width - 1 or box.bottom >= size.height - 1


def height_of(view: str | None) -> str | None:
    """From what height a photo of this view was shot, as one of HEIGHTS; None where the view says nothing of it."""
    words = set(re.split(r"[ -]+", (view or "").lower()))
    return next((height for height, told in HEIGHTS.items() if words & told), None)


def seen_by(cutouts: Sequence[Cutout], camera: Camera | None) -> list[Cutout]:
    """The cutouts whose photos fit a scene's camera; those whose view says no height fit every one."""
    return [cutout for cutout in cutouts if camera is None or height_of(cutout.photo.view) in (None, camera)]


def choose_cutout(
    cutouts: Sequence[Cutout],
    view: str | None,
    min_confidence: float,
    alone: Collection[str] = (),
) -> Cutout | None:
    """The cutout that serves a slot: of the view if one is asked for, else the best sharp whole product.

    alone: digests of cutouts that resemble none of the SKU's others. Confident ones that are not alone and of which
    no clutter may hide a part, then whole
    ones come before sharp (at least half the sharpest); of those the one whose size times the square
    of its confidence is largest: twice the pixels make up for a confidence of 0.64 beside 0.9. Ties by digest.
    """
    fitting = [cutout for cutout in cutouts if view is None or cutout.photo.view == view]
    if not fitting:
        return None
    sharpest = max(cutout.photo.sharpness for cutout in fitting)

    def worth(cutout: Cutout) -> tuple[bool, bool, bool, float, str]:
        return (
            cutout.confidence >= min_confidence and cutout.digest not in alone and not cutout.hidden,
            not touches_frame(cutout),
            cutout.photo.sharpness >= sharpest / 2,
            max(cutout.size) * cutout.confidence**2,
            cutout.digest,
        )

    return max(fitting, key=worth)
