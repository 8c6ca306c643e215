"""`fix`: no pixel invented, no marking lost or made up, no limit passed over."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from catalog_schemas import AssetRecipe, Channel
from productshot.assets import Fixed, Seen, Source, fix, read_source_type, xmp_packet
from productshot.assets.marking import COMPOSITE_WITH_AI, DRAWN_BY_AI, SOURCE_TYPES
from productshot.errors import GateRefused, InputRefused
from productshot.photos import Decoder
from productshot.pixels import Pixels
from tests.conftest import put_photo
from tests.unit.assets_builders import a_channel, a_scene_slot, a_slot
from tests.unit.test_cli import productshot

SECRET = "51.5072 N, taken by Ada"
ANY_FORMAT = {"id": "format", "text": "any", "status": "required", "checked": "file", "authority": "shop",
              "address": "https://example.org", "read": "2026-11-22",
              "limit": {"formats": ["jpeg", "png", "webp", "gif", "tiff", "bmp", "avif"]}}  # fmt: skip


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(seconds=30) as opened:
        yield opened


def a_scene(side: int = 320, seed: int = 0) -> Pixels:
    """Noise without a border; compresses badly."""
    return np.random.default_rng(seed).integers(0, 230, (side, side, 3), np.uint8)


def a_file(rgb: Pixels, kind: str = "JPEG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind, **options)
    return buffer.getvalue()


def mend(
    data: bytes, decoder: Decoder, channel: Channel, cut: Pixels | None = None, kind: str | None = None
) -> Fixed:
    """The file mended for the channel's first slot."""
    from productshot.inspection import ANY_SIZE

    got = decoder.pixels(data, "a", ANY_SIZE)
    seen = Seen(got.rgb, got.alpha, got.mode, got.profile, got.ai_source, "a")
    return fix(Source(data, seen, cut, "picture a"), channel, channel.slots[0], AssetRecipe(), kind=kind)


def any_format(**fields: Any) -> Channel:
    """A channel of one scene slot that takes every format."""
    return Channel.model_validate(
        {
            "name": "shop",
            "title": "Shop",
            "slots": [{**a_scene_slot(**fields).model_dump(), "rules": [ANY_FORMAT]}],
        }
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]),
    asked=st.sampled_from([None, "jpeg", "png", "webp", "avif"]),
    uri=st.sampled_from(
        [None, DRAWN_BY_AI, COMPOSITE_WITH_AI, "trainedAlgorithmicMedia", SOURCE_TYPES + "print"]
    ),
)
def test_an_ai_marking_is_neither_lost_nor_made_up(
    kind: str, asked: str | None, uri: str | None, decoder: Decoder
) -> None:
    """Through every format: what says AI says so afterwards, with its full address; nothing else says anything."""
    told = {"xmp": xmp_packet(uri, SECRET)}
    if kind == "PNG":
        from PIL.PngImagePlugin import PngInfo

        told = {"pnginfo": PngInfo()}
        told["pnginfo"].add_itxt("XML:com.adobe.xmp", xmp_packet(uri, SECRET).decode(), zip=True)
    if kind == "TIFF":
        told = {"tiffinfo": {700: xmp_packet(uri, SECRET)}}
    fixed = mend(a_file(a_scene(), kind, **told), decoder, any_format(), kind=asked)

    says_ai = uri is not None and uri.endswith("lgorithmicMedia")
    assert read_source_type(fixed.data) == (
        SOURCE_TYPES + uri.rpartition("/")[2] if uri and says_ai else None
    )
    assert SECRET.encode() not in fixed.data


def test_other_metadata_stays_behind(decoder: Decoder) -> None:
    """EXIF, comments and text chunks of a photo never reach the mended file."""
    exif = Image.Exif()
    exif[0x010E] = SECRET
    fixed = mend(a_file(a_scene(), exif=exif, comment=SECRET), decoder, any_format())

    assert b"Exif" not in fixed.data and SECRET.encode() not in fixed.data


@pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not installed (make test installs it)"
)
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "avif"])
def test_an_independent_reader_finds_the_marking(kind: str, decoder: Decoder, tmp_path: Path) -> None:
    """exiftool reads the full address from every format that `fix` writes, and no warning."""
    source = a_file(a_scene(), "WEBP", xmp=xmp_packet(DRAWN_BY_AI, "x"))
    path = tmp_path / f"a.{kind}"
    path.write_bytes(mend(source, decoder, any_format(), kind=kind).data)
    command = [
        "exiftool",
        "-j",
        "-XMP-iptcExt:DigitalSourceType#",
        "-Warning",
        "-ICC_Profile:ProfileDescription",
        path,
    ]
    (told,) = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

    assert told["DigitalSourceType"] == DRAWN_BY_AI
    assert "sRGB" in told["ProfileDescription"]
    assert "Warning" not in told


def test_a_limit_that_cannot_be_met_is_refused(decoder: Decoder) -> None:
    """A PNG of a million px stays above 100 kB: no quality below the floor, no size below the least."""
    channel = any_format(preferred_width=1_000, min_width=1_000, max_bytes=100_000)
    data = a_file(a_scene(1_000), "PNG")
    channel = Channel.model_validate(
        {**channel.model_dump(), "slots": [{**channel.slots[0].model_dump(), "rules": []}]}
    )
    with pytest.raises(
        GateRefused, match="at JPEG quality 75, the lowest allowed; slot shop/more takes at most"
    ):
        mend(data, decoder, channel)


def test_a_smaller_picture_meets_a_byte_limit_where_the_slot_allows(decoder: Decoder) -> None:
    """Quality first, then size, never below the least one."""
    channel = a_channel(a_scene_slot(min_width=120, max_bytes=20_000))
    fixed = mend(a_file(a_scene()), decoder, channel)

    assert len(fixed.data) <= 20_000
    assert fixed.done[-1].startswith("shrunk for its bytes to ")
    assert not fixed.refused


