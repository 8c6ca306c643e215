"""What every store promises, checked on a folder, on moto and on a real server alike."""

from __future__ import annotations

import os
import secrets
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from s3_servers import JSON, at_once

from productshot.errors import InputRefused, StorageMissing
from productshot.s3 import S3Store
from productshot.store import Store, open_store

BAD_KEYS = [
    "",
    "/a",
    "a/",
    "a//b",
    "a/../b",
    "./a",
    "a/\n",
    "a\x00",
    "\ud800",
    ".tmp/a",
    ".probe/a",
    "k" * 1001,
]
ODD_KEYS = [
    "ü/ñ 漢字.png",
    "a b/c  d",
    "a+b",
    "100%/%2F%20",
    "q?x=1&y#z",
    "a=b;c,d:e@f!$'()*~",
    "back\\slash",
    "🛍",
]


def test_put_then_get(store: Store) -> None:
    """What was put is what get returns."""
    store.put("work/17/a.png", b"picture", "image/png")
    assert store.get("work/17/a.png") == b"picture"


def test_put_overwrites(store: Store) -> None:
    """A second put replaces the bytes and changes the etag, also at the same length."""
    store.put("a", b"old", JSON)
    old = store.head("a")
    store.put("a", b"new", JSON)
    assert store.get("a") == b"new"
    assert old is not None and store.head("a") not in (None, old)


def test_repeated_put_is_idempotent(store: Store) -> None:
    """The same upload twice leaves one object."""
    for _ in range(2):
        store.put("a", b"same", JSON)
    assert [(found.key, found.size) for found in store.list("")] == [("a", 4)]


def test_empty_object(store: Store) -> None:
    """No bytes are also bytes."""
    assert store.create("empty", b"", JSON)
    assert store.get("empty") == b""


def test_large_object(store: Store) -> None:
    """An object above the multipart limit comes back whole and is listed once."""
    data = secrets.token_bytes(40 * 1024 * 1024 + 1)
    store.put("large", data, "application/octet-stream")
    assert store.get("large") == data
    assert [found.size for found in store.list("")] == [len(data)]


def test_download_writes_a_file(store: Store, tmp_path: Path) -> None:
    """The same bytes as `get`, and the same error for an absent key."""
    store.put("models/unet.bin", b"weights" * 1000, "application/octet-stream")
    store.download("models/unet.bin", tmp_path / "unet.bin")
    assert (tmp_path / "unet.bin").read_bytes() == b"weights" * 1000
    with pytest.raises(StorageMissing, match="object no/such is not in .*; check the key"):
        store.download("no/such", tmp_path / "none")


def test_missing_object(store: Store) -> None:
    """An absent key is StorageMissing for get, None for head, and nothing for delete."""
    with pytest.raises(StorageMissing, match="object no/such is not in .*; check the key"):
        store.get("no/such")
    assert store.head("no/such") is None
    store.delete("no/such")


def test_a_folder_is_no_object(store: Store) -> None:
    """The beginning of a key is not an object."""
    store.put("a/b", b"1", JSON)
    assert store.head("a") is None
    with pytest.raises(StorageMissing):
        store.get("a")
    store.delete("a")
    assert store.get("a/b") == b"1"


def test_delete(store: Store) -> None:
    """A deleted object is gone, and its key can be made again."""
    store.put("a/b", b"1", JSON)
    store.delete("a/b")
    assert list(store.list("")) == []
    assert store.create("a/b", b"2", JSON)


def test_delete_all(store: Store) -> None:
    """Many keys go in one call, also those that are not there; the others stay."""
    keys = [f"a/{number} +ü%" for number in range(40)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: store.put(key, b"x", JSON), [*keys, "b"]))
    store.delete_all([*keys, "no/such"])
    assert [found.key for found in store.list("")] == ["b"]
    store.delete_all([])


def test_writing_the_same_bytes_again_makes_them_newer(store: Store) -> None:
    """gc relies on it; head and listing tell the same time, to the second."""
    store.put("a", b"same", JSON)
    (before,) = store.list("")
    time.sleep(1.1)  # S3 tells whole seconds
    store.put("a", b"same", JSON)
    (after,) = store.list("")
    head = store.head("a")
    assert head is not None and int(head.modified) == int(after.modified)
    assert before.modified < after.modified <= time.time() + 2


def test_head_tells_what_list_tells(store: Store) -> None:
    """Both views of an object agree."""
    store.put("a/b", b"123", JSON)
    assert [store.head("a/b")] == list(store.list(""))


def test_create_refuses_what_exists(store: Store) -> None:
    """The second create changes nothing, also after a put."""
    assert store.create("made", b"first", JSON)
    assert not store.create("made", b"second", JSON)
    store.put("put", b"first", JSON)
    assert not store.create("put", b"second", JSON)
    assert (store.get("made"), store.get("put")) == (b"first", b"first")


