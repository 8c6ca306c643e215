"""Assets: how fast a picture becomes the files of its slots, and what memory a night of them takes.

    python -m benchmarks.assets sizes [--source photo|cutout] [--rounds 5]  eight sizes of 24 megapixels, JPEG and WebP
    python -m benchmarks.assets night [--assets 2000] [--slots 4] [--threads 2]

sizes: against opening, resizing and saving with Pillow for each file, at the same quality and encoder settings, in
turns (A-B-A-B); ratios of medians, of wall time and of CPU time (the decoding child's included), and the lowest
structural similarity to Pillow's, of the pixels that are encoded and of the files (Likeness). Two lossy files of
nearly the same picture differ by more than the pictures do, so Pillow's own answer to a nudge of its pixels stands
beside the files' figure, and each file is held against the pixels that Pillow encodes. Two sources: a photo as JPEG,
and a cutout as the store keeps it.
night: the stage as a night runs it, from stored cutouts to files on 1,000 px, XMP, read-back, every rule of the channel
and manifest included. The cutouts are 1100x1100 px, the box of a product that takes 90 % of a 2-megapixel photo's
height; files a second of wall time and of CPU time, and the memory on the way. On a busy
machine only the CPU time says anything: two cores give at most twice as many files a second as one CPU second.
"""

from __future__ import annotations

import argparse
import io
import json
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import psutil
from PIL import Image
from skimage.metrics import structural_similarity

from catalog_schemas import AssetRecipe, Channel, PhotoRecipe, Scene, Slot
from productshot.assets import encode, packshot, srgb_profile, xmp_packet
from productshot.assets.levels import GAP, Levels
from productshot.folder import FolderStore
from productshot.geometry import Box, Size
from productshot.ledger import Ledger
from productshot.photos import Decoder
from productshot.pixels import Pixels, from_png, png_bytes
from productshot.progress import silent
from productshot.records import Asset, Cutout, Photo, Render, Verdict
from productshot.stages.assets import AssetJob, cores, make_assets
from productshot.stages.gates import Judged

PHOTO = Size(6000, 4000)
WIDTHS = (1800, 1500, 1200, 1080, 960, 750, 600, 480)
"""Multiples of 3, so that a photo of 3:2 fills each size to the pixel and both sides resize the same picture."""

FORMATS = ("jpeg", "webp")
DISTINCT = 16
"""Different cutouts of a night; each SKU has a copy of one of its own, read and decoded for it alone."""


class Clock(NamedTuple):
    """Seconds of wall time and of CPU time, of this process and its children."""

    wall: float
    cpu: float

    @classmethod
    def now(cls) -> Clock:
        process = psutil.Process()
        used = [one.cpu_times() for one in (process, *process.children())]
        return cls(time.perf_counter(), sum(one.user + one.system for one in used))

    def since(self, began: Clock) -> Clock:
        return Clock(self.wall - began.wall, self.cpu - began.cpu)


# ---- drawing


