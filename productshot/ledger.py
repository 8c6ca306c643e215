"""The ledger: what is done already, and how an output becomes done exactly once.

A stage's output is data named by its own bytes, then a marker `work/<sku>/<stage>/<key>.json` that names the data.
The marker is the only conditional put and is written last: a torn run leaves data that nobody sees, the loser of a
race adopts the winner's marker, and "already done" is a look-up. Refusals that would come again (a bad picture) are
markers too; errors that may pass (the store, memory) never are.

State shards are a cache of markers and photo digests, so that a night reads a few files instead of every marker.
Markers never change, so a cached one is never stale; a lost or damaged shard costs time and nothing else.
A run beside others leaves the shards alone and hands on what it learned (`learned`, `recall`).
"""

from __future__ import annotations

import json
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import zstandard
from pydantic import ValidationError

from productshot.errors import InputRefused, InputTooSlow, StorageMissing
from productshot.keys import (
    STAGE_FORMATS,
    canonical_json,
    data_key,
    digest_bytes,
    marker_key,
    shard_of,
    stage_key,
    stage_of,
)
from productshot.records import (
    Adapter,
    Asset,
    Cutout,
    Measures,
    Photo,
    Record,
    Refusal,
    Render,
    Twins,
    as_json,
)
from productshot.store import Listed, Store

RECORD_TYPES: dict[str, type[Record]] = {
    "photos": Photo,
    "cutouts": Cutout,
    "twins": Twins,
    "adapters": Adapter,
    "renders": Render,
    "gates": Measures,
    "assets": Asset,
}

NAMES_OF_PHOTOS = {"key", "role", "view", "photo", "clutter"}
"""Recipe fields that follow the shop's file names, not a recipe that a person set."""

NAMES_OF_PICTURES = ("scene", "lane", "seed", "channel", "slot", "number")
"""Recipe fields that say which picture is made, not how."""

log = logging.getLogger(__name__)


class Task(NamedTuple):
    """What a stage is asked to make of one item; its key follows from stage, parents and recipe."""

    sku: str
    stage: str
    parents: tuple[str, ...]
    recipe: Any  # JSON-able

    @property
    def key(self) -> str:
        return stage_key(self.stage, self.parents, self.recipe)


