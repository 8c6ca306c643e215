"""Bucket notifications: which SKUs they name, when a SKU's photos have settled, and what makes a change a new one.

Notifications arrive at least once, in any order and perhaps forged: all that is believed of one is the name of a SKU
to look at. What happened to its photos is asked of the store.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

from productshot.errors import ConfigInvalid, InputRefused
from productshot.keys import digest_json
from productshot.photos import is_picture_name
from productshot.store import Listed

PLAIN_SOURCES = {"ceph:s3"}
"""Event sources that send keys as they are; AWS and all others that were tried send them URL-encoded."""
PATIENCE = 15
"""A SKU whose photos never settle starts after so many times the settling time."""


class Place(NamedTuple):
    """Where the photos lie: `prefix` is that of the store and of the catalog's photos, as "shop/photos/"."""

    bucket: str
    prefix: str


def place_of(location: str, photos: str) -> Place:
    """The place of a store's photos. ConfigInvalid: a folder sends no notifications."""
    if not location.startswith("s3://"):
        limit = "a folder sends no notifications"
        raise ConfigInvalid(f"store {location}", "is no bucket", limit, "name an s3://bucket/prefix")
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    return Place(bucket, f"{prefix}/{photos}" if prefix else photos)


def skus_named(body: bytes, place: Place) -> list[str]:
    """Names of the SKUs whose photos a notification says changed, each once, in its order; [] of one about else.

    `body`: the JSON of S3 event records as Ceph pushes it and SQS carries it, alone or inside an SNS envelope; AWS's
    test event names none. A name is the folder under `place`, whatever it is: the caller knows the catalog.
    InputRefused: the body is no such JSON.
    """
    try:
        message = json.loads(body)
        if message.get("Type") == "Notification" and "Records" not in message:
            message = json.loads(message["Message"])
        if message.get("Event") == "s3:TestEvent":
            return []
        named = [_sku_in(record, place) for record in message["Records"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        told = f"cannot be read ({type(error).__name__})"
        limit = "JSON with Records of S3 events is expected"
        raise InputRefused("notification", told, limit, "look at what sends it") from error
    return list(dict.fromkeys(sku for sku in named if sku))


def _sku_in(record: dict[str, Any], place: Place) -> str:
    """The folder under the place in which a record's key lies, "" elsewhere."""
    said = record["s3"]
    if said["bucket"]["name"] != place.bucket:
        return ""
    key: str = said["object"]["key"]
    if record.get("eventSource") not in PLAIN_SOURCES:
        key = unquote_plus(key)
    folder, slash, _ = key.removeprefix(place.prefix).partition("/")
    return folder if slash and key.startswith(place.prefix) else ""


class Settling:
    """SKUs that were named, each until its photos were quiet for a while. For one thread at a time."""

    def __init__(self, quiet_s: float, clock: Callable[[], float]) -> None:
        self._quiet_s, self._clock = quiet_s, clock
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}

    def __contains__(self, sku: str) -> bool:
        return sku in self._last

    def touch(self, sku: str) -> None:
        """A SKU was named now: its time begins anew."""
        self._last[sku] = self._clock()
        self._first.setdefault(sku, self._last[sku])

    def due(self) -> list[str]:
        """The SKUs that have settled, or never will; they wait no more."""
        now = self._clock()
        found = [
            sku
            for sku, last in self._last.items()
            if now - last >= self._quiet_s or now - self._first[sku] >= PATIENCE * self._quiet_s
        ]
        for sku in found:
            del self._last[sku], self._first[sku]
        return found


def photos_digest(listed: Iterable[Listed]) -> str:
    """SHA-256 of what a SKU's pictures are: their keys, etags and sizes; order and other files do not count."""
    return digest_json(sorted([one.key, one.etag, one.size] for one in listed if is_picture_name(one.key)))


def run_key(sku: str, digest: str, number: int) -> str:
    """The idempotency key of a SKU's `number`-th change, of which its photos have this digest.

    The number tells a change back to earlier photos, which is one, from the same change told twice, which is none.
    """
    return f"photos-{sku}-{number}-{digest[:16]}"
