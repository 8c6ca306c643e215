"""The gallery: shows the store's reports and published pictures to browsers on this machine, read-only.

The Prefect UI can only show pictures that have an http address; a folder has none and presigned addresses expire.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from threading import Thread
from urllib.parse import quote, unquote, urlsplit

from productshot.errors import ConfigInvalid, InputRefused, ProductshotError, StorageMissing
from productshot.store import Store

SHOWN = ("nights/", "catalog/")
"""Key prefixes that the gallery serves; photos, work and state stay private."""
NAMES = ("127.0.0.1", "localhost")
"""What a browser here may call us: a foreign page that rebinds its own name to this machine gets nothing."""
POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox"
NIGHTS_LISTED = 100


@contextmanager
def open_gallery(store: Store, port: int = 0) -> Iterator[str]:
    """Serve on the loopback address (any free port for 0); yields the address without a slash at its end.

    ConfigInvalid when the port is taken.
    """
    handler = type("StoreGallery", (Gallery,), {"store": store})
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as cause:
        raise port_taken(port) from cause
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def port_taken(port: int) -> ConfigInvalid:
    """The refusal of a port that something else listens on."""
    return ConfigInvalid(f"port {port}", "is taken", "", "end what listens there, or choose another --port")


class Gallery(BaseHTTPRequestHandler):
    """Answers GET and HEAD from `store`."""

    store: Store
    server_version, sys_version = "productshot", ""

    def do_GET(self) -> None:
        """The object that the path names, or the list of nights at /."""
        if self.headers.get("Host", "").rpartition(":")[0] not in NAMES:
            return self.send_error(421)
        key = unquote(urlsplit(self.path).path).removeprefix("/")
        try:
            if key == "":
                return self._answer(nights_page(self.store), "text/html")
            if not key.startswith(SHOWN):
                return self.send_error(404)
            return self._answer(self.store.get(key), guess_type(key)[0] or "application/octet-stream")
        except (StorageMissing, InputRefused):
            return self.send_error(404)
        except ProductshotError:
            return self.send_error(503)

    do_HEAD = do_GET

    def _answer(self, data: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Content-Security-Policy", POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a request is no news."""


def nights_page(store: Store) -> bytes:
    """Links to the reports, newest night first."""
    nights = sorted(store.list_prefixes("nights/"), reverse=True)[:NIGHTS_LISTED]
    items = "".join(f'<li><a href="/{quote(key)}report.html">{escape(key)}</a></li>' for key in nights)
    return f"<!doctype html><meta charset=utf-8><title>productshot</title><h1>Nights</h1><ul>{items}</ul>".encode()
