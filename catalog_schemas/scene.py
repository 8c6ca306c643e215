"""A scene: what the picture shows and how the product stands in it."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from catalog_schemas.base import Name, Written

PROMPT_SLOTS = ("noun", "token")
Lane = Literal["packshot", "keep", "draw"]


class Placement(Written):
    """Where the product stands: shares of the canvas, 0..1 from the top left."""

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
    control: Literal["silhouette", "edges", "none"] = "silhouette"
    ground: Literal["white", "scene"] = "scene"
    relight: float = Field(
        0.0,
        ge=0,
        le=1,
        description="keep: how far the product's light follows the scene's; 1: by a CIEDE2000 of 2 at most",
    )
    variants: int = Field(1, ge=1, le=16)

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
