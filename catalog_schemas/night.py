"""Settings of a night."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from catalog_schemas.base import Written


class Signing(Written):
    """Signs every asset's C2PA manifest. Paths on the machine that runs the night; neither file enters the store."""

    certificate: str = Field(description="PEM chain, the signing certificate first")
    key: str = Field(description="PEM of its private key, not encrypted")
    algorithm: Literal["es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519"] = "es256"
    timestamp_url: str | None = Field(
        None, pattern=r"^https?://", description="RFC 3161 server; null: signed without a trusted time"
    )


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
    signing: Signing | None = Field(None, description="C2PA manifests; null: none")
    decode_seconds: float = Field(5.0, gt=0, le=60, description="a photo that decodes longer is refused")
    decode_memory_mb: int = Field(2_048, ge=256, description="memory cap of the decoding child process")
    chunk_size: int = Field(
        200, ge=1, le=1_000, description="SKUs that one worker run takes; Prefect nights only"
    )
    deadline_hours: float = Field(
        10.0,
        gt=0,
        le=72,
        description="then the report is written, and what is not done waits for the next night",
    )
    attempts: int = Field(
        3, ge=1, le=10, description="how often a worker run may begin before its chunk is given up"
    )
    max_refused: float = Field(
        0.5,
        ge=0,
        le=1,
        description="share of a chunk's SKUs that a stage may refuse altogether; with more the chunk stops, as "
        "a model or the store may be at fault",
    )
    gpu_turn: int = Field(
        16,
        ge=1,
        le=1_000,
        description="SKUs that are trained or painted before the GPU is free for a neighbour",
    )
    max_gpu_seconds: float | None = Field(
        None,
        gt=0,
        description="what a night's training and painting may take; SKUs beyond it wait for the next",
    )
    max_gpu_seconds_per_sku: float | None = Field(
        None, gt=0, description="a SKU whose training and painting would take longer is left out"
    )
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
