"""What can go: outputs that nothing reaches any more, found shard by shard, deleted only when asked.

Kept is what is reached from
- `slots.json`, what it shows and what it showed before (a rollback is one put), with all that was made from;
- the pictures and assets of the last `keep_nights` whole nights and of every run since, open reviews among them;
- the markers that a night over the present catalog would find, whether or not anything came of them;
- every marker younger than `keep_hours`.
`photos/`, `review/`, `class-images/` (shared by catalogs) and `nights/` (the bucket's lifecycle) are left alone.

Why a night may run at the same time:
- What was written within `keep_hours` stays, and what is reached from it. A night writes data first and its marker
  last, so data whose marker is still to come is young; writing the same bytes again makes them young again. The age is
  the store's clock against ours, which S3 itself keeps within 15 minutes.
- A SKU with work to do is left alone altogether: a night over it could adopt what seems unreached. So what a night in
  progress adopts is reached, or belongs to a photo, recipe or scene that changed back after we looked.
- Just before a SKU's objects are deleted its listing is taken again; where anything is new, gone or written again,
  slots.json included, the SKU is left for the next time. What remains is the moment between that listing and the
  delete.
- If a night adopts in that very moment what then goes, it stops at the missing object (exit code 3) or shows a slot
  whose file is gone; keys follow from contents, so the next night makes the same file at the same place.

Why a kill in the middle is harmless: first the names of the markers that go are put down in `state/gone/` (no ledger
believes a shard about them from then on) and the shard is written without them, then the markers go, then their data
and files. Whatever was done, a marker that is left has its data, and data that is left has no marker, which the next
run finds again.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from catalog_schemas import Catalog
from productshot.errors import InputRefused, StorageMissing
from productshot.keys import canonical_json, marker_key, shard_of
from productshot.ledger import Ledger, Task
from productshot.models import Models
from productshot.night import Night
from productshot.progress import Progress, ReportProgress, silent
from productshot.reach import (
    Going,
    Marker,
    asset_markers,
    is_marker,
    kept_markers,
    unreached,
    without_data,
)
from productshot.records import Adapter, Record, Refusal
from productshot.review import reports
from productshot.stages.adapters import adapter_task
from productshot.stages.assets import make_assets
from productshot.store import Listed, Store

THREADS = 16
GONE_DAYS = 30
"""Names in `state/gone/` so old are forgotten: no night that could write them into a shard is still running."""

Look = dict[str, Listed]
"""What lies in the store of one SKU, by key."""


@dataclass
class Found:
    """What can go of one SKU, or why it is left alone."""

    sku: str
    look: Look
    going: list[Going] = field(default_factory=list)
    left_alone: str = ""


@dataclass
class Collected:
    """What can go, or went."""

    catalog: str
    applied: bool
    kept: int = 0  # objects under work/ and catalog/ that stay
    kinds: Counter[str] = field(default_factory=Counter)  # objects that go, by kind
    bytes: Counter[str] = field(default_factory=Counter)
    skus: dict[str, int] = field(default_factory=dict)  # objects that go, by SKU
    left_alone: dict[str, str] = field(default_factory=dict)  # SKU -> why

    def add(self, sku: str, going: Sequence[Going]) -> None:
        """Count what goes of a SKU."""
        for kind, listed in going:
            self.kinds[kind] += 1
            self.bytes[kind] += listed.size
        if going:
            self.skus[sku] = self.skus.get(sku, 0) + len(going)

    def as_json(self) -> dict[str, Any]:
        """Counts and bytes in all, by kind and by SKU."""
        kinds = {
            kind: {"count": count, "bytes": self.bytes[kind]} for kind, count in sorted(self.kinds.items())
        }
        return {
            "catalog": self.catalog,
            "applied": self.applied,
            "count": self.kinds.total(),
            "bytes": self.bytes.total(),
            "kinds": kinds,
            "kept": self.kept,
            "skus": self.skus,
            "left_alone": self.left_alone,
        }


class Finder(Ledger):
    """A ledger that finds and never makes or writes."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.reached: set[str] = set()  # names of markers that were asked for and found
        self.undone: set[str] = set()  # SKUs of which something that was asked for is not done

    def find(self, task: Task) -> Record | Refusal | None:
        outcome = super().find(task)
        if outcome is None:
            self.undone.add(task.sku)
        else:
            self.reached.add(marker_key(task.sku, task.stage, task.key))
        return outcome

    def adopt(self, task: Task) -> Record | Refusal:
        """The outcome of a task, or a refusal that stands for work to do: so no stage begins to make anything."""
        return self.find(task) or Refusal(
            sku=task.sku, stage=task.stage, item=task.key, value="is not made yet"
        )

    def save_state(self) -> None:
        """Nothing: a walk writes nothing."""

    def write_shards(self) -> None:
        """Write the shards that changed."""
        super().save_state()


