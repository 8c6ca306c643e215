"""The models of one run: opened on first use, once per process, and closed over by nobody else.

Digests are computed without loading anything heavy, because keys need them on every night.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

from catalog_schemas import AdapterRecipe, Recipes, RenderRecipe
from productshot.errors import InputRefused
from productshot.pixels import Pixels

if TYPE_CHECKING:
    from productshot.adapters import TrainingBase
    from productshot.render.base import Base, Kind
    from productshot.render.eyes import Eyes, Words


class Models:
    """Handles by role; each attribute costs its loading time once."""

    def __init__(self, recipes: Recipes) -> None:
        self._recipes = recipes

    @cached_property
    def cutout_digest(self) -> str:
        """Identifies the cutout model: the digest of its file, or its name where rembg keeps the file."""
        from productshot.cutout import model_digest

        return model_digest(self._recipes.cutouts.model)

    @cached_property
    def cutout_session(self) -> Any:
        """The open rembg session."""
        from productshot.cutout import open_session

        return open_session(self._recipes.cutouts.model)

    @cached_property
    def eyes_digest(self) -> str:
        """SHA-256 of the image model that tells how like two cutouts are."""
        return _digest(self._recipes.eyes, "eyes")

    @cached_property
    def base_digest(self) -> str:
        """SHA-256 of the base model that renders."""
        return _digest(self._recipes.renders.base, "base")

    @cached_property
    def controlnet_digest(self) -> str:
        """SHA-256 of the ControlNet."""
        return _digest(self._recipes.renders.controlnet, "controlnet")

    @cached_property
    def depth_digest(self) -> str:
        """SHA-256 of the depth model, which the recipe names."""
        return _digest(self._recipes.renders.depth or "", "depth")

    @cached_property
    def training_digest(self) -> str:
        """SHA-256 of the base model that adapters are trained for."""
        return _digest(self._recipes.adapters.base, "base")

    @cached_property
    def base(self) -> Base:
        """The base model with its ControlNet, ready to render."""
        from productshot.render.base import open_base

        recipe: RenderRecipe = self._recipes.renders
        return open_base(recipe)

    @cached_property
    def eyes(self) -> Eyes:
        """The image model that tells how like two cutouts are."""
        from productshot.render.eyes import open_eyes

        return open_eyes(self._recipes.eyes)

    def prompt_match(self, picture: Pixels, prompt: str) -> float:
        """Cosine, -1..1, of a picture (h, w, 3) uint8 and words, by the towers that ship.

        InputRefused: the towers say nothing of this picture, because other models painted or look at it, or of
        these words.
        """
        base, eyes = self._recipes.renders.base, self._recipes.eyes
        if base != "pocket" or eyes != "pocket":
            told = f"is of a picture that base {base} painted and eyes {eyes} see"
            raise InputRefused("the prompt", told, "the word tower that ships knows pocket's pictures only")
        return float(self.words.match(picture, prompt))

    @cached_property
    def words(self) -> Words:
        """The word tower that ships."""
        from productshot.render.eyes import open_words

        return open_words()

    @cached_property
    def training_base(self) -> TrainingBase:
        """The frozen base model that adapters are trained on."""
        from productshot.adapters import open_training_base

        recipe: AdapterRecipe = self._recipes.adapters
        return open_training_base(recipe)


def _digest(name: str, kind: Kind) -> str:
    from productshot.render.base import model_digest, resolve_model

    return model_digest(resolve_model(name, kind))
