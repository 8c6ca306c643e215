"""pocket-matte: the file that ships, on drawn photos with known masks, and the pieces that trained it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from productshot.cutout import coarse_alpha, cut_out, open_session
from productshot.errors import InputRefused
from productshot.pocket.composites import Stock, composite, stocked
from productshot.pocket.files import matte_path
from productshot.pocket.matte import Exported, MatteNet, export, load_exported, loss_of, soft_iou
from productshot.pocket.studio import random_product, shop_photo


@dataclass(frozen=True)
class Recipe:
    band_px_per_1000: float = 12
    solve_limit_px: int = 512


@pytest.fixture(scope="module")
def session():
    return open_session("pocket-matte")


@pytest.fixture(scope="module")
def stock() -> Stock:
    """A small stock without drawings of the studio."""
    none = np.zeros((0, 8, 8, 3), np.uint8)
    return stocked(8, 8, 64, none, none[..., 0], seed=5)


def iou_of(alpha: np.ndarray, mask: np.ndarray) -> float:
    """Intersection over union of two (h, w) uint8 maps at a half."""
    a, b = alpha > 127, mask > 127
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.slow
def test_products_of_the_studio_are_found(session) -> None:
    """Over six drawn shop photos the mean IoU of the cutouts is above 0.8."""
    scores = []
    for seed in range(900, 906):
        drawn = shop_photo(random_product(np.random.default_rng(seed)), seed, 320, 400)
        scores.append(iou_of(cut_out(drawn.picture, session, Recipe()).rgba[..., 3], drawn.mask))
    assert np.mean(scores) > 0.8, scores


def test_a_photo_and_its_mirror_image_are_cut_alike(session) -> None:
    """Both are looked at for either, so the order of left and right decides nothing."""
    drawn = shop_photo(random_product(np.random.default_rng(901)), 901, 320, 400).picture
    one, other = (
        cut_out(np.ascontiguousarray(photo), session, Recipe()) for photo in (drawn, drawn[:, ::-1])
    )
    assert one.evidence is not None and other.evidence is not None
    assert one.evidence.agreement == other.evidence.agreement < 1
    assert iou_of(one.rgba[..., 3], other.rgba[:, ::-1, 3]) > 0.99
    assert one.confidence == pytest.approx(other.confidence, abs=0.01)


def test_a_plain_picture_has_no_product(session) -> None:
    """An even grey picture is refused: the map is not stretched until something appears."""
    with pytest.raises(InputRefused, match="shows no product that pocket-matte finds"):
        cut_out(np.full((300, 300, 3), 128, np.uint8), session, Recipe())


def test_coarse_alpha_is_a_byte_map_of_the_photo(session) -> None:
    """The map has the photo's size and the type of an alpha channel."""
    drawn = shop_photo(random_product(np.random.default_rng(3)), 3, 200, 240)
    alpha = coarse_alpha(drawn.picture, session)
    assert alpha.shape == (240, 200) and alpha.dtype == np.uint8


def test_file_stays_small() -> None:
    """The weights ship with the package: 6 MB at most."""
    assert matte_path().stat().st_size <= 6_000_000


def test_composite_is_a_function_of_its_seed(stock) -> None:
    """The same number gives the same training pair, another number another one."""
    first, again, other = composite(1, 64, stock), composite(1, 64, stock), composite(2, 64, stock)
    assert (first[0] == again[0]).all() and (first[1] == again[1]).all()
    assert (first[0] != other[0]).any()


def test_most_composites_show_one_product_of_a_plausible_size(stock) -> None:
    """Nine in ten masks cover between 1 % and 90 % of the frame."""
    shares = np.array([(composite(seed, 64, stock)[1] > 127).mean() for seed in range(60)])
    assert ((shares > 0.01) & (shares < 0.9)).mean() > 0.85


def test_loss_prefers_the_right_answer() -> None:
    """The loss is near zero for the true mask and large for its opposite."""
    alpha = torch.zeros(1, 1, 64, 64)
    alpha[..., 16:48, 16:48] = 1
    coarse = torch.nn.functional.adaptive_avg_pool2d(alpha, 4) * 40 - 20
    right, iou = loss_of(alpha * 40 - 20, coarse, alpha)
    wrong, _ = loss_of(20 - alpha * 40, coarse, alpha)
    assert right < 0.3 and iou > 0.99 and wrong > 5


def test_empty_maps_agree() -> None:
    """Two empty maps have an IoU of one: a scene without product is learned, too."""
    assert soft_iou(torch.zeros(2, 1, 8, 8), torch.zeros(2, 1, 8, 8)).tolist() == [1, 1]


def test_network_is_small_enough() -> None:
    """At most 1.4 million weights."""
    assert sum(weight.numel() for weight in MatteNet().parameters()) <= 1_400_000


def test_exported_file_computes_the_same(tmp_path) -> None:
    """ONNX Runtime and torch agree on a random network."""
    import onnxruntime

    torch.manual_seed(0)
    net = MatteNet().eval()
    export(net, tmp_path / "net.onnx")
    picture = torch.randn(1, 3, 320, 320)
    run = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"]).run
    with torch.no_grad():
        assert np.abs(run(None, {"input": picture.numpy()})[0] - Exported(net)(picture).numpy()).max() < 1e-3


def test_training_goes_on_from_an_exported_file(tmp_path) -> None:
    """The released file fills a fresh network that computes the same; no batch norm is left at its start."""
    pictures = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    taught, fresh = MatteNet(), MatteNet()
    for norm in [module for module in taught.modules() if isinstance(module, torch.nn.BatchNorm2d)]:
        norm.running_mean.normal_(0, 0.5)
        norm.running_var.uniform_(0.5, 2)
        norm.bias.data.normal_(0, 0.5)
        norm.weight.data.uniform_(0.5, 1.5)
    export(taught, tmp_path / "matte.onnx")
    load_exported(fresh, tmp_path / "matte.onnx", pictures)
    expected = taught.eval()(pictures)[0]
    assert torch.allclose(fresh.eval()(pictures)[0], expected, atol=1e-3)
    names = [name for name, _ in fresh.named_buffers() if name.endswith("running_var")]
    folded = [name for name in names if ".join.0." not in name]
    assert all(
        not torch.equal(fresh.get_buffer(name), torch.ones_like(fresh.get_buffer(name))) for name in folded
    )