def collect(
    catalog: Catalog,
    store: Store,
    now: float,
    apply: bool = False,
    report: ReportProgress = silent,
) -> Collected:
    """What can go of the catalog's store at `now` (seconds since 1970); with `apply` it is gone afterwards.

    InputRefused names a night's report that cannot be read: what it reached would go.
    """
    return _Collection(catalog, store, now).run(apply, report)


class _Collection:
    """One run of `collect`: what holds for all shards."""

    def __init__(self, catalog: Catalog, store: Store, now: float) -> None:
        self.catalog, self.store = catalog, store
        self.young = now - catalog.night.keep_hours * 3600
        self.now = now
        self.models = Models(catalog.recipes)
        self.channels = list(store.list_prefixes("catalog/"))
        self.told = reached_by_nights(store, catalog.catalog, catalog.night.keep_nights)
        self.listed = {sku.sku for sku in catalog.skus}

    def run(self, apply: bool, report: ReportProgress) -> Collected:
        """Shard after shard, so that little time passes between looking and deleting."""
        collected = Collected(self.catalog.catalog, apply)
        if apply:
            self._forget_long_gone()
        by_shard: dict[str, list[str]] = defaultdict(list)
        for sku in stored_skus(self.store, self.channels):
            by_shard[shard_of(sku)].append(sku)
        for done, (shard, skus) in enumerate(sorted(by_shard.items()), 1):
            ledger = Finder(self.store)
            found = self._examine(skus, ledger)
            if apply:
                self._delete(shard, found, ledger)
            for one in found:
                collected.kept += len(one.look) - len(one.going)
                collected.add(one.sku, one.going)
                if one.left_alone:
                    collected.left_alone[one.sku] = one.left_alone
            report(Progress("gc", done, len(by_shard), shard))
        return collected

    # -- looking ---------------------------------------------------------------------------------------------

    def _examine(self, skus: Sequence[str], ledger: Finder) -> list[Found]:
        """What can go of the SKUs of one shard.

        The shard is read before the listing: a marker is there before a shard claims it, so a claim without a marker
        in the listing is of one that was deleted.
        """
        ledger.load_state(skus)
        with ThreadPoolExecutor(THREADS) as pool:
            looks = dict(zip(skus, pool.map(self._look, skus), strict=True))
        there = {key for look in looks.values() for key in look}
        claimed = ledger.markers_by_sku()
        ledger.forget(name for names in claimed.values() for name in names if name not in there)
        walked = self._walk([sku for sku in skus if sku in self.listed], ledger)
        with ThreadPoolExecutor(THREADS) as pool:
            why = dict(
                zip(
                    skus,
                    pool.map(lambda sku: self._why_alone(sku, looks[sku], walked, ledger), skus),
                    strict=True,
                )
            )
        markers = ledger.markers_by_sku()
        return [
            Found(sku, looks[sku], left_alone=why[sku])
            if why[sku]
            else Found(sku, looks[sku], self._going(looks[sku], markers[sku], ledger))
            for sku in skus
        ]

    def _look(self, sku: str) -> Look:
        folders = [f"work/{sku}/", *(f"{channel}{sku}/" for channel in self.channels)]
        return {listed.key: listed for folder in folders for listed in self.store.list(folder)}

    def _walk(self, skus: Sequence[str], ledger: Finder) -> set[str]:
        """Ask the ledger for all that a night over these SKUs asks; the SKUs that have photos and nothing to do."""
        wanted = set(skus)
        here = self.catalog.model_copy(
            update={"skus": tuple(sku for sku in self.catalog.skus if sku.sku in wanted)}
        )
        with Night(here, self.store, silent, skus) as night:
            night.ledger, night.models = ledger, self.models
            night.photos()
            night.cutouts()
            usable = [one for one in night.skus.values() if one.cutouts]
            for one in usable:
                if night.needs_adapter(one):
                    recipe = self.catalog.recipes.adapters
                    adapter = ledger.find(adapter_task(one.sku, night.for_training(one), recipe, self.models))
                    one.adapter = adapter if isinstance(adapter, Adapter) else None
            night.renders()
            jobs = [job for one in usable for job in night.asset_jobs(one)]
            for _ in make_assets(jobs, self.catalog.recipes.assets, ledger, silent):
                pass
            return {name for name, one in night.skus.items() if one.photos} - ledger.undone

    def _why_alone(self, sku: str, look: Look, walked: set[str], ledger: Finder) -> str:
        """Why a SKU is left alone, "" when it is not; its markers are at hand afterwards."""
        slots = [self._slots(key) for key in look if key.endswith("/slots.json")]
        owners = {said.get("catalog") for said in slots if said}
        if owners - {self.catalog.catalog}:
            return "is published by another catalog too"
        if sku in self.listed and sku not in walked:
            return "has work to do, or no usable photo or noun: run a night first"
        if sku not in self.listed and not owners:
            return "is not in the catalog, and nothing of it was published: --purge removes it"
        if sku not in self.listed and any(any(said["slots"].values()) for said in slots if said):
            return "left the catalog and is still shown: run a night first"
        try:
            ledger.read_markers(sku, filter(is_marker, look))
        except (InputRefused, StorageMissing) as error:
            return str(error)
        return ""

    def _slots(self, key: str) -> dict[str, Any] | None:
        """What a slots.json says; None when it went in this moment."""
        try:
            said = _read(self.store, key)
            _ = said["slots"].values()
        except StorageMissing:
            return None
        except (ValueError, KeyError, AttributeError) as error:
            raise InputRefused(
                key, "is no slots.json", "gc keeps what it shows", "mend or delete it"
            ) from error
        return said

    def _going(self, look: Look, markers: Mapping[str, Marker], ledger: Finder) -> list[Going]:
        """What can go of a SKU that is not left alone."""
        young = {key for key, listed in look.items() if listed.modified > self.young}
        torn = without_data(markers, look) - young
        sound = {name: marker for name, marker in markers.items() if name not in torn}
        shown = self._shown(look)
        roots = (young | ledger.reached | self.told) & set(sound)
        makers = asset_markers(sound)
        for key in shown | (self.told & set(makers)):
            roots |= makers.get(key, set()) or self._told_by_manifest(key)
        kept = kept_markers(sound, roots)
        return [going for going in unreached(look, sound, kept, shown) if going.listed.key not in young]

    def _shown(self, look: Look) -> set[str]:
        """Keys that slots.json names, as shown now or before."""
        said = [self._slots(key) for key in look if key.endswith("/slots.json")]
        return {
            key
            for one in said
            if one
            for slots in (one["slots"], one.get("previous") or {})
            for keys in slots.values()
            for key in keys
        }

    def _told_by_manifest(self, key: str) -> set[str]:
        """Names of the markers that the manifest of a file without a marker of its own tells of."""
        name = f"{key}.json"
        try:
            manifest = _read(self.store, name)
            sku, render, cutout = manifest["asset"]["sku"], manifest["render"], manifest["cutout"]
            return {marker_key(sku, "renders", render["key"]), marker_key(sku, "cutouts", cutout["key"])}
        except StorageMissing:
            return set()
        except (ValueError, KeyError, TypeError) as error:
            limit = "gc keeps what it was made from"
            raise InputRefused(name, "is no manifest", limit, "delete it with its picture") from error

    # -- deleting --------------------------------------------------------------------------------------------

    def _delete(self, shard: str, found: Sequence[Found], ledger: Finder) -> None:
        """Delete what can go of the SKUs of one shard, in the order that the head of this file explains."""
        markers = [going.listed.key for one in found for going in one.going if going.kind == "markers"]
        put_down(self.store, shard, markers, self.now)
        ledger.forget(markers)
        ledger.write_shards()
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(self._delete_one, [one for one in found if one.going]):
                pass

    def _delete_one(self, one: Found) -> None:
        if changed(one.look, self._look(one.sku)):
            one.going, one.left_alone = [], "changed while gc looked: the next run sees"
            return
        delete_in_order(self.store, one.going)

    def _forget_long_gone(self) -> None:
        """Take away what was put down in `state/gone/` long ago."""
        limit = self.now - GONE_DAYS * 24 * 3600
        self.store.delete_all(
            [listed.key for listed in self.store.list("state/gone/") if listed.modified < limit]
        )


