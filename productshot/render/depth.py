"""The render room's depth maps: how near each pixel is, by a depth model in transformers' layout; near is bright.

ControlNets for depth were trained on relative inverse depth (MiDaS, Ranftl et al. 2022), which DPT and Depth Anything
answer. Depth Anything's metric models answer metres, which are inverted here.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from torch.nn.functional import interpolate

from productshot.errors import ConfigInvalid, InputRefused, ModelDamaged
from productshot.pixels import Pixels
from productshot.render.base import quiet, resolve_model

KINDS = {"dpt": "DPTForDepthEstimation", "depth_anything": "DepthAnythingForDepthEstimation"}
"""Model types that answer depth: transformers' class."""


@dataclass(frozen=True)
class DepthModel:
    """An open depth model and how it was taught to see."""

    model: Any
    side: int  # px of the square that it is shown
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    metric: bool  # it answers metres, not inverse depth

    @torch.inference_mode()
    def near(self, rgb: Pixels) -> Pixels:
        """(h, w) uint8 of a picture (h, w, 3): 255 at its nearest point, 0 at its farthest.

        InputRefused: the model finds one depth everywhere, or none.
        """
        square = Image.fromarray(rgb).resize((self.side, self.side), Image.Resampling.BICUBIC)
        shown = (np.asarray(square, np.float32) / 255 - self.mean) / self.std
        pixels = torch.from_numpy(shown.astype(np.float32)).permute(2, 0, 1)[None].to(self.model.device)
        told = self.model(pixel_values=pixels).predicted_depth.float()[:, None]
        told = interpolate(told, size=rgb.shape[:2], mode="bilinear", align_corners=False)[0, 0].cpu().numpy()
        return _as_levels(1 / np.maximum(told, np.finfo(np.float32).eps) if self.metric else told)


def open_depth(name: str, device: torch.device) -> DepthModel:
    """The depth model of that name on the device, frozen; safetensors only, no code of its own.

    ModelMissing, ModelDamaged: it is not there or cannot be read. ConfigInvalid: another kind of model.
    """
    import transformers

    path = resolve_model(name, "depth")
    config = _json(path / "config.json")
    kind = str(config.get("model_type"))
    if kind not in KINDS:
        known = f"{' and '.join(KINDS)} make depth maps"
        raise ConfigInvalid(f"renders.depth {name}", f"is a {kind}", known, "name one of these")
    told = _json(path / "preprocessor_config.json")
    size, mean, std = told.get("size"), _triple(told.get("image_mean")), _triple(told.get("image_std"))
    side = size.get("height") if isinstance(size, dict) else size
    if not isinstance(side, int) or mean is None or std is None:
        limit = "size, image_mean and image_std are needed in its preprocessor_config.json"
        raise ModelDamaged(f"depth model {path}", "does not say how it sees", limit, "restore it")
    try:
        with quiet():
            model = getattr(transformers, KINDS[kind]).from_pretrained(
                path, use_safetensors=True, local_files_only=True, dtype=torch.float32
            )
    except (OSError, SafetensorError, ImportError) as error:
        raise _damaged(path, error) from error
    model.to(device).eval().requires_grad_(False)
    metric = config.get("depth_estimation_type") == "metric"
    return DepthModel(model, side, mean, std, metric)


def _as_levels(near: NDArray[np.float32]) -> Pixels:
    """(h, w) uint8: the numbers spread over 0..255, the largest is the nearest."""
    low, high = float(near.min()), float(near.max())
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        told = f"is {low:g} to {high:g} deep for the depth model"
        raise InputRefused("the product on its canvas", told, "near and far must differ", "use control: none")
    return np.rint((near - low) * (255 / (high - low))).astype(np.uint8)


def _json(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _damaged(path.parent, error) from error
    return told if isinstance(told, dict) else {}


def _triple(value: object) -> tuple[float, float, float] | None:
    """Three numbers of a JSON list, or None for anything else."""
    match value:
        case [int() | float() as red, int() | float() as green, int() | float() as blue]:
            return red, green, blue
    return None


def _damaged(path: Path, error: Exception) -> ModelDamaged:
    return ModelDamaged(f"depth model {path}", f"cannot be read ({error})", "", "restore it")
