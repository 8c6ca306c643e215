"""Keys and digests: what a thing is called in the bucket follows from what it is."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any

STAGE_FORMATS = {"photos": 1, "cutouts": 3, "twins": 1, "adapters": 4, "renders": 3, "gates": 3, "assets": 1}
"""Raised only when a stage's output must change for the same parents and recipe."""


def digest_bytes(data: bytes) -> str:
    """SHA-256 of the bytes, 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def canonical_json(value: Any) -> bytes:
    """One spelling per value: sorted keys, no spaces, UTF-8; NaN refused with ValueError."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def digest_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value."""
    return digest_bytes(canonical_json(value))


def stage_key(stage: str, parents: Iterable[str], recipe: Any) -> str:
    """The key of what a stage makes from these parents (digests, order kept) under this recipe (JSON-able)."""
    return digest_json(
        {"stage": stage, "format": STAGE_FORMATS[stage], "parents": list(parents), "recipe": recipe}
    )


def data_key(sku: str, stage: str, digest: str, ext: str) -> str:
    """Where data lies that is named by its own bytes."""
    return f"work/{sku}/{stage}/{digest}.{ext}"


def marker_key(sku: str, stage: str, key: str) -> str:
    """Where the marker of a stage's output lies."""
    return f"work/{sku}/{stage}/{key}.json"


def stage_of(marker: str) -> str:
    """The stage in the name of a marker."""
    return marker.rsplit("/", 2)[1]


def asset_key(channel: str, sku: str, slot: str, index: int, digest: str, ext: str) -> str:
    """Where a published asset lies; a new picture has a new name."""
    return f"catalog/{channel}/{sku}/{slot}-{index}-{digest[:12]}.{ext}"


def shard_of(sku: str, shards: int = 64) -> str:
    """The state shard of a SKU: two hex digits, stable for ever."""
    return f"{int(digest_bytes(sku.encode())[:8], 16) % shards:02x}"


def seed_of(*parts: str | int) -> int:
    """A 31-bit seed that follows from the parts, as hash(sku, scene, n)."""
    return int(digest_json(list(parts))[:8], 16) & 0x7FFFFFFF
