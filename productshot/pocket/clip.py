"""Pocket, the measure: a small CLIP (Radford et al. 2021) whose image tower also knows one product from another.

The text tower is the pipeline's own text encoder. The image tower has two heads: `text` meets captions, `instance`
meets other views of the same product, so that the cosine of two cutouts tells whether they show one product.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from safetensors.torch import load_file, save_file
from scipy.stats import rankdata
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate, normalize, silu

from productshot.pocket.vae import to_model

SIDE = 96
"""Pictures are looked at in squares of this many pixels."""
GREY = 128
MARGIN = 0.08
"""Room around a product's box in its square, a share of the longer side."""


@dataclass(frozen=True)
class TowerConfig:
    """Sizes of the image tower and its heads."""

    widths: tuple[int, ...] = (32, 64, 128, 192)
    depths: tuple[int, ...] = (1, 1, 2, 1)
    text_width: int = 192
    instance_width: int = 128


class Residual(nn.Module):
    """Two 3 x 3 convolutions around a short cut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same."""
        y = silu(self.norm1(self.conv1(x)))
        return silu(x + self.norm2(self.conv2(y)))


def reduce(narrow: int, wide: int) -> nn.Sequential:
    """Half the height and width, `wide` channels."""
    conv = nn.Conv2d(narrow, wide, 3, stride=2, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(wide), nn.SiLU())


class ImageTower(nn.Module):
    """A residual network of five halvings, pooled by mean and maximum, with both heads and CLIP's temperature."""

    def __init__(self, config: TowerConfig | None = None) -> None:
        super().__init__()
        self.config = config or TowerConfig()
        layers: list[nn.Module] = []
        narrow = 3
        for width, depth in zip(self.config.widths, self.config.depths, strict=True):
            layers += [reduce(narrow, width), *(Residual(width) for _ in range(depth))]
            narrow = width
        self.body = nn.Sequential(*layers)
        self.text = nn.Linear(2 * narrow, self.config.text_width, bias=False)
        self.instance = nn.Linear(2 * narrow, self.config.instance_width, bias=False)
        self.words = nn.Linear(self.config.text_width, self.config.text_width, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(2.66))  # ln(1 / 0.07), as in CLIP

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(n, 3, SIDE, SIDE) in -1..1 -> unit vectors (n, text_width) and (n, instance_width)."""
        y = pool(self.body(x))
        return normalize(self.text(y).float(), dim=1), normalize(self.instance(y).float(), dim=1)

    def of_words(self, pooled: Tensor) -> Tensor:
        """The text encoder's pooled output (n, text_width) -> unit vectors that meet those of pictures."""
        return normalize(self.words(pooled).float(), dim=1)


def pool(y: Tensor) -> Tensor:
    """(n, c, h, w) -> (n, 2 c): mean and maximum of each channel."""
    return torch.cat([y.mean(dim=(2, 3)), y.amax(dim=(2, 3))], dim=1)


def contrastive_loss(a: Tensor, b: Tensor, scale: Tensor | float) -> Tensor:
    """Mean cross-entropy of finding a's partner among b and b's among a (Radford et al. 2021, figure 3).

    a, b: (n, d) unit vectors, partners in the same row.
    """
    logits = scale * a @ b.T
    rows = torch.arange(len(a), device=a.device)
    return 0.5 * (cross_entropy(logits, rows) + cross_entropy(logits.T, rows))


def to_tower(pictures: NDArray[np.uint8]) -> Tensor:
    """(n, h, w, 3) uint8 -> (n, 3, SIDE, SIDE) float32 in -1..1."""
    x = to_model(pictures, torch.device("cpu"))
    return x if x.shape[-1] == SIDE else interpolate(x, (SIDE, SIDE), mode="bilinear", antialias=True)


def on_grey(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(n, h, w, 4) uint8 cutouts -> (n, h, w, 3) on plain grey."""
    alpha = rgba[..., 3:].astype(np.float32) / 255
    laid = rgba[..., :3] * alpha + GREY * (1 - alpha)
    return np.asarray(laid.round(), np.uint8)


def save_tower(tower: ImageTower, folder: Path) -> None:
    """Write config.json and image.safetensors (float16)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(asdict(tower.config), indent=2, sort_keys=True) + "\n")
    halves = {key: value.detach().cpu().half().contiguous() for key, value in tower.state_dict().items()}
    save_file(halves, folder / "image.safetensors")


def load_tower(folder: Path) -> ImageTower:
    """What `save_tower` wrote, in float32, ready to measure."""
    told = json.loads((folder / "config.json").read_text())
    told |= {name: tuple(told[name]) for name in ("widths", "depths")}
    tower = ImageTower(TowerConfig(**told))
    state = tower.state_dict()
    weights = load_file(folder / "image.safetensors")
    tower.load_state_dict({key: value.to(state[key].dtype) for key, value in weights.items()})
    return tower.eval()


@torch.inference_mode()
def see_pictures(tower: ImageTower, pictures: NDArray[np.uint8], batch: int = 128) -> Tensor:
    """(n, text_width) unit vectors of (n, h, w, 3) uint8 pictures; their cosine with words is the prompt match."""
    return torch.cat([tower(to_tower(pictures[i : i + batch]))[0] for i in range(0, len(pictures), batch)])


@torch.inference_mode()
def see_products(tower: ImageTower, cutouts: NDArray[np.uint8], batch: int = 128) -> Tensor:
    """(n, instance_width) unit vectors of square cutouts (n, h, w, 4) uint8; their cosine is the fidelity."""
    laid = on_grey(cutouts)
    return torch.cat([tower(to_tower(laid[i : i + batch]))[1] for i in range(0, len(laid), batch)])


def retrieval(seen: Tensor, said: Tensor, of: int) -> float:
    """Share of pictures whose own caption is nearest among `of` consecutive ones; rows of both belong together."""
    n = len(seen) // of * of
    groups = seen[:n].view(-1, of, seen.shape[1]) @ said[:n].view(-1, of, said.shape[1]).transpose(1, 2)
    return round(float((groups.argmax(dim=2) == torch.arange(of)).float().mean()), 3)


def auc(same: NDArray[np.float64], different: NDArray[np.float64]) -> float:
    """The chance that a same-product pair scores above another pair (area under the ROC curve; ties count half)."""
    ranks = rankdata(np.concatenate([same, different]))
    n, m = len(same), len(different)
    return float((ranks[:n].sum() - n * (n + 1) / 2) / (n * m))


def instance_auc(known: Tensor, products: ArrayLike, nouns: ArrayLike) -> float:
    """AUC of same-product pairs of views against pairs of different products of one noun; a row, a view."""
    likeness, product, noun = (known @ known.T).numpy(), np.asarray(products), np.asarray(nouns)
    pair = np.tri(len(product), k=-1, dtype=bool)
    one_product = product[:, None] == product
    one_noun = noun[:, None] == noun
    return round(auc(likeness[pair & one_product], likeness[pair & one_noun & ~one_product]), 4)
