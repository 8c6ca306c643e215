"""A sales channel and its slots; every rule is dated data with its authority.

A slot's own fields say what productshot makes for it. Its rules say what the channel wrote, each with the limit that a
file is measured against and the days on which it holds: a floor that rises is two rules with one name and two dates.
"""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from catalog_schemas.base import Name, Written
from catalog_schemas.scene import Lane

Format = Literal["jpeg", "png", "webp", "gif", "tiff", "bmp", "avif", "heic", "psd", "svg"]
AssetFormat = Literal["jpeg", "png", "webp", "avif"]
"""Formats that productshot writes."""
Role = Literal["main", "additional", "lifestyle", "swatch", "advert"]
Ratio = tuple[int, int]

SUBJECTS: dict[str, tuple[str, ...]] = {
    "format": ("formats",),
    "colour": ("colours", "srgb"),
    "size": (
        "min_width",
        "min_height",
        "min_side",
        "max_width",
        "max_height",
        "max_side",
        "max_pixels",
    ),
    "ratio": ("ratio",),
    "bytes": ("min_bytes", "max_bytes"),
    "white": ("white",),
    "fill": ("min_fill", "max_fill"),
    "product": ("min_product_side",),
    "centring": ("max_off_centre",),
    "border": ("border",),
    "marking": ("ai",),
}
"""What a limit speaks of, and the fields that say it."""

BY_MATTE = ("white", "fill", "product", "centring")
"""Subjects that only the product's matte can tell for sure."""


class Limit(Written):
    """What a file is measured against; one limit speaks of one subject. Lengths in px of the file."""

    formats: tuple[Format, ...] = Field((), description="file formats taken, by content")
    colours: tuple[Literal["rgb", "cmyk", "grey"], ...] = ()
    srgb: bool = Field(False, description="true: no colour profile but sRGB")
    min_width: int | None = Field(None, ge=1)
    min_height: int | None = Field(None, ge=1)
    min_side: int | None = Field(None, ge=1, description="of the longer side")
    max_width: int | None = Field(None, ge=1)
    max_height: int | None = Field(None, ge=1)
    max_side: int | None = Field(None, ge=1, description="of the longer side")
    max_pixels: int | None = Field(None, ge=1, description="width x height")
    ratio: Ratio | None = Field(None, description="width : height, to a pixel")
    ratio_tolerance: float = Field(0, ge=0, lt=0.5, description="share of the height that it may differ")
    min_bytes: int | None = Field(None, ge=1)
    max_bytes: int | None = Field(None, ge=1)
    white: bool = Field(False, description="true: 255, 255, 255 outside the product")
    min_fill: float | None = Field(None, gt=0, le=1, description="product's longer relative side")
    max_fill: float | None = Field(None, gt=0, le=1)
    min_product_side: int | None = Field(
        None, ge=1, description="longer side of the product without its ground"
    )
    max_off_centre: float | None = Field(
        None, ge=0, le=0.5, description="share of the frame, either direction"
    )
    border: Literal["none"] | None = Field(None, description="none: no frame drawn around the picture")
    ai: Literal["marked", "none"] | None = Field(
        None, description="marked: says so in DigitalSourceType; none: no picture that AI made"
    )

    @property
    def subject(self) -> str:
        """The key of SUBJECTS that this limit speaks of."""
        return next(name for name, fields in SUBJECTS.items() if self._set(fields))

    def _set(self, fields: tuple[str, ...]) -> bool:
        return any(getattr(self, field) for field in fields)

    @model_validator(mode="after")
    def _one_subject(self) -> Limit:
        spoken = [name for name, fields in SUBJECTS.items() if self._set(fields)]
        if len(spoken) != 1:
            raise ValueError(f"a limit speaks of one subject, this one of {', '.join(spoken) or 'none'}")
        for low, high in (
            ("min_width", "max_width"),
            ("min_height", "max_height"),
            ("min_side", "max_side"),
            ("min_bytes", "max_bytes"),
            ("min_fill", "max_fill"),
        ):
            least, most = getattr(self, low), getattr(self, high)
            if least is not None and most is not None and least > most:
                raise ValueError(f"{low} {least} is above {high} {most}")
        return self


class Rule(Written):
    """One rule of a channel as it was read."""

    id: Name
    text: str = Field(max_length=400)
    status: Literal["required", "advised", "allowed"]
    checked: Literal["file", "matte", "person"]
    limit: Limit | None = Field(
        None,
        description="what a file is measured against; none: the slot's own field of that name, or a person",
    )
    authority: str
    address: str
    read: date
    effective_from: date | None = None
    effective_until: date | None = Field(None, description="the last day on which it holds")

    @model_validator(mode="after")
    def _can_be_checked(self) -> Rule:
        if self.limit is not None and self.checked != ("matte" if self.limit.subject in BY_MATTE else "file"):
            raise ValueError(
                f"rule {self.id} limits {self.limit.subject}; that is not checked by {self.checked}"
            )
        if self.limit is None and self.checked != "person" and self.id not in OWN_RULES:
            raise ValueError(
                f"rule {self.id} has no limit; give one, or checked: person (without a limit: {', '.join(OWN_RULES)})"
            )
        if self.effective_from and self.effective_until and self.effective_until < self.effective_from:
            raise ValueError(f"rule {self.id} ends on {self.effective_until}, before it begins")
        return self


