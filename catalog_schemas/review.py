"""A decision of a person about one render."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from catalog_schemas.base import Written


class ReviewDecision(Written):
    """Append-only; it holds for exactly these bytes. Of approve, reject and redo the last one of a render wins.

    redo: reject it and paint it again with another seed. vary: paint more like it, beside it.
    """

    sku: str
    render: str = Field(pattern=r"^[0-9a-f]{64}$", description="key of the render's marker")
    decision: Literal["approve", "reject", "redo", "vary"]
    count: int = Field(4, ge=1, le=8, description="how many more pictures vary asks for")
    reviewer: str = Field(min_length=1, max_length=100)
    reason: str = Field("", max_length=500)
