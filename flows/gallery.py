"""The gallery: shows the store's reports and published pictures to browsers on this machine, read-only.

The Prefect UI can only show pictures that have an http address; a folder has none and presigned addresses expire.
"""

from __future__ import annotations

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from urllib.parse import unquote, urlsplit

from productshot.errors import InputRefused, ProductshotError, StorageMissing
from productshot.store import Store

SHOWN = ("nights/", "catalog/")
"""Key prefixes that the gallery serves; photos, work and state stay private."""
POLICY = "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; sandbox"


def open_gallery(store: Store, port: int = 0) -> ThreadingHTTPServer:
    """A server on the loopback address; the caller runs `serve_forever` in a thread and shuts it down."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            key = unquote(urlsplit(self.path).path).lstrip("/")
            try:
                if not key.startswith(SHOWN):
                    raise StorageMissing(key, "is not shown here")
                data = store.get(key)
            except (StorageMissing, InputRefused):
                self.send_error(404)
            except ProductshotError:
                self.send_error(503)
            else:
                self._answer(data, guess_type(key)[0] or "application/octet-stream")

        def _answer(self, data: bytes, kind: str) -> None:
            self.send_response(200)
            self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
            self.send_header("Content-Length", str(len(data)))
            self.send_header("Content-Security-Policy", POLICY)
            self.send_header("X-Content-Type-Options", "nosniff")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: reports are no news."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
