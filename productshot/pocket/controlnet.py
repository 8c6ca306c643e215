"""Pocket, the ControlNet and what it is shown: edges, scribble and silhouette in one control image.

Channel plan of a control image (h, w, 3) uint8: red = thin edges, green = thick scribble edges, blue = the
silhouette of the product. A channel that is all zero means "not given": training drops channels at random, so
that any of them alone, or edges with the silhouette, steers the picture. The silhouette with a caption that names
the scene only says "a product stands here, paint none beside it". The edges are render/control.py's own, so that
a night shows the ControlNet exactly what it learned from.
"""

from __future__ import annotations

import numpy as np
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import silu

from productshot.render.control import edges, scribble

EDGES, SCRIBBLE, SILHOUETTE = 0, 1, 2
KEPT_CHANNELS = (
    ((EDGES,), 0.25),
    ((SCRIBBLE,), 0.10),
    ((SILHOUETTE,), 0.20),
    ((EDGES, SILHOUETTE), 0.15),
    ((EDGES, SCRIBBLE, SILHOUETTE), 0.25),
    ((), 0.05),
)
"""Which channels a training sample keeps, with what probability."""


def build_controlnet(unet: UNet2DConditionModel, controls: Tensor) -> ControlNetModel:
    """A ControlNet that starts as the UNet's encoder; three embedding stages because the VAE has f = 4.

    controls: (n, 3, h, w) in 0..1, some control images. With torch's own start thin lines lose six tenths of their
    strength in every one of the embedding's six convolutions, and training finds them late or never.
    """
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(16, 32, 64))
    start_at_unit_variance(net.controlnet_cond_embedding, controls)
    return net


@torch.no_grad()
def start_at_unit_variance(embedding: nn.Module, x: Tensor) -> None:
    """Give each convolution orthogonal weights with outputs of variance 1 on x (LSUV, Mishkin and Matas 2016).

    The last one, zero in Zhang et al. 2023, is started too: the ControlNet's own output convolutions are zero still.
    """
    layers = [embedding.conv_in, *embedding.blocks, embedding.conv_out]
    for number, layer in enumerate(layers):
        nn.init.orthogonal_(layer.weight)
        nn.init.zeros_(layer.bias)
        layer.weight /= layer(x).std()
        x = layer(x) if number == len(layers) - 1 else silu(layer(x))


def control_image(
    picture: NDArray[np.uint8], alpha: NDArray[np.uint8], product_only: bool = False
) -> NDArray[np.uint8]:
    """(h, w, 3) uint8 with all channels, from (h, w, 3) uint8 sRGB and the product's alpha (h, w) uint8.

    The edges are those of the whole picture, or of the product alone as the keep lane lays it out.
    """
    opaque = np.full_like(alpha, 255)
    lines = edges(np.dstack([picture, alpha if product_only else opaque]))
    return np.dstack([lines, scribble(lines), alpha])


def keep_channels(
    controls: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(n, h, w, 3) with channels dropped sample by sample, and (n,) whether the silhouette stayed."""
    choices = rng.choice(len(KEPT_CHANNELS), len(controls), p=[share for _, share in KEPT_CHANNELS])
    kept = np.zeros((len(controls), 3), bool)
    for row, choice in zip(kept, choices, strict=True):
        row[list(KEPT_CHANNELS[choice][0])] = True
    return controls * kept[:, None, None, :], kept[:, SILHOUETTE]