def a_photograph(size: Size, seed: int = 0) -> Pixels:
    """RGB with a photograph's falling spectrum, (h, w, 3): soft shapes, texture, a sensor's noise of 1.5 levels."""
    rng = np.random.default_rng(seed)
    out = np.full((size.height, size.width, 3), 128, np.float32)
    for scale, levels in ((128, 40), (32, 18), (8, 6), (3, 2)):
        coarse = rng.normal(0, levels, (size.height // scale + 1, size.width // scale + 1, 3)).astype(
            np.float32
        )
        for channel in range(3):
            soft = Image.fromarray(coarse[..., channel]).resize(size, Image.Resampling.BICUBIC)
            out[..., channel] += np.asarray(soft)
    out += rng.normal(0, 1.5, (*out.shape[:2], 1)).astype(np.float32)
    return np.asarray(np.clip(np.rint(out), 0, 255), np.uint8)


def a_cutout(size: Size, seed: int = 0) -> Pixels:
    """RGBA: an antialiased ellipse of a photograph that touches all four sides."""
    y, x = np.mgrid[: size.height, : size.width].astype(np.float32)
    reach = np.hypot((x + 0.5) / size.width * 2 - 1, (y + 0.5) / size.height * 2 - 1)
    alpha = np.clip((1 - reach) * min(size) / 2 + 0.5, 0, 1)
    return np.dstack([a_photograph(size, seed), np.rint(255 * alpha).astype(np.uint8)])


# ---- all sizes of one picture


def a_size(width: int, kind: str) -> Slot:
    """A slot as wide as that, in the photo's ratio, filled by the picture, that asks nothing of the ground."""
    return Slot.model_validate(
        {"name": f"w{width}-{kind}", "role": "additional", "lanes": ["packshot"], "ratio": (3, 2), "fill": 1.0,
         "preferred_width": width, "min_width": width, "format": kind, "max_bytes": 50_000_000}
    )  # fmt: skip


SIZES = [a_size(width, kind) for width in WIDTHS for kind in FORMATS]


def by_pillow(open_picture: Callable[[], Image.Image]) -> list[bytes]:
    """Each file on its own: opened, resized, saved."""
    return [_saved(_resized(open_picture(), slot), slot.format) for slot in SIZES]


def _resized(picture: Image.Image, slot: Slot) -> Image.Image:
    """A photo, or a cutout with alpha laid on white, at the slot's size, by Lanczos."""
    size = Size(slot.preferred_width, slot.height(slot.preferred_width))
    if picture.mode != "RGBA":
        return picture.resize(size, Image.Resampling.LANCZOS)
    small = picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS).convert("RGBA")
    ground = Image.new("RGB", size, (255, 255, 255))
    ground.paste(small, mask=small)
    return ground


def _saved(picture: Image.Image, kind: str) -> bytes:
    how: dict[str, Any] = {"method": 4}
    if kind == "jpeg":
        how = {"subsampling": 0, "optimize": True}
    buffer = io.BytesIO()
    picture.save(buffer, kind.upper(), quality=AssetRecipe().quality, icc_profile=srgb_profile(), **how)
    return buffer.getvalue()


def photo_levels(photo: bytes, decoder: Decoder) -> Levels:
    """One decode in the child, as small as the largest size allows."""
    largest = max(slot.height(slot.preferred_width) for slot in SIZES)
    rgb = decoder.pixels(photo, "photo", PhotoRecipe(), math.ceil(GAP * largest)).rgb
    return Levels(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]))


def by_us(make_levels: Callable[[], Levels]) -> list[bytes]:
    """One decode, then all sizes from its levels, in threads."""
    recipe, levels = AssetRecipe(), make_levels()

    def file_of(slot: Slot) -> bytes:
        picture = packshot(levels, slot, recipe, "picture")
        return encode(picture, slot, recipe, xmp_packet(None, "picture"), "picture")

    with ThreadPoolExecutor(cores()) as pool:
        return list(pool.map(file_of, SIZES))


def measure_sizes(rounds: int, source: str) -> dict[str, Any]:
    """One source (photo or cutout), in turns; figures JSON-able."""
    told = {"source": source, "pixels": PHOTO.width * PHOTO.height, "files": len(SIZES), "rounds": rounds}
    if source == "cutout":
        png = png_bytes(a_cutout(PHOTO))
        return {**told, **_compared(png, lambda: Levels(from_png(png)), rounds)}
    buffer = io.BytesIO()
    Image.fromarray(a_photograph(PHOTO)).save(buffer, "JPEG", quality=95)
    photo = buffer.getvalue()
    with Decoder(seconds=60) as decoder:
        return {**told, **_compared(photo, lambda: photo_levels(photo, decoder), rounds)}


