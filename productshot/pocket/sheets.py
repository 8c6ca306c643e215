"""Pocket, contact sheets: what a half-trained model draws, for a person to look at while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, StableDiffusionPipeline
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from productshot.pocket.controlnet import EDGES, SILHOUETTE, control_image
from productshot.pocket.textures import SCENES

PROMPTS = (
    "a photo of a red mug on a wooden table",
    "a photo of a blue striped vase on a marble counter",
    "a photo of a yellow toy on a sandy beach",
    "a photo of a green backpack on green grass",
    "a photo of a white teapot against a brick wall",
    "a photo of a pink sneaker on a pink fabric",
    "a photo of an orange candle in the snow",
    "a photo of a purple checkered ball in a city at night",
    "a photo of a teal bowl on a grey studio sweep",
    "a photo of a black lamp on a white studio sweep",
    "a photo of a red dotted bottle on a concrete floor",
    "a photo of a yellow box in a sunny room",
)


def contact_sheet(
    pictures: NDArray[np.uint8] | Sequence[NDArray[np.uint8]], columns: int, path: Path
) -> None:
    """Write pictures (n, h, w, 3) uint8 as one PNG, row by row."""
    stack = np.asarray(pictures)
    n, h, w, c = stack.shape
    rows = -(-n // columns)
    stack = np.concatenate([stack, np.full((rows * columns - n, h, w, c), 255, np.uint8)])
    sheet = stack.reshape(rows, columns, h, w, c).swapaxes(1, 2).reshape(rows * h, columns * w, c)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)


def sample(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    steps: int = 20,
    first_seed: int = 0,
    **inputs: object,
) -> NDArray[np.uint8]:
    """(n, h, w, 3) uint8, one picture a prompt, seeds first_seed, first_seed + 1, ..."""
    pipeline.set_progress_bar_config(disable=True)
    seeds = [torch.Generator().manual_seed(first_seed + k) for k in range(len(prompts))]
    drawn = pipeline(
        list(prompts),
        num_inference_steps=steps,
        guidance_scale=4.0,
        generator=seeds,
        output_type="np",
        **inputs,
    )
    return np.asarray((drawn.images * 255).round(), np.uint8)


def prompt_sheet(pipeline: StableDiffusionPipeline, path: Path) -> None:
    """Two rows of products and two of the empty scenes."""
    empty = [f"a photo of an empty scene {scene}" for scene in SCENES]
    contact_sheet(sample(pipeline, (*PROMPTS, *empty), steps=12), columns=6, path=path)


def control_sheet(
    base: StableDiffusionPipeline,
    net: ControlNetModel,
    pictures: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    captions: Sequence[str],
    path: Path,
) -> dict[str, float]:
    """Rows: source, controls, by edges at scale 1 and 0, by silhouette; returns edge correlations."""
    full = np.stack([control_image(p, m) for p, m in zip(pictures, masks, strict=True)])
    by_edges, by_silhouette = np.zeros_like(full), np.zeros_like(full)
    by_edges[..., EDGES], by_silhouette[..., SILHOUETTE] = full[..., EDGES], full[..., SILHOUETTE]
    pipeline = StableDiffusionControlNetPipeline(
        **base.components, controlnet=net, requires_safety_checker=False
    )

    def drawn(control: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
        images = [Image.fromarray(picture) for picture in control]
        return sample(pipeline, captions, steps=12, image=images, controlnet_conditioning_scale=scale)

    steered, free, filled = drawn(by_edges, 1.0), drawn(by_edges, 0.0), drawn(by_silhouette, 1.0)
    contact_sheet(np.concatenate([pictures, full, steered, free, filled]), columns=len(pictures), path=path)
    return {
        "edge_correlation_scale_1": edge_correlation(steered, full[..., EDGES]),
        "edge_correlation_scale_0": edge_correlation(free, full[..., EDGES]),
    }


def edge_correlation(pictures: NDArray[np.uint8], edges: NDArray[np.uint8]) -> float:
    """Mean Pearson correlation of the pictures' grey gradient with the softened edges that were asked for.

    Where no edge was asked for there is nothing to follow: such pictures do not count.
    """
    values = []
    for picture, asked in zip(pictures, edges, strict=True):
        if not asked.any():
            continue
        grey = gaussian_filter(picture.astype(np.float32).mean(axis=2), 0.8)
        slope = np.hypot(*np.gradient(grey))
        values.append(float(np.corrcoef(slope.ravel(), soften(asked).ravel())[0, 1]))
    return round(float(np.mean(values)), 3)


def soften(edges: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The edges blurred by about a pixel, so that being one pixel off still counts."""
    return np.asarray(gaussian_filter(edges.astype(np.float32), 1.0))
