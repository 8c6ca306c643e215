"""The file: pure white after decoding, the byte limit, the profile, the same bytes every time, in every format."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from catalog_schemas import AssetRecipe, Slot
from productshot.assets import Composed, encode, packshot, srgb_profile
from productshot.assets.limits import LOSSY_BLOCK_PX
from productshot.assets.white import edge_blocks, white_fault
from productshot.errors import GateRefused
from productshot.pixels import Pixels, png_bytes
from tests.unit.assets_builders import a_block, a_disc, a_scene_slot, a_slot


def noise(side: int = 320) -> Composed:
    """A picture that compresses badly."""
    rgb = np.random.default_rng(7).integers(0, 256, (side, side, 3), np.uint8)
    return Composed(rgb, np.zeros((side, side), np.uint8), 1.0, None)


def decoded(data: bytes) -> Pixels:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def quality_of(data: bytes, slot: Slot, picture: Composed) -> int:
    """The quality whose file these bytes are."""
    for quality in range(100, 29, -1):
        recipe = AssetRecipe(quality=max(quality, 50), min_quality=min(quality, 100))
        if encode(picture, slot, recipe, None, "x") == data:
            return quality
    raise AssertionError("no quality gives these bytes")


@pytest.mark.parametrize("colour", [(200, 20, 20), (252, 252, 250), (0, 0, 0)])
@pytest.mark.parametrize("product", ["disc", "wide"])
def test_white_is_white_after_decoding(product: str, colour: tuple[int, int, int]) -> None:
    """255 in every block that the product does not touch, nearly white beside it: whatever its colour or width."""
    cutout = a_disc(240, colour) if product == "disc" else a_block(400, 90, colour)
    slot = a_slot(fill=1.0)
    made = packshot(cutout, slot, AssetRecipe(), "mug-1")
    rgb = decoded(encode(made, slot, AssetRecipe(), None, "mug-1"))
    touched = np.kron((made.matte > 0).reshape(25, 8, 25, 8).any(axis=(1, 3)), np.ones((8, 8))) > 0
    assert (rgb[~touched] == 255).all()
    assert (rgb[touched & (made.matte == 0)] >= 250).all()


def test_a_ground_that_is_not_white_is_refused() -> None:
    """A grey ground cannot become white by encoding better."""
    made = packshot(a_disc(240), a_slot(), AssetRecipe(), "mug-1")
    grey = Composed(np.minimum(made.rgb, 254), made.matte, made.upscale, made.product)
    with pytest.raises(
        GateRefused, match=r"^mug-1 is not on pure white as a JPEG: \d+ px away from the product"
    ):
        encode(grey, a_slot(), AssetRecipe(), None, "mug-1")


def test_the_best_quality_that_fits_is_found() -> None:
    """The file fits the limit, and one step better would not."""
    slot, recipe = a_scene_slot(max_bytes=14_000), AssetRecipe(quality=92, min_quality=40)
    data = encode(noise(128), slot, recipe, None, "mug-1")
    used = quality_of(data, a_scene_slot(), noise(128))
    better = encode(noise(128), a_scene_slot(), AssetRecipe(quality=used + 1, min_quality=40), None, "mug-1")
    assert len(data) <= 14_000 < len(better)


def test_too_many_bytes_at_the_lowest_quality_are_refused() -> None:
    """The refusal says how many bytes, at which quality, and the limit."""
    with pytest.raises(GateRefused) as refused:
        encode(noise(), a_scene_slot(max_bytes=20_000), AssetRecipe(), None, "mug-1", "amazon/additional")
    said = str(refused.value)
    assert (
        "bytes at JPEG quality 75, the lowest allowed; slot amazon/additional takes at most 20,000 bytes"
        in said
    )
    assert said.endswith("lower the slot's preferred_width, or allow a lower min_quality")


def test_pure_white_does_not_break_the_byte_limit() -> None:
    """A quality that white needs and the limit forbids is a refusal."""
    made = packshot(a_disc(240), a_slot(), AssetRecipe(), "mug-1")
    small = len(encode(made, a_slot(background="any"), AssetRecipe(), None, "mug-1"))
    with pytest.raises(GateRefused, match="needed for pure white; slot main takes at most"):
        encode(made, a_slot(max_bytes=small), AssetRecipe(), None, "mug-1")


def test_the_same_picture_gives_the_same_bytes() -> None:
    """No clock and no chance: not even in the colour profile."""
    made = packshot(a_disc(240), a_slot(), AssetRecipe(), "mug-1")
    first = encode(made, a_slot(), AssetRecipe(), b"<x/>", "mug-1")
    srgb_profile.cache_clear()
    assert encode(made, a_slot(), AssetRecipe(), b"<x/>", "mug-1") == first
    assert srgb_profile()[24:36] == bytes.fromhex("07ea 0001 0001 0000 0000 0000")


def test_a_jpeg_changes_no_later_png() -> None:
    """A cutout has the same bytes before and after a file was encoded in the process: workers differ in that."""
    cutout = np.random.default_rng(3).integers(0, 256, (300, 300, 4), np.uint8)
    before = png_bytes(cutout)
    encode(noise(), a_slot(background="any"), AssetRecipe(), None, "mug-1")
    assert png_bytes(cutout) == before


def test_white_keeps_full_colour_and_carries_srgb() -> None:
    """4:4:4, baseline, with an sRGB profile and without a trace of EXIF."""
    made = packshot(a_disc(240), a_slot(), AssetRecipe(), "mug-1")
    with Image.open(io.BytesIO(encode(made, a_slot(), AssetRecipe(), None, "mug-1"))) as image:
        assert image.layer[0][1:3] == (1, 1)  # type: ignore[attr-defined]
        assert image.info["icc_profile"] == srgb_profile()
        assert "progressive" not in image.info
        assert "exif" not in image.info and "xmp" not in image.info


def test_the_white_rule_knows_both_kinds_of_blocks() -> None:
    """A pixel of 251 is a fault far from the product and none beside it; 249 is one everywhere."""
    matte = np.zeros((32, 32), np.uint8)
    matte[2, 2] = 255
    rgb = np.full((32, 32, 3), 255, np.uint8)
    rgb[5, 5] = 251
    assert white_fault(rgb, matte) is None
    rgb[5, 5] = 249
    assert white_fault(rgb, matte) == "1 px beside the product are down to 249"
    rgb[20, 20, 1] = 254
    assert white_fault(rgb, matte) == "1 px away from the product are not 255 (down to 254)"


@pytest.mark.parametrize("side", [160, 187])
@pytest.mark.parametrize("quality", [60, 85, 92, 97, 100])
def test_the_deciding_blocks_say_what_the_whole_file_says(side: int, quality: int) -> None:
    """The strip that is probed and the whole JPEG break pure white in the same pixels, at ragged sizes too."""
    made = packshot(a_disc(240, (90, 140, 20)), a_slot(preferred_width=side), AssetRecipe(), "mug-1")
    edge = edge_blocks(made.rgb, made.matte)

    def decoded_at(rgb: Pixels) -> Pixels:
        buffer = io.BytesIO()
        Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling=0)
        return decoded(buffer.getvalue())

    assert edge.strip.size < made.rgb.size / 2
    assert edge.fault(decoded_at(edge.strip)) == white_fault(decoded_at(made.rgb), made.matte)


@pytest.mark.parametrize("kind", ["png", "webp", "avif"])
def test_other_formats_keep_white_too(kind: str) -> None:
    """A black disc on white: 255 away from it, whatever blocks the format mixes; the same bytes when made again."""
    slot = a_slot(format=kind)
    made = packshot(a_disc(240, (0, 0, 0)), slot, AssetRecipe(), "mug-1")
    data = encode(made, slot, AssetRecipe(), None, "mug-1")
    assert white_fault(decoded(data), made.matte, LOSSY_BLOCK_PX.get(kind, 1)) is None
    assert encode(made, slot, AssetRecipe(), None, "mug-1") == data


def test_webp_on_white_is_lossless_where_lossy_is_not_white() -> None:
    """Halved chroma bleeds over a red edge, so every pixel is kept instead."""
    slot = a_slot(format="webp")
    made = packshot(a_disc(240), slot, AssetRecipe(), "mug-1")
    assert np.array_equal(decoded(encode(made, slot, AssetRecipe(), None, "mug-1")), made.rgb)


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("png", r"bytes at PNG; slot shop/more takes at most 100,000 bytes; lower .*, or ask for JPEG$"),
        ("webp", r"bytes at WebP quality 75, the lowest allowed; slot shop/more takes at most 100,000 bytes"),
        ("avif", r"bytes at AVIF quality 75, the lowest allowed; slot shop/more takes at most 100,000 bytes"),
    ],
)
def test_a_limit_that_no_quality_meets_is_refused(kind: str, told: str) -> None:
    """Noise under 100 kB: never below the floor, and PNG has no quality to lower."""
    slot = a_scene_slot(format=kind, max_bytes=100_000)
    with pytest.raises(GateRefused, match=told):
        encode(noise(520), slot, AssetRecipe(), None, "mug-1", "shop/more")


@pytest.mark.parametrize("kind", ["webp", "avif"])
def test_a_lossy_format_is_searched_for_its_bytes(kind: str) -> None:
    """A limit between the files of two qualities is met by one in between."""
    recipe, slot = AssetRecipe(), a_scene_slot(format=kind)
    best = len(encode(noise(128), slot, recipe, None, "mug-1"))
    least = len(encode(noise(128), slot, AssetRecipe(quality=75), None, "mug-1"))
    limit = (best + least) // 2
    made = encode(noise(128), a_scene_slot(format=kind, max_bytes=limit), recipe, None, "mug-1")
    assert least <= len(made) <= limit
