"""A sales channel and its slots; every rule is dated data with its authority."""

from __future__ import annotations

from datetime import date
from typing import Literal

from pydantic import Field, model_validator

from catalog_schemas.base import Name, Written
from catalog_schemas.scene import Lane


class Rule(Written):
    """One rule of a channel as it was read."""

    id: Name
    text: str = Field(max_length=400)
    status: Literal["required", "advised", "allowed"]
    checked: Literal["file", "matte", "person"]
    authority: str
    address: str
    read: date
    effective_from: date | None = None
    effective_until: date | None = None


class Slot(Written):
    """One picture place in a channel; the fields are what the checks compute with."""

    name: Name
    role: Literal["main", "additional"]
    lanes: tuple[Lane, ...] = Field(description="lanes whose pictures may stand here")
    view: str | None = Field(
        None, description="the photo's view; without one the largest sharp product photo serves"
    )
    ratio: tuple[int, int] = Field((1, 1), description="width : height of the file")
    preferred_width: int = Field(ge=16, le=10_000)
    min_width: int = Field(ge=16, le=10_000)
    count: int = Field(1, ge=1, le=20, description="pictures at most")
    background: Literal["white", "any"] = "any"
    fill: float | None = Field(
        None, gt=0, le=1, description="product's longer relative side, share of the frame"
    )
    min_fill: float | None = Field(None, gt=0, le=1, description="refused below it")
    format: Literal["jpeg"] = "jpeg"
    max_bytes: int = Field(ge=1_000)
    rules: tuple[Rule, ...] = ()

    @model_validator(mode="after")
    def _sizes_agree(self) -> Slot:
        if self.min_width > self.preferred_width:
            raise ValueError(f"min_width {self.min_width} is above preferred_width {self.preferred_width}")
        if self.background == "white" and self.lanes != ("packshot",):
            raise ValueError("a slot with background white takes lanes [packshot] only")
        if self.min_fill and (self.fill or 0) < self.min_fill:
            raise ValueError(f"fill {self.fill} is below min_fill {self.min_fill}")
        return self

    def height(self, width: int) -> int:
        """The file's height in px at a width: the ratio rounded to whole pixels."""
        return round(width * self.ratio[1] / self.ratio[0])


class Channel(Written):
    """A sales channel: its slots and whether it takes generated pictures at all."""

    name: Name
    title: str
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