def _compared(source: bytes, make_levels: Callable[[], Levels], rounds: int) -> dict[str, Any]:
    """Times in turns; likeness before and after the encoder."""

    def open_source() -> Image.Image:
        return Image.open(io.BytesIO(source))

    times: dict[str, list[Clock]] = {"pillow": [], "ours": []}
    files: dict[str, list[bytes]] = {}
    for _ in range(rounds):
        for name, make in (("pillow", lambda: by_pillow(open_source)), ("ours", lambda: by_us(make_levels))):
            began = Clock.now()
            files[name] = make()
            times[name].append(Clock.now().since(began))
    medians = {
        name: Clock(*map(statistics.median, zip(*taken, strict=True))) for name, taken in times.items()
    }
    levels, recipe = make_levels(), AssetRecipe()
    picture = open_source()
    alike = [
        _likeness(
            slot, np.asarray(_resized(picture, slot)), packshot(levels, slot, recipe, "picture").rgb, *pair
        )
        for slot, *pair in zip(SIZES, files["pillow"], files["ours"], strict=True)
    ]
    return {
        "pillow": _rounded(medians["pillow"]._asdict()),
        "ours": _rounded(medians["ours"]._asdict()),
        "times faster, wall": round(medians["pillow"].wall / medians["ours"].wall, 2),
        "times faster, CPU": round(medians["pillow"].cpu / medians["ours"].cpu, 2),
        "SSIM, lowest of all sizes": {
            kind: _lowest([one for slot, one in zip(SIZES, alike, strict=True) if slot.format == kind])
            for kind in FORMATS
        },
    }


class Likeness(NamedTuple):
    """SSIM of a size of ours to Pillow's; the reference is what Pillow encodes, its source resized by Lanczos."""

    pixels: float  # what we encode, to the reference
    files: float  # our file, to Pillow's
    ours: float  # our file, to the reference
    pillow: float  # Pillow's file, to the reference
    nudged: float  # two files of Pillow's, one of the reference with a pixel in a hundred off by one level


def _likeness(slot: Slot, reference: Pixels, pixels: Pixels, by_pillow: bytes, by_us: bytes) -> Likeness:
    """How alike the two ways to one size are, before and after the encoder."""
    rng, (theirs, ours) = np.random.default_rng(0), (_decoded(by_pillow), _decoded(by_us))
    off = rng.choice([-1, 0, 1], reference.shape[:2], p=[0.005, 0.99, 0.005])[..., None]
    nudged = Image.fromarray(np.clip(reference + off, 0, 255).astype(np.uint8))
    return Likeness(
        pixels=_ssim(reference, pixels),
        files=_ssim(theirs, ours),
        ours=_ssim(reference, ours),
        pillow=_ssim(reference, theirs),
        nudged=_ssim(theirs, _decoded(_saved(nudged, slot.format))),
    )


def _lowest(alike: list[Likeness]) -> dict[str, float]:
    """The lowest of each, and what our file loses at most against Pillow's in likeness to the reference."""
    lowest = dict(zip(Likeness._fields, map(min, zip(*alike, strict=True)), strict=True))
    lowest["ours less pillow"] = min(one.ours - one.pillow for one in alike)
    return {name: round(value, 4) for name, value in lowest.items()}


