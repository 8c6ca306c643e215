"""The render room's eyes: how like two cutouts are, by the image tower that ships or by an image model that is given.

The cosine is high for two views of one product. What a tower can tell apart is its own matter: pocket's
MODEL_CARD.md says it for the one that ships; the DreamBooth paper (Ruiz et al. 2023, section 4) measures with DINO
and CLIP.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor
from torch.nn.functional import normalize

from productshot.errors import ConfigInvalid, InputRefused, ModelDamaged
from productshot.pixels import Pixels
from productshot.pocket.clip import SIDE, ImageTower, load_tower, on_grey, see_pictures, see_products
from productshot.pocket.instances import square_cutout
from productshot.render.base import quiet, resolve_model

KINDS = {
    "clip": ("CLIPVisionModelWithProjection", "image_embeds"),
    "clip_vision_model": ("CLIPVisionModelWithProjection", "image_embeds"),
    "dinov2": ("Dinov2Model", "pooler_output"),
    "vit": ("ViTModel", "last_hidden_state"),  # DINO's first version
}
"""Model types that can see: transformers' class and which of its outputs is the picture, (n, d) or (n, tokens, d)."""
AT_ONCE = 32


@dataclass(frozen=True)
class Eyes:
    """An open image tower: `features` of square cutouts (n, side, side, 4) uint8 are (n, d) unit vectors."""

    features: Callable[[Pixels], Tensor]
    side: int

    def fidelity(self, seen: Pixels, true: Pixels) -> float:
        """Cosine, -1..1, of two cutouts (h, w, 4) uint8, each with a product of alpha 128 somewhere."""
        return float(self.likeness([seen], [true])[0, 0])

    def likeness(self, seen: Sequence[Pixels], true: Sequence[Pixels]) -> NDArray[np.float32]:
        """(len(seen), len(true)) cosines of cutouts (h, w, 4), each with a product of alpha 128 somewhere."""
        known = self.features(np.stack([square_cutout(each, self.side) for each in (*seen, *true)]))
        return np.asarray((known[: len(seen)] @ known[len(seen) :].T).cpu().numpy(), np.float32)


def open_eyes(name: str = "pocket") -> Eyes:
    """The tower that ships, or a CLIP, DINO or DINOv2 directory in transformers' layout; safetensors only.

    ModelMissing, ModelDamaged: it is not there or cannot be read. ConfigInvalid: another kind of model.
    """
    path = resolve_model(name, "eyes")
    if name == "pocket":
        return Eyes(partial(see_products, load_tower(path)), SIDE)
    import transformers

    config = json.loads((path / "config.json").read_text("utf-8"))
    kind = str(config.get("model_type"))
    if kind not in KINDS:
        raise ConfigInvalid(f"recipes.eyes {name}", f"is a {kind}", f"{', '.join(KINDS)} can see")
    model_class, output = KINDS[kind]
    try:
        told = json.loads((path / "preprocessor_config.json").read_text("utf-8"))
        with quiet():
            model = getattr(transformers, model_class).from_pretrained(
                path, use_safetensors=True, local_files_only=True, dtype=torch.float32
            )
    except (OSError, SafetensorError) as error:
        raise ModelDamaged(f"image model {path}", f"cannot be read ({error})", "", "restore it") from error
    model.eval().requires_grad_(False)
    crop = told.get("crop_size") or {}
    side = int(crop.get("height") or model.config.image_size)
    return Eyes(partial(_see, model, output, told["image_mean"], told["image_std"]), side)


@dataclass(frozen=True)
class Words:
    """Pocket's two towers side by side: how well words say what a picture shows."""

    tower: ImageTower
    tokenizer: Any
    encoder: Any

    @torch.inference_mode()
    def match(self, picture: Pixels, words: str) -> float:
        """Cosine, -1..1, of a picture (h, w, 3) uint8 and words (CLIP score, Hessel et al. 2021, unscaled).

        InputRefused: a word that the tower does not know whole, or more words than it reads.
        """
        unknown = [word for word in words.split() if len(self.tokenizer.tokenize(word)) != 1]
        limit = self.tokenizer.model_max_length - 2
        if unknown or len(words.split()) > limit:
            told = f"has {len(words.split())} words, unknown: {', '.join(unknown) or 'none'}"
            raise InputRefused(
                "the prompt", told, f"the word tower that ships reads {limit} words of its own kind"
            )
        ids = self.tokenizer(words, padding="max_length", max_length=limit + 2, return_tensors="pt").input_ids
        said = self.tower.of_words(self.encoder(ids).pooler_output)
        return float((see_pictures(self.tower, picture[None]) @ said.T)[0, 0])


def open_words() -> Words:
    """The towers that ship. ModelDamaged: they are not as they were released."""
    from transformers import CLIPTextModel, CLIPTokenizer

    base = resolve_model("pocket", "base")
    with quiet():
        encoder = CLIPTextModel.from_pretrained(base / "text_encoder", local_files_only=True)
        tokenizer = CLIPTokenizer.from_pretrained(base / "tokenizer", local_files_only=True)
    return Words(load_tower(resolve_model("pocket", "eyes")), tokenizer, encoder.float().eval())


def _see(model: Any, output: str, mean: Sequence[float], std: Sequence[float], cutouts: Pixels) -> Tensor:
    """(n, d) unit vectors of square cutouts (n, side, side, 4), laid on grey and normalised as the model was taught."""
    pixels = torch.from_numpy(on_grey(cutouts)).permute(0, 3, 1, 2) / 255
    inputs = (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    with torch.no_grad():
        seen = torch.cat([getattr(model(pixel_values=part), output) for part in inputs.split(AT_ONCE)])
    return normalize(seen if seen.ndim == 2 else seen[:, 0], dim=1)
