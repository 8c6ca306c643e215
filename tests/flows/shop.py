"""A small shop for the flow tests: drawn photos with masks beside them, so that a night needs no model at all."""

from __future__ import annotations

import io
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from prefect.client.orchestration import get_client

from productshot.store import Store

CATALOG = """
catalog: tiny
scenes: [white-packshot]
channels: [google]
night: {{chunk_size: 1}}
recipes: {{cutouts: {{model: {model}}}}}
skus: [{{sku: mug-1, noun: mug}}, {{sku: mug-2, noun: mug}}, {{sku: broken, noun: mug}}]
"""
COLOURS = {"mug-1": (180, 40, 50), "mug-2": (40, 90, 170)}


def ask(path: str, body: dict[str, Any] | None = None, method: str = "") -> Any:
    """What the Prefect API answers; its Python client sends nulls that this server refuses."""
    with get_client(sync_client=True) as client:
        method = method or ("GET" if body is None else "POST")
        answer = client.request(method, path, json=body)  # type: ignore[arg-type]
        return answer.json() if answer.content else None


@dataclass(frozen=True)
class Shop:
    """A catalog file and the store its photos are in."""

    catalog: str
    store: str


def a_shop(folder: Path, store: Store) -> Shop:
    """Two mugs that can be photographed and one SKU whose only photo is no picture."""
    for sku, colour in COLOURS.items():
        photo, mask = Image.new("RGB", (640, 640), (238, 236, 232)), Image.new("L", (640, 640), 0)
        box = (70, 90, 570, 560)
        ImageDraw.Draw(photo).rounded_rectangle(box, 40, fill=colour)
        ImageDraw.Draw(mask).rounded_rectangle(box, 40, fill=255)
        for name, picture in (("front.png", photo), ("front.mask.png", mask)):
            buffer = io.BytesIO()
            picture.save(buffer, "PNG")
            store.put(f"photos/{sku}/{name}", buffer.getvalue(), "image/png")
    store.put("photos/broken/front.jpg", b"no picture", "image/jpeg")
    model = folder / "never-opened.onnx"  # its digest is in the keys; with masks nobody opens it
    model.write_bytes(b"")
    catalog = folder / "catalog.yaml"
    catalog.write_text(CATALOG.format(model=model), "utf-8")
    return Shop(str(catalog), store.location)


class Outage:
    """A TCP proxy in front of a server that drops its first `drops` connections, as a server that starts does."""

    def __init__(self, port: int, drops: int) -> None:
        self._behind, self._left = ("127.0.0.1", port), drops
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def address(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def over(self) -> bool:
        """Whether every connection that was to be dropped has come."""
        return self._left == 0

    def end(self) -> None:
        """Take no more connections; a bare close would leave the thread waiting for one more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._left:
                self._left -= 1
                client.close()
                continue
            try:
                server = socket.create_connection(self._behind)
            except ConnectionRefusedError:  # what clients of a server that has ended are told
                client.close()
                continue
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Pass bytes on until one side ends, then end the other."""
    with source:
        try:
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            target.close()
