"""Extend: a picture grown to a larger or wider one: every pixel of it stays, the model paints what is beyond them.

The model continues the picture at its own resolution, as renders are continued to the slots' shapes
(render/outpaint.py). The file has the picture's own pixels, to the bit, and around them that painting, enlarged. The
seam lies outside: beside the border the painting takes on the picture's colours, and the picture's outermost pixels go
on for a little while and fade.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from productshot.errors import ConfigInvalid, InputRefused
from productshot.geometry import Box, Size, centred
from productshot.pixels import Pixels, resize, size_of, smooth_step

if TYPE_CHECKING:
    from productshot.render.base import Base
    from productshot.render.fleet import Painting
    from productshot.render.outpaint import Brief
    from productshot.render.plate import Plate

MAX_RATIO = 4
"""The longer side of what is painted over its shorter one: so many squares that the model knows, side by side."""
MAX_GROWTH = 3
"""A side of what is painted over that of the picture: with less of it in sight the model makes up the scene."""
MAX_PIXELS = 64_000_000
"""The painting is enlarged in float32: 18 million pixels take 0.8 GB in all."""
SEAM_SHARE = 0.02
"""How far the picture's outermost pixels go on, share of its shorter side."""
MATCH_SHARE = 0.3
"""How far the painting takes on the picture's colours, share of the shorter side of what is painted."""


class Layout(NamedTuple):
    """Where a picture lies in the file, and its size and the canvas at the model's resolution."""

    at: Box
    small: Size
    canvas: Size


def parse_size(text: str) -> Size:
    """The size in "1920x1080"; ConfigInvalid: none, or one that is not painted."""
    size = Size(*_two_numbers("--to", text, "x", "1920x1080"))
    if size.width * size.height > MAX_PIXELS:
        limit = f"at most {MAX_PIXELS:,} pixels are painted"
        raise ConfigInvalid(f"--to {text}", "is too large", limit, "ask for less")
    return size


def parse_ratio(text: str) -> tuple[int, int]:
    """Width and height in "16:9"; ConfigInvalid: none, or too long a one."""
    return _two_numbers("--ratio", text, ":", "16:9")


def _two_numbers(option: str, text: str, between: str, example: str) -> tuple[int, int]:
    """The two numbers of an option; ConfigInvalid: they are none, zero, or one is more than MAX_RATIO the other."""
    found = re.fullmatch(rf"(\d{{1,6}}){between}(\d{{1,6}})", text.strip())
    width, height = (int(found[1]), int(found[2])) if found else (0, 0)
    if min(width, height) < 1:
        raise ConfigInvalid(f"{option} {text!r}", "cannot be read", "", f"write it as {example}")
    if max(width, height) > MAX_RATIO * min(width, height):
        limit = f"the longer side may be {MAX_RATIO} times the shorter one"
        raise ConfigInvalid(f"{option} {text}", "is too long a shape", limit, "ask for a squarer one")
    return width, height


def target_of(picture: Size, wanted: Size | tuple[int, int], item: str) -> Size:
    """The size of the file: the one wanted (Size), or the smallest of a ratio (width, height) that holds the picture.

    InputRefused: there is nothing to paint, or too much, or the picture does not fit; `item` names it.
    """
    target = wanted if isinstance(wanted, Size) else _smallest(picture, *wanted)
    told, asked = (
        f"is {picture.width}x{picture.height} px",
        f"{target.width}x{target.height} px are asked for",
    )
    if target == picture:
        raise InputRefused(item, told, asked, "there is nothing to extend")
    if target.width < picture.width or target.height < picture.height:
        limit = f"{asked}, and a picture is neither cut nor shrunk"
        raise InputRefused(item, told, limit, "ask for more, or shrink it first")
    if target.width > MAX_GROWTH * picture.width or target.height > MAX_GROWTH * picture.height:
        limit = f"{asked}; a side grows to at most {MAX_GROWTH} times its length"
        raise InputRefused(item, told, limit, "ask for less, or give a larger picture")
    if target.width * target.height > MAX_PIXELS:
        raise InputRefused(
            item, told, f"{asked}; at most {MAX_PIXELS:,} pixels are painted", "shrink it first"
        )
    return target


