"""Pocket, the autoencoder: 128 px pictures to 32 x 32 x 4 latents and back (AutoencoderKL, f = 4).

An AutoencoderKL and not an AutoencoderTiny, because every peer's training script asks for `latent_dist`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

CPU_WIDTHS = (16, 32, 64)


def build_vae(widths: Sequence[int] = CPU_WIDTHS, size: int = 128) -> AutoencoderKL:
    """A fresh AutoencoderKL without attention; `widths` are the channels at full, half and quarter size."""
    return AutoencoderKL(
        sample_size=size,
        latent_channels=4,
        block_out_channels=tuple(widths),
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=1,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )


def to_model(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """(n, h, w, c) uint8 0..255 -> (n, c, h, w) float32 -1..1."""
    x = torch.from_numpy(np.array(pictures)).to(device)
    return x.permute(0, 3, 1, 2).float().div_(127.5).sub_(1.0).contiguous()


def to_pictures(x: Tensor) -> NDArray[np.uint8]:
    """(n, 3, h, w) -1..1 -> (n, h, w, 3) uint8 0..255."""
    scaled = ((x.detach().float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return np.asarray(scaled.permute(0, 2, 3, 1).cpu().numpy())


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Differences between neighbours along height and width."""
    return x[..., 1:, :] - x[..., :-1, :], x[..., :, 1:] - x[..., :, :-1]


def reconstruction_loss(x: Tensor, x_hat: Tensor) -> Tensor:
    """Mean |x - x_hat|, a quarter of the same of the gradients (outlines), half of 4 x 4 means (colours), 5 MSE."""
    edges = sum((g - g_hat).abs().mean() for g, g_hat in zip(gradients(x), gradients(x_hat), strict=True))
    blocks = avg_pool2d(x - x_hat, 4).abs().mean()
    return (x - x_hat).abs().mean() + 0.25 * edges + 0.5 * blocks + 5 * (x - x_hat).square().mean()


def colour_anchor(x: Tensor) -> Tensor:
    """(n, 3, h/4, w/4) what the first three latent channels are held to: brightness, red-blue and green-magenta.

    Without it a small autoencoder spends its four channels on detail, and green and teal products come back grey.
    The numbers bring each to about zero mean and unit variance over the studio's drawings.
    """
    red, green, blue = avg_pool2d(x, 4).unbind(dim=1)
    return torch.stack(
        [2 * (red + green + blue) / 3, 3 * (red - blue), 6 * (green - (red + blue) / 2)], dim=1
    )


def kl_to_normal(mean: Tensor, logvar: Tensor) -> Tensor:
    """Mean per element of KL(N(mu, sigma^2) || N(0, 1)) = (mu^2 + sigma^2 - 1 - log sigma^2) / 2."""
    return 0.5 * (mean.square() + logvar.exp() - 1.0 - logvar).mean()


def psnr(x: Tensor, x_hat: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of pictures in -1..1, from the mean squared error of the batch."""
    mse = (x - x_hat.clamp(-1, 1)).square().mean() / 4.0
    return float(-10.0 * torch.log10(mse))


def crop_each(pictures: NDArray[np.uint8], rng: np.random.Generator, crop: int) -> NDArray[np.uint8]:
    """(n, crop, crop, 3) uint8: a random window of each picture (n, h, w, 3)."""
    n, height, width = pictures.shape[:3]
    corners = zip(
        rng.integers(height - crop + 1, size=n), rng.integers(width - crop + 1, size=n), strict=True
    )
    windows = [
        p[top : top + crop, left : left + crop] for p, (top, left) in zip(pictures, corners, strict=True)
    ]
    return np.stack(windows)


def random_crops(
    pictures: NDArray[np.uint8], rng: np.random.Generator, batch: int, crop: int
) -> NDArray[np.uint8]:
    """(batch, crop, crop, 3) uint8 windows of random pictures, half of them mirrored."""
    windows = crop_each(pictures[rng.integers(len(pictures), size=batch)], rng, crop)
    mirror = rng.random(batch) < 0.5
    windows[mirror] = windows[mirror, :, ::-1]
    return windows
