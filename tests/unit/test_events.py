"""Notifications: what they name, when a SKU has settled, what a real change is."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from productshot.errors import ConfigInvalid, InputRefused
from productshot.events import Place, Settling, photos_digest, place_of, run_key, skus_named
from productshot.store import Listed

PLACE = Place("shop", "here/photos/")


def record(key: str, source: str = "ceph:s3", bucket: str = "shop") -> dict[str, Any]:
    return {"eventSource": source, "s3": {"bucket": {"name": bucket}, "object": {"key": key}}}


def body(*records: dict[str, Any]) -> bytes:
    return json.dumps({"Records": list(records)}).encode()


def test_ceph_names_keys_plainly() -> None:
    """A plus or a percent sign in a key of Ceph is itself."""
    assert skus_named(body(record("here/photos/mug-1/a+b %2F.jpg")), PLACE) == ["mug-1"]
    assert skus_named(body(record("here/photos/a%2Fb/c.jpg")), PLACE) == ["a%2Fb"]


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=20)


@given(
    sku=names.filter(lambda name: "/" not in name), name=names, encode=st.sampled_from([quote, quote_plus])
)
def test_an_encoded_key_names_the_same_sku(sku: str, name: str, encode: Any) -> None:
    """Whatever the SKU and file are called, and whether blanks are + or %20."""
    key = f"here/photos/{sku}/{name}"
    plain, encoded = record(key), record(encode(key), source="aws:s3")
    assert skus_named(body(plain, encoded, plain), PLACE) == [sku]


@pytest.mark.parametrize(
    "one",
    [
        record("here/work/mug-1/a.json"),
        record("here/photos/loose.jpg"),
        record("photos/mug-1/a.jpg"),
        record("here/photos//a.jpg"),
        record("here/photos/mug-1/a.jpg", bucket="another"),
    ],
)
def test_what_is_no_photo_of_ours_names_nobody(one: dict[str, Any]) -> None:
    """Another folder, bucket or prefix, and files beside the SKUs' folders."""
    assert skus_named(body(one), PLACE) == []


def test_envelopes_and_the_test_event() -> None:
    """SNS wraps the same JSON; AWS says once that the configuration works."""
    inner = body(record("here/photos/mug-1/a.jpg", "aws:s3"))
    wrapped = json.dumps({"Type": "Notification", "Message": inner.decode()}).encode()
    assert skus_named(wrapped, PLACE) == ["mug-1"]
    assert skus_named(json.dumps({"Event": "s3:TestEvent", "Bucket": "shop"}).encode(), PLACE) == []


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"null",
        b'{"Records": 3}',
        b'{"Records": [{}]}',
        b'{"Records": [null]}',
        b"\xff",
    ]
    + [b'{"Type": "Notification", "Message": "["}', b"[" * 100_000, body({**record("a"), "s3": []})],
)
def test_what_is_no_notification_is_one_line(bad: bytes) -> None:
    """Whatever the bytes are, one typed refusal."""
    with pytest.raises(InputRefused, match=r"^notification cannot be read \(\w+\); JSON with Records"):
        skus_named(bad, PLACE)


def test_the_place_follows_from_store_and_catalog() -> None:
    """The store's prefix stands before that of the photos; a folder is refused."""
    assert place_of("s3://shop", "photos/") == Place("shop", "photos/")
    assert place_of("s3://shop/here", "in/photos/") == Place("shop", "here/in/photos/")
    with pytest.raises(ConfigInvalid, match="store /tmp/x is no bucket; a folder sends no notifications"):
        place_of("/tmp/x", "photos/")


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_sku_settles_after_its_last_event() -> None:
    """Each event begins the time anew; others do not; then it is due once."""
    clock = Clock()
    settling = Settling(20, clock)
    settling.touch("mug-1")
    clock.now += 15
    settling.touch("mug-1")
    settling.touch("vase-2")
    clock.now += 19.9
    assert settling.due() == []
    settling.touch("vase-2")
    clock.now += 0.1
    assert settling.due() == ["mug-1"]
    assert "mug-1" not in settling and "vase-2" in settling
    assert settling.due() == []


def test_what_never_settles_starts_all_the_same() -> None:
    """A stream of events, forged or not, cannot hold a SKU back for ever."""
    clock = Clock()
    settling = Settling(20, clock)
    waited = 0
    while not settling.due():
        settling.touch("mug-1")
        clock.now += 10
        waited += 10
        assert waited <= 320
    assert waited >= 300


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 30)), max_size=40))
def test_nothing_that_was_named_is_lost(events: list[tuple[int, float]]) -> None:
    """After the last event of each SKU there is exactly one due."""
    clock = Clock()
    settling = Settling(20, clock)
    last_named: dict[str, int] = {}
    last_due: dict[str, int] = {}
    for step, (number, wait) in enumerate(events):
        settling.touch(f"sku-{number}")
        last_named[f"sku-{number}"] = step
        clock.now += wait
        last_due |= dict.fromkeys(settling.due(), step)
    clock.now += 1000
    last_due |= dict.fromkeys(settling.due(), len(events))
    assert last_due.keys() == last_named.keys()
    assert all(last_due[sku] >= last_named[sku] for sku in last_named)
    assert settling.due() == []


def test_the_digest_of_photos_is_of_pictures_alone() -> None:
    """Order and notes do not count; an etag, a name and a mask do."""
    one, two = Listed("photos/m/a.jpg", "e1", 3), Listed("photos/m/a.mask.png", "e2", 4)
    note = Listed("photos/m/readme.txt", "e3", 5)
    digest = photos_digest([one, two])
    assert photos_digest([two, note, one]) == digest
    others = [
        [one],
        [two],
        [],
        [one, Listed(two.key, "e9", 4)],
        [one, Listed("photos/m/b.mask.png", "e2", 4)],
    ]
    assert len({digest, *map(photos_digest, others)}) == 6


def test_the_same_photos_again_are_another_change() -> None:
    """Back to an earlier photo: the same digest, another number, another key."""
    assert run_key("mug-1", "a" * 64, 1) != run_key("mug-1", "a" * 64, 2)
