"""pocket-matte: the small network that finds the product in a photo, its trainer and its ONNX export.

The room of one model: `MatteNet`, `loss_of` (the maths), `fit` (the loop), `train` (set-up) and `export`. Its pictures
come from composites.py; cutout.py reads the exported file through rembg and never imports this module.

    python -m productshot.pocket.matte --out matte.onnx
"""

from __future__ import annotations

import argparse
import copy
import json
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from .composites import Stock, composite, stocked
from .studio import draw, frame_product, random_product, random_view, shop_photo

INPUT_SIZE = 320
"""What rembg's custom session feeds: (1, 3, 320, 320) float32, the picture over its maximum, ImageNet-normalised."""

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
        wide = functional.interpolate(
            self.narrow(features), scale_factor=2.0, mode="bilinear", align_corners=False
        )
        merged: Tensor = self.join(wide + self.side(skip))
        return merged


class MatteNet(nn.Module):
    """A U-Net whose finest level is half the input: pixels are folded into channels on the way in and out.

    `forward`: (n, 3, h, w) normalised, h and w multiples of 32 -> logits (n, 1, h, w) and coarse ones at a 16th.
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


@dataclass(frozen=True)
class MatteRecipe:
    """Every setting of a training run."""

    stages: tuple[tuple[int, int], ...] = ((128, 14_000), (192, 8_000), (320, 4_000))
    """(side in px, samples): small pictures first, because they are cheap; the size that rembg feeds last."""
    batch: int = 16
    learning_rate: float = 2e-3
    weight_decay: float = 1e-3
    ema: float = 0.998
    seed: int = 0
    patterns: int = 400
    things: int = 1000
    drawings: int = 1200
    stock_size: int = 256


Report = Callable[[dict[str, float], MatteNet], None]


class Composites(Dataset[tuple[Tensor, Tensor]]):
    """Composites number `first` to `first + count` at `size` px: picture (3, s, s) and mask (1, s, s), uint8."""

    def __init__(self, stock: Stock, size: int, first: int, count: int) -> None:
        self.stock, self.size, self.first, self.count = stock, size, first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        picture, mask = composite(self.first + index, self.size, self.stock)
        return torch.from_numpy(picture.transpose(2, 0, 1).copy()), torch.from_numpy(mask[None].copy())


def normalised(pictures: Tensor) -> Tensor:
    """Pictures (n, 3, h, w) uint8 as rembg's session feeds them: over their own largest value, ImageNet-normalised."""
    scaled = pictures / pictures.amax((1, 2, 3), keepdim=True).clamp_min(1).float()
    return (scaled - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)


def soft_iou(chance: Tensor, alpha: Tensor) -> Tensor:
    """Intersection over union per picture (n,) of two maps (n, 1, h, w), 0..1; two empty maps count as equal."""
    common = (chance * alpha).sum((1, 2, 3))
    return (common + 1) / ((chance + alpha).sum((1, 2, 3)) - common + 1)


