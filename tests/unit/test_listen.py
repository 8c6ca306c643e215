"""The receiver: exactly one start for each real change, whatever the notifications are, over real HTTP."""

from __future__ import annotations

import http.client
import itertools
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from productshot.cli import main
from productshot.errors import ConfigInvalid, StorageUnavailable
from productshot.folder import FolderStore
from productshot.listen import (
    BODY_LIMIT_BYTES,
    KnownSkus,
    Receiver,
    check_secret,
    open_door,
    poll,
    receive_from,
)
from tests.conftest import write_catalog
from tests.unit.test_events import Clock, body, record

SECRET = "0123456789abcdef-secret"


class Bucket(FolderStore):
    """A folder that passes for a bucket, and may be down."""

    down = False

    @property
    def location(self) -> str:
        return "s3://shop/here"

    def put(self, key: str, data: bytes, content_type: str) -> None:
        if self.down:
            raise StorageUnavailable("store", "does not answer", "", "run it again")
        super().put(key, data, content_type)


class Shop:
    """A bucket, a receiver, a clock, and what was started."""

    def __init__(self, folder: Path) -> None:
        self.catalog = write_catalog(folder / "catalog.yaml")
        self.store, self.clock = Bucket(folder / "store"), Clock()
        self.started: list[tuple[str, str]] = []
        self.server_is_down = False
        self.restart()

    def restart(self) -> None:
        """A new receiver, as after kill -9."""
        self.receiver = Receiver(KnownSkus(self.catalog), self.store, self.start, self.clock)
        self.receiver.resume()

    def start(self, sku: str, key: str) -> None:
        if self.server_is_down:
            raise StorageUnavailable("Prefect server", "does not answer", "", "run it again")
        self.started.append((sku, key))

    def upload(self, sku: str, name: str, data: str) -> bytes:
        """Put a photo; its notification."""
        self.store.put(f"photos/{sku}/{name}", data.encode(), "image/jpeg")
        return body(record(f"here/photos/{sku}/{name}"))

    def settle(self) -> list[str]:
        """Let time pass; the SKUs that were started since."""
        before = len(self.started)
        self.clock.now += 21
        self.receiver.act()
        return [sku for sku, _ in self.started[before:]]


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def test_a_burst_is_one_run(shop: Shop) -> None:
    """Three photos, each told twice, in two forms: one start, after they have settled, with nothing left waiting."""
    told = [shop.upload("mug-1", f"{n} a.jpg", str(n)) for n in range(3)]
    told += [body(record(f"here%2Fphotos/mug-1/{n}+a.jpg", "aws:s3")) for n in range(3)]
    for one in reversed(told):
        shop.receiver.take(one)
        shop.receiver.act()
    assert shop.started == []
    assert shop.settle() == ["mug-1"]
    assert shop.settle() == []
    assert list(shop.store.list("state/waiting/")) == []


def test_a_replayed_notification_starts_nothing(shop: Shop) -> None:
    """The store is asked: the photos are those of the last start. So does a rewrite of the same bytes on S3."""
    told = shop.upload("mug-1", "a.jpg", "red")
    shop.receiver.take(told)
    assert shop.settle() == ["mug-1"]
    shop.receiver.take(told)
    assert shop.settle() == []
    shop.restart()
    shop.receiver.take(told)
    assert shop.settle() == []


def test_back_to_an_earlier_photo_is_a_change(shop: Shop) -> None:
    """Red, none, red: three starts under three keys (a folder's etags cannot come back, an absent photo can)."""
    shop.receiver.take(shop.upload("mug-1", "a.jpg", "red"))
    assert shop.settle() == ["mug-1"]
    told = shop.upload("mug-1", "b.jpg", "blue")
    shop.receiver.take(told)
    assert shop.settle() == ["mug-1"]
    shop.store.delete("photos/mug-1/b.jpg")
    shop.receiver.take(told)
    assert shop.settle() == ["mug-1"]
    keys = [key for _, key in shop.started]
    assert len(set(keys)) == 3 and keys[0].rsplit("-", 1)[-1] == keys[2].rsplit("-", 1)[-1]


def test_what_was_acknowledged_survives_kill_9(shop: Shop) -> None:
    """The next receiver starts it, though no notification comes again."""
    shop.receiver.take(shop.upload("mug-1", "a.jpg", "red"))
    shop.restart()
    assert shop.settle() == ["mug-1"]


