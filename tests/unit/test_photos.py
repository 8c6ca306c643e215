"""The photos room: what hostile and odd files become, and what names say. All pictures are drawn here."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from catalog_schemas import PhotoRecipe, PhotoRule
from productshot.errors import ConfigInvalid, InputRefused
from productshot.geometry import Size
from productshot.photos import Decoded, Decoder, is_mask, is_picture_name, role_and_view, sku_problem
from productshot.pixels import Pixels

RECIPE = PhotoRecipe()
TRAINED = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
COMPOSITE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One decoder for all tests: each hostile file is followed by neighbours."""
    with Decoder(seconds=30) as decoder:
        yield decoder


def a_picture(width: int = 320, height: int = 288) -> Pixels:
    """(height, width, 3): four plain quarters in red, green, blue and grey, so that a turn shows."""
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[: height // 2, : width // 2] = (220, 30, 30)
    pixels[: height // 2, width // 2 :] = (30, 200, 30)
    pixels[height // 2 :, : width // 2] = (30, 30, 210)
    pixels[height // 2 :, width // 2 :] = (128, 128, 128)
    return pixels


def saved(image: Image.Image, format: str, **options: object) -> bytes:
    """The picture as a file."""
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def a_file(format: str = "PNG", **options: object) -> bytes:
    """A good photo as a file."""
    return saved(Image.fromarray(a_picture()), format, **options)


def a_chunk(name: bytes, body: bytes) -> bytes:
    """One PNG chunk with its checksum."""
    return struct.pack("!I", len(body)) + name + body + struct.pack("!I", zlib.crc32(name + body))


def a_png(width: int, height: int, depth: int, colour_type: int, rows: bytes, *extra: bytes) -> bytes:
    """A PNG made by hand; rows with their filter bytes, not yet compressed."""
    header = a_chunk(b"IHDR", struct.pack("!IIBBBBB", width, height, depth, colour_type, 0, 0, 0))
    data = a_chunk(b"IDAT", zlib.compress(rows, 1))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + data + a_chunk(b"IEND", b"")


def pixels_of(decoder: Decoder, data: bytes) -> Decoded:
    """The decoded photo a.jpg under the default recipe."""
    return decoder.pixels(data, "photo a.jpg", RECIPE)


def refusal(decoder: Decoder, data: bytes, recipe: PhotoRecipe = RECIPE) -> str:
    """The line that refuses the photo; the same decoder must take a good photo right after it."""
    with pytest.raises(InputRefused) as caught:
        decoder.measure(data, "photo a.jpg", recipe)
    if decoder.seconds >= 1:
        assert decoder.measure(a_file(), "photo good.png", RECIPE).size == Size(320, 288)
    return str(caught.value)


# Files that are refused


def test_text_is_refused_as_no_picture(decoder: Decoder) -> None:
    """Bytes of no picture type are named as such, with the types that are taken."""
    assert refusal(decoder, b"hello, I am a.jpg") == (
        "photo a.jpg is not a picture of a known type; only JPEG, PNG, WebP, TIFF, BMP, GIF and AVIF files are "
        "taken; export it as JPEG or PNG"
    )


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7 ...", "PDF"),
        (b"8BPS\0\1", "Photoshop"),
        (b"PK\3\4....", "ZIP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG, XML or HTML"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomiso2", "MP4 or MOV video"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    ],
)
def test_other_types_are_refused_by_name(decoder: Decoder, data: bytes, name: str) -> None:
    """The type is read from the content, whatever the file is called."""
    assert refusal(decoder, data).startswith(f"photo a.jpg is a {name} file; only JPEG, PNG,")


def test_an_empty_file_is_refused(decoder: Decoder) -> None:
    """Nothing is sent to the child for nothing."""
    assert refusal(decoder, b"") == (
        "photo a.jpg is empty; a photo has more than 0 bytes; upload the file again"
    )


def test_too_many_bytes_are_refused(decoder: Decoder) -> None:
    """The byte limit of the recipe holds before anything is looked at."""
    line = refusal(decoder, b"x" * 1_001, PhotoRecipe(max_bytes=1_000))
    assert line == "photo a.jpg has 1,001 bytes; at most 1,000 bytes are taken; send a smaller version"


def test_a_damaged_header_is_refused(decoder: Decoder) -> None:
    """A JPEG signature followed by nonsense names the type; the line is the same on every run."""
    assert refusal(decoder, b"\xff\xd8nonsense") == (
        "photo a.jpg cannot be decoded as JPEG; the decoder says: the header is damaged; open and save it again"
    )


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "BMP", "GIF", "WEBP", "AVIF"])
def test_half_a_file_is_refused(decoder: Decoder, format: str) -> None:
    """No decoder fills the missing half with grey."""
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    data = saved(Image.fromarray(noise), format)
    line = refusal(decoder, data[: len(data) // 2])
    assert "is truncated" in line or f"cannot be decoded as {format}" in line


def test_a_truncated_jpeg_says_so(decoder: Decoder) -> None:
    """The commonest broken upload has its own line."""
    data = a_file("JPEG")
    assert refusal(decoder, data[: len(data) * 2 // 3]) == (
        "photo a.jpg is truncated; the JPEG data ends early; upload the file again"
    )


def test_one_pixel_is_too_small(decoder: Decoder) -> None:
    """Size, limit and remedy stand in the line."""
    assert refusal(decoder, saved(Image.new("RGB", (1, 1)), "PNG")) == (
        "photo a.jpg is 1x1 px; at least 256 px on the shorter side are needed; ask for a larger original"
    )


def test_a_bombs_header_is_enough_to_refuse_it(decoder: Decoder) -> None:
    """40,000 x 40,000 claimed by a header is refused before a pixel is decoded."""
    assert refusal(decoder, a_png(40_000, 40_000, 8, 2, b"")) == (
        "photo a.jpg is 40000x40000 px; at most 100,000,000 pixels are decoded; "
        "send a smaller version, or raise recipes.photos.max_pixels"
    )


def test_a_real_bomb_is_refused_fast(decoder: Decoder) -> None:
    """1.6 gigapixels of one colour in a small file cost no decoding time."""
    rows = (b"\0" + bytes(5_000)) * 40_000
    data = a_png(40_000, 40_000, 1, 0, rows)
    decoder.measure(a_file(), "photo good.png", RECIPE)
    start = time.monotonic()
    with pytest.raises(InputRefused, match="is 40000x40000 px"):
        decoder.measure(data, "photo bomb.png", RECIPE)
    assert time.monotonic() - start < 2  # a second for a busy machine


def test_an_animation_is_refused(decoder: Decoder) -> None:
    """A photo is one picture; the line says how many there are."""
    frames = [Image.new("RGB", (300, 300), (0, 80 * n, 0)) for n in range(3)]
    data = saved(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert refusal(decoder, data) == (
        "photo a.jpg has 3 frames or pages; a photo is a single picture; send the wanted one as a file of its own"
    )


def test_floating_point_pixels_are_refused(decoder: Decoder) -> None:
    """A float TIFF has no known white, so nothing is guessed."""
    data = saved(Image.fromarray(np.zeros((300, 300), np.float32)), "TIFF")
    assert refusal(decoder, data) == (
        "photo a.jpg has 32-bit or floating-point pixels; 8 and 16 bit per channel are taken; "
        "save it with 8 or 16 bit"
    )


def test_a_fully_transparent_picture_is_refused(decoder: Decoder) -> None:
    """There is no product to see."""
    line = refusal(decoder, saved(Image.new("RGBA", (300, 300)), "PNG"))
    assert line.startswith("photo a.jpg is fully transparent; a photo shows its product;")


def test_blur_below_the_limit_is_refused(decoder: Decoder) -> None:
    """A recipe may ask for sharpness."""
    flat = saved(Image.new("RGB", (300, 300), (9, 9, 9)), "PNG")
    assert refusal(decoder, flat, PhotoRecipe(min_sharpness=5)) == (
        "photo a.jpg has sharpness 0.0; at least 5 is needed; send a sharper photo"
    )


# What happens to the child


def test_a_slow_file_is_stopped() -> None:
    """Past its time a photo is refused, and the next one finds a new child."""
    noise = np.random.default_rng(0).integers(0, 256, (800, 800, 3), np.uint8)
    with Decoder(seconds=0.001) as decoder:
        assert refusal(decoder, saved(Image.fromarray(noise), "PNG")) == (
            "photo a.jpg takes too long; its decoding was stopped after 0.001 s; "
            "open and save it again, or send a smaller version"
        )
        decoder.seconds = 30
        assert decoder.measure(a_file(), "photo good.png", RECIPE).size == Size(320, 288)


def test_a_hanging_child_is_killed_in_time() -> None:
    """A child that does nothing at all cannot hold the night longer than the limit."""
    with Decoder(seconds=0.3) as decoder:
        os.kill(decoder.start(), signal.SIGSTOP)
        start = time.monotonic()
        with pytest.raises(InputRefused, match="its decoding was stopped after 0.3 s"):
            decoder.measure(a_file(), "photo a.png", RECIPE)
        assert time.monotonic() - start < 2


def test_a_memory_blow_up_is_refused() -> None:
    """A picture beyond the child's memory is refused with the cap, and its neighbour decodes."""
    big = a_png(9_000, 9_000, 1, 0, (b"\0" + bytes(1_125)) * 9_000)
    with Decoder(seconds=30, memory_mb=256) as decoder:
        assert refusal(decoder, big) == (
            "photo a.jpg needs too much memory to decode; 256 MB are allowed; send a smaller version"
        )


def test_a_crash_names_the_signal() -> None:
    """When the child dies, the photo it died of is refused, and the next one decodes."""
    with Decoder(seconds=30) as decoder:
        pid = decoder.start()
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(0.3, os.kill, (pid, signal.SIGKILL)).start()
        assert refusal(decoder, a_file("JPEG")) == (
            "photo a.jpg crashes its decoder; the decoder died (SIGKILL); open and save it again"
        )


def test_a_child_that_died_between_photos_is_replaced() -> None:
    """A death while idle is no photo's fault."""
    with Decoder(seconds=30) as decoder:
        os.kill(decoder.start(), signal.SIGKILL)
        time.sleep(0.1)
        assert decoder.measure(a_file(), "photo good.png", RECIPE).size == Size(320, 288)


def test_too_small_a_cap_is_a_mistake_of_the_settings() -> None:
    """A cap in which not even the libraries fit is no photo's fault."""
    with pytest.raises(ConfigInvalid) as caught:
        Decoder(memory_mb=64)
    assert str(caught.value) == "decode_memory_mb is 64; at least 192; raise decode_memory_mb"


def test_the_child_knows_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hostile bytes meet a process without our secrets."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    with Decoder() as decoder:
        environment = Path(f"/proc/{decoder.start()}/environ").read_bytes()
    assert b"hunter2" not in environment and b"PYTHONPATH" in environment


def test_the_room_is_light() -> None:
    """Importing photos loads none of the heavy libraries."""
    code = "import sys, productshot.photos; print({'torch', 'rembg', 'boto3', 'scipy'} & set(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "set()"


# Files that are taken


@pytest.mark.parametrize("format", ["PNG", "BMP", "TIFF", "GIF", "WEBP"])
def test_lossless_formats_keep_every_pixel(decoder: Decoder, format: str) -> None:
    """What was drawn comes back exactly."""
    options = {"lossless": True} if format == "WEBP" else {}
    decoded = pixels_of(decoder, a_file(format, **options))
    assert np.array_equal(decoded.rgb, a_picture())
    assert decoded.alpha is None and decoded.profile == "none"


@pytest.mark.parametrize("format", ["JPEG", "AVIF"])
def test_lossy_formats_stay_near(decoder: Decoder, format: str) -> None:
    """Quarters keep their colours."""
    rgb = pixels_of(decoder, a_file(format, quality=95)).rgb.astype(int)
    assert np.abs(rgb - a_picture()).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format", ["PNG", "TIFF", "WEBP"])
def test_every_orientation_is_set_upright(decoder: Decoder, orientation: int, format: str) -> None:
    """A picture stored turned and tagged equals the upright picture."""
    stored = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: np.swapaxes(a, 0, 1),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(np.swapaxes(a, 0, 1), 2),
        8: lambda a: np.rot90(a, 3),
    }[orientation](a_picture())
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format == "WEBP" else {}
    data = saved(Image.fromarray(np.ascontiguousarray(stored)), format, exif=exif, **options)
    assert np.array_equal(pixels_of(decoder, data).rgb, a_picture())
    assert decoder.measure(data, "photo a.jpg", RECIPE).size == Size(320, 288)


def test_cmyk_without_profile_is_converted(decoder: Decoder) -> None:
    """Red ink is red light."""
    data = saved(Image.fromarray(a_picture()).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(pixels_of(decoder, data).rgb[40, 40].astype(int) - (220, 30, 30)).max() < 8


def test_16_bit_grey_is_scaled(decoder: Decoder) -> None:
    """0, half and full of 16 bit are 0, half and full of 8 bit, in three equal channels."""
    deep = np.zeros((300, 300), np.uint16)
    deep[100:200], deep[200:] = 32_768, 65_535
    rgb = pixels_of(decoder, saved(Image.fromarray(deep), "PNG")).rgb
    assert [tuple(rgb[y, 9]) for y in (0, 150, 299)] == [(0, 0, 0), (128, 128, 128), (255, 255, 255)]


def test_16_bit_grey_with_a_key_colour_has_alpha(decoder: Decoder) -> None:
    """The tRNS value is compared at 16 bit: its 8-bit neighbour stays opaque."""
    row = b"\0" + struct.pack("!300H", *([1_000] * 150 + [1_001] * 150))
    data = a_png(300, 300, 16, 0, row * 300, a_chunk(b"tRNS", struct.pack("!H", 1_000)))
    alpha = pixels_of(decoder, data).alpha
    assert alpha is not None and alpha[0, 0] == 0 and alpha[0, 299] == 255


def test_16_bit_rgb_is_scaled(decoder: Decoder) -> None:
    """A 16-bit colour PNG comes as its 8-bit colours."""
    row = b"\0" + struct.pack("!3H", 65_535, 32_896, 0) * 300
    rgb = pixels_of(decoder, a_png(300, 300, 16, 2, row * 300)).rgb
    assert np.abs(rgb[0, 0].astype(int) - (255, 128, 0)).max() <= 1


def test_a_palette_with_transparency_brings_its_alpha(decoder: Decoder) -> None:
    """The transparent palette entry becomes alpha 0, the others 255."""
    image = Image.fromarray(a_picture()).quantize(4)
    key = image.getpixel((0, 0))
    decoded = pixels_of(decoder, saved(image, "PNG", transparency=key))
    assert decoded.alpha is not None and decoded.alpha[0, 0] == 0 and decoded.alpha[-1, -1] == 255
    assert np.abs(decoded.rgb[-1, -1].astype(int) - 128).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_kept_straight(decoder: Decoder, mode: str) -> None:
    """Colours under half-transparent pixels are not darkened."""
    image = Image.fromarray(a_picture()).convert(mode)
    image.putalpha(77)
    decoded = pixels_of(decoder, saved(image, "PNG"))
    assert decoded.alpha is not None and (decoded.alpha == 77).all()
    assert np.array_equal(decoded.rgb, np.asarray(image.convert("RGBA"))[..., :3])


def test_a_fully_opaque_alpha_counts_as_none(decoder: Decoder) -> None:
    """An alpha channel that says nothing is no cutout."""
    data = saved(Image.fromarray(a_picture()).convert("RGBA"), "PNG")
    assert pixels_of(decoder, data).alpha is None
    assert decoder.measure(data, "photo a.jpg", RECIPE).has_alpha is False


def a_wide_profile() -> bytes:
    """An ICC profile of another colour space than sRGB: Lab."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def swapped_profile() -> bytes:
    """sRGB with the red and the blue primary exchanged: after conversion red is blue."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    renamed = profile.replace(b"s\0R\0G\0B", b"s\0W\0A\0P")
    return renamed.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")


def test_an_icc_profile_is_applied(decoder: Decoder) -> None:
    """Under a profile with red and blue exchanged, the stored red is shown blue."""
    decoded = pixels_of(decoder, a_file(icc_profile=swapped_profile()))
    assert decoded.profile == "converted"
    assert np.abs(decoded.rgb[40, 40].astype(int) - (30, 30, 220)).max() < 6


def test_a_profile_that_only_calls_itself_srgb_is_applied(decoder: Decoder) -> None:
    """The name is not believed where the primaries are others."""
    lying = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lying = lying.replace(b"rXYZ", b"tmp!").replace(b"bXYZ", b"rXYZ").replace(b"tmp!", b"bXYZ")
    decoded = pixels_of(decoder, a_file(icc_profile=lying))
    assert decoded.profile == "converted"
    assert np.abs(decoded.rgb[40, 40].astype(int) - (30, 30, 220)).max() < 6


def test_a_jpeg_can_be_decoded_small(decoder: Decoder) -> None:
    """Shrink-on-load: half the size where that leaves enough px, the whole where it does not; PNG is never shrunk."""
    jpeg, png = a_file("JPEG", quality=95), a_file("PNG")
    whole = decoder.pixels(jpeg, "a", RECIPE).rgb
    height, width = whole.shape[:2]
    half = decoder.pixels(jpeg, "a", RECIPE, min(height, width) // 2).rgb
    assert half.shape[:2] == ((height + 1) // 2, (width + 1) // 2)
    assert (
        np.abs(
            half[::2, ::2].astype(int) - whole[::4, ::4][: half[::2].shape[0], : half[:, ::2].shape[1]]
        ).mean()
        < 12
    )
    assert decoder.pixels(jpeg, "a", RECIPE, min(height, width) // 2 + 1).rgb.shape == whole.shape
    assert decoder.pixels(png, "a", RECIPE, 1).rgb.shape == whole.shape


def test_an_srgb_profile_changes_nothing(decoder: Decoder) -> None:
    """Not even by rounding."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    decoded = pixels_of(decoder, a_file(icc_profile=profile))
    assert decoded.profile == "srgb" and np.array_equal(decoded.rgb, a_picture())


@pytest.mark.parametrize("profile", [b"no profile at all", a_wide_profile()])
def test_a_useless_profile_is_ignored_and_recorded(decoder: Decoder, profile: bytes) -> None:
    """A broken profile, or one of another colour space, leaves the pixels as sRGB and says so."""
    data = a_file(icc_profile=profile)
    assert decoder.measure(data, "photo a.jpg", RECIPE).profile == "ignored"
    assert np.array_equal(pixels_of(decoder, data).rgb, a_picture())


def test_lab_is_converted(decoder: Decoder) -> None:
    """A Lab TIFF of a neutral grey is neutral in sRGB."""
    data = saved(Image.new("LAB", (300, 300), (138, 128, 128)), "TIFF")
    pixel = pixels_of(decoder, data).rgb[0, 0].astype(int)
    assert np.ptp(pixel) <= 3 and abs(pixel[0] - 128) < 6


def test_exposure_and_sharpness_are_measured(decoder: Decoder) -> None:
    """A checkerboard of black and white: half exposed, and far sharper than a plain picture."""
    board = (np.indices((300, 300)).sum(0) // 30 % 2 * 255).astype(np.uint8)
    sharp = decoder.measure(saved(Image.fromarray(board), "PNG"), "photo a.jpg", RECIPE)
    plain = decoder.measure(saved(Image.new("L", (300, 300), 51), "PNG"), "photo b.jpg", RECIPE)
    assert sharp.exposure == pytest.approx(0.5, abs=0.01) and sharp.sharpness > 1_000
    assert plain.exposure == pytest.approx(0.2, abs=0.001) and plain.sharpness == 0


# The photo's own statement that AI made it


def xmp(statement: str) -> bytes:
    """An XMP packet with one statement in its description."""
    return f"<x:xmpmeta><rdf:RDF><rdf:Description {statement}</rdf:RDF></x:xmpmeta>".encode()


ATTRIBUTE = f'Iptc4xmpExt:DigitalSourceType="{TRAINED}"/>'
ELEMENT = f"><Iptc4xmpExt:DigitalSourceType>{TRAINED}</Iptc4xmpExt:DigitalSourceType></rdf:Description>"
RESOURCE = f'><Iptc4xmpExt:DigitalSourceType rdf:resource="{TRAINED}"/></rdf:Description>'


@pytest.mark.parametrize("statement", [ATTRIBUTE, ELEMENT, RESOURCE])
def test_the_ai_marking_is_read_in_each_spelling(decoder: Decoder, statement: str) -> None:
    """As attribute, element or rdf:resource."""
    data = a_file("JPEG", xmp=xmp(statement))
    assert decoder.measure(data, "photo a.jpg", RECIPE).ai_source == TRAINED
    assert pixels_of(decoder, data).ai_source == TRAINED


@pytest.mark.parametrize("format", ["WEBP", "AVIF", "TIFF"])
def test_the_ai_marking_is_read_from_other_formats(decoder: Decoder, format: str) -> None:
    """Wherever the format keeps its XMP packet."""
    options = {"tiffinfo": {700: xmp(ATTRIBUTE)}} if format == "TIFF" else {"xmp": xmp(ATTRIBUTE)}
    assert pixels_of(decoder, a_file(format, **options)).ai_source == TRAINED


def test_the_ai_marking_is_read_from_compressed_xmp(decoder: Decoder) -> None:
    """A PNG's packet may be deflated, and stand before the pixels."""
    text = b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(xmp(ATTRIBUTE))
    rows = (b"\0" + bytes(900)) * 300
    assert pixels_of(decoder, a_png(300, 300, 8, 2, rows, a_chunk(b"iTXt", text))).ai_source == TRAINED


def test_a_camera_photo_is_not_called_ai(decoder: Decoder) -> None:
    """digitalCapture is a source type, but not AI's."""
    statement = ATTRIBUTE.replace("trainedAlgorithmicMedia", "digitalCapture")
    assert pixels_of(decoder, a_file("JPEG", xmp=xmp(statement))).ai_source is None


def test_the_c2pa_manifest_is_read(decoder: Decoder) -> None:
    """A source type inside a C2PA box counts; the same text in a comment outside does not."""
    box = b"jumbjumdc2pa...digitalSourceTypexF" + COMPOSITE.encode()
    rows = (b"\0" + bytes(900)) * 300
    signed = a_png(300, 300, 8, 2, rows, a_chunk(b"caBX", box))
    comment = a_png(300, 300, 8, 2, rows, a_chunk(b"tEXt", b"Comment\0" + COMPOSITE.encode()))
    assert pixels_of(decoder, signed).ai_source == COMPOSITE
    assert pixels_of(decoder, comment).ai_source is None


def test_of_two_statements_the_stronger_counts(decoder: Decoder) -> None:
    """Fully generated is more than composed with generated parts."""
    both = ATTRIBUTE.replace(TRAINED, COMPOSITE) + "<rdf:Description " + ATTRIBUTE
    assert pixels_of(decoder, a_file("JPEG", xmp=xmp(both))).ai_source == TRAINED


# What names say


def test_the_first_rule_that_matches_wins() -> None:
    """Names are compared in lower case; without a match a photo shows the product."""
    rules = [
        PhotoRule(pattern="*_Detail*", role="detail"),
        PhotoRule(pattern="*_front*", view="front"),
        PhotoRule(pattern="*", role="ignore"),
    ]
    assert role_and_view("A_DETAIL_front.jpg", rules) == ("detail", None)
    assert role_and_view("photos/17/a_front.JPG", rules) == ("product", "front")
    assert role_and_view("a.jpg", rules) == ("ignore", None)
    assert role_and_view("a.jpg", []) == ("product", None)


def test_masks_are_told_from_photos() -> None:
    """<name>.mask.png, in any case, with a name."""
    assert is_mask("photos/17/a.mask.png") and is_mask("A.MASK.PNG")
    assert not is_mask("a.png") and not is_mask("photos/17/.mask.png") and not is_mask("mask.png")


@pytest.mark.parametrize(
    "name", [".DS_Store", "Thumbs.db", "notes.TXT", "._a.jpg", ".hidden/a.jpg", "folder/"]
)
def test_what_is_no_picture_is_left_alone(name: str) -> None:
    """Leftovers of file managers are not refused, they are no photos."""
    assert not is_picture_name(f"photos/17/{name}")


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG", "a", "a.heic", "a b.png", "a.csv"])
def test_everything_else_is_tried(name: str) -> None:
    """The content decides, not the extension."""
    assert is_picture_name(f"photos/17/{name}")


@pytest.mark.parametrize("name", ["17", "shoe-17_b.2", "A" * 100])
def test_usable_sku_names(name: str) -> None:
    """Letters, digits, dots, dashes and underscores."""
    assert sku_problem(name) is None


@pytest.mark.parametrize(
    "name", ["", "../etc", "a..b", "a/b", "-a", ".a", "a b", "\U0001f45f", "a\n", "A" * 101, "ä"]
)
def test_unusable_sku_names_are_refused_readably(name: str) -> None:
    """The line shows the name with its odd characters visible, the rule and the remedy."""
    assert str(sku_problem(name)) == (
        f"SKU {name!r} is not a usable name; 1 to 100 of A-Z a-z 0-9 . _ - are allowed, a letter or digit first, "
        "no '..'; rename it in the catalog"
    )
