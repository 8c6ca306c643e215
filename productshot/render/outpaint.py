"""The render room's growth of a square painting: one wide or tall plate that every slot crops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from catalog_schemas.recipes import RenderRecipe
from productshot.errors import ConfigInvalid
from productshot.geometry import Box, Size, centred
from productshot.keys import seed_of
from productshot.pixels import Pixels, smooth_step
from productshot.render.base import Base
from productshot.render.fill import extend
from productshot.render.fleet import Painting
from productshot.render.plate import Plate, moved, shifted
from productshot.render.sample import (
    Conditions,
    Known,
    Request,
    as_control,
    decode_pixels,
    encode_pixels,
    encode_text,
    steps_of,
)

SEAM_CELLS = 2
"""Latent cells along the old border that are painted anew, because the VAE saw the filler beside them."""
STRENGTH = 0.6
"""How far the continued borders are given up to noise: lower is smoother, 1 forgets their colours (a seam shows)."""


@dataclass(frozen=True)
class Brief:
    """What one picture is painted from, whatever its size."""

    prompt: str
    negative_prompt: str
    seed: int
    recipe: RenderRecipe


def conditions_of(base: Base, brief: Brief, control: Pixels | None) -> Conditions:
    """The brief as tensors; control is an (h, w, 3) control map or None."""
    return Conditions(
        text=encode_text(base, brief.prompt, brief.negative_prompt),
        control=as_control(base, control),
        control_scale=brief.recipe.control_scale,
        guidance_scale=brief.recipe.guidance_scale,
    )


def outpaint(base: Base, plate: Plate, target: Size, brief: Brief, control: Pixels | None = None) -> Painting:
    """The plate in the middle of a larger one that the model continued; as it is when nothing is missing.

    The old pixels stay but for a soft seam along the sides that grew. `control` is the plate's control map.
    ConfigInvalid: a side of the target is smaller than the plate's or no multiple of base.step_px.
    """
    _refuse_target(base, plate, target)
    if target == plate.size:
        return plate
    at = _on_cells(centred(plate.size, target), base.cell_px)
    canvas, old = _lay(plate.rgb, target, at), _inside(target, at)
    known = Known(encode_pixels(base, extend(canvas, old)), kept_cells(base, old, SEAM_CELLS))
    steering = conditions_of(base, brief, _grown_control(control, target, at, brief))
    seed = seed_of(brief.seed, "outpaint", target.width, target.height)
    latents = yield Request(steering, target, steps_of(brief.recipe), seed, known, STRENGTH)
    painted = decode_pixels(base, latents)
    share = _ramp(old, 2 * SEAM_CELLS * base.cell_px)[..., None]
    rgb = np.rint(canvas * share + painted * (1 - share)).astype(np.uint8)
    product, sketch = (moved(box, at.left, at.top) for box in (plate.product, plate.sketch))
    return Plate(rgb, shifted(plate.master, at.left, at.top), product, sketch)


def kept_cells(base: Base, known: np.ndarray, shrink: int) -> Tensor:
    """(1, 1, h/cell, w/cell): 1 where a latent cell and `shrink` neighbours all round lie in `known` (h, w).

    The border of the picture is no neighbour: what reaches it is kept up to it.
    """
    unknown = torch.from_numpy(~known)[None, None].float().to(base.device)
    cells = torch.nn.functional.max_pool2d(unknown, base.cell_px)
    if shrink:
        cells = torch.nn.functional.max_pool2d(cells, 2 * shrink + 1, stride=1, padding=shrink)
    return 1 - cells


def _refuse_target(base: Base, plate: Plate, target: Size) -> None:
    """Raise ConfigInvalid for a size that the model cannot paint around this plate."""
    told = f"is {target.width}x{target.height} px"
    if target.width < plate.size.width or target.height < plate.size.height:
        limit = f"at least {plate.size.width}x{plate.size.height} px, the size of the plate, are needed"
        raise ConfigInvalid("the outpainting target", told, limit, "ask for a larger one")
    if target.width % base.step_px or target.height % base.step_px:
        limit = f"both sides must be multiples of {base.step_px}"
        raise ConfigInvalid("the outpainting target", told, limit, "round it up")


def _on_cells(box: Box, cell_px: int) -> Box:
    """The box moved left and up so that it starts on a latent cell."""
    return shifted(box, -(box.left % cell_px), -(box.top % cell_px))


def _lay(pixels: Pixels, canvas: Size, at: Box) -> Pixels:
    """The pixels on a black canvas at the box."""
    out = np.zeros((canvas.height, canvas.width, *pixels.shape[2:]), np.uint8)
    out[at.top : at.bottom, at.left : at.right] = pixels
    return out


def _grown_control(control: Pixels | None, canvas: Size, at: Box, brief: Brief) -> Pixels | None:
    """The control map on a larger canvas: beyond it nothing is told; depth, which cannot say nothing, goes on."""
    if control is None or brief.recipe.reads != "depth":
        return None if control is None else _lay(control, canvas, at)
    beyond = ((at.top, canvas.height - at.bottom), (at.left, canvas.width - at.right), (0, 0))
    return np.pad(control, beyond, mode="edge")


def _inside(canvas: Size, box: Box) -> np.ndarray:
    """(h, w) bool, True in the box."""
    out = np.zeros((canvas.height, canvas.width), bool)
    out[box.top : box.bottom, box.left : box.right] = True
    return out


def _ramp(old: np.ndarray, width_px: int) -> np.ndarray:
    """(h, w) float32: 0 outside `old`, rising smoothly to 1 at width_px inside it; the rim is no border."""
    from scipy.ndimage import distance_transform_edt

    depth = (distance_transform_edt(old) - 0.5) / width_px
    return smooth_step(depth.astype(np.float32))
