"""Stage renders, what it is steered by beside the cutout: the scenes' hand-drawn scribbles, read from the store."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from catalog_schemas import NightSettings, PhotoRecipe, Scene
from productshot.errors import ConfigInvalid, InputRefused
from productshot.geometry import Size
from productshot.keys import digest_bytes
from productshot.photos import Decoder
from productshot.pixels import Pixels
from productshot.store import Store

DRAWING = PhotoRecipe(min_side_px=16, max_pixels=50_000_000, max_bytes=20_000_000)
"""What a drawing may be: it is decoded as a shop's photo is, in the capped child process."""


@dataclass(frozen=True, eq=False)
class Scribble:
    """The hand-drawn lines of a scene, (h, w) uint8 of its canvas, and the digest of the file that they are from."""

    digest: str
    lines: Pixels


def read_scribbles(
    scenes: Iterable[Scene], canvas: Size, store: Store, settings: NightSettings
) -> dict[str, Scribble]:
    """The scribble of each scene that has one, by the scene's name; nothing is opened when none has.

    ConfigInvalid: one is not in the store, cannot be decoded or shows no line. It is the scene's, so it stops a night.
    """
    asked = [scene for scene in scenes if scene.scribble is not None]
    if not asked:
        return {}
    with Decoder(settings.decode_seconds, settings.decode_memory_mb) as decoder:
        return {scene.name: _read(scene, canvas, store, decoder) for scene in asked}


def _read(scene: Scene, canvas: Size, store: Store, decoder: Decoder) -> Scribble:
    from productshot.render.scribbles import scribbled

    key, item = str(scene.scribble), f"scribble {scene.scribble} of scene {scene.name}"
    listed = store.head(key)
    if listed is None:
        raise ConfigInvalid(item, "is not in the store", store.location, "copy it there, or mend the key")
    try:
        if listed.size > DRAWING.max_bytes:
            limit = f"at most {DRAWING.max_bytes:,} bytes are read"
            raise InputRefused(item, f"has {listed.size:,} bytes", limit, "save it smaller")
        data = store.get(key)
        drawing = decoder.pixels(data, item, DRAWING)
        return Scribble(digest_bytes(data), scribbled(drawing.rgb, drawing.alpha, canvas, item))
    except InputRefused as error:
        raise ConfigInvalid(error.item, error.value, error.limit, error.remedy) from error