def test_nothing_is_enlarged(decoder: Decoder) -> None:
    """A picture below the least size stays below it, and the rule says so."""
    fixed = mend(a_file(a_scene(90)), decoder, a_channel(a_scene_slot(preferred_width=320, min_width=100)))

    assert [verdict.rule for verdict in fixed.refused] == ["min-size"]


def test_pixels_inside_the_matte_are_the_photographed_ones(decoder: Decoder) -> None:
    """Whitening leaves the product as it was, bit for bit, in a lossless file."""
    rgb = a_scene(200)
    cut = np.dstack([rgb, np.zeros((200, 200), np.uint8)])
    cut[13:187, 13:187, 3] = 255
    channel = Channel.model_validate(
        {"name": "shop", "title": "Shop", "slots": [{**a_slot().model_dump(), "rules": [ANY_FORMAT, {
            **ANY_FORMAT, "id": "white", "checked": "matte", "limit": {"white": True}}]}]}
    )  # fmt: skip
    fixed = mend(a_file(rgb, "PNG"), decoder, channel, cut)
    with Image.open(io.BytesIO(fixed.data)) as image:
        out = np.asarray(image.convert("RGB"))

    assert fixed.done == ("whitened outside the product",)
    assert (out[13:187, 13:187] == rgb[13:187, 13:187]).all()
    assert (out[cut[..., 3] == 0] == 255).all()


def test_a_frame_is_not_cropped_through_the_product(decoder: Decoder) -> None:
    """Where the product reaches the frame, the frame stays and is told."""
    rgb = np.full((300, 300, 3), 180, np.uint8)
    rgb[:10], rgb[-10:], rgb[:, :10], rgb[:, -10:] = 0, 0, 0, 0
    cut = np.dstack([rgb, np.zeros((300, 300), np.uint8)])
    cut[5:200, 100:200, 3] = 255
    limit = {**ANY_FORMAT, "id": "no-border", "limit": {"border": "none"}}
    slot = {**a_scene_slot(preferred_width=300).model_dump(), "rules": [limit]}
    channel = Channel.model_validate({"name": "shop", "title": "Shop", "slots": [slot]})

    assert [verdict.rule for verdict in mend(a_file(rgb, "JPEG"), decoder, channel, cut).refused] == [
        "no-border"
    ]


def test_an_empty_cutout_is_refused(decoder: Decoder) -> None:
    """A product of no opaque pixel cannot be framed."""
    cut = np.zeros((300, 400, 4), np.uint8)
    cut[5, 5, 3] = 9
    with pytest.raises(InputRefused, match="is empty: no pixel is opaque"):
        mend(a_file(np.full((300, 400, 3), 255, np.uint8)), decoder, a_channel(), cut)


# ---- the command


def test_fix_makes_a_photo_pass_check(root: Path, tmp_path: Path) -> None:
    """A photo on grey with its mask beside it becomes a main picture; `check` agrees; the mask is found by name."""
    photo, out = put_photo(root, "mug-1", side=1700), tmp_path / "new" / "main.jpg"
    where = ("--channel", "amazon", "--slot", "main")
    fixed = productshot("fix", photo, *where, "--out", out, "--json")
    (told,) = json.loads(fixed.stdout)
    mask = tmp_path / "new" / "main.mask.png"

    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert told["done"] == ["whitened outside the product", "framed the product anew on white"]
    assert not mask.exists() and [path.name for path in out.parent.iterdir()] == ["main.jpg"]
    assert productshot("check", out, *where).returncode == 0


def test_fix_writes_nothing_that_a_rule_refuses(root: Path, tmp_path: Path) -> None:
    """Too small for Amazon: exit 1, the reason, no file."""
    photo, out = put_photo(root, "mug-1", side=500), tmp_path / "out.jpg"
    done = productshot("fix", photo, "--channel", "amazon", "--slot", "main", "--out", out)

    assert done.returncode == 1
    assert "slot amazon/main needs at least" in done.stdout and not out.exists()


def test_no_file_overwrites_another(root: Path, tmp_path: Path) -> None:
    """Neither its own photo nor a second one of the same name; what is missing stops before anything is written."""
    first, second = root / "photos/mug-1/front.jpg", root / "photos/vase-2/front.jpg"
    where, before = ("--channel", "ebay", "--slot", "main"), first.read_bytes()
    told = [
        productshot("fix", first, *where, "--out", first),
        productshot("fix", first, *where, "--out", first.parent),
        productshot("fix", first, second, *where, "--out", tmp_path / "out"),
        productshot("fix", first, tmp_path / "none.jpg", *where, "--out", tmp_path / "out"),
    ]

    assert [one.returncode for one in told] == [2, 2, 2, 2]
    assert ["a photo is never overwritten" in one.stderr for one in told[:2]] == [True, True]
    assert first.read_bytes() == before and not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--channel", "amzon", "--slot", "main", "--out", "x"), "did you mean 'amazon'?"),
        (("--channel", "google", "--slot", "lifestile", "--out", "x"), "did you mean 'lifestyle'?"),
        (
            ("--channel", "google", "--slot", "main", "--out", "x.gif"),
            "has an ending that fix does not write",
        ),
        (("--channel", "none.yaml", "--slot", "main", "--out", "x"), "cannot be read"),
    ],
)
def test_bad_words_are_refused_with_the_nearest(root: Path, arguments: tuple[str, ...], told: str) -> None:
    """Exit 2 and one line that offers what was meant."""
    done = productshot("fix", root / "photos/mug-1/front.jpg", *arguments)

    assert done.returncode == 2
    assert told in done.stderr and len(done.stderr.strip().splitlines()) == 1
