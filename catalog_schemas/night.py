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
    decode_seconds: float = Field(5.0, gt=0, le=60, description="a photo that decodes longer is refused")
    decode_memory_mb: int = Field(2_048, ge=256, description="memory cap of the decoding child process")
    keep_nights: int = Field(
        7,
        ge=1,
        description="whole nights whose pictures and assets gc keeps, with all that they were made from",
    )
    keep_hours: float = Field(
        24.0,
        ge=0,
        description="gc deletes nothing that was written so lately; longer than any night takes, "
        "0 only where none can be running",
    )
    settle_seconds: float = Field(
        20.0, ge=0, le=3_600, description="listen starts a SKU when its photos were quiet for so long"
    )
