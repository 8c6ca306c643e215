"""A decision of a person about one render."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from catalog_schemas.base import Written


class ReviewDecision(Written):
    """Append-only; the last one of a render wins. It holds for exactly these bytes."""

    sku: str
    render: str = Field(pattern=r"^[0-9a-f]{64}$", description="key of the render's marker")
    decision: Literal["approve", "reject"]
    reviewer: str = Field(min_length=1, max_length=100)
    reason: str = Field("", max_length=500)