class Ledger:
    """Markers and data of one store, with the state shards of the SKUs at hand.

    `writes_shards` False: other runs may be at the same shards, so `save_state` writes none of them.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.perf_counter, writes_shards: bool = True
    ) -> None:
        self.store = store
        self._writes_shards = writes_shards
        self.written: Counter[str] = Counter()  # bytes of data per stage
        self.seconds: dict[str, list[float]] = defaultdict(list)  # per stage, of each output made in this run
        self._clock = clock
        self.made: Counter[str] = Counter()  # outputs per stage that this run made
        self.adopted: Counter[str] = Counter()  # outputs per stage that were there already
        self.doubled: Counter[str] = Counter()  # of those, outputs that were made here too: a race was lost
        self._markers: dict[str, dict[str, Any]] = {}
        self._of_stage: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)  # their names, in order
        self._photos: dict[str, tuple[str, int, str]] = {}  # key -> etag, size, digest
        self._sku_of: dict[str, str] = {}
        self._loaded: dict[str, bytes] = {}  # shard -> its bytes in the store
        self._learned: set[str] = set()  # keys of markers and photos that no shard told

    # -- markers ---------------------------------------------------------------------------------------------

    def find(self, task: Task) -> Record | Refusal | None:
        """The outcome that a marker records for this task, or None when it is not done."""
        name = marker_key(task.sku, task.stage, task.key)
        if name not in self._markers:
            try:
                self._remember(name, task.sku, json.loads(self.store.get(name)))
            except StorageMissing:
                return None
        return _outcome(task.stage, self._markers[name])

    def cause(self, task: Task) -> str:
        """Why this task is work, from the markers at hand: "new", "photos changed" or "recipe changed: <fields>".

        "new picture" is one that was not asked for before: of another scene, seed or slot, in a review perhaps.
        """
        others = [self._markers[name] for name in self._of_stage[task.sku, task.stage]]
        siblings = [marker for marker in others if tuple(marker["parents"]) == task.parents]
        for marker in siblings:
            if names_of(marker["recipe"]) == names_of(task.recipe):
                fields = sorted(set(differing(marker["recipe"], task.recipe)) - NAMES_OF_PHOTOS)
                if marker["format"] != STAGE_FORMATS[task.stage]:
                    fields.append("format of the stage")
                return f"recipe changed: {', '.join(fields)}" if fields else "photos changed"
        return "new picture" if siblings else "photos changed" if others else "new"

    def once(self, task: Task, make: Callable[[], Record]) -> Record | Refusal:
        """The task's outcome: adopted when it is done, else made now and marked done (`make_now`)."""
        return self.adopt(task) or self.make_now(task, make, self.now())

    def now(self) -> float:
        """The ledger's clock, in seconds."""
        return self._clock()

    def adopt(self, task: Task) -> Record | Refusal | None:
        """The outcome of a task that is done already, counted as adopted."""
        done = self.find(task)
        self.adopted[task.stage] += done is not None
        return done

    def make_now(self, task: Task, make: Callable[[], Record], began: float) -> Record | Refusal:
        """The outcome of a task that is not done, marked done; the work counts as begun at that time.

        `make` writes its data first (`put_data`) and returns the record. An InputRefused of it becomes a Refusal
        and is marked as well (InputTooSlow is not); every other error passes through and leaves no marker.
        """
        try:
            outcome: Record | Refusal = make()
        except InputTooSlow as error:
            return Refusal.of(task.sku, task.stage, error)
        except InputRefused as error:
            outcome = Refusal.of(task.sku, task.stage, error)
        outcome = self.commit(task, outcome)
        self.seconds[task.stage].append(self._clock() - began)
        return outcome

    def commit(self, task: Task, outcome: Record | Refusal) -> Record | Refusal:
        """Write the marker; the loser of a race gets the winner's outcome."""
        name = marker_key(task.sku, task.stage, task.key)
        kind = "refusal" if isinstance(outcome, Refusal) else "record"
        marker = {
            "format": STAGE_FORMATS[task.stage],
            "stage": task.stage,
            "parents": list(task.parents),
            "recipe": task.recipe,
            kind: as_json(outcome),
        }
        if self.store.create(name, canonical_json(marker), "application/json"):
            self.made[task.stage] += kind == "record"
        else:
            marker = json.loads(self.store.get(name))
            self.adopted[task.stage] += 1
            self.doubled[task.stage] += 1
        self._remember(name, task.sku, marker)
        return _outcome(task.stage, marker)

    def share_seconds(self, stage: str, first: int = 0) -> None:
        """The outputs of this stage from the first on were made together: each took the same share of their time."""
        taken = self.seconds[stage][first:]
        self.seconds[stage][first:] = [sum(taken) / len(taken)] * len(taken) if taken else []

    def _remember(self, name: str, sku: str, marker: dict[str, Any]) -> None:
        self._know(name, sku, marker)
        self._learned.add(name)

    def _know(self, name: str, sku: str, marker: dict[str, Any]) -> None:
        self._markers[name] = marker
        self._sku_of[name] = sku
        self._of_stage[sku, stage_of(name)][name] = None

    # -- data ------------------------------------------------------------------------------------------------

    def put_data(self, sku: str, stage: str, data: bytes, ext: str, content_type: str) -> str:
        """Store data under its digest and return the digest; twice the same bytes is once."""
        digest = digest_bytes(data)
        self.put(stage, data_key(sku, stage, digest, ext), data, content_type)
        return digest

    def put(self, stage: str, key: str, data: bytes, content_type: str) -> None:
        """Store a stage's data at a key of its own."""
        self.store.put(key, data, content_type)
        self.written[stage] += len(data)

    def data(self, sku: str, stage: str, digest: str, ext: str) -> bytes:
        """The bytes with that digest, verified; InputRefused when they are not what was written."""
        return self.verified(data_key(sku, stage, digest, ext), digest)

    def verified(self, key: str, digest: str) -> bytes:
        """The bytes at a key, which must have this digest."""
        data = self.store.get(key)
        if digest_bytes(data) != digest:
            raise InputRefused(
                key,
                f"has digest {digest_bytes(data)[:12]}",
                f"its record says {digest[:12]}",
                "it was changed or damaged since; run the night again, or restore it from a backup",
            )
        return data

    # -- photos ----------------------------------------------------------------------------------------------

    def photo_digest(self, sku: str, listed: Listed, data: Callable[[], bytes]) -> str:
        """The digest of a photo: from the state when etag and size are unchanged, else of its bytes now."""
        known = self._photos.get(listed.key)
        if known is None or known[:2] != (listed.etag, listed.size):
            known = (listed.etag, listed.size, digest_bytes(data()))
            self._photos[listed.key] = known
            self._sku_of[listed.key] = sku
            self._learned.add(listed.key)
        return known[2]

    # -- state -----------------------------------------------------------------------------------------------

    def load_state(self, skus: Iterable[str]) -> None:
        """Read the shards of these SKUs; a damaged one is rebuilt from the markers, and the log says so.

        What `gc` deleted is not believed, whatever a shard says of it: a night that began before may have written
        the shard after.
        """
        shards = sorted({shard_of(sku) for sku in skus})
        gone = self._deleted(shards)
        for shard in shards:
            name = f"state/{shard}.jsonl.zst"
            try:
                data = self.store.get(name)
            except StorageMissing:
                continue
            try:
                lines = zstandard.ZstdDecompressor().decompress(data, max_output_size=1 << 30).splitlines()
                entries = [json.loads(line) for line in lines]
                self.recall(entry for entry in entries if entry["key"] not in gone)
            except (zstandard.ZstdError, ValueError, KeyError, TypeError) as error:
                log.warning("state shard %s is damaged (%s); its markers are read again", name, error)
                continue
            self._loaded[shard] = data

    def _deleted(self, shards: Sequence[str]) -> set[str]:
        """Names of markers that `gc` deleted from these shards of late: one listing, mostly empty."""
        found: set[str] = set()
        for listed in self.store.list("state/gone/"):
            if listed.key.split("/")[2] not in shards:
                continue
            try:
                found.update(json.loads(self.store.get(listed.key)))
            except StorageMissing:  # of long ago, and taken away in this moment
                continue
            except ValueError as error:
                limit, remedy = "it lists deleted markers", "delete it and its shard; markers are read again"
                raise InputRefused(listed.key, "is damaged", limit, remedy) from error
        return found

    def forget(self, names: Iterable[str]) -> None:
        """Drop markers and photos by name; `save_state` then writes shards without them."""
        for name in names:
            marker = self._markers.pop(name, None)
            if marker is not None:
                del self._of_stage[self._sku_of[name], stage_of(name)][name]
            self._photos.pop(name, None)
            self._learned.discard(name)

    def markers_by_sku(self) -> dict[str, dict[str, dict[str, Any]]]:
        """SKU -> name -> marker of all that is at hand."""
        found: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        for name, marker in self._markers.items():
            found[self._sku_of[name]][name] = marker
        return found

    def photos_by_sku(self) -> dict[str, list[str]]:
        """SKU -> keys of the photos whose digests are at hand."""
        found: dict[str, list[str]] = defaultdict(list)
        for key in self._photos:
            found[self._sku_of[key]].append(key)
        return found

    def read_markers(self, sku: str, names: Iterable[str]) -> None:
        """Have these markers of a SKU at hand, from the store where no shard brought them.

        InputRefused: an object under such a name is no marker.
        """
        for name in names:
            if name in self._markers:
                continue
            try:
                marker = json.loads(self.store.get(name))
                _ = marker["parents"], marker["recipe"], marker["format"]
            except (ValueError, KeyError, TypeError) as error:
                raise InputRefused(name, "is no marker", "", "delete it to have it made again") from error
            self._remember(name, sku, marker)

    def recall(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Know what a shard, or another run, tells."""
        for entry in entries:
            name = entry["key"]
            if "marker" in entry:
                self._know(name, entry["sku"], entry["marker"])
            else:
                self._photos[name] = (entry["etag"], entry["size"], entry["digest"])
                self._sku_of[name] = entry["sku"]

    def learned(self) -> list[dict[str, Any]]:
        """What this run knows that it was not told, as `recall` takes it; sorted by key."""
        return [self._entry(name) for name in sorted(self._learned)]

    def _entry(self, name: str) -> dict[str, Any]:
        """A line of a shard: a marker, or a photo's digest by its etag and size."""
        known = {"key": name, "sku": self._sku_of[name]}
        if name in self._markers:
            return {**known, "marker": self._markers[name]}
        etag, size, digest = self._photos[name]
        return {**known, "digest": digest, "etag": etag, "size": size}

    def save_state(self) -> None:
        """Write the shards that changed; the same knowledge gives the same bytes."""
        if not self._writes_shards:
            return
        lines: dict[str, list[bytes]] = defaultdict(list)
        for key in (*self._photos, *self._markers):
            lines[shard_of(self._sku_of[key])].append(canonical_json(self._entry(key)))
        for shard in {*lines, *self._loaded}:
            texts = lines[shard]
            data = zstandard.ZstdCompressor(level=6).compress(b"\n".join(sorted(texts)))
            if self._loaded.get(shard) != data:
                self.store.put(f"state/{shard}.jsonl.zst", data, "application/zstd")
                self._loaded[shard] = data


def names_of(recipe: Mapping[str, Any]) -> list[Any]:
    """Which of the pictures that can be made of the same parents is meant."""
    values = [recipe.get(field) for field in NAMES_OF_PICTURES]
    return [value["name"] if isinstance(value, Mapping) else value for value in values]


def differing(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The fields in which two recipes differ."""
    return [name for name in {*before, *after} if before.get(name) != after.get(name)]


def _outcome(stage: str, marker: dict[str, Any]) -> Record | Refusal:
    """The record or refusal in a marker; a marker of another shape is refused by name."""
    try:
        if "refusal" in marker:
            return Refusal.model_validate(marker["refusal"])
        return RECORD_TYPES[stage].model_validate(marker["record"])
    except (ValidationError, KeyError) as error:
        raise InputRefused(
            f"marker of stage {stage}",
            f"cannot be read ({type(error).__name__})",
            f"format {STAGE_FORMATS[stage]} is expected",
            "delete the marker to have it made again",
        ) from error