def test_one_of_sixteen_racing_writers_wins(store: Store) -> None:
    """Of 16 creates at once exactly one makes the key, and all read its bytes."""
    for round_ in range(6):
        key = f"race/{round_}"

        def write(number: int, key: str = key) -> tuple[bool, bytes]:
            return store.create(key, f"writer {number}".encode(), JSON), store.get(key)

        results = at_once(16, write)
        winners = [number for number, (won, _) in enumerate(results) if won]
        assert len(winners) == 1
        assert {read for _, read in results} == {f"writer {winners[0]}".encode()}


def test_readers_never_see_a_torn_put(store: Store) -> None:
    """While one writer overwrites, readers get one of its versions, whole."""
    store.put("a", b"0" * 300_000, JSON)

    def act(number: int) -> set[bytes]:
        if number == 0:
            for version in range(15):
                store.put("a", b"%d" % (version % 10) * 300_000, JSON)
            return set()
        return {store.get("a") for _ in range(15)}

    seen = set().union(*at_once(4, act))
    assert all(len(read) == 300_000 and len(set(read)) == 1 for read in seen)


def test_list_is_complete_and_sorted(store: Store) -> None:
    """2,500 keys (1,100 on slow moto) come back once each in their order, though S3 tells 1,000 a page."""
    count = 1100 if isinstance(store, S3Store) and os.environ["AWS_ACCESS_KEY_ID"] == "demokey" else 2500
    keys = [f"photos/{number % 7}{'-/.a'[number % 4]}{number:04}" for number in range(count)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: store.put(key, b"x", JSON), keys))
    assert [found.key for found in store.list("")] == sorted(keys)
    assert [found.key for found in store.list("photos/3-")] == sorted(
        k for k in keys if k.startswith("photos/3-")
    )


def test_list_by_the_beginning_of_a_key(store: Store) -> None:
    """A prefix is any beginning of a key, not only a folder."""
    for key in ["a/1/x", "a/10/x", "a/2", "b"]:
        store.put(key, b"", JSON)
    assert [found.key for found in store.list("a/1")] == ["a/1/x", "a/10/x"]
    assert [found.key for found in store.list("a/1/")] == ["a/1/x"]
    assert [found.key for found in store.list("none/")] == []


def test_list_prefixes(store: Store) -> None:
    """Sub-folders are told once each, sorted, without files and without deeper folders."""
    for key in ["photos/2/a", "photos/10/a", "photos/10/b/c", "photos/x.jpg", "work/2/a"]:
        store.put(key, b"", JSON)
    assert list(store.list_prefixes("")) == ["photos/", "work/"]
    assert list(store.list_prefixes("photos/")) == ["photos/10/", "photos/2/"]
    assert list(store.list_prefixes("none/")) == []


def test_an_emptied_folder_is_none(store: Store) -> None:
    """When its last object goes, a sub-folder goes."""
    store.put("photos/2/a", b"", JSON)
    store.delete("photos/2/a")
    assert list(store.list_prefixes("photos/")) == []


@pytest.mark.parametrize("key", ODD_KEYS)
def test_odd_keys_round_trip(store: Store, key: str) -> None:
    """Unicode, blanks and what addresses treat specially come back as they went in."""
    assert store.create(key, key.encode(), JSON)
    assert [found.key for found in store.list("")] == [key]
    assert store.get(key) == key.encode()


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.text(
        st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="/\ufffe\uffff"), min_size=1
    ).filter(lambda text: text not in (".", "..") and len(text.encode()) <= 255)
)
def test_any_printable_name_round_trips(store: Store, name: str) -> None:
    """Whatever key is accepted can be read, listed and deleted."""
    key = f"names/{name}"
    store.put(key, b"1", JSON)
    assert key in {found.key for found in store.list("names/")}
    assert store.get(key) == b"1"
    store.delete(key)
    assert store.head(key) is None


@pytest.mark.parametrize("key", BAD_KEYS)
def test_bad_keys_are_refused(store: Store, key: str) -> None:
    """No call accepts a key that some store could not keep."""
    for call in (store.get, store.head, store.delete, lambda key: store.put(key, b"", JSON)):
        with pytest.raises(InputRefused, match='^key ".*" .*; rename it$'):
            call(key)


def test_url_opens(store: Store) -> None:
    """The address of an object leads any HTTP or file client to its bytes."""
    store.put("catalog/ü +%.txt", b"hello", "text/plain")
    with urllib.request.urlopen(store.url("catalog/ü +%.txt", expires_s=60)) as answer:
        assert answer.read() == b"hello"


def test_location_opens_the_same_store(store: Store) -> None:
    """A store can be passed on as its location."""
    store.put("a", b"1", JSON)
    assert open_store(store.location).get("a") == b"1"
