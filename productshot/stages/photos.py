"""Stage photos: which pictures of a SKU there are, decoded once in a guarded child and measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from catalog_schemas import Catalog, PhotoRecipe, Sku
from productshot.errors import InputRefused, StorageMissing
from productshot.ledger import Ledger, Task
from productshot.photos import Decoder, is_clutter, is_mask, is_picture_name, role_and_view
from productshot.progress import Progress, ReportProgress
from productshot.records import Photo, Refusal
from productshot.store import Listed, Store

LISTING_THREADS = 16
LISTED_WHOLE = 1000
"""From so many SKUs on, their photos are found by one listing of the folder: S3 tells 1,000 objects per request."""


class PhotoSource(NamedTuple):
    """A picture as the listing tells it, with what the catalog says of it."""

    sku: str
    listed: Listed
    role: str
    view: str | None
    mask: Listed | None
    clutter: Listed | None = None


def find_photos(catalog: Catalog, skus: Sequence[Sku], store: Store) -> dict[str, list[PhotoSource]]:
    """Each SKU's pictures in key order; roles and views by the catalog's rules."""
    listed = list_photos(catalog.photos, [sku.sku for sku in skus], store)
    return {sku.sku: sources_of(catalog, sku, listed[sku.sku]) for sku in skus}


def list_photos(folder: str, names: Sequence[str], store: Store) -> dict[str, list[Listed]]:
    """What lies in the folder of each SKU under `folder` ("photos/"), in key order.

    Few SKUs are listed one by one, in parallel; many by one listing of the whole, which holds none of other SKUs.
    """
    if len(names) < LISTED_WHOLE:
        with ThreadPoolExecutor(LISTING_THREADS) as pool:
            each = pool.map(lambda name: list(store.list(f"{folder}{name}/")), names)
            return dict(zip(names, each, strict=True))
    found: dict[str, list[Listed]] = {name: [] for name in names}
    for one in store.list(folder):
        name, slash, _ = one.key.removeprefix(folder).partition("/")
        if slash and name in found:
            found[name].append(one)
    return found


def sources_of(catalog: Catalog, sku: Sku, listed: Sequence[Listed]) -> list[PhotoSource]:
    """The pictures in a SKU's listing, each with its role, its view, and the mask and the clutter beside it."""
    beside = {one.key: one for one in listed if is_mask(one.key) or is_clutter(one.key)}
    sources = []
    for one in listed:
        if one.key in beside or not is_picture_name(one.key):
            continue
        role, view = role_and_view(one.key.rsplit("/", 1)[-1], [*sku.photo_rules, *catalog.photo_rules])
        if role != "ignore":
            stem = one.key.rsplit(".", 1)[0]
            mask, clutter = (beside.get(f"{stem}.{kind}.png") for kind in ("mask", "clutter"))
            sources.append(PhotoSource(sku.sku, one, role, view, mask, clutter))
    return sources


def photo_task(source: PhotoSource, recipe: PhotoRecipe, ledger: Ledger) -> Task:
    """What the stage makes of a source; reads the file's bytes only when its etag or size is new."""

    def digest(listed: Listed) -> str:
        return ledger.photo_digest(source.sku, listed, lambda: ledger.store.get(listed.key))

    files = (source.listed, source.mask, source.clutter)
    names = {"key": source.listed.key, "role": source.role, "view": source.view}
    if source.clutter:
        names["clutter"] = source.clutter.key
    parents = tuple(digest(file) for file in files if file)
    return Task(source.sku, "photos", parents, {**recipe.model_dump(mode="json"), **names})


def measure_photos(
    sources: Sequence[PhotoSource],
    recipe: PhotoRecipe,
    ledger: Ledger,
    decoder: Decoder,
    report: ReportProgress,
) -> Iterator[Photo | Refusal]:
    """One outcome per source, in order; the same bytes twice in a SKU are refused the second time."""
    seen: dict[tuple[str, str], str] = {}
    for done, source in enumerate(sources, 1):
        try:
            task = photo_task(source, recipe, ledger)
        except StorageMissing:
            gone = InputRefused(source.listed.key, "was listed but is gone", "", "the next night looks again")
            yield Refusal.of(source.sku, "photos", gone)
            continue
        first = seen.setdefault((source.sku, task.parents[0]), source.listed.key)
        if first == source.listed.key:
            yield _measured(task, source, recipe, ledger, decoder)
        else:
            double = InputRefused(
                source.listed.key, f"is the same file as {first}", "", "one of them is enough"
            )
            yield Refusal.of(source.sku, "photos", double)
        report(Progress("photos", done, len(sources), source.listed.key))


def _measured(
    task: Task, source: PhotoSource, recipe: PhotoRecipe, ledger: Ledger, decoder: Decoder
) -> Photo | Refusal:
    def make() -> Photo:
        data = ledger.verified(source.listed.key, task.parents[0])
        measures = decoder.measure(data, source.listed.key, recipe)
        return Photo(
            sku=source.sku,
            key=source.listed.key,
            digest=task.parents[0],
            size=measures.size,
            role=source.role,
            view=source.view,
            sharpness=measures.sharpness,
            exposure=measures.exposure,
            has_alpha=measures.has_alpha,
            ai_source=measures.ai_source,
            mask_key=source.mask.key if source.mask else None,
            mask_digest=task.parents[1] if source.mask else None,
            clutter_key=source.clutter.key if source.clutter else None,
            clutter_digest=task.parents[-1] if source.clutter else None,
        )

    outcome = ledger.once(task, make)
    assert isinstance(outcome, (Photo, Refusal))
    return outcome


def product_photos(outcomes: Iterable[Photo | Refusal]) -> list[Photo]:
    """The photos that show the product itself."""
    return [photo for photo in outcomes if isinstance(photo, Photo) and photo.role == "product"]