def loss_of(fine: Tensor, coarse: Tensor, alpha: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and soft IoU of logits against alpha (n, 1, h, w), 0..1: BCE, fivefold near edges, plus 1 - soft IoU."""
    edge = (functional.avg_pool2d(alpha, 9, 1, 4, count_include_pad=False) - alpha).abs() > 0.02
    bce = functional.binary_cross_entropy_with_logits(fine, alpha, 1 + 4 * edge.float())
    iou = soft_iou(torch.sigmoid(fine), alpha).mean()
    small = functional.adaptive_avg_pool2d(alpha, coarse.shape[2:])
    return bce + (1 - iou) + 0.4 * functional.binary_cross_entropy_with_logits(coarse, small), iou


def fit(
    net: MatteNet,
    batches: Iterable[tuple[Tensor, Tensor]],
    steps: int,
    recipe: MatteRecipe,
    report: Report,
) -> MatteNet:
    """The moving average of `net` after `steps` batches of (pictures, masks), uint8; `net` is trained in place.

    `report` is called after each step with its figures and the average so far.
    """
    optimizer = torch.optim.AdamW(net.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.learning_rate, steps, pct_start=0.05)
    mean = copy.deepcopy(net).eval()
    for step, (pictures, masks) in zip(range(1, steps + 1), batches, strict=False):
        inputs = normalised(pictures).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            fine, coarse = net(inputs)
        loss, iou = loss_of(fine.float(), coarse.float(), masks / 255.0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average(mean, net, min(recipe.ema, step / (step + 10)))
        report(
            {
                "step": step,
                "side": pictures.shape[-1],
                "loss": float(loss.detach()),
                "iou": float(iou.detach()),
            },
            mean,
        )
    return mean


@torch.no_grad()
def average(mean: nn.Module, net: nn.Module, keep: float) -> None:
    """Moves every weight and batch statistic of `mean` towards `net`, keeping the share `keep`."""
    for old, new in zip(mean.state_dict().values(), net.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, 1 - keep)


def drawings(count: int, size: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Pictures (count, size, size, 3) and masks (count, size, size), uint8, of studio products number 0 to count."""
    with get_context("spawn").Pool(2) as pool:
        drawn = pool.map(_drawing, [(seed, size) for seed in range(count)], chunksize=16)
    pictures, masks = zip(*drawn, strict=True)
    return np.stack(pictures), np.stack(masks)


def _drawing(job: tuple[int, int]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Picture and mask of one studio product: in three of five a shop's photo with its trays, hands and clutter."""
    seed, size = job
    rng = np.random.default_rng(seed)
    product = random_product(rng)
    if rng.random() < 0.6:
        drawn = shop_photo(product, seed, size, size)
    else:
        drawn = draw(product, frame_product(product, random_view(rng)), size, supersample=1)
    return drawn.picture, drawn.mask


def batches_of(stock: Stock, recipe: MatteRecipe) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of all stages, one after the other, made in one process beside the training.

    Drawing costs as much as learning, so each batch comes twice: as drawn, then mirrored with its colours swapped.
    """
    first = recipe.seed * 1_000_000
    for size, count in recipe.stages:
        composites = Composites(stock, size, first, count // 2)
        for pictures, masks in DataLoader(
            composites, recipe.batch, num_workers=1, drop_last=True, prefetch_factor=8
        ):
            yield pictures, masks
            yield pictures.flip(3)[:, torch.randperm(3)], masks.flip(3)
        first += count


def train(recipe: MatteRecipe, stock: Stock, report: Report, released: Path | None = None) -> MatteNet:
    """A network trained on composites of `stock`, from nothing or from an exported file: the moving average."""
    torch.manual_seed(recipe.seed)
    net = MatteNet()
    if released:
        pairs = [composite(k, 192, stock)[0] for k in range(32)]
        load_exported(net, released, normalised(torch.from_numpy(np.stack(pairs)).permute(0, 3, 1, 2)))
    net = net.train().to(memory_format=torch.channels_last)
    steps = sum(2 * (count // 2 // recipe.batch) for _, count in recipe.stages)
    return fit(net, batches_of(stock, recipe), steps, recipe, report)


@torch.no_grad()
def load_exported(net: MatteNet, path: Path, pictures: Tensor) -> None:
    """Give the network the weights of a file that `export` wrote; what it computes is then what the file computes.

    In the file most batch norms are folded into the convolution before them. They are unfolded by their statistics on
    pictures (n, 3, h, w) normalised, so that training goes on where it stopped.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    values = {one.name: torch.from_numpy(numpy_helper.to_array(one).copy()) for one in graph.initializer}
    folded = iter([[values[name] for name in node.input if name in values]
                   for node in graph.node if node.op_type == "Conv"])  # fmt: skip
    norms = {name: module for name, module in net.named_modules() if isinstance(module, nn.BatchNorm2d)}
    for name, norm in norms.items():
        if f"net.{name}.weight" in values:
            norm.load_state_dict(
                {
                    part: values[f"net.{name}.{part}"]
                    for part in ("weight", "bias", "running_mean", "running_var")
                },
                strict=False,
            )
    after = {name.removesuffix("1") + "0": norm for name, norm in norms.items() if name.endswith("1")}

    def fill(name: str, layer: nn.Conv2d, inputs: tuple[Tensor]) -> None:
        """Before its first use, in the order in which the file's nodes are computed."""
        weight, *bias = next(folded)
        layer.weight.copy_(weight)
        if layer.bias is not None:
            layer.bias.copy_(bias[0])
        elif bias:
            unfold(after[name], bias[0], layer._conv_forward(inputs[0], layer.weight, None))

    hooks = [
        layer.register_forward_pre_hook(lambda layer, inputs, name=name: fill(name, layer, inputs))
        for name, layer in net.named_modules()
        if isinstance(layer, nn.Conv2d) and name != "coarse"
    ]
    net.eval()(pictures)
    for hook in hooks:
        hook.remove()


def unfold(norm: nn.BatchNorm2d, bias: Tensor, x: Tensor) -> None:
    """Set a batch norm to add `bias` (c,) to x (n, c, h, w), with x's own statistics as its running ones."""
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
    norm.running_mean, norm.running_var = mean, variance
    norm.weight.copy_((variance + norm.eps).sqrt())
    norm.bias.copy_(bias + mean)


class Exported(nn.Module):
    """What the ONNX file holds: pictures (1, 3, 320, 320) -> alpha (1, 1, 320, 320), 0..1."""

    def __init__(self, net: MatteNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, pictures: Tensor) -> Tensor:
        return torch.sigmoid(self.net(pictures)[0])


def export(net: MatteNet, path: Path) -> None:
    """Writes the network as ONNX (opset 17, float32, input `input`, output `alpha`)."""
    example = torch.zeros(1, 3, INPUT_SIZE, INPUT_SIZE)
    plain = copy.deepcopy(net).eval().to(memory_format=torch.contiguous_format)
    with warnings.catch_warnings():  # the exporter that needs no onnxscript warns that it is the older one
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            Exported(plain),
            (example,),
            str(path),
            opset_version=17,
            dynamo=False,
            input_names=["input"],
            output_names=["alpha"],
        )


def main() -> None:
    """Trains with the default recipe and writes the ONNX file; progress as one JSON line per 50 steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    parser.add_argument("--released", type=Path, help="an ONNX file to go on from, with a shorter recipe")
    asked = parser.parse_args()
    recipe, began = MatteRecipe(), time.monotonic()
    if asked.released:
        recipe = replace(
            recipe, stages=((192, 16_000), (320, 16_000)), learning_rate=5e-4, drawings=2400, seed=2
        )
    torch.set_num_threads(1)
    pictures, masks = drawings(recipe.drawings, recipe.stock_size)
    stock = stocked(recipe.patterns, recipe.things, recipe.stock_size, pictures, masks, recipe.seed)

    def report(row: dict[str, float], mean: MatteNet) -> None:
        if row["step"] % 50 == 0:
            print(json.dumps({**row, "seconds": round(time.monotonic() - began, 1)}), flush=True)

    print(json.dumps(asdict(recipe)), flush=True)
    export(train(recipe, stock, report, asked.released), asked.out)


if __name__ == "__main__":
    main()
