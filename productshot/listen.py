"""The receiver of bucket notifications: exactly one run of a SKU for each real change of its photos.

What is promised: a notification is acknowledged only after the SKU it names is put down in the store
(`state/waiting/<sku>`, one small put however many events a burst has), so a receiver that is killed goes on with it
when it starts again. A run is started with an idempotency key (`productshot.events.run_key`) and put down after
(`state/started/<sku>.json`): killed in between, the same key is used again and the server makes no second run. Two
receivers side by side do the same. What never reached us (Ceph's synchronous topics try once) is found by the night.

HTTP: `POST` with the secret as last part of the path (Ceph cannot send headers of ours) or in the header
`X-Productshot-Secret`. Answers: 200 noted, 400 no notification, 403 wrong or no secret, 411 no length, 413 too large,
503 the store does not answer (sent again by persistent topics). `GET /health`: 200. TLS is a proxy's work.
"""

from __future__ import annotations

import hmac
import json
import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Protocol

from catalog_schemas import Catalog
from productshot.catalog import load_catalog
from productshot.errors import ConfigInvalid, InputRefused, ProductshotError, StorageMissing
from productshot.events import Place, Settling, photos_digest, place_of, run_key, skus_named
from productshot.keys import canonical_json
from productshot.store import Store, shown

BODY_LIMIT_BYTES = 1 << 20
"""AWS sends at most 256 KiB, Ceph one record at a time."""
SECRET_MIN_CHARS = 16
SECRET_NAME = "PRODUCTSHOT_LISTEN_SECRET"
READ_SECONDS = 10
LOOK_SECONDS = 0.5

log = logging.getLogger(__name__)

Start = Callable[[str, str], None]
"""Starts a run of a SKU under an idempotency key. A retryable ProductshotError: later, the SKU waits on."""


class Queue(Protocol):
    """Messages that stay until they are deleted, as SQS keeps them."""

    def receive(self) -> list[tuple[str, str]]:
        """(body, receipt) of some messages; waits a while for the first."""

    def delete(self, receipts: list[str]) -> None:
        """These need not come again."""


