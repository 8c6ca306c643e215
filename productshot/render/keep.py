"""The render room's keep lane: the photographed product stays, the model paints only what is around it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from catalog_schemas.recipes import RenderRecipe
from catalog_schemas.scene import Scene
from productshot.errors import ConfigInvalid
from productshot.geometry import Box, Size
from productshot.pixels import Pixels
from productshot.render.base import Base
from productshot.render.control import control_map, place
from productshot.render.fill import extend
from productshot.render.fleet import Painting
from productshot.render.outpaint import Brief, conditions_of, kept_cells, outpaint
from productshot.render.plate import Plate, plate_size, repainted
from productshot.render.sample import Known, Request, decode_pixels, encode_pixels, steps_of
from productshot.render.upscale import upscale

SOLID = 250
"""Alpha from which a pixel is nothing but product."""
FAINT = 26
"""Alpha of a tenth: a pixel with less of the product shows none of its colour."""
HALO_PX_PER_128 = 2
"""How far the VAE smears product colours past the product's edge."""


def paint_around(
    base: Base,
    scene: Scene,
    cutout: Pixels,
    ratios: Sequence[tuple[int, int]],
    seed: int,
    recipe: RenderRecipe,
    drawn: Pixels | None = None,
) -> Painting:
    """The scene painted for this product, without it: its place holds a continuation of the surroundings.

    cutout: (h, w, 4) uint8 RGBA. ratios: the shapes (width, height) that will be cropped from the plate. drawn:
    (size_px, size_px) uint8, a hand-drawn scribble of the surroundings. The photographed pixels belong into
    plate.product. A scene with control none is painted as the empty place that it is; the others are painted knowing
    the product. Where the recipe says so, the finished plate is painted once more at a larger size. ConfigInvalid: the
    scene has no scene_prompt.
    """
    if not scene.scene_prompt:
        remedy = "write what the place looks like without a product"
        raise ConfigInvalid(f"scene {scene.name}", "has no scene_prompt", "the keep lane paints it", remedy)
    canvas = Size(recipe.size_px, recipe.size_px)
    placed, box = place(cutout, scene.placement, canvas)
    near = base.depth.near if base.depth else None
    control = control_map(placed, scene.control, recipe.reads, drawn, near)
    brief = Brief(scene.scene_prompt, scene.negative_prompt, seed, recipe)
    steering = conditions_of(base, brief, control)
    known = None if control is None else known_product(base, placed)
    latents = yield Request(steering, canvas, steps_of(recipe), seed, known)
    master = Plate(decode_pixels(base, latents), Box(0, 0, canvas.width, canvas.height), box)
    plate = yield from outpaint(
        base, master, plate_size(recipe.size_px, ratios, base.step_px), brief, control
    )
    if control is not None:
        plate = without_product(plate, placed[..., 3])
    return (yield from upscale(base, plate, brief, recipe.upscale))


def known_product(base: Base, placed: Pixels) -> Known:
    """The latents of a placed RGBA, kept one cell inside its edge; its colours run on beyond it."""
    solid = placed[..., 3] >= SOLID
    latents = encode_pixels(base, extend(placed[..., :3], solid))
    return Known(latents, kept_cells(base, solid, shrink=1))


def without_product(plate: Plate, alpha: Pixels) -> Plate:
    """The plate with the product and its halo replaced by a continuation of what surrounds it.

    alpha: (h, w) uint8 of the product on the master. The half-transparent edge of the photographed product
    then mixes with colours of the scene, never with a blurred copy of itself.
    """
    from scipy.ndimage import binary_dilation

    reach = max(1, round(HALO_PX_PER_128 * plate.master.size.width / 128))
    product = np.zeros(plate.rgb.shape[:2], bool)
    product[plate.master.top : plate.master.bottom, plate.master.left : plate.master.right] = alpha >= FAINT
    halo = binary_dilation(product, structure=np.ones((3, 3)), iterations=reach)
    return repainted(plate, extend(plate.rgb, ~halo))
