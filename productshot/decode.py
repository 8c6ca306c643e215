"""Photos room, inner half: what runs in the decoding child (python -m productshot.decode MEMORY_MB).

Hostile bytes come in on stdin, sRGB pixels or plain numbers go out on stdout; productshot/photos.py is the
other end. Only numpy and Pillow are loaded, so that the child is up in a fraction of a second. Nothing of a
photo's EXIF, GPS or XMP leaves this process except its own statement that AI made it.

A frame on either pipe: two big-endian uint32 (bytes of JSON, bytes of payload), the JSON, the payload.
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import resource
import signal
import struct
import sys
import warnings
import zlib
from typing import Any, BinaryIO, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    ImageCms,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
    features,
)

from productshot.errors import InputRefused

FRAME = struct.Struct("!II")

ACCEPTED = {
    "JPEG": JpegImagePlugin,
    "PNG": PngImagePlugin,
    "WEBP": WebPImagePlugin,
    "TIFF": TiffImagePlugin,
    "BMP": BmpImagePlugin,
    "GIF": GifImagePlugin,
    "AVIF": AvifImagePlugin,
}
"""Types by Pillow's name, and the plugin whose import registers each."""

MAGIC = (
    (b"\xff\xd8", "JPEG"),
    (b"\x89PNG", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "TIFF"),
    (b"MM\0+", "TIFF"),
    (b"BM", "BMP"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"PK\3\4", "ZIP"),
    (b"\0\0\1\0", "ICO"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"<", "SVG, XML or HTML"),
)
"""First bytes of the types we accept, and of those we refuse by name."""

WANTED = "only JPEG, PNG, WebP, TIFF, BMP, GIF and AVIF files are taken"

BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""What Pillow's plugins raise for broken files; caught around calls into Pillow only."""

UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation (CIPA DC-008, tag 0x0112) -> what sets the picture upright."""

ORIENTATION_TAG = 0x0112

PRIMARIES = ("red_colorant", "green_colorant", "blue_colorant")
"""The tags of an RGB profile whose XYZ say where its primaries lie."""

AI_SOURCES = (
    "trainedAlgorithmicMedia",
    "compositeWithTrainedAlgorithmicMedia",
    "algorithmicMedia",
    "compositeSynthetic",
)
"""IPTC digital source types that mean AI or an algorithm, strongest first."""

AI_URI = "http://cv.iptc.org/newscodes/digitalsourcetype/"

XMP_SOURCE = re.compile(
    rb"DigitalSourceType(?:\s*=\s*[\"']|\s+[\w:]*resource\s*=\s*[\"']|[^<>]{0,200}>)\s*"
    rb"(?:https?://cv\.iptc\.org/newscodes/digitalsourcetype/)?(\w{1,60})"
)
"""The property as attribute, as rdf:resource or as element; its last word."""

C2PA_SOURCE = re.compile(rb"https?://cv\.iptc\.org/newscodes/digitalsourcetype/(\w{1,60})")


class Limits(NamedTuple):
    """What a photo may be: shorter side at least min_side_px, width x height at most max_pixels."""

    min_side_px: int
    max_pixels: int


class Picture(NamedTuple):
    """A decoded photo: RGB in sRGB, 8 bit; alpha "L" of the same size or None."""

    rgb: Image.Image
    alpha: Image.Image | None
    ai_source: str | None  # DigitalSourceType URI
    profile: str  # none, srgb, converted, ignored (the ICC profile is broken or of another colour space)
    mode: str = "RGB"  # of the file, by Pillow's name


def refuse(value: str, limit: str = "", remedy: str = "") -> NoReturn:
    """Raise the refusal; the item's name is known to the parent only."""
    raise InputRefused("", value, limit, remedy)