class KnownSkus:
    """The SKUs of a catalog file, read again when an unknown one is named and the file has changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = path.stat().st_mtime_ns if path.exists() else 0
        self.catalog: Catalog = load_catalog(path)
        self._names = {sku.sku for sku in self.catalog.skus}

    def __contains__(self, sku: str) -> bool:
        return sku in self._names or (self._read_again() and sku in self._names)

    def _read_again(self) -> bool:
        """Whether the file was read again; one that is not valid now counts as unchanged, and the log says so."""
        try:
            changed = self._path.stat().st_mtime_ns
            if changed == self._changed:
                return False
            self._changed = changed
            self._names = {sku.sku for sku in load_catalog(self._path).skus}
        except (OSError, ConfigInvalid) as error:
            log.warning("the catalog cannot be read again, the last one is used: %s", error)
            return False
        return True


class Receiver:
    """Notes SKUs as they are named and starts them when they have settled. Safe to use from many threads."""

    def __init__(
        self, known: KnownSkus, store: Store, start: Start, clock: Callable[[], float] = time.monotonic
    ) -> None:
        catalog = known.catalog
        self._known, self._store, self._start = known, store, start
        self._photos = catalog.photos
        self._place: Place = place_of(store.location, catalog.photos)
        self._settling = Settling(catalog.night.settle_seconds, clock)
        self._lock = threading.Lock()
        self.taken = 0  # notifications so far

    def resume(self) -> None:
        """Note again what an earlier receiver had acknowledged and not started."""
        for listed in self._store.list("state/waiting/"):
            self._note(listed.key.rsplit("/", 1)[-1])

    def take(self, body: bytes) -> None:
        """Note the SKUs that a notification names; when this returns it may be acknowledged.

        InputRefused: it is no notification. StorageUnavailable: it must come again.
        """
        self.taken += 1
        for sku in skus_named(body, self._place):
            self._note(sku)

    def _note(self, sku: str) -> None:
        if sku not in self._known:
            log.warning("SKU %s was named and is not in the catalog: ignored", shown(sku))
            return
        with self._lock:
            if sku not in self._settling:
                self._store.put(f"state/waiting/{sku}", b"", "text/plain")
            self._settling.touch(sku)

    def act(self) -> None:
        """Start every SKU that has settled; one that cannot be started now waits on, one line says why."""
        with self._lock:
            due = self._settling.due()
        for sku in due:
            try:
                self._act_on(sku)
            except InputRefused as error:
                log.warning("SKU %s is left out: %s", sku, error)
            except ProductshotError as error:
                if not error.retryable:
                    raise
                log.warning("SKU %s waits on: %s", sku, error)
                with self._lock:
                    self._settling.touch(sku)

    def _act_on(self, sku: str) -> None:
        """Start one SKU if its photos are not those that it was last started for."""
        digest = photos_digest(self._store.list(f"{self._photos}{sku}/"))
        before, number = self._last_start(sku)
        if digest != before:
            number += 1
            self._start(sku, run_key(sku, digest, number))
            log.info("SKU %s: change %d of its photos, started", sku, number)
            told = canonical_json({"photos": digest, "number": number})
            self._store.put(f"state/started/{sku}.json", told, "application/json")
        with self._lock:
            if sku not in self._settling:  # not named again meanwhile
                self._store.delete(f"state/waiting/{sku}")

    def _last_start(self, sku: str) -> tuple[str, int]:
        """(digest of the photos, number of the change) of the last start; before the first: no photo, 0."""
        key = f"state/started/{sku}.json"
        try:
            said = json.loads(self._store.get(key))
            return str(said["photos"]), int(said["number"])
        except StorageMissing:
            return photos_digest([]), 0
        except (ValueError, KeyError, TypeError) as error:
            remedy = "delete it: at worst a change is run twice"
            raise InputRefused(key, "is no record of a start", "", remedy) from error


def check_secret(secret: str | None) -> str:
    """The secret; ConfigInvalid when there is none or a short one. Its value is never told."""
    remedy = f"set {SECRET_NAME} to one, as from `openssl rand -hex 32`"
    limit = f"at least {SECRET_MIN_CHARS} letters, digits, - or _ are needed"
    if not secret:
        raise ConfigInvalid(SECRET_NAME, "is not set", limit, remedy)
    if len(secret) < SECRET_MIN_CHARS or not secret.replace("-", "").replace("_", "").isalnum():
        raise ConfigInvalid(SECRET_NAME, "is no usable secret", limit, remedy)
    return secret


@contextmanager
def open_door(receiver: Receiver, secret: str, host: str, port: int) -> Iterator[str]:
    """Answer HTTP (any free port for 0) in threads; yields the address. ConfigInvalid: the port is taken."""
    handler = type("ReceiverDoor", (Door,), {"receiver": receiver, "secret": secret.encode()})
    try:
        server = ThreadingHTTPServer((host, port), handler)
    except OSError as cause:
        told = f"cannot be listened on: {cause.strerror}"
        raise ConfigInvalid(f"address {host}:{port}", told, "", "choose another --host or --port") from cause
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{host}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


class Door(BaseHTTPRequestHandler):
    """Answers the notifications of a bucket."""

    receiver: Receiver
    secret: bytes
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "productshot", ""
    timeout = READ_SECONDS

    def do_GET(self) -> None:
        """Whether anybody is here."""
        self._answer(200 if self.path == "/health" else 404)

    def do_POST(self) -> None:
        """Note what a notification names."""
        if not self._is_trusted():
            return self._answer(403)
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal():
            return self._answer(411)
        if int(length) > BODY_LIMIT_BYTES:
            return self._answer(413)
        try:
            self.receiver.take(self.rfile.read(int(length)))
        except InputRefused as error:
            log.warning("%s", error)
            return self._answer(400)
        except ProductshotError as error:
            log.warning("a notification was sent back: %s", error)
            return self._answer(503)
        return self._answer(200)

    def _is_trusted(self) -> bool:
        """Compared in constant time; a path or header that is no Latin-1 text is nobody's."""
        in_path, in_header = self.path.rsplit("/", 1)[-1], self.headers.get("X-Productshot-Secret", "")
        by_path = hmac.compare_digest(in_path.encode("latin-1", "replace"), self.secret)
        return by_path | hmac.compare_digest(in_header.encode("latin-1", "replace"), self.secret)

    def _answer(self, status: int) -> None:
        """A status without a body; whatever was not read of a refused request ends the connection."""
        self.send_response_only(status)
        self.send_header("Content-Length", "0")
        if status not in (200, 400, 503):
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the path holds the secret."""


def receive_from(queue: Queue, receiver: Receiver) -> int:
    """Take some messages of a queue, and delete those that are noted or are no notification; how many came."""
    messages = queue.receive()
    done = []
    for body, receipt in messages:
        try:
            receiver.take(body.encode())
        except InputRefused as error:
            log.warning("a message is left out: %s", error)
        done.append(receipt)
    queue.delete(done)
    return len(messages)


def poll(queue: Queue, receiver: Receiver, stopped: threading.Event, pause_s: float = 5) -> None:
    """Take messages until `stopped`; while queue or store do not answer, a line says so and it tries again."""
    while not stopped.is_set():
        try:
            receive_from(queue, receiver)
        except ProductshotError as error:
            if not error.retryable:
                raise
            log.warning("%s", error)
            stopped.wait(pause_s)


def act_until(stopped: threading.Event, receiver: Receiver) -> None:
    """Start what settles, looking twice a second, until `stopped`."""
    while not stopped.wait(LOOK_SECONDS):
        receiver.act()


def serve(receiver: Receiver, secret: str | None, host: str, port: int, queue: Queue | None) -> None:
    """Listen until SIGINT or SIGTERM: over HTTP with a secret, at a queue where one is given.

    An error that does not pass by itself ends it, from whatever thread.
    """
    stopped, failed = threading.Event(), list[ProductshotError]()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: stopped.set())
    receiver.resume()

    def poll_on(source: Queue) -> None:
        try:
            poll(source, receiver, stopped)
        except ProductshotError as error:
            failed.append(error)
            stopped.set()

    with ExitStack() as stack:
        if secret is not None:
            address = stack.enter_context(open_door(receiver, secret, host, port))
            print(f"listening at {address}/<secret>", flush=True)
        if queue is not None:
            threading.Thread(target=poll_on, args=(queue,), daemon=True).start()
            print("reading the queue", flush=True)
        act_until(stopped, receiver)
    if failed:
        raise failed[0]