def _decoded(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def _ssim(first: Pixels, second: Pixels) -> float:
    return float(structural_similarity(first, second, channel_axis=2))


# ---- a night


def a_channel(slots: int, recipe: dict[str, Any]) -> Channel:
    """White main slots of 1,000 px, as most channels ask for, with the rules that every slot has.

    Each shows the product a little smaller than the one before, so that no two ask for the same file.
    """
    main = {"role": "main", "lanes": ["packshot"], "preferred_width": 1000, "min_width": 1000, "background": "white",
            "min_fill": 0.8, "max_bytes": 10_000_000}  # fmt: skip
    return Channel.model_validate(
        {
            "name": "shop",
            "title": "Shop",
            "slots": [
                {**main, "name": f"main-{n}", "fill": round(0.87 - 0.005 * n, 3), **recipe}
                for n in range(slots)
            ],
        }
    )


def a_job(channel: Channel, slot: Slot, cutout: Cutout) -> AssetJob:
    """The packshot of a cutout for a slot, accepted."""
    render = Render(
        sku=cutout.sku, key=f"render-{cutout.digest}", digest="", size=cutout.size, scene="packshot", lane="packshot",
        variant=0, seed=0, product=None, cutout=cutout, adapter=None,
    )  # fmt: skip
    scene = Scene(name="packshot", lane="packshot")
    return AssetJob(channel, slot, 1, Judged(render, None, Verdict(status="accepted")), scene)


def stored_cutouts(ledger: Ledger, skus: int, size: Size) -> Iterator[Cutout]:
    """One cutout a SKU, stored as the cutouts stage stores it."""
    files = [png_bytes(a_cutout(size, seed)) for seed in range(min(skus, DISTINCT))]
    for number in range(skus):
        sku = f"sku-{number}"
        digest = ledger.put_data(sku, "cutouts", files[number % len(files)], "png", "image/png")
        photo = Photo(
            sku=sku,
            key=f"photos/{sku}/a.jpg",
            digest=digest,
            size=size,
            role="product",
            sharpness=1,
            exposure=0.5,
        )
        box = Box(0, 0, size.width, size.height)
        yield Cutout(
            sku=sku, key=f"cutout-{number}", digest=digest, size=size, box=box, confidence=1.0, photo=photo
        )


def measure_night(
    assets: int, slots: int, threads: int, size: Size, slot_fields: dict[str, Any]
) -> dict[str, Any]:
    """The stage over that many files; figures JSON-able. Memory in MB, at the first tenth and at the end."""
    channel, process = a_channel(slots, slot_fields), psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(FolderStore(Path(folder)))
        cutouts = list(stored_cutouts(ledger, math.ceil(assets / slots), size))
        jobs = [a_job(channel, slot, cutout) for cutout in cutouts for slot in channel.slots][:assets]
        outcomes = make_assets(jobs, AssetRecipe(), ledger, silent, threads)
        tenth = max(1, assets // 10)
        made = list(islice(outcomes, tenth))
        memory, began = [process.memory_info().rss], Clock.now()
        while batch := list(islice(outcomes, tenth)):
            made += batch
            memory.append(process.memory_info().rss)
        taken = Clock.now().since(began)
    refused = [str(one) for one in made if not isinstance(one, Asset)]
    counted = len(made) - tenth
    return {
        "assets": len(made), "refused": refused[:3], "slots a cutout": slots, "threads": threads,
        "cutout": f"{size.width}x{size.height}", "slot": slot_fields,
        "files a second, wall": round(counted / taken.wall, 1),
        "CPU ms a file": round(1e3 * taken.cpu / counted, 1),
        "files a second that two cores can make": round(2 * counted / taken.cpu, 1),
        "MB after each tenth": [round(each / 1e6) for each in memory],
        "bytes a file": round(sum(one.bytes for one in made if isinstance(one, Asset)) / len(made)),
    }  # fmt: skip


def _rounded(told: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 2) for name, value in told.items()}


def main() -> None:
    """Measure and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("sizes", "night"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--source", choices=("photo", "cutout"), default="photo")
    parser.add_argument("--assets", type=int, default=2000)
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--side", type=int, default=1100, help="of the square cutouts of a night, px")
    parser.add_argument("--ground", choices=("white", "any"), default="white")
    options = parser.parse_args()
    if options.what == "sizes":
        told = measure_sizes(options.rounds, options.source)
    else:
        fields = {"background": options.ground}
        told = measure_night(
            options.assets, options.slots, options.threads, Size(options.side, options.side), fields
        )
    print(
        json.dumps(
            {**told, "cores": cores(), "load": [round(one, 1) for one in psutil.getloadavg()]}, indent=2
        )
    )


if __name__ == "__main__":
    main()
