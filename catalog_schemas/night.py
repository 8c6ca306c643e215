"""Settings of a night."""

from __future__ import annotations

from pydantic import Field

from catalog_schemas.base import Written


class NightSettings(Written):
    """How much one night may do."""

    max_invalidated: float = Field(
        0.05, ge=0, le=1, description="share of finished SKUs that may be redone unasked"
    )
    max_unpublished: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of what is published that may go because it left the catalog; more stops the night",
    )
    slots: int | None = Field(
        None,
        ge=1,
        le=16,
        description="products whose adapters train in one batch; null: what memory holds; "
        "1: bytes that no neighbour can change, on any machine",
    )
    checkpoint_every_s: float = Field(
        300.0, gt=0, description="a training of adapters that is killed loses at most so many seconds"
    )
    decode_seconds: float = Field(5.0, gt=0, le=60, description="a photo that decodes longer is refused")
    decode_memory_mb: int = Field(2_048, ge=256, description="memory cap of the decoding child process")
