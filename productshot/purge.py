"""Take-down: everything that was made of one SKU goes, what the public sees first.

In this order, so that a kill in the middle leaves nothing shown and the same call goes on: slots.json of every
channel; the published files and manifests; pages and thumbnails of nights that show a picture of it; decisions of
people; the names of its markers in `state/gone/` and its shard without them; markers; data.

No age counts here. A night that is running may make the SKU again, and so does the next one while the SKU is in the
catalog: take it out of the catalog first, or purge again. The reports' figures (report.json) stay: they hold names and
numbers, no picture. `photos/` belongs to the shop and goes only when asked.
"""

from __future__ import annotations

from collections.abc import Iterator

from catalog_schemas import Catalog
from productshot.gc import Collected, delete_in_order, put_down
from productshot.keys import shard_of
from productshot.ledger import Ledger
from productshot.photos import sku_problem
from productshot.reach import Going, is_marker
from productshot.review import reports
from productshot.store import Store


def purge(
    catalog: Catalog, store: Store, sku: str, now: float, apply: bool = False, with_photos: bool = False
) -> Collected:
    """What there is of a SKU at `now` (seconds since 1970); with `apply` it is gone afterwards.

    InputRefused: this cannot be the name of a SKU.
    """
    problem = sku_problem(sku)
    if problem:
        raise problem
    shown = list(_shown(store, sku))
    made = [*_under(store, f"review/{sku}/", "reviews"), *_made(store, sku), *_told_of(store, sku)]
    photos = list(_under(store, f"{catalog.photos}{sku}/", "photos")) if with_photos else []
    collected = Collected(catalog.catalog, apply)
    collected.add(sku, [*shown, *made, *photos])
    if apply:
        slots = [going for going in shown if going.kind == "slots"]
        for part in (slots, [going for going in shown if going.kind != "slots"]):
            delete_in_order(store, part)
        _forget(store, sku, [going.listed.key for going in made if going.kind == "markers"], now)
        delete_in_order(store, made)
        delete_in_order(store, photos)
    return collected


def _shown(store: Store, sku: str) -> Iterator[Going]:
    """What people may see: slots.json, published files, thumbnails and pages of nights."""
    for channel in store.list_prefixes("catalog/"):
        for listed in store.list(f"{channel}{sku}/"):
            yield Going("slots" if listed.key.endswith("/slots.json") else "assets", listed)
    for report in reports(store):
        mine = [one for one in report["skus"] if one["sku"] == sku]
        if not mine:
            continue
        folder = f"nights/{report['night']}/"
        thumbs = [asset["thumb"] for one in mine for asset in one["assets"] if "thumb" in asset]
        for key in (f"{folder}report.html", *thumbs):
            page = store.head(key)
            if page is not None:
                yield Going("pages", page)


def _made(store: Store, sku: str) -> Iterator[Going]:
    """All of work/, by stage."""
    for listed in store.list(f"work/{sku}/"):
        stage = listed.key.split("/")[2]
        yield Going("markers" if is_marker(listed.key) else stage, listed)


def _told_of(store: Store, sku: str) -> Iterator[Going]:
    """What the receiver of notifications put down."""
    for key in (f"state/waiting/{sku}", f"state/started/{sku}.json"):
        listed = store.head(key)
        if listed is not None:
            yield Going("state", listed)


def _under(store: Store, folder: str, kind: str) -> Iterator[Going]:
    return (Going(kind, listed) for listed in store.list(folder))


def _forget(store: Store, sku: str, markers: list[str], now: float) -> None:
    """No ledger believes a shard about this SKU's markers any more, and its shard is written without the SKU."""
    ledger = Ledger(store)
    ledger.load_state([sku])
    claimed = [*ledger.markers_by_sku()[sku], *ledger.photos_by_sku()[sku]]
    put_down(store, shard_of(sku), sorted({*markers, *(key for key in claimed if is_marker(key))}), now)
    ledger.forget(claimed)
    ledger.save_state()
