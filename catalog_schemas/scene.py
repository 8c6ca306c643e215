"""A scene: what the picture shows and how the product stands in it."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from catalog_schemas.base import Name, Written

PROMPT_SLOTS = ("noun", "token")
SCRIBBLE_KEY = re.compile(r"scribbles(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
Lane = Literal["packshot", "keep", "draw"]
Control = Literal["none", "silhouette", "edges", "scribble", "depth"]
Camera = Literal["eye", "high", "top"]


class Placement(Written):
    """Where the product stands: shares of the canvas, 0..1 from the top left; and from where it is seen."""

    camera: Camera | None = Field(
        None,
        description="eye, level or a little down; high, down at a slant; top, straight down. Photos whose view says "
        "another height are not used for the scene; null: every view fits",
    )
    centre_x: float = Field(0.5, ge=0, le=1)
    ground_y: float = Field(0.84, gt=0, le=1, description="the line the product stands on")
    max_width: float = Field(0.66, gt=0, le=1)
    max_height: float = Field(0.62, gt=0, le=1)


class Shadow(Written):
    """The shadow under the product."""

    kind: Literal["contact", "none"] = "contact"
    strength: float = Field(0.55, ge=0, le=1)


class Scene(Written):
    """One scene of the library or of a catalog."""

    name: Name
    lane: Lane = "keep"
    prompt: str = Field(
        "", max_length=300, description="what the model paints; slots {noun} and {token} in draw only"
    )
    scene_prompt: str = Field(
        "", max_length=300, description="the same place without a product; keep paints this"
    )
    negative_prompt: str = Field("", max_length=300)
    placement: Placement = Placement()
    shadow: Shadow = Shadow()
    control: Control = Field(
        "silhouette",
        description="what the ControlNet is told of the product, each in the form that it reads (recipes.renders): "
        "silhouette, where it stands (draw tells all that the ControlNet reads); edges, its lines too; scribble, the "
        "same lines drawn thick; depth, how near it is; none, nothing",
    )
    scribble: str | None = Field(
        None,
        max_length=300,
        description="key in the store, as scribbles/table.png, of a hand-drawn picture of the scene around the "
        "product; needs control: scribble. Ink is the rarer of dark and light; the whole sheet, at most 4:1, is fitted "
        "into the middle of the square canvas; what the product hides is left out, its own lines are added",
    )
    ground: Literal["white", "scene"] = "scene"
    relight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="keep: how far the product's light follows the scene's; 1: by a CIEDE2000 of 2 at most",
    )
    variants: int = Field(1, ge=1, le=16)

    @field_validator("scribble")
    @classmethod
    def _key_of_the_store(cls, key: str | None) -> str | None:
        """A scene is painted on any machine, so its scribble lies where all find it."""
        if key is not None and not SCRIBBLE_KEY.fullmatch(key):
            raise ValueError(
                f"scribble {key!r} is no key below scribbles/; copy the file into the store and write its key there, "
                "as scribbles/table.png"
            )
        return key

    @model_validator(mode="after")
    def _scribble_steers(self) -> Scene:
        if self.scribble is not None and (self.lane == "packshot" or self.control != "scribble"):
            told = "lane: packshot" if self.lane == "packshot" else f"control: {self.control}"
            raise ValueError(
                f"scribble is given with {told}; only control: scribble of a painted scene uses it"
            )
        return self

    @model_validator(mode="after")
    def _camera_sees_a_painting(self) -> Scene:
        if self.placement.camera is not None and self.lane == "packshot":
            raise ValueError(
                f"placement.camera: {self.placement.camera} is given with lane: packshot, whose slots choose the view; "
                "leave it out"
            )
        return self

    @field_validator("prompt", "scene_prompt", "negative_prompt")
    @classmethod
    def _plain_prompt(cls, text: str) -> str:
        """Catalog text is data: no weighting syntax, no adapter tags, only the allow-listed slots."""
        for slot in re.findall(r"\{([^}]*)\}", text):
            if slot not in PROMPT_SLOTS:
                raise ValueError(f"prompt slot {{{slot}}} is not known; valid: {', '.join(PROMPT_SLOTS)}")
        rest = re.sub(r"\{[a-z]+\}", "", text)
        bad = sorted(set(re.findall(r"[<>()\[\]{}|\\:^]", rest)))
        if bad:
            raise ValueError(
                f"prompt has {' '.join(bad)}, which some models read as commands; use plain words"
            )
        return text
