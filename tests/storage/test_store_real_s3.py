"""Faults of a real server (infra/dev/rgw-mini.sh): killed daemons, other users, quotas, versioned buckets."""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from s3_servers import JSON, Server, settings, with_bucket

from productshot.errors import StorageRefused, StorageUnavailable
from productshot.store import Store, open_store

pytestmark = pytest.mark.s3
RGW = Path(__file__).parents[2] / "infra/dev/rgw-mini.sh"


def rgw_mini(*arguments: str) -> None:
    """Run infra/dev/rgw-mini.sh on the server under test."""
    subprocess.run([str(RGW), *arguments], check=True, capture_output=True)


@pytest.fixture(autouse=True)
def _ours() -> None:
    if "RGW_DIR" not in os.environ:
        pytest.skip("not our own server: RGW_DIR is not set; run `make test-s3`")


@pytest.fixture
def other(rgw: Server) -> Server:
    """A second user with a bucket of its own."""
    name, secret = f"other{secrets.token_hex(4)}", secrets.token_hex(16)
    rgw_mini(
        "admin",
        "user",
        "create",
        f"--uid={name}",
        "--display-name=x",
        f"--access-key={name}",
        f"--secret={secret}",
    )
    return with_bucket(settings(rgw.environment["AWS_ENDPOINT_URL"], name, secret))


def test_another_user_is_refused(rgw: Server, other: Server, enter: Callable[[dict[str, str]], None]) -> None:
    """A user without rights to the bucket is told so, with the action and the key."""
    enter(other.environment)
    with pytest.raises(
        StorageRefused, match=r"could not create .probe/\w+; .* answered 403 AccessDenied; give this user"
    ):
        open_store(f"s3://{rgw.bucket}/x")
    with pytest.raises(StorageRefused, match="answered 403"):
        open_store(f"s3://{rgw.bucket}/x", probe=False)


def test_a_wrong_secret_is_refused(rgw: Server, enter: Callable[[dict[str, str]], None]) -> None:
    """A wrong secret is named, and neither it nor the right one is shown."""
    enter(rgw.environment | {"AWS_SECRET_ACCESS_KEY": "wrong-one"})
    with pytest.raises(
        StorageRefused, match="403 SignatureDoesNotMatch; correct AWS_SECRET_ACCESS_KEY"
    ) as refusal:
        open_store(f"s3://{rgw.bucket}/x")
    assert "wrong-one" not in str(refusal.value)


def test_a_suspended_user_is_refused(other: Server, enter: Callable[[dict[str, str]], None]) -> None:
    """A suspended account is told as such, and works again once enabled."""
    enter(other.environment)
    store, user = open_store(f"s3://{other.bucket}/x"), other.environment["AWS_ACCESS_KEY_ID"]
    rgw_mini("admin", "user", "suspend", f"--uid={user}")
    with pytest.raises(StorageRefused, match="answered 403 UserSuspended; have the account enabled"):
        store.put("a", b"", JSON)
    rgw_mini("admin", "user", "enable", f"--uid={user}")
    store.put("a", b"", JSON)


def test_an_exhausted_quota_is_a_full_store(other: Server, enter: Callable[[dict[str, str]], None]) -> None:
    """No room is told like a full disk: run it again once there is."""
    enter(other.environment)
    store, user = open_store(f"s3://{other.bucket}/x"), other.environment["AWS_ACCESS_KEY_ID"]
    rgw_mini("admin", "quota", "set", "--quota-scope=user", f"--uid={user}", "--max-size=1024")
    rgw_mini("admin", "quota", "enable", "--quota-scope=user", f"--uid={user}")
    with pytest.raises(
        StorageUnavailable, match="QuotaExceeded: it is full; raise the quota and run it again"
    ):
        store.put("a", b"0" * 100_000, JSON)
    assert store.head("a") is None


def test_a_versioned_bucket_is_refused(rgw: Server, enter: Callable[[dict[str, str]], None]) -> None:
    """Ceph ignores conditions on a versioned bucket; opening it says so instead of losing races."""
    enter(rgw.environment)
    versioned = with_bucket(rgw.environment)
    client: Any = versioned.client()
    client.put_bucket_versioning(Bucket=versioned.bucket, VersioningConfiguration={"Status": "Enabled"})
    with pytest.raises(
        StorageRefused, match="overwrites an object in spite of If-None-Match; .* on a versioned bucket"
    ):
        open_store(f"s3://{versioned.bucket}/x")


class Writer(threading.Thread):
    """Creates objects until `stop`; remembers what was acknowledged and what failed."""

    def __init__(self, store: Store, number: int, stop: threading.Event) -> None:
        super().__init__()
        self.store, self.number, self.stop = store, number, stop
        self.acknowledged: dict[str, bytes] = {}
        self.failures: list[Exception] = []

    def run(self) -> None:
        count = 0
        while not self.stop.is_set():
            key, data = f"{self.number}/{count}", secrets.token_bytes(1 + count * 7919 % 300_000)
            try:
                self.store.put(key, data, JSON)
                self.acknowledged[key] = data
            except StorageUnavailable as failure:
                self.failures.append(failure)
                time.sleep(0.1)
            count += 1


def test_a_killed_server_loses_nothing_acknowledged(
    rgw: Server, enter: Callable[[dict[str, str]], None]
) -> None:
    """kill -9 of all daemons in mid-write: every acknowledged object is whole, and writing goes on."""
    enter(rgw.environment)
    store = open_store(f"s3://{rgw.bucket}/{secrets.token_hex(4)}")
    stop = threading.Event()
    writers = [Writer(store, number, stop) for number in range(8)]
    for writer in writers:
        writer.start()
    for _ in range(2):
        time.sleep(2)
        rgw_mini("kill")
        time.sleep(1)
        rgw_mini("resume")
        before = sum(len(writer.acknowledged) for writer in writers)
        deadline = time.monotonic() + 60
        while (
            sum(len(writer.acknowledged) for writer in writers) < before + 40 and time.monotonic() < deadline
        ):
            time.sleep(0.1)
        assert time.monotonic() < deadline
    stop.set()
    for writer in writers:
        writer.join()
    acknowledged = {key: data for writer in writers for key, data in writer.acknowledged.items()}
    listed = {found.key: found.size for found in store.list("")}
    told = sum(len(writer.failures) for writer in writers)
    print(f"{len(acknowledged)} acknowledged, {told} told unavailable, {len(listed)} listed")
    assert len(acknowledged) >= before + 40
    assert all(store.get(key) == data for key, data in acknowledged.items())
    assert {key: len(data) for key, data in acknowledged.items()}.items() <= listed.items()


def test_a_stopped_server_is_unavailable(rgw: Server, enter: Callable[[dict[str, str]], None]) -> None:
    """While the daemons are dead the client says so; afterwards the same store works."""
    enter(rgw.environment)
    store = open_store(f"s3://{rgw.bucket}/stopped")
    rgw_mini("kill")
    with pytest.raises(
        StorageUnavailable, match=r"could not create a; .* gave no answer \(EndpointConnectionError\)"
    ):
        store.create("a", b"1", JSON)
    rgw_mini("resume")
    assert store.create("a", b"1", JSON) and store.get("a") == b"1"
