"""The catalog: SKUs, scenes, channels, recipes. One YAML file, or a CSV of SKUs with all defaults."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from catalog_schemas.base import Name, Written
from catalog_schemas.channel import Channel, Label
from catalog_schemas.night import NightSettings
from catalog_schemas.recipes import Recipes
from catalog_schemas.scene import Scene

PhotoRole = Literal["product", "detail", "worn", "packaging", "chart", "ignore"]
DEFAULT_SCENES: tuple[str | Scene, ...] = ("white-packshot", "wooden-table", "sandy-beach")
DEFAULT_CHANNELS: tuple[str, ...] = ("amazon", "google", "zalando")


class PhotoRule(Written):
    """Role and view of photos whose file name matches a pattern; the first rule that matches wins."""

    pattern: str = Field(min_length=1, description="shell pattern on the file name, as *_detail*")
    role: PhotoRole = "product"
    view: str | None = Field(
        None,
        max_length=40,
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 -]*$",
        description="as back or three-quarter; adapters learn such a photo as '..., back view'. Words as top, high, "
        "front or sole also say from what height it was shot, for the cameras of scenes",
    )


class Sku(Written):
    """One product. A bad name or a missing noun refuses this SKU and leaves the others alone."""

    sku: str = Field(min_length=1, max_length=200)
    noun: str | None = Field(None, max_length=40, description="class noun, as sneaker; never guessed")
    group: str | None = Field(None, description="ties colourways together")
    variant: str | None = None
    flip: bool = Field(False, description="true where a mirrored product is still the product (no text)")
    photo_rules: tuple[PhotoRule, ...] = ()
    scenes: tuple[Name, ...] | None = Field(None, description="a subset of the catalog's scenes")


class ReviewPolicy(Written):
    """auto publishes what passes all gates; person waits for an approval."""

    policy: Literal["auto", "person"] = "auto"
    draw: Literal["auto", "person"] = "person"


class Catalog(Written):
    """Everything a night needs to know."""

    catalog: Name = "catalog"
    photos: str = Field(
        "photos/", pattern=r"^([A-Za-z0-9._-]+/)+$", description="prefix of the photos in the store"
    )
    skus: tuple[Sku, ...] = Field(min_length=1)
    photo_rules: tuple[PhotoRule, ...] = ()
    scenes: tuple[str | Scene, ...] = Field(
        DEFAULT_SCENES, description="names of the library, or scenes of one's own"
    )
    channels: tuple[Name | Channel, ...] = Field(
        DEFAULT_CHANNELS, description="names of channels that ship, or channels of one's own"
    )
    labels: dict[Name, Label] = Field(
        {}, description="channel -> visible label of the pictures that AI made or had a part in"
    )
    recipes: Recipes = Recipes()
    review: ReviewPolicy = ReviewPolicy()
    night: NightSettings = NightSettings()

    @model_validator(mode="after")
    def _names_agree(self) -> Catalog:
        skus = [sku.sku for sku in self.skus]
        double = sorted({sku for sku in skus if skus.count(sku) > 1}) if len(set(skus)) < len(skus) else []
        if double:
            raise ValueError(f"SKU {double[0]!r} is listed {skus.count(double[0])} times; list each SKU once")
        known = {scene if isinstance(scene, str) else scene.name for scene in self.scenes}
        for sku in self.skus:
            missing = set(sku.scenes or ()) - known
            if missing:
                raise ValueError(
                    f"SKU {sku.sku!r} asks for scene {sorted(missing)[0]!r}; valid: {', '.join(sorted(known))}"
                )
        return self
