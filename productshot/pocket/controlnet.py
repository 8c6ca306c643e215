"""Pocket, the ControlNet and its control image: edges, scribble and silhouette in one picture.

Channel plan of a control image (h, w, 3) uint8: red = thin edges, green = thick scribble edges, blue = the
silhouette of the product. A channel that is all zero means "not given": training drops channels at random, so
that any of them alone, or edges with the silhouette, steers the picture. The silhouette with a caption that names
the scene only says "a product stands here, paint none beside it".
"""

from __future__ import annotations

import numpy as np
from diffusers import ControlNetModel, UNet2DConditionModel
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, binary_propagation, gaussian_filter

EDGES, SCRIBBLE, SILHOUETTE = 0, 1, 2
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
KEPT_CHANNELS = (
    ((EDGES,), 0.20),
    ((SCRIBBLE,), 0.15),
    ((SILHOUETTE,), 0.35),
    ((EDGES, SILHOUETTE), 0.15),
    ((SCRIBBLE, SILHOUETTE), 0.10),
    ((), 0.05),
)
"""Which channels a training sample keeps, with what probability."""


def build_controlnet(unet: UNet2DConditionModel) -> ControlNetModel:
    """A ControlNet that starts as the UNet's encoder; three embedding stages because the VAE has f = 4."""
    return ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 64))


def thin_edges(picture: NDArray[np.uint8], low: float = 12.0, high: float = 28.0) -> NDArray[np.uint8]:
    """(h, w) uint8, 255 on gradient ridges above `high`, or above `low` and joined to one (Canny 1986)."""
    grey = gaussian_filter(picture.astype(np.float32) @ LUMA, 0.8)
    rows, columns = np.gradient(grey)
    strength = np.hypot(rows, columns)
    across = np.where(np.abs(columns) >= np.abs(rows), neighbour_max(strength, 1), neighbour_max(strength, 0))
    ridge = strength >= across
    strong = ridge & (strength > high)
    kept = binary_propagation(strong, structure=np.ones((3, 3)), mask=ridge & (strength > low))
    return np.where(kept, np.uint8(255), np.uint8(0))


def neighbour_max(field: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """(h, w) like the field: the larger of the two neighbours along the axis, the border repeated."""
    padded = np.pad(field, 1, mode="edge")
    if axis == 0:
        return np.maximum(padded[:-2, 1:-1], padded[2:, 1:-1])
    return np.maximum(padded[1:-1, :-2], padded[1:-1, 2:])


def scribble(edges: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w) uint8: the edges drawn with a pen about 2 % of the height wide."""
    reach = max(1, round(edges.shape[0] / 128))
    thick = binary_dilation(edges > 0, structure=np.ones((3, 3)), iterations=reach)
    return np.where(thick, np.uint8(255), np.uint8(0))


def control_image(picture: NDArray[np.uint8], silhouette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 with all channels, from (h, w, 3) uint8 sRGB and the product's alpha (h, w) uint8."""
    edges = thin_edges(picture)
    return np.stack([edges, scribble(edges), silhouette], axis=-1)


def keep_channels(
    controls: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(n, h, w, 3) with channels dropped sample by sample, and (n,) whether the silhouette stayed."""
    choices = rng.choice(len(KEPT_CHANNELS), len(controls), p=[share for _, share in KEPT_CHANNELS])
    kept = np.zeros((len(controls), 3), bool)
    for row, choice in zip(kept, choices, strict=True):
        row[list(KEPT_CHANNELS[choice][0])] = True
    return controls * kept[:, None, None, :], kept[:, SILHOUETTE]