def type_of(data: bytes) -> str:
    """The file's type by its first bytes, never by its name; "" when unknown."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        if b"avif" in brands or b"avis" in brands:
            return "AVIF"
        return "HEIC" if re.search(rb"hei[cxms]|hev[cxms]|mif1|msf1", brands) else "MP4 or MOV video"
    return next((name for magic, name in MAGIC if data.startswith(magic)), "")


def decode(data: bytes, limits: Limits, least_px: int = 0) -> Picture:
    """The picture of a file: upright, sRGB, 8 bit. Raises InputRefused; MemoryError at the process's cap.

    With `least_px` a JPEG may come back shrunk 2, 4 or 8 times, its shorter side still at least that long: it is
    decoded at that size at once (shrink-on-load: a smaller inverse DCT).
    """
    image = open_checked(data, limits)
    if least_px and image.format == "JPEG":
        share = least_px / min(image.size)
        image.draft(None, (math.ceil(image.width * share), math.ceil(image.height * share)))
    kind = "JPEG" if image.format == "MPO" else str(image.format)
    try:
        image.load()
        orientation = image.getexif().get(ORIENTATION_TAG, 1)
    except BROKEN as error:
        unreadable(kind, error)
    ai_source, mode = ai_source_of(data, image.info.get("xmp")), image.mode
    icc = image.info.get("icc_profile")
    colour, alpha = split_alpha(to_8_bit(image))
    rgb, profile = to_srgb(colour, icc)
    if orientation in UPRIGHT:
        rgb = rgb.transpose(UPRIGHT[orientation])
        alpha = alpha.transpose(UPRIGHT[orientation]) if alpha else None
    return Picture(rgb, alpha, ai_source, profile, mode)


def open_checked(data: bytes, limits: Limits) -> Image.Image:
    """The opened, not yet decoded file; its type, size and number of frames are judged from the header."""
    kind = type_of(data)
    if kind not in ACCEPTED or (kind == "AVIF" and not features.check("avif")):
        known = f"is a {kind} file" if kind else "is not a picture of a known type"
        refuse(known, WANTED, "export it as JPEG or PNG")
    try:
        image = Image.open(io.BytesIO(data), formats=[kind])
    except BROKEN as error:
        unreadable(kind, error)
    check_size(image, limits)
    try:
        frames = getattr(image, "n_frames", 1) if getattr(image, "is_animated", False) else 1
    except BROKEN as error:
        unreadable(kind, error)
    if frames > 1 and image.format != "MPO":  # MPO: a JPEG whose further pictures are previews or gain maps
        refuse(
            f"has {frames} frames or pages",
            "a photo is a single picture",
            "send the wanted one as a file of its own",
        )
    return image


def check_size(image: Image.Image, limits: Limits) -> None:
    """Refuse by the header's width and height, before anything is decoded."""
    width, height = image.size
    if width * height > limits.max_pixels:
        limit = f"at most {limits.max_pixels:,} pixels are decoded"
        refuse(f"is {width}x{height} px", limit, "send a smaller version, or raise recipes.photos.max_pixels")
    if min(width, height) < limits.min_side_px:
        limit = f"at least {limits.min_side_px} px on the shorter side are needed"
        refuse(f"is {width}x{height} px", limit, "ask for a larger original")


def unreadable(kind: str, error: BaseException) -> NoReturn:
    """Refuse a file that its decoder gave up on; "truncated" where it says so, MemoryError likewise."""
    reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        reason = "the header is damaged"  # Pillow's own message holds an address in memory
    if "out of memory" in reason:
        raise MemoryError from error
    if isinstance(error, EOFError) or "truncated" in reason.lower():
        refuse("is truncated", f"the {kind} data ends early", "upload the file again")
    refuse(f"cannot be decoded as {kind}", f"the decoder says: {reason}", "open and save it again")


