"""Inspection: a shop's picture file as `check` and `fix` need it: decoded in the child process, with its matte.

The matte is exact where a person gave one: with --matte, in <name>.mask.png beside the file, or as the file's own
transparency. Else, for a picture that does not stand on white already, our own cutout stands in where it is sure of
itself, and its outline counts as a little off. On white no cutout is made: one that misses a white part of the product
would refuse a good picture, so a person looks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from catalog_schemas import CutoutRecipe, PhotoRecipe, Rule, Slot
from catalog_schemas.channel import BY_MATTE
from catalog_schemas.scene import Lane
from productshot.assets import Seen
from productshot.assets.white import border_is_white
from productshot.cutout import CutoutPixels, Session, bring_own, cut_out
from productshot.errors import ConfigInvalid, InputRefused
from productshot.geometry import Box
from productshot.keys import digest_bytes
from productshot.photos import Decoder
from productshot.pixels import Pixels, paste, size_of
from productshot.records import Asset

SLACK_SHARE = 0.015
"""By how much of the longer side the outline of our own cutout may be off: its boundary F at 3 px is below 0.7."""

ANY_SIZE = PhotoRecipe(min_side_px=16)
"""A channel's own rules say what is too small; here only what cannot be decoded is refused."""


class Picture(NamedTuple):
    """One file of a shop, decoded."""

    data: bytes
    seen: Seen
    cut: Pixels | None  # (h, w, 4): the product with clean edge colours; None: not known
    matte_from: str  # where the cutout comes from, or why there is none

    @property
    def matte(self) -> Pixels | None:
        """The product's alpha, (h, w) uint8."""
        return None if self.cut is None else self.cut[..., 3]


def needs_matte(slot: Slot) -> bool:
    """Whether some rule of the slot is judged by the product's outline."""
    return slot.background == "white" or any(_by_matte(rule) for rule in slot.rules)


def _by_matte(rule: Rule) -> bool:
    return rule.limit is not None and (rule.limit.subject in BY_MATTE or rule.limit.subject == "border")


def inspect(
    file: Path,
    data: bytes,
    decoder: Decoder,
    matte_file: Path | None = None,
    open_cutter: Callable[[], Session] | None = None,
) -> Picture:
    """The decoded file with its product. `open_cutter` opens the model of our own cutout; None: none is made.

    InputRefused: the file cannot be decoded, or the matte given does not fit it. ConfigInvalid: no such matte.
    """
    decoded = decoder.pixels(data, str(file), ANY_SIZE)
    seen = Seen(
        on_white(decoded.rgb, decoded.alpha),
        decoded.alpha,
        decoded.mode,
        decoded.profile,
        decoded.ai_source,
        file.name,
    )
    beside = file.with_name(f"{file.stem}.mask.png")
    given = matte_file or (beside if beside.is_file() else None)
    if given is not None:
        alpha = _matte_in(given, decoder)
        return Picture(
            data, seen, bring_own(seen.rgb, alpha, item=f"matte {given}").rgba, f"matte {given.name}"
        )
    if decoded.alpha is not None:
        cut = np.dstack([decoded.rgb, decoded.alpha])
        return Picture(data, seen, cut, "the file's own transparency")
    if open_cutter is None:
        return Picture(data, seen, None, "none: no rule of the slot needs it")
    if border_is_white(seen.rgb):
        return Picture(data, seen, None, "none: the ground is white already; give --matte to have it judged")
    return _with_own_cutout(Picture(data, seen, None, ""), open_cutter(), str(file))


def on_white(rgb: Pixels, alpha: Pixels | None) -> Pixels:
    """The picture as a shop page shows it: transparent parts on white."""
    if alpha is None:
        return rgb
    size = size_of(rgb)
    return paste(np.dstack([rgb, alpha]), np.full_like(rgb, 255), Box(0, 0, size.width, size.height))


def _matte_in(path: Path, decoder: Decoder) -> Pixels:
    """The matte in a file: its transparency, or else its brightness (white is product)."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigInvalid(
            f"matte {path}", f"cannot be read: {error.strerror}", "", "check the path"
        ) from error
    decoded = decoder.pixels(data, f"matte {path}", ANY_SIZE)
    return decoded.alpha if decoded.alpha is not None else decoded.rgb[..., 1]


def _with_own_cutout(picture: Picture, session: Session, item: str) -> Picture:
    """The picture with our own cutout, where that is sure enough; else with the reason why there is none."""
    recipe = CutoutRecipe()
    try:
        found: CutoutPixels = cut_out(picture.seen.rgb, session, recipe, item=item)
    except InputRefused as error:
        return picture._replace(matte_from=f"none: {error.value}")
    sure = f"our own cutout, confidence {found.confidence:.2f}"
    if found.confidence < recipe.min_confidence:
        return picture._replace(matte_from=f"none: {sure}, is below {recipe.min_confidence:g}; give --matte")
    slack = round(SLACK_SHARE * max(size_of(picture.seen.rgb)))
    return picture._replace(cut=found.rgba, matte_from=sure, seen=picture.seen._replace(slack_px=slack))


class Origin(NamedTuple):
    """How one of our own files was made, as its manifest says."""

    lane: Lane
    source_type: str | None  # the marking that it must carry


def own_origin(file: Path, data: bytes) -> Origin | None:
    """What the manifest beside one of our own assets says of it; None where there is none, or another program's JSON.

    InputRefused: there is a manifest, but of other bytes.
    """
    beside = file.with_name(f"{file.name}.json")
    if not beside.is_file():
        return None
    try:
        asset = Asset.model_validate(json.loads(beside.read_bytes())["asset"])
    except (ValueError, KeyError, TypeError):
        return None
    if asset.digest != digest_bytes(data):
        told, limit = f"has digest {digest_bytes(data)[:12]}", f"its manifest is of {asset.digest[:12]}"
        raise InputRefused(str(file), told, limit, "it was changed since; let the night publish it again")
    lane = next((one for one in get_args(Lane) if one == asset.lane), None)
    return None if lane is None else Origin(lane, asset.source_type)