def _smallest(picture: Size, width: int, height: int) -> Size:
    """The smallest size of the ratio that holds the picture; one side is the picture's own."""
    return Size(
        max(picture.width, -(-picture.height * width // height)),
        max(picture.height, -(-picture.width * height // width)),
    )


def lay_out(picture: Size, target: Size, side: int, cell_px: int, step_px: int) -> Layout:
    """The picture in the middle of the target; the target's shorter side is `side` px for the model.

    The canvas, in multiples of step_px, reaches at least a latent cell beyond the target wherever the picture grows.
    """
    at = centred(picture, target)
    scale = side / min(target)
    small = Size(max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))

    def length(small_px: int, beyond_px: int) -> int:
        margin = math.ceil(beyond_px * scale) + 1 + cell_px if beyond_px else 0
        return -(-(small_px + 2 * margin) // step_px) * step_px

    canvas = Size(
        length(small.width, target.width - at.right), length(small.height, target.height - at.bottom)
    )
    return Layout(at, small, canvas)


def extended(base: Base, picture: Pixels, target: Size, brief: Brief) -> Painting:
    """The picture (h, w, 3) in the middle of a plate of the target's size, the rest painted; plate.master is where.

    InputRefused: the prompt is longer than the model reads.
    """
    from productshot.render.outpaint import outpaint
    from productshot.render.plate import Plate

    layout = lay_out(size_of(picture), target, brief.recipe.size_px, base.cell_px, base.step_px)
    whole = Box(0, 0, layout.small.width, layout.small.height)
    small = resize(picture, layout.small)
    grown = yield from outpaint(base, Plate(small, whole, None), layout.canvas, brief)
    return Plate(framed(picture, matched(small, grown), layout.at, target), layout.at, None)


def matched(small: Pixels, grown: Plate) -> Plate:
    """The painting with the picture (h, w, 3) in its place, beside it in the picture's colours, less and less beyond.

    What the painting differs by along the border is continued outwards and fades: a membrane, as gradient-domain
    cloning makes it (Perez et al. 2003, "Poisson image editing", equation 4, with our push-pull for a solver).
    """
    from scipy.ndimage import binary_dilation, distance_transform_edt

    from productshot.render.fill import continued
    from productshot.render.plate import repainted

    at, painted = grown.master, grown.rgb.astype(np.float32)
    outside = np.ones(painted.shape[:2], bool)
    outside[at.top : at.bottom, at.left : at.right] = False
    border = binary_dilation(outside) & ~outside
    placed = painted.copy()
    placed[at.top : at.bottom, at.left : at.right] = small
    away = distance_transform_edt(outside) / (MATCH_SHARE * min(outside.shape))
    share = np.asarray(smooth_step(1 - away)[..., None], np.float32)
    toned = painted + share * continued(placed - painted, border)
    rgb = np.where(outside[..., None], toned, placed)
    return repainted(grown, np.rint(rgb).clip(0, 255).astype(np.uint8))


def framed(picture: Pixels, grown: Plate, at: Box, target: Size) -> Pixels:
    """The picture at the box, around it the painting (grown.master is the picture there) enlarged to the target."""
    from productshot.assets.ground import add_grain, enlarge

    across = grown.master.size.width / at.size.width
    down = grown.master.size.height / at.size.height
    left, top = grown.master.left - at.left * across, grown.master.top - at.top * down
    window = (left, top, left + target.width * across, top + target.height * down)
    out = add_grain(enlarge(grown.rgb, window, target), grown.rgb)
    _fade_out(picture, out, at)
    out[at.top : at.bottom, at.left : at.right] = picture
    return out


def _fade_out(picture: Pixels, out: Pixels, at: Box) -> None:
    """Let the picture's outermost pixels go on around its box on `out`, less and less up to the seam's width."""
    reach = max(1, round(SEAM_SHARE * min(at.size)))
    top, bottom = max(at.top - reach, 0), min(at.bottom + reach, len(out))
    left, right = max(at.left - reach, 0), min(at.right + reach, out.shape[1])
    for rows, columns in (
        ((top, at.top), (left, right)),
        ((at.bottom, bottom), (left, right)),
        ((at.top, at.bottom), (left, at.left)),
        ((at.top, at.bottom), (at.right, right)),
    ):
        from_row, down = _nearest(at.top, at.bottom, *rows)
        from_column, across = _nearest(at.left, at.right, *columns)
        share = smooth_step(1 - np.hypot(down[:, None], across[None]) / reach)[..., None]
        strip = out[slice(*rows), slice(*columns)]
        strip[:] = np.rint(picture[from_row[:, None], from_column] * share + strip * (1 - share)).astype(
            np.uint8
        )


def _nearest(start: int, stop: int, first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Of each place first..last of an axis: the nearest of the picture, at start..stop, and how far that is."""
    at = np.arange(first, last) - start
    nearest = np.clip(at, 0, stop - start - 1)
    return nearest, np.abs(at - nearest).astype(np.float32)


def extension_file(rgb: Pixels, photo_ai_source: str | None, description: str) -> bytes:
    """An extended picture as PNG, so that its own pixels stay; marked as partly painted by AI, with an sRGB profile."""
    from productshot.assets import source_type, xmp_packet
    from productshot.assets.encode import ENCODERS, LOSSLESS

    return ENCODERS["png"](rgb, xmp_packet(source_type("keep", photo_ai_source), description), LOSSLESS)


def check_prompt(base: Base, prompt: str, negative_prompt: str) -> None:
    """ConfigInvalid: no prompt, or not plain words, or more than the base model reads."""
    from pydantic import ValidationError

    from catalog_schemas import Scene
    from productshot.catalog import told
    from productshot.render.sample import encode_text

    if not prompt.strip():
        raise ConfigInvalid("--prompt", "is empty", "", "say what the picture shows, without its product")
    try:
        Scene(name="extend", scene_prompt=prompt, negative_prompt=negative_prompt)
        encode_text(base, prompt, negative_prompt)
    except ValidationError as error:
        raise ConfigInvalid("--prompt", told(error), "", "use plain words") from error
    except InputRefused as error:
        raise ConfigInvalid(error.item, error.value, error.limit, error.remedy) from error
