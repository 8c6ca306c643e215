"""Pydantic models of everything people write; imports nothing else of productshot."""

from catalog_schemas.base import Name, Written
from catalog_schemas.catalog import Catalog, PhotoRule, ReviewPolicy, Sku
from catalog_schemas.channel import Channel, Label, Limit, Rule, Slot
from catalog_schemas.library import channel_names, load_channel, load_scene, scene_names
from catalog_schemas.night import NightSettings, Signing
from catalog_schemas.recipes import (
    AdapterRecipe,
    AssetRecipe,
    CutoutRecipe,
    GateRecipe,
    PhotoRecipe,
    Recipes,
    RenderRecipe,
)
from catalog_schemas.review import ReviewDecision
from catalog_schemas.scene import Placement, Scene, Shadow

__all__ = [
    "AdapterRecipe",
    "AssetRecipe",
    "Catalog",
    "Channel",
    "CutoutRecipe",
    "GateRecipe",
    "Label",
    "Limit",
    "Name",
    "NightSettings",
    "PhotoRecipe",
    "PhotoRule",
    "Placement",
    "Recipes",
    "RenderRecipe",
    "ReviewDecision",
    "ReviewPolicy",
    "Rule",
    "Scene",
    "Shadow",
    "Signing",
    "Sku",
    "Slot",
    "Written",
    "channel_names",
    "load_channel",
    "load_scene",
    "scene_names",
]
