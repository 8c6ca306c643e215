"""Records: what travels between stages, tasks and machines. Small, frozen, JSON-able; never pixels."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from productshot.errors import ProductshotError
from productshot.geometry import Box, Size


class Record(BaseModel):
    """Base of all records; an unknown field in a stored record is refused, not dropped."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Photo(Record):
    """A picture the shop took, as the photos stage measured it."""

    sku: str
    key: str  # in the bucket, as photos/<sku>/a.jpg
    digest: str  # of the file's bytes
    size: Size  # after EXIF orientation
    role: str
    view: str | None = None
    sharpness: float  # variance of the Laplacian of the 0..255 luma at 512 px
    exposure: float  # mean luma, 0..1
    has_alpha: bool = False
    ai_source: str | None = None  # DigitalSourceType URI when the photo says that AI made it
    mask_key: str | None = None  # <name>.mask.png beside it
    mask_digest: str | None = None
    clutter_key: str | None = None  # <name>.clutter.png beside it
    clutter_digest: str | None = None


class Cutout(Record):
    """The product of one photo, RGBA PNG cropped to its box."""

    sku: str
    key: str  # of the stage's marker
    digest: str  # of the PNG
    size: Size  # of the PNG = of the box
    box: Box  # in the photo
    confidence: float
    photo: Photo
    hidden: float = 0.0  # share of the product's outline beside marked clutter, 0..1


class Adapter(Record):
    """Trained weights of one SKU for one base model."""

    sku: str
    key: str
    digest: str
    base: str  # digest of the base model
    method: str
    token: str
    noun: str
    steps: int  # those behind the kept weights
    losses: tuple[float, ...]  # mean of each tenth of the training
    looks: tuple[tuple[int, float], ...]  # step and subject fidelity of each look; the best was kept
    compared_with: Literal["held-out photo", "training photos"]  # what the fidelity was measured against


class Twins(Record):
    """How the cutouts of a SKU resemble each other."""

    sku: str
    unlike: dict[
        str, float
    ]  # cutout's digest -> cosine to its nearest, less than that of the most alike pair by


class Render(Record):
    """A candidate picture at the model's resolution.

    keep: `digest` names the painted plate without the product; the photographed product stands in it at
    `product`. draw: the whole picture, product None. packshot: no plate (digest empty), the cutout alone.
    """

    sku: str
    key: str
    digest: str
    size: Size
    scene: str
    lane: Literal["packshot", "keep", "draw"]
    variant: int
    seed: int
    product: Box | None  # in plate px
    sketch: Box | None = None  # draw: where the control sketch stood, in plate px
    cutout: Cutout
    adapter: str | None  # digest
    master: Box | None = None  # the square first painting inside an outpainted plate; None in a packshot


class Measures(Record):
    """What the gates measured of one render; judged later against limits."""

    render: str  # key of the render
    numbers: dict[str, float]
    not_valid: dict[str, str]  # measure -> why it says nothing here


class Verdict(Record):
    """What a gate or rule says of an item."""

    status: Literal["accepted", "refused", "person"]
    gate: str = ""
    value: str = ""
    limit: str = ""
    remedy: str = ""


class Asset(Record):
    """An accepted file in a channel's slot."""

    sku: str
    key: str  # in the bucket, catalog/...
    digest: str
    size: Size
    channel: str
    slot: str
    index: int
    scene: str
    lane: str
    bytes: int
    upscale: float  # of the product's photographed pixels; below 1 it was shrunk
    source_type: str | None  # DigitalSourceType URI


class Refusal(Record):
    """Why one item ended without an output."""

    sku: str
    stage: str
    item: str
    value: str
    limit: str = ""
    remedy: str = ""

    @classmethod
    def of(cls, sku: str, stage: str, error: ProductshotError) -> Refusal:
        """The refusal that says what the error says."""
        return cls(
            sku=sku, stage=stage, item=error.item, value=error.value, limit=error.limit, remedy=error.remedy
        )

    def __str__(self) -> str:
        return str(ProductshotError(self.item, self.value, self.limit, self.remedy))


def as_json(record: Record) -> dict[str, Any]:
    """The record as JSON-able values, for a marker."""
    return record.model_dump(mode="json")