def put_down(store: Store, shard: str, markers: Sequence[str], now: float) -> None:
    """Put the names of markers that are about to go where ledgers look before they believe a shard."""
    if markers:
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%S")
        key = f"state/gone/{shard}/{stamp}-{secrets.token_hex(4)}.json"
        store.put(key, canonical_json(sorted(markers)), "application/json")


def delete_in_order(store: Store, going: Sequence[Going]) -> None:
    """Markers first, then what they name: at no moment does a marker stand without its data."""
    store.delete_all([one.listed.key for one in going if one.kind == "markers"])
    store.delete_all([one.listed.key for one in going if one.kind != "markers"])


def changed(before: Look, after: Look) -> bool:
    """Whether anything was added, removed, changed or only written again between two listings."""
    return before != after or any(before[key].modified != after[key].modified for key in before)


def stored_skus(store: Store, channels: Sequence[str]) -> list[str]:
    """The SKUs of which anything was made, sorted; `channels` are folders as "catalog/google/"."""
    folders = [folder for parent in ("work/", *channels) for folder in store.list_prefixes(parent)]
    return sorted({folder.rstrip("/").rsplit("/", 1)[-1] for folder in folders})


def reached_by_nights(store: Store, catalog: str, nights: int) -> set[str]:
    """Names of render markers and keys of assets in the reports of the last whole nights and of all runs since.

    Runs of other catalogs in between count too. InputRefused: a report cannot be read.
    """
    reached: set[str] = set()
    for report in reports(store):
        reached |= _named_in(report)
        if report["catalog"] == catalog and report.get("whole"):
            nights -= 1
            if nights == 0:
                break
    return reached


def _named_in(report: Mapping[str, Any]) -> set[str]:
    """Names of render markers and keys of assets."""
    pictures = {
        marker_key(one["sku"], "renders", picture["render"])
        for one in report["skus"]
        for picture in one["pictures"]
    }
    return pictures | {asset["key"] for one in report["skus"] for asset in one["assets"]}


def _read(store: Store, key: str) -> dict[str, Any]:
    """The JSON object at a key. StorageMissing: nothing is there; ValueError: it is none."""
    said = json.loads(store.get(key))
    if not isinstance(said, dict):
        raise ValueError("no JSON object")
    return said
