"""Assets, the stored pictures that are in use: each decoded once for all its sizes, the last few kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from productshot.assets.levels import Levels
from productshot.assets.relight import in_scene
from productshot.errors import InputRefused, StorageMissing
from productshot.ledger import Ledger
from productshot.pixels import Pixels, from_png
from productshot.records import Photo, Render

KEPT = 4
"""Pictures kept open: the slots of a SKU take turns between the cutouts of its views and the plates of its scenes."""


class Opened:
    """Pixels of a ledger's cutouts and plates. Safe to share between threads: the second waits for the first."""

    def __init__(self, ledger: Ledger, linear_light: bool) -> None:
        self._ledger, self._linear_light = ledger, linear_light
        self._lock = threading.Lock()
        self._kept: dict[str, _Once] = {}  # least recently used first

    def cutout(self, sku: str, digest: str) -> Levels:
        """The cutout with that digest; InputRefused when its bytes are not what was written."""
        levels: Levels = self._open(
            f"{sku}/{digest}",
            lambda: Levels(self._cutout(sku, digest), self._linear_light),
        )
        return levels

    def _cutout(self, sku: str, digest: str) -> Pixels:
        return from_png(self._ledger.data(sku, "cutouts", digest, "png"))

    def relit(self, render: Render, amount: float) -> tuple[Levels, float]:
        """The cutout of a keep render in its scene's light, and the largest CIEDE2000 that this made in it."""
        key = f"{render.sku}/{render.cutout.digest}/{render.digest}/{render.product}/{amount}"
        relit: tuple[Levels, float] = self._open(key, partial(self._relit, render, amount))
        return relit

    def _relit(self, render: Render, amount: float) -> tuple[Levels, float]:
        assert render.product is not None
        plate = self.plate(render.sku, render.digest)
        made = in_scene(self._cutout(render.sku, render.cutout.digest), plate, render.product, amount)
        return Levels(made.rgba, self._linear_light), made.delta_e

    def plate(self, sku: str, digest: str) -> Pixels:
        """The painted plate with that digest, (h, w, 3); refused like a cutout."""
        plate: Pixels = self._open(
            f"{sku}/{digest}", lambda: from_png(self._ledger.data(sku, "renders", digest, "png"))
        )
        return plate

    def photo(self, photo: Photo) -> bytes:
        """The bytes of a photo as the shop took it; InputRefused when it is gone or changed."""
        data: bytes = self._open(f"{photo.sku}/{photo.digest}", lambda: self._photo(photo))
        return data

    def _photo(self, photo: Photo) -> bytes:
        try:
            return self._ledger.verified(photo.key, photo.digest)
        except StorageMissing as error:
            told, remedy = "is gone, and the C2PA manifest names it", "put it back, or run the night again"
            raise InputRefused(f"photo {photo.key}", told, "", remedy) from error

    def _open(self, key: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            once = self._kept.pop(key, None) or _Once(make)
            self._kept[key] = once
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return once.value()


class _Once:
    """A value that is made when it is first asked for; a failure is told to everybody who asks."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make, self._lock = make, threading.Lock()
        self._done: tuple[Any] | None = None

    def value(self) -> Any:
        with self._lock:
            if self._done is None:
                self._done = (self._make(),)
            return self._done[0]
