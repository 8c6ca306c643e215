"""The render room's second resolution: a plate at twice its size, repainted faintly so that it has detail again."""

from __future__ import annotations

from dataclasses import replace

import torch

from catalog_schemas.recipes import Scheduler
from productshot.geometry import Size
from productshot.keys import seed_of
from productshot.pixels import resize
from productshot.render.base import Base
from productshot.render.fleet import Painting
from productshot.render.outpaint import Brief, conditions_of
from productshot.render.plate import Plate, scaled
from productshot.render.sample import Known, Request, decode_pixels, encode_pixels, steps_of

STRENGTH = 0.1
"""How far an enlarged picture is given up to noise: above it bricks and boards are painted anew."""
STEPS: dict[Scheduler, int] = {"ddim": 4, "dpm-solver++": 2}
"""Steps from there to a clean picture, whatever the recipe's: they are short ones."""


def upscale(base: Base, plate: Plate, brief: Brief, factor: int, strength: float = STRENGTH) -> Painting:
    """The plate at `factor` times its size (a power of 2): each doubling is Lanczos, then img2img.

    All of the plate is repainted, so no product may be in it. Its boxes grow with it.
    """
    while factor > 1:
        plate = yield from _doubled(base, plate, brief, strength)
        factor //= 2
    return plate


def _doubled(base: Base, plate: Plate, brief: Brief, strength: float) -> Painting:
    """The plate at twice its size: SDEdit (Meng et al. 2022) of its Lanczos enlargement, in overlapping windows.

    A window shows twice the master's side: at the first doubling it holds the whole scene, and later memory does
    not grow with the picture.
    """
    size = Size(2 * plate.size.width, 2 * plate.size.height)
    large = encode_pixels(base, resize(plate.rgb, size))
    known = Known(large, torch.zeros_like(large[:, :1]))
    seed = seed_of(brief.seed, "upscale", size.width, size.height)
    side, steps = 2 * brief.recipe.size_px, steps_of(brief.recipe)
    latents = yield Request(
        conditions_of(base, brief, None),
        size,
        replace(steps, count=round(STEPS[steps.scheduler] / strength)),
        seed,
        known,
        strength,
        window=Size(side, side),
    )
    return replace(scaled(plate, 2), rgb=decode_pixels(base, latents))
