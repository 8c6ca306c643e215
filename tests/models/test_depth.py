"""Depth maps by tiny random models of transformers' layout: near is bright, and what a scene's picture owes to them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTConfig,
    DPTForDepthEstimation,
    PreTrainedModel,
)

from catalog_schemas import Recipes, RenderRecipe, Scene
from productshot.errors import ConfigInvalid, InputRefused, ModelDamaged, ModelMissing
from productshot.models import Models
from productshot.pixels import Pixels
from productshot.render.control import control_map
from productshot.render.depth import DepthModel, open_depth
from productshot.stages.renders import render_task
from tests.unit.test_review import a_job

CPU = torch.device("cpu")
SIDE = 224
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.3]
SMALL = {"hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2}
NECK = {"neck_hidden_sizes": [8, 8, 8, 8], "fusion_hidden_size": 8, "reassemble_factors": [4, 2, 1, 0.5]}


@torch.no_grad()
def awake(model: PreTrainedModel) -> PreTrainedModel:
    """With weights of another size than a fresh model's, whose last ReLU lets nothing through."""
    for weight in model.parameters():
        weight.normal_(0.02, 0.1)
    return model.eval()


def a_model(kind: str) -> PreTrainedModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        if kind == "dpt":
            config = DPTConfig(
                image_size=SIDE,
                patch_size=16,
                intermediate_size=32,
                backbone_out_indices=[0, 1, 2, 3],
                **SMALL,
                **NECK,
            )
            return awake(DPTForDepthEstimation(config))
        told = {"depth_estimation_type": "metric", "max_depth": 10} if kind == "metric" else {}
        backbone = Dinov2Config(
            image_size=SIDE,
            patch_size=14,
            mlp_ratio=2,
            out_indices=[1, 2, 3, 4],
            reshape_hidden_states=False,
            apply_layernorm=True,
            **SMALL,
        )
        config = DepthAnythingConfig(
            backbone_config=backbone, reassemble_hidden_size=16, head_hidden_size=8, **NECK, **told
        )
        return awake(DepthAnythingForDepthEstimation(config))


def saved(folder: Path, kind: str) -> Path:
    a_model(kind).save_pretrained(folder)
    told = {"image_mean": MEAN, "image_std": STD, "size": {"height": SIDE, "width": SIDE}}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def a_picture(side: int = SIDE) -> Pixels:
    return np.random.default_rng(5).integers(0, 256, (side, side, 3), np.uint8)


@pytest.mark.parametrize("kind", ["dpt", "relative", "metric"])
def test_near_is_bright_as_the_model_itself_says(kind: str, tmp_path: Path) -> None:
    """Over the model's own inverse depth the levels run from 0 to 255; of metres the smallest is the nearest."""
    near = open_depth(str(saved(tmp_path, kind)), CPU).near(a_picture()).astype(float)
    shown = (torch.from_numpy(a_picture()) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    with torch.no_grad():
        told = a_model(kind)(pixel_values=shown.permute(2, 0, 1)[None].float()).predicted_depth[0].numpy()
    inverse = 1 / told if kind == "metric" else told
    wanted = (inverse - inverse.min()) / (inverse.max() - inverse.min()) * 255
    assert (near.min(), near.max()) == (0, 255)
    assert np.abs(near - wanted).max() <= 0.6


def test_a_map_has_the_canvas_own_size(tmp_path: Path) -> None:
    """The model sees a square of its own, the ControlNet three equal planes of the canvas."""
    model = open_depth(str(saved(tmp_path, "dpt")), CPU)
    placed = np.dstack([a_picture(128), np.full((128, 128), 255, np.uint8)])
    told = control_map(placed, "depth", "depth", near=model.near)
    assert told is not None and told.shape == (128, 128, 3)
    assert (told == told[..., :1]).all() and (told[..., 0] == model.near(a_picture(128))).all()


def test_a_model_that_sees_no_depth_refuses_the_picture() -> None:
    """One level everywhere tells a ControlNet nothing."""

    class Flat:
        device = CPU

        def __call__(self, pixel_values: torch.Tensor) -> object:
            return type("Answer", (), {"predicted_depth": torch.ones(1, SIDE, SIDE)})

    with pytest.raises(InputRefused, match="is 1 to 1 deep for the depth model; near and far must differ"):
        DepthModel(Flat(), SIDE, (0, 0, 0), (1, 1, 1), metric=False).near(a_picture())


def test_what_is_no_depth_model_is_told(tmp_path: Path) -> None:
    """Not there; another kind; one that does not say how it sees; cut off."""
    with pytest.raises(ModelMissing, match=r"depth model .*nowhere has no config.json .*; give the path, S3"):
        open_depth(str(tmp_path / "nowhere"), CPU)
    with pytest.raises(ModelMissing, match="depth model pocket has no config.json"):
        open_depth("pocket", CPU)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ConfigInvalid, match="is a bert; dpt and depth_anything make depth maps"):
        open_depth(str(tmp_path), CPU)
    folder = saved(tmp_path / "dpt", "dpt")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(ModelDamaged, match="depth model .* cannot be read"):
        open_depth(str(folder), CPU)
    (folder / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ModelDamaged, match="does not say how it sees; size, image_mean and image_std"):
        open_depth(str(folder), CPU)


def test_the_depth_model_is_in_the_key_of_pictures_that_it_steers() -> None:
    """Another model paints another picture, but not where the scene is told nothing."""
    recipe = RenderRecipe(controlnet="x", controlnet_reads="depth", depth="some/model")

    def key_of(digest: str, scene: Scene) -> str:
        models = Models(Recipes(renders=recipe))
        models.__dict__ |= {"base_digest": "b", "controlnet_digest": "c", "depth_digest": digest}
        return render_task(a_job(scene=scene), recipe, models).key

    steered, free = Scene(name="table", control="depth"), Scene(name="table", control="none")
    assert key_of("one", steered) != key_of("other", steered)
    assert key_of("one", free) == key_of("other", free)
