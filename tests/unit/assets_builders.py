"""Slots and cutouts drawn in code for the tests of the assets room."""

from __future__ import annotations

from typing import Any

import numpy as np

from catalog_schemas import Channel, Slot
from productshot.pixels import Pixels


def a_slot(**fields: Any) -> Slot:
    """A white main slot of 200 px, changed by the given fields."""
    white = {
        "name": "main",
        "role": "main",
        "lanes": ("packshot",),
        "background": "white",
        "fill": 0.87,
        "min_fill": 0.85,
    }
    return Slot(**{**white, "preferred_width": 200, "min_width": 100, "max_bytes": 1_000_000, **fields})


def a_scene_slot(**fields: Any) -> Slot:
    """An additional slot of 320 px for keep and draw."""
    scene = {"name": "more", "role": "additional", "lanes": ("keep", "draw"), "background": "any"}
    return a_slot(**{**scene, "fill": None, "min_fill": None, "preferred_width": 320, **fields})


def a_channel(*slots: Slot, generated: bool = True) -> Channel:
    return Channel(name="shop", title="Shop", generated=generated, slots=slots or (a_slot(),))


def a_block(width: int, height: int, colour: tuple[int, int, int] = (200, 30, 30)) -> Pixels:
    """A fully opaque rectangle as RGBA."""
    return np.full((height, width, 4), (*colour, 255), np.uint8)


def a_disc(diameter: int, colour: tuple[int, int, int] = (200, 30, 30)) -> Pixels:
    """An antialiased disc as RGBA that touches all four sides."""
    middle = (diameter - 1) / 2
    y, x = np.mgrid[:diameter, :diameter]
    alpha = np.clip(diameter / 2 - np.hypot(x - middle, y - middle) + 0.5, 0, 1)
    out = a_block(diameter, diameter, colour)
    out[..., 3] = np.rint(255 * alpha)
    return out
