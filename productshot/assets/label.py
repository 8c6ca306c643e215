"""Assets, the visible label: a channel's words in a corner of every picture that AI made or had a part in."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from catalog_schemas import Label, Slot
from productshot.assets.compose import Composed
from productshot.errors import GateRefused
from productshot.geometry import Box, Size
from productshot.pixels import size_of

INK, PLATE = (255, 255, 255), (0, 0, 0, 150)
"""White letters on a dark plate that lets the picture through: they can be read on any ground."""


def labelled(picture: Composed, label: Label, slot: Slot, item: str, place: str = "") -> Composed:
    """The picture with the label in its corner; the same label, the same pixels.

    GateRefused: the slot asks for pure white, or the words do not fit.
    """
    where, size = f"slot {place or slot.name}", size_of(picture.rgb)
    if slot.background == "white":
        told, limit = f"is to be labelled {label.text!r}", f"{where} asks for pure white"
        raise GateRefused(item, told, limit, "use a photographed packshot, or leave the label out")
    box = label_box(label, size)
    if min(box.left, box.top) < 0 or box.right > size.width or box.bottom > size.height:
        told, limit = f"is to be labelled {label.text!r}", f"{where} is {size.width}x{size.height} px"
        raise GateRefused(item, told, limit, "shorten the label, or raise the slot's min_width")
    plate = Image.new("RGBA", box.size, PLATE)
    middle, font = (box.size.width / 2, box.size.height / 2), _font(_letters_px(label, size))
    ImageDraw.Draw(plate).text(middle, label.text, font=font, fill=INK, anchor="mm")
    image = Image.fromarray(picture.rgb).convert("RGBA")
    image.alpha_composite(plate, (box.left, box.top))
    return replace(picture, rgb=np.array(image.convert("RGB")))


def label_box(label: Label, size: Size) -> Box:
    """Where the label stands in a picture of that size; words that are too long are set smaller until they fit."""
    letters = _letters_px(label, size)
    width, height = _width_px(label.text, letters) + letters, round(1.6 * letters)
    aside = letters // 2
    left = aside if "left" in label.corner else size.width - aside - width
    top = aside if "top" in label.corner else size.height - aside - height
    return Box(left, top, left + width, top + height)


def _letters_px(label: Label, size: Size) -> int:
    """Height of the letters' line in px: what the label asks for, or what lets the words fit in the width."""
    asked = max(6, round(label.height * size.height))
    return next(
        (px for px in range(asked, 5, -1) if _width_px(label.text, px) + 2 * px <= size.width),
        5,
    )


@cache
def _width_px(text: str, letters_px: int) -> int:
    return round(_font(letters_px).getlength(text))


@cache
def _font(letters_px: int) -> ImageFont.FreeTypeFont:
    """The font that ships inside Pillow: the same on every machine."""
    font = ImageFont.load_default(letters_px)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
