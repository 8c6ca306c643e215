"""Eyes: cutouts compared by an image model of transformers' layout; tiny random ones, checked against themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    Dinov2Config,
    Dinov2Model,
    PreTrainedModel,
    ViTConfig,
    ViTModel,
)

from productshot.errors import ConfigInvalid, ModelDamaged, ModelMissing
from productshot.pixels import Pixels
from productshot.pocket.clip import on_grey
from productshot.pocket.instances import square_cutout
from productshot.render.eyes import open_eyes

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]


def a_model(kind: str) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        if kind == "clip_vision_model":
            return CLIPVisionModelWithProjection(
                CLIPVisionConfig(image_size=56, patch_size=14, projection_dim=12, **SMALL)
            )
        if kind == "dinov2":
            return Dinov2Model(Dinov2Config(image_size=70, patch_size=14, mlp_ratio=2, **SMALL))
        return ViTModel(ViTConfig(image_size=56, patch_size=14, **SMALL))


def saved(folder: Path, kind: str) -> Path:
    a_model(kind).save_pretrained(folder)
    told = {"image_mean": MEAN, "image_std": STD, "crop_size": {"height": 56, "width": 56}}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def a_cutout(colour: tuple[int, int, int], side: int = 80) -> Pixels:
    rgba = np.zeros((side, side, 4), np.uint8)
    rgba[10:-10, 20:-20] = (*colour, 255)
    return rgba


@pytest.mark.parametrize("kind", ["clip_vision_model", "dinov2", "vit"])
def test_a_given_model_sees_what_transformers_says(kind: str, tmp_path: Path) -> None:
    """The cosine is that of the model's own output for the cutout on grey, 56 px, normalised as its files say."""
    eyes = open_eyes(str(saved(tmp_path / kind, kind)))
    red, blue = a_cutout((200, 20, 20)), a_cutout((20, 20, 200))
    likeness = eyes.likeness([red, blue], [red])
    assert likeness[0, 0] == pytest.approx(1, abs=1e-5) and likeness[1, 0] < 0.999
    rows = []
    for cutout in (red, blue):
        laid = on_grey(square_cutout(cutout, 56)[None])
        shown = (torch.from_numpy(laid) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
        with torch.no_grad():
            answer = a_model(kind).eval()(pixel_values=shown.permute(0, 3, 1, 2))
        row = answer.image_embeds if kind.startswith("clip") else answer.last_hidden_state[:, 0]
        rows.append(row[0] / row.norm())
    assert likeness[1, 0] == pytest.approx(float(rows[0] @ rows[1]), abs=1e-5)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    """A language model cannot see; the message names what can."""
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ConfigInvalid, match=r"recipes.eyes .* is a bert; clip, .*dinov2, vit can see"):
        open_eyes(str(tmp_path))


def test_a_model_that_is_not_there_or_cut_off_is_told(tmp_path: Path) -> None:
    """The first is missing, the second damaged."""
    with pytest.raises(ModelMissing, match="eyes model .*nowhere has no config.json"):
        open_eyes(str(tmp_path / "nowhere"))
    weights = saved(tmp_path / "vit", "vit") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ModelDamaged, match="image model .* cannot be read"):
        open_eyes(str(tmp_path / "vit"))
