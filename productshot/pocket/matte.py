"""pocket-matte: the small network that finds the product in a photo, its trainer and its ONNX export.

The room of one model: `MatteNet` (320 x 320 in, coarse alpha out), `fit` (the loop), `train` (set-up) and `export`.
Its pictures come from composites.py; cutout.py reads the exported file through rembg and never imports this module.

    python -m productshot.pocket.matte --out productshot/pocket/weights/matte.onnx --samples 120000
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from .composites import Composites

INPUT_SIZE = 320
"""What rembg's custom session feeds: (1, 3, 320, 320) float32, the picture over its largest value, ImageNet-normalised."""

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class Block(nn.Sequential):
    """A 3x3 convolution (or k x k), batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, dilation: int = 1) -> None:
        padding = dilation * (kernel // 2)
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class Context(nn.Module):
    """Dilated blocks and the mean of the whole picture: "product" is a matter of the whole frame."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.near = Block(channels, channels, dilation=2)
        self.far = Block(channels, channels, dilation=4)
        self.whole = nn.Conv2d(channels, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        features = features + self.near(features)
        features = features + self.far(features)
        return features + self.whole(features.mean((2, 3), keepdim=True))


class Merge(nn.Module):
    """One step up: the deep features are narrowed before they are enlarged, then meet the skip and one more block."""

    def __init__(self, deep: int, skip: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(deep, skip, 1, bias=False)
        self.side = nn.Conv2d(skip, skip, 1, bias=False)
        self.join = nn.Sequential(nn.BatchNorm2d(skip), nn.ReLU(inplace=True), Block(skip, skip))

    def forward(self, features: Tensor, skip: Tensor) -> Tensor:
        wide = functional.interpolate(self.narrow(features), scale_factor=2.0, mode="bilinear", align_corners=False)
        merged: Tensor = self.join(wide + self.side(skip))
        return merged


class MatteNet(nn.Module):
    """A U-Net whose finest level is half the input: pixels are folded into channels on the way in and out.

    `forward`: (n, 3, h, w) normalised, h and w multiples of 32 -> logits (n, 1, h, w) and coarse logits (n, 1, h/16, w/16).
    """

    def __init__(self, widths: tuple[int, ...] = (20, 40, 72, 112, 144)) -> None:
        super().__init__()
        self.stem = Block(12, widths[0])
        pairs = list(zip(widths, widths[1:], strict=False))
        self.down = nn.ModuleList(nn.Sequential(Block(a, b), Block(b, b)) for a, b in pairs)
        self.context = Context(widths[-1])
        self.up = nn.ModuleList(Merge(b, a) for a, b in reversed(pairs))
        self.coarse = nn.Conv2d(widths[-2], 1, 1)
        self.fine = nn.Conv2d(widths[0], 4, 3, padding=1)

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        features = self.stem(functional.pixel_unshuffle(pictures, 2))
        skips = []
        for stage in self.down:
            skips.append(features)
            features = stage(functional.max_pool2d(features, 2))
        merged = [self.context(features)]
        for stage, skip in zip(self.up, reversed(skips), strict=True):
            merged.append(stage(merged[-1], skip))
        return functional.pixel_shuffle(self.fine(merged[-1]), 2), self.coarse(merged[1])