def to_8_bit(image: Image.Image) -> Image.Image:
    """16-bit grey scaled to 8 bit (0..65535 -> 0..255, rounded); its key colour becomes an alpha channel."""
    if image.mode in ("I", "F"):
        refuse(
            "has 32-bit or floating-point pixels",
            "8 and 16 bit per channel are taken",
            "save it with 8 or 16 bit",
        )
    key = image.info.get("transparency")
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint32)
        grey = Image.fromarray(((deep * 255 + 32_767) // 65_535).astype(np.uint8))
        if not isinstance(key, int):
            return grey
        opaque = Image.fromarray(np.where(deep == key, 0, 255).astype(np.uint8))
        return Image.merge("LA", (grey, opaque))
    if isinstance(key, tuple) and max(key) > 255:  # 16-bit RGB: Pillow keeps the high bytes of the pixels
        image.info["transparency"] = tuple(value >> 8 for value in key)
    return image


def split_alpha(image: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    """The picture without transparency (L, RGB, CMYK or LAB) and its alpha, None when fully opaque."""
    alpha = None
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        alpha = rgba.getchannel("A")
        image = rgba.getchannel("R") if image.mode in ("1", "L", "LA") else rgba.convert("RGB")
        lowest, highest = alpha.getextrema()
        if highest == 0:
            refuse(
                "is fully transparent",
                "a photo shows its product",
                "send the picture with its product visible",
            )
        if lowest == 255:
            alpha = None
    if image.mode == "1":
        image = image.convert("L")
    return (image if image.mode in ("L", "RGB", "CMYK", "LAB") else image.convert("RGB")), alpha


def to_srgb(image: Image.Image, icc: bytes | None) -> tuple[Image.Image, str]:
    """RGB in sRGB and what became of the ICC profile: none, srgb, converted or ignored.

    Relative colorimetric with black point compensation. A picture without a usable profile is taken as sRGB
    (CMYK: Pillow's plain conversion; LAB needs none).
    """
    if image.mode == "LAB":
        return convert_profile(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))), "converted"
    if not icc:
        return image.convert("RGB"), "none"
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        space = profile.profile.xcolor_space.strip()
        if space == "RGB" and is_srgb(profile):
            return image.convert("RGB"), "srgb"
        if space == "RGB" and image.mode == "L":
            image = image.convert("RGB")
        if space == "GRAY" and image.mode == "RGB" and len({band.tobytes() for band in image.split()}) == 1:
            image = image.getchannel("R")  # Pillow opens 16-bit grey with alpha as RGBA
        if {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space) != image.mode:
            return image.convert("RGB"), "ignored"
        return convert_profile(image, profile), "converted"
    except (OSError, ImageCms.PyCMSError, ValueError):
        return image.convert("RGB"), "ignored"


def is_srgb(profile: ImageCms.ImageCmsProfile) -> bool:
    """Whether an RGB profile calls itself sRGB and has its primaries; one that lies is converted like any other."""
    if not (ImageCms.getProfileDescription(profile) or "").startswith("sRGB"):
        return False
    own = [getattr(profile.profile, name) for name in PRIMARIES]
    if None in own:
        return False
    true = ImageCms.createProfile("sRGB")
    away = np.subtract([xyz for xyz, _ in own], [getattr(true, name)[0] for name in PRIMARIES])
    return bool(np.abs(away).max() < 0.01)


def convert_profile(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    """The picture moved from its profile to sRGB; raises ImageCms.PyCMSError for an unusable profile."""
    moved = ImageCms.profileToProfile(
        image,
        profile,
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
        flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
    )
    if moved is None:
        raise ImageCms.PyCMSError("no picture came back")
    return moved


def ai_source_of(data: bytes, xmp: bytes | str | None) -> str | None:
    """The DigitalSourceType URI by which the photo says that AI made it or a part of it, or None.

    Read from XMP (the packet that Pillow unpacked, and any in the file's plain bytes) and from a C2PA
    manifest, as a byte search for the URI behind the first JUMBF box; its signature is not checked. No XML is
    parsed, so no entity is ever expanded. Of several statements the strongest counts.
    """
    packet = xmp.encode() if isinstance(xmp, str) else xmp or b""
    said = XMP_SOURCE.findall(packet.replace(b"\0", b""))
    if b"DigitalSourceType" in data:
        said += XMP_SOURCE.findall(data)
    manifest = data.find(b"jumb")
    if manifest >= 0 and data.find(b"c2pa", manifest) >= 0:
        said += C2PA_SOURCE.findall(data, manifest)
    words = {word.decode("ascii", "replace").lower() for word in said}
    return next((AI_URI + name for name in AI_SOURCES if name.lower() in words), None)


def measures_of(picture: Picture) -> dict[str, float]:
    """Sharpness and exposure of the picture as a viewer sees it: transparent parts laid on white.

    exposure: mean Rec. 601 luma, 0..1. sharpness: variance of the 4-neighbour Laplacian of the 0..255 luma,
    scaled to at most 512 px on the longer side; 0 for a picture below 3 px.
    """
    luma = picture.rgb.convert("L")
    if picture.alpha:
        luma = Image.composite(luma, Image.new("L", luma.size, 255), picture.alpha)
    luma.thumbnail((512, 512), Image.Resampling.BOX, reducing_gap=None)
    y = np.asarray(luma).astype(np.float32)
    return {"sharpness": sharpness_of(y), "exposure": float(y.mean(dtype=np.float64)) / 255}


def sharpness_of(y: NDArray[np.float32]) -> float:
    """Variance of the Laplacian of a (h, w) luma."""
    if min(y.shape) < 3:
        return 0.0
    laplacian = y[:-2, 1:-1] + y[2:, 1:-1] + y[1:-1, :-2] + y[1:-1, 2:] - 4 * y[1:-1, 1:-1]
    return float(laplacian.var(dtype=np.float64))


def answer(ask: dict[str, Any], data: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The reply's JSON and payload: RGB then alpha for "pixels", nothing for "measures"."""
    try:
        picture = decode(data, Limits(ask["min_side_px"], ask["max_pixels"]), ask["least_px"])
    except InputRefused as refusal:
        return {"refused": [refusal.value, refusal.limit, refusal.remedy]}, []
    reply: dict[str, Any] = {
        "size": picture.rgb.size,
        "has_alpha": picture.alpha is not None,
        "ai_source": picture.ai_source,
        "profile": picture.profile,
        "mode": picture.mode,
    }
    if ask["want"] == "measures":
        return reply | measures_of(picture), []
    return reply, [picture.rgb.tobytes()] + ([picture.alpha.tobytes()] if picture.alpha else [])


def send(pipe: BinaryIO, head: dict[str, Any], payload: list[bytes]) -> None:
    """One frame to the parent."""
    text = json.dumps(head).encode()
    pipe.write(FRAME.pack(len(text), sum(map(len, payload))) + text)
    for part in payload:
        pipe.write(part)
    pipe.flush()


def serve(requests: BinaryIO, replies: BinaryIO) -> None:
    """Answer requests until the parent closes the pipe; after running out of memory, answer that and end."""
    send(replies, {"ready": True}, [])
    while frame := requests.read(FRAME.size):
        head_bytes, payload_bytes = FRAME.unpack(frame)
        ask = json.loads(requests.read(head_bytes))
        signal.setitimer(signal.ITIMER_REAL, ask["seconds"] + 1)  # ends even a child whose parent was killed
        try:
            send(replies, *answer(ask, requests.read(payload_bytes)))
        except MemoryError:
            send(replies, {"out_of_memory": True}, [])
            return
        signal.setitimer(signal.ITIMER_REAL, 0)


def main() -> None:
    """Cap this process (address space, 64 kB written to a file, no core), then serve stdin and stdout."""
    memory = int(sys.argv[1]) * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")  # Pillow warns of what is either refused here or harmless
    Image.MAX_IMAGE_PIXELS = None  # check_size is the limit
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a C library prints must not enter a frame
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