MAX_SIDE_PX = 10_000
"""Longest side that productshot makes: the most that any channel read so far takes (Amazon)."""

MAX_PIXELS = 64_000_000
"""Most pixels that productshot makes: the most that any channel read so far takes (Google)."""

MAX_OFF_CENTRE = 0.05
"""Share of the frame by which a product on white may stand beside the middle; ours, no channel gives a number."""

OWN_RULES = (
    "format", "colour", "min-size", "max-size", "ratio", "max-bytes", "min-bytes", "white", "fill", "centring",
)  # fmt: skip
"""Names of the rules that a slot's own fields make: see Slot.own_limits."""


class Slot(Written):
    """One picture place in a channel; the fields are what productshot makes for it."""

    name: Name
    role: Role
    lanes: tuple[Lane, ...] = Field(description="lanes whose pictures may stand here; none: only checked")
    view: str | None = Field(
        None, description="the photo's view; without one the largest sharp product photo serves"
    )
    ratio: Ratio = Field((1, 1), description="width : height of the file")
    preferred_width: int = Field(ge=16, le=10_000)
    min_width: int = Field(ge=16, le=10_000)
    count: int = Field(1, ge=1, le=20, description="pictures at most")
    background: Literal["white", "any"] = "any"
    fill: float | None = Field(
        None,
        gt=0,
        le=1,
        description="product's longer relative side, share of the frame; scenes close in on it, packshots keep it",
    )
    min_fill: float | None = Field(None, gt=0, le=1, description="refused below it")
    format: AssetFormat = "jpeg"
    max_bytes: int = Field(ge=1_000)
    min_bytes: int = Field(0, ge=0, description="a smaller file is encoded better, or refused")
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _sizes_agree(self) -> Slot:
        if self.min_width > self.preferred_width:
            raise ValueError(f"min_width {self.min_width} is above preferred_width {self.preferred_width}")
        if self.min_bytes > self.max_bytes:
            raise ValueError(f"min_bytes {self.min_bytes} is above max_bytes {self.max_bytes}")
        if self.background == "white" and set(self.lanes) - {"packshot"}:
            raise ValueError("a slot with background white takes lanes [packshot] only")
        if self.min_fill and (self.fill or 0) < self.min_fill:
            raise ValueError(f"fill {self.fill} is below min_fill {self.min_fill}")
        return self

    @model_validator(mode="after")
    def _rules_have_limits(self) -> Slot:
        own = self.own_limits()
        for rule in self.rules:
            if rule.checked != "person" and rule.limit is None and rule.id not in own:
                raise ValueError(
                    f"rule {rule.id} has no limit, and slot {self.name} sets none; give the rule one"
                )
        if not self.takes(self.format):
            raise ValueError(f"format {self.format} of slot {self.name} is none that its own rules take")
        return self

    def takes(self, kind: str) -> bool:
        """Whether the slot's rules take files of a format; without such a rule only its own is known to be taken."""
        taken = [
            rule.limit.formats
            for rule in self.rules
            if rule.limit and rule.limit.formats and rule.status == "required" and not rule.effective_until
        ]
        return all(kind in formats for formats in taken) if taken else kind == self.format

    def height(self, width: int) -> int:
        """The file's height in px at a width: the ratio rounded to whole pixels."""
        return round(width * self.ratio[1] / self.ratio[0])

    def own_limits(self) -> dict[str, Limit]:
        """The slot's fields as limits, by the name of the rule that each makes (OWN_RULES)."""
        limits = {
            "format": Limit(formats=(self.format,)),
            "max-bytes": Limit(max_bytes=self.max_bytes),
            "ratio": Limit(ratio=self.ratio),
            "min-size": Limit(min_width=self.min_width, min_height=self.height(self.min_width)),
            "max-size": Limit(max_side=MAX_SIDE_PX, max_pixels=MAX_PIXELS),
            "colour": Limit(colours=("rgb",), srgb=True),
        }
        if self.min_bytes:
            limits["min-bytes"] = Limit(min_bytes=self.min_bytes)
        if self.background == "white":
            limits["white"] = Limit(white=True)
            limits["centring"] = Limit(max_off_centre=MAX_OFF_CENTRE)
            if self.min_fill:
                limits["fill"] = Limit(min_fill=self.min_fill)
        return limits


class Label(Written):
    """Words in a corner of every picture that AI made or had a part in, for shoppers to read."""

    text: str = Field(
        min_length=1, max_length=60, pattern=r"^[ -~\u00a0-\u00ff]+$", description="in Latin letters"
    )
    height: float = Field(
        0.03, ge=0.015, le=0.1, description="of the letters' line, share of the picture's height"
    )
    corner: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-left"


class Channel(Written):
    """A sales channel: its slots and whether it takes generated pictures at all."""

    name: Name
    title: str
    label: Label | None = Field(None, description="visible label of pictures that AI made; none: no label")
    generated: bool = Field(True, description="false: this channel bans generated pictures; packshots only")
    slots: tuple[Slot, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _slots_are_sound(self) -> Channel:
        names = [slot.name for slot in self.slots]
        if len(set(names)) != len(names):
            raise ValueError(f"two slots share a name: {', '.join(names)}")
        if not self.generated and any(set(slot.lanes) - {"packshot"} for slot in self.slots):
            raise ValueError(
                f"channel {self.name} bans generated pictures; its slots take lanes [packshot] only"
            )
        return self