def test_killed_between_start_and_record_the_same_key_comes_again(shop: Shop) -> None:
    """The server makes one run of two requests with one key."""
    shop.receiver.take(shop.upload("mug-1", "a.jpg", "red"))
    assert shop.settle() == ["mug-1"]
    shop.store.delete("state/started/mug-1.json")
    shop.store.put("state/waiting/mug-1", b"", "text/plain")
    shop.restart()
    assert shop.settle() == ["mug-1"]
    assert len(set(shop.started)) == 1


def test_a_server_that_is_down_is_asked_again(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """The SKU waits on, one line says so, and it starts once."""
    shop.receiver.take(shop.upload("mug-1", "a.jpg", "red"))
    shop.server_is_down = True
    assert shop.settle() == []
    assert "SKU mug-1 waits on: Prefect server does not answer" in caplog.text
    shop.server_is_down = False
    assert shop.settle() == ["mug-1"]


def test_an_unknown_sku_is_one_line(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A forged name, even a wild one, does nothing."""
    for name in ("nobody", "..", "a\nb", "x" * 500):
        shop.receiver.take(body(record(f"here/photos/{name}/a.jpg")))
    assert shop.settle() == []
    lines = [line.getMessage() for line in caplog.records]
    assert len(lines) == 4 and all("\n" not in line and len(line) < 200 for line in lines)
    assert list(shop.store.list("state/")) == []


def test_a_sku_that_joins_the_catalog_later_is_known(shop: Shop) -> None:
    """The file is read again when a new name comes; an invalid file keeps the old names."""
    skus = [{"sku": name, "noun": "mug"} for name in ("mug-1", "new-3")]
    shop.catalog.write_text("not: a catalog")
    shop.receiver.take(shop.upload("new-3", "a.jpg", "red"))
    assert shop.settle() == []
    write_catalog(shop.catalog, skus=skus)
    shop.receiver.take(shop.upload("new-3", "a.jpg", "red"))
    assert shop.settle() == ["new-3"]


def test_a_damaged_record_leaves_its_sku_out(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """One line with the remedy; the neighbour starts."""
    shop.store.put("state/started/mug-1.json", b"{", "application/json")
    shop.receiver.take(shop.upload("mug-1", "a.jpg", "red"))
    shop.receiver.take(shop.upload("vase-2", "a.jpg", "red"))
    assert shop.settle() == ["vase-2"]
    assert "state/started/mug-1.json is no record of a start; delete it" in caplog.text


STEPS = st.lists(st.sampled_from(["upload", "told", "told late", "settle", "kill"]), max_size=25)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS)
def test_each_settled_change_is_started_exactly_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    """Uploads, notifications early, late and twice, and kill -9, in any order: no key twice, no change left out."""
    shop = Shop(tmp_path_factory.mktemp("shop"))
    told: list[bytes] = []
    version = itertools.count()
    for step in steps:
        if step == "upload":
            told.append(shop.upload("mug-1", "a.jpg", f"version {next(version)}"))
        elif step == "settle":
            shop.settle()
        elif step == "kill":
            shop.restart()
        elif told:
            shop.receiver.take(told[0] if step == "told late" else told[-1])
    changed_since = len(told)
    if told:
        shop.receiver.take(told[-1])
    shop.settle()
    keys = [key for _, key in shop.started]
    assert len(keys) == len(set(keys)) <= changed_since
    assert bool(keys) == bool(told)
    shop.receiver.take(body(record("here/photos/mug-1/a.jpg")))
    assert shop.settle() == []


# -- HTTP ----------------------------------------------------------------------------------------------------


@pytest.fixture
def door(shop: Shop) -> Iterator[http.client.HTTPConnection]:
    """A connection to the receiver's HTTP door."""
    with open_door(shop.receiver, SECRET, "127.0.0.1", 0) as address:
        connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
        yield connection
        connection.close()


def post(door: http.client.HTTPConnection, path: str, data: bytes, **headers: str) -> int:
    door.request("POST", path, data, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = door.getresponse()
    answer.read()
    return answer.status


def test_a_notification_with_the_secret_is_noted(shop: Shop, door: http.client.HTTPConnection) -> None:
    """In the path as Ceph can, or in the header; the connection stays open for the next."""
    told = shop.upload("mug-1", "a.jpg", "red")
    assert post(door, f"/events/{SECRET}", told) == 200
    assert post(door, "/", told, X_Productshot_Secret=SECRET) == 200
    assert shop.settle() == ["mug-1"]


@pytest.mark.parametrize(
    "path", ["/", "/wrong", f"/{SECRET}x", f"/{SECRET}/", f"/?{SECRET}", "/%ff", f"/{SECRET[:-1]}"]
)
def test_without_the_secret_nothing_is_noted(shop: Shop, door: http.client.HTTPConnection, path: str) -> None:
    """403, and the body is not looked at."""
    assert post(door, path, shop.upload("mug-1", "a.jpg", "red")) == 403
    assert shop.settle() == []


def test_bad_requests_have_their_own_answers(
    shop: Shop, door: http.client.HTTPConnection, caplog: pytest.LogCaptureFixture
) -> None:
    """No JSON, too large, no length, not POST; the secret is in no line of the log."""
    caplog.set_level(logging.DEBUG)
    assert post(door, f"/{SECRET}", b"no json") == 400
    assert post(door, f"/{SECRET}", b"", Content_Length=str(BODY_LIMIT_BYTES + 1)) == 413
    assert post(door, f"/{SECRET}", b"", Content_Length="-1") == 411
    door.request("GET", f"/{SECRET}")
    assert door.getresponse().read() == b""
    assert post(door, f"/{SECRET}", shop.upload("mug-1", "a.jpg", "red")) == 200
    assert SECRET not in caplog.text and "notification cannot be read" in caplog.text


def test_health_needs_no_secret(door: http.client.HTTPConnection) -> None:
    """A load balancer asks it."""
    door.request("GET", "/health")
    assert door.getresponse().status == 200


def test_a_store_that_is_down_sends_the_notification_back(
    shop: Shop, door: http.client.HTTPConnection
) -> None:
    """503: it was not noted, and a persistent topic sends it again."""
    told = shop.upload("mug-1", "a.jpg", "red")
    shop.store.down = True
    assert post(door, f"/{SECRET}", told) == 503
    shop.store.down = False
    assert post(door, f"/{SECRET}", told) == 200


def test_a_silent_client_holds_nobody_up(shop: Shop, door: http.client.HTTPConnection) -> None:
    """Ten connections that say half a request, and a notification beside them."""
    idle = [socket.create_connection((door.host, door.port)) for _ in range(10)]
    for one in idle:
        one.sendall(b"POST /x HTTP/1.1\r\nContent-Le")
    assert post(door, f"/{SECRET}", shop.upload("mug-1", "a.jpg", "red")) == 200
    for one in idle:
        one.close()


def test_a_hundred_notifications_at_once_are_one_run(shop: Shop, door: http.client.HTTPConnection) -> None:
    """Threads note the same SKU together."""
    told = shop.upload("mug-1", "a.jpg", "red")

    def send(_: int) -> int:
        connection = http.client.HTTPConnection(door.host, door.port, timeout=30)
        try:
            return post(connection, f"/{SECRET}", told)
        finally:
            connection.close()

    with ThreadPoolExecutor(10) as pool:
        assert set(pool.map(send, range(100))) == {200}
    assert shop.settle() == ["mug-1"]


def test_a_taken_port_is_one_line(shop: Shop, door: http.client.HTTPConnection) -> None:
    """The address and the remedy."""
    with (
        pytest.raises(ConfigInvalid, match="cannot be listened on: .*; choose another --host or --port"),
        open_door(shop.receiver, SECRET, door.host, door.port or 0),
    ):
        pass


@pytest.mark.parametrize(
    "secret", [None, "", "short", "has a blank in it, has it not", "ümläut-ümläut-ümläut"[:10]]
)
def test_a_secret_must_be_one(secret: str | None) -> None:
    """None, short or not sendable: refused, and never repeated."""
    with pytest.raises(ConfigInvalid, match="^PRODUCTSHOT_LISTEN_SECRET is") as refusal:
        check_secret(secret)
    assert not secret or secret not in str(refusal.value)
    assert check_secret(SECRET) == SECRET


# -- queues --------------------------------------------------------------------------------------------------


class Messages:
    """A queue in memory; each message comes until it is deleted."""

    def __init__(self, *bodies: bytes) -> None:
        self.left = {str(n): one.decode() for n, one in enumerate(bodies)}

    def receive(self) -> list[tuple[str, str]]:
        return [(text, receipt) for receipt, text in self.left.items()]

    def delete(self, receipts: list[str]) -> None:
        for receipt in receipts:
            del self.left[receipt]


def test_messages_are_deleted_once_noted(shop: Shop) -> None:
    """What is no notification goes too, or it would come for ever."""
    queue = Messages(b"no json", shop.upload("mug-1", "a.jpg", "red"))
    assert receive_from(queue, shop.receiver) == 2
    assert queue.left == {}
    assert shop.settle() == ["mug-1"]


def test_messages_stay_while_the_store_is_down(shop: Shop) -> None:
    """They come again; polling goes on."""
    told = shop.upload("mug-1", "a.jpg", "red")
    queue = Messages(told)
    shop.store.down = True
    with pytest.raises(StorageUnavailable):
        receive_from(queue, shop.receiver)
    assert len(queue.left) == 1
    stopped = threading.Event()

    class Mended(Messages):
        """Comes up again after the first failure."""

        def receive(self) -> list[tuple[str, str]]:
            messages = super().receive()
            if shop.store.down:
                shop.store.down = False
                raise StorageUnavailable("queue", "does not answer")
            if not messages:
                stopped.set()
            return messages

    mended = Mended(told)
    poll(mended, shop.receiver, stopped, pause_s=0)
    assert mended.left == {} and shop.settle() == ["mug-1"]


# -- the process ---------------------------------------------------------------------------------------------

PROCESS = """
import sys
from pathlib import Path
from tests.unit.test_listen import SECRET, Bucket
from productshot.listen import KnownSkus, Receiver, serve

folder = Path(sys.argv[1])

def start(sku, key):
    with open(folder / "started", "a") as file:
        file.write(f"{sku} {key}\\n")

serve(Receiver(KnownSkus(folder / "catalog.yaml"), Bucket(folder / "store"), start), SECRET, "127.0.0.1", 0, None)
"""


def run_process(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """A receiver in a process of its own, and the host and port it listens on."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(folder)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert process.stdout is not None
    return process, urlsplit(process.stdout.readline().split()[-1]).netloc


def test_kill_9_of_the_process_loses_nothing(tmp_path: Path) -> None:
    """Killed after the 200 and before the start; the next process starts it once, and SIGTERM ends that cleanly."""
    write_catalog(tmp_path / "catalog.yaml", night={"settle_seconds": 2})
    Bucket(tmp_path / "store").put("photos/mug-1/a.jpg", b"red", "image/jpeg")
    process, netloc = run_process(tmp_path)
    door = http.client.HTTPConnection(netloc, timeout=10)
    assert post(door, f"/{SECRET}", body(record("here/photos/mug-1/a.jpg"))) == 200
    door.close()
    process.kill()
    process.communicate()
    assert not (tmp_path / "started").exists()
    process, _ = run_process(tmp_path)
    deadline = time.monotonic() + 60
    while any(Bucket(tmp_path / "store").list("state/waiting/")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    (line,) = (tmp_path / "started").read_text().splitlines()
    assert line.startswith("mug-1 photos-mug-1-1-")


def test_the_command_refuses_what_cannot_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """No secret, and a folder for a bucket: exit code 2 and one line each."""
    catalog = str(write_catalog(tmp_path / "catalog.yaml"))
    monkeypatch.delenv("PRODUCTSHOT_LISTEN_SECRET", raising=False)
    monkeypatch.setattr("sys.argv", ["productshot", "listen", catalog, "--store", str(tmp_path / "store")])
    told = []
    for _ in range(2):
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 2
        told.append(capsys.readouterr().err)
        monkeypatch.setenv("PRODUCTSHOT_LISTEN_SECRET", SECRET)
    assert (
        told[0].startswith("productshot: PRODUCTSHOT_LISTEN_SECRET is not set") and told[0].count("\n") == 1
    )
    assert "a folder sends no notifications; name an s3://bucket/prefix" in told[1]
