"""Planted violations: of pictures with one thing wrong, how many are found, named, mended; how many clean refused.

    python -m benchmarks.violations [--pictures 400] [--seed 0]

Everything is drawn in code, so the right answer is known: a textured product on white or in a scene, its exact matte,
and for a planted picture one violation of a rule that is checked by file or matte. Each picture is decoded by
photos.Decoder and checked as `productshot check --matte` does; each planted one then goes through `fix`. Prints JSON.
"""

from __future__ import annotations

import argparse
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from catalog_schemas import AssetRecipe, Channel, PhotoRecipe, Slot, channel_names, load_channel
from productshot.assets import RuleVerdict, Seen, Source, check, fix, xmp_packet
from productshot.assets.marking import DRAWN_BY_AI
from productshot.errors import InputRefused
from productshot.geometry import Box, Size
from productshot.photos import Decoder
from productshot.pixels import Pixels, lay, paste

TODAY, AFTER = date(2026, 11, 26), date(2027, 2, 1)
WHITE = (255, 255, 255)


class Drawn(NamedTuple):
    """A file and what is known of it."""

    data: bytes
    cut: Pixels  # (h, w, 4), exact
    name: str


class Kind(NamedTuple):
    """One way to break one rule of one slot."""

    name: str
    channel: Channel
    slot: Slot
    rule: str
    draw: Callable[[np.random.Generator, Slot], Drawn]
    fixable: bool = True
    status: str = "refused"
    on: date = TODAY


# ---- drawing


def a_product(rng: np.random.Generator, side: int, shape: str = "any") -> Pixels:
    """A textured product, RGBA, whose solid box is side px on its longer side."""
    kinds = ("ellipse", "box", "star")
    chosen = kinds[int(rng.integers(3))] if shape == "any" else shape
    wide = int(side * rng.uniform(0.6, 1.0)), side
    width, height = wide if rng.integers(2) else (side, wide[0])
    mask = Image.new("L", (4 * width, 4 * height), 0)
    pen = ImageDraw.Draw(mask)
    if chosen == "ellipse":
        pen.ellipse((0, 0, 4 * width - 1, 4 * height - 1), fill=255)
    elif chosen == "box":
        pen.rounded_rectangle((0, 0, 4 * width - 1, 4 * height - 1), radius=width // 3, fill=255)
    else:
        pen.polygon(_star(4 * width - 1, 4 * height - 1), fill=255)
    alpha = np.asarray(mask.resize((width, height), Image.Resampling.BOX))
    colour = rng.integers(20, 180, 3)
    slope = np.linspace(-30, 30, width)[None, :, None] + np.linspace(-20, 20, height)[:, None, None]
    grain = rng.normal(0, 5, (height, width, 1))
    rgb = np.clip(colour + slope + grain, 0, 215).astype(np.uint8)
    return np.dstack([rgb, alpha])


def _star(width: int, height: int) -> list[tuple[float, float]]:
    """Eight corners that touch all four sides."""
    turns = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    reach = np.where(np.arange(8) % 2, 0.72, 1.0)
    return [
        ((1 + r * np.cos(t)) * width / 2, (1 + r * np.sin(t)) * height / 2)
        for t, r in zip(turns, reach, strict=True)
    ]


def a_picture(
    rng: np.random.Generator,
    size: Size,
    fill: float,
    ground: Pixels | None = None,
    aside: float = 0.0,
    shape: str = "any",
) -> tuple[Pixels, Pixels]:
    """rgb (h, w, 3) and the cutout (h, w, 4): a product whose longer relative side is `fill` of the frame."""
    cut = a_product(rng, 400, shape)
    share = max(cut.shape[1] / size.width, cut.shape[0] / size.height)
    width, height = (max(1, round(length * fill / share)) for length in (cut.shape[1], cut.shape[0]))
    fine = np.asarray(
        Image.fromarray(cut).convert("RGBa").resize((width, height), Image.Resampling.BICUBIC).convert("RGBA")
    )
    left, top = (size.width - width) // 2 + round(aside * size.width), (size.height - height) // 2
    at = Box(left, top, left + width, top + height)
    under = np.full((size.height, size.width, 3), 255, np.uint8) if ground is None else ground
    return paste(fine, under, at), lay(fine, size, at)


def a_scene(rng: np.random.Generator, size: Size) -> Pixels:
    """A soft two-coloured ground with grain, different on every side."""
    corners = rng.integers(60, 200, (3, 3, 3)).astype(np.uint8)
    soft = np.asarray(Image.fromarray(corners).resize(size, Image.Resampling.BICUBIC), np.float32)
    return np.clip(soft + rng.normal(0, 4, soft.shape), 0, 245).astype(np.uint8)


def saved(rgb: Pixels, kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    """The picture as a file of that format by Pillow."""
    buffer = io.BytesIO()
    image = Image.fromarray(rgb).convert(mode)
    how = {
        "JPEG": {"quality": 100, "subsampling": 0},
        "WEBP": {"lossless": True},
        "PNG": {"compress_level": 1},
    }
    image.save(buffer, kind, **{**how.get(kind, {}), **options})
    return buffer.getvalue()


# ---- clean pictures


def size_for(slot: Slot) -> Size:
    """A size that every rule of the slot takes, required and advised ones of its own size apart."""
    usual = max(slot.min_width, round(slot.preferred_width * 0.6))
    width = min(
        slot.preferred_width, usual if slot.min_bytes < 100_000 else round(slot.preferred_width * 0.8)
    )
    return Size(width, slot.height(width))


def fill_for(slot: Slot) -> float:
    return min(slot.fill or 0.8, 0.88)


def formats_of(slot: Slot) -> list[str]:
    """The formats of clean pictures, by Pillow's names, that the slot takes."""
    if not slot.rules:
        return [slot.format.upper()]
    limits = [rule.limit.formats for rule in slot.rules if rule.limit and rule.limit.formats]
    known = ("JPEG", "PNG", "WEBP")
    return [kind for kind in known if all(kind.lower() in taken for taken in limits)]


def within_bytes(rgb: Pixels, slot: Slot, kind: str) -> tuple[bytes, str]:
    """The file, in that format where its bytes fit the slot, else as the first JPEG that fits."""
    data = saved(rgb, kind)
    for quality in (100, 97, 94, 90, 85, 80):
        if slot.min_bytes <= len(data) <= slot.max_bytes:
            return data, kind
        data, kind = saved(rgb, "JPEG", quality=quality), "JPEG"
    raise AssertionError(
        f"{slot.name}: no file of {slot.min_bytes} to {slot.max_bytes} bytes, last {len(data)}"
    )


def named(kind: str) -> str:
    return f"a.{'jpg' if kind == 'JPEG' else kind.lower()}"


def clean(rng: np.random.Generator, slot: Slot) -> Drawn:
    """A picture that breaks no rule of the slot."""
    size = size_for(slot)
    white = slot.background == "white"
    rgb, cut = a_picture(rng, size, fill_for(slot) if white else 0.5, None if white else a_scene(rng, size))
    kinds = formats_of(slot)
    if white:  # JPEG and WebP of other programs ring around a hard edge, which is a violation of its own
        kinds = [kind for kind in kinds if kind != "JPEG" or len(kinds) == 1]
    data, kind = within_bytes(rgb, slot, kinds[int(rng.integers(len(kinds)))])
    return Drawn(data, cut, named(kind))


# ---- planted violations


def in_format(kind: str) -> Callable[[np.random.Generator, Slot], Drawn]:
    """A right picture in a wrong format."""

    def draw(rng: np.random.Generator, slot: Slot) -> Drawn:
        rgb, cut = _right(rng, slot)
        return Drawn(saved(rgb, kind), cut, named(kind))

    return draw


def _right(rng: np.random.Generator, slot: Slot, **how: Any) -> tuple[Pixels, Pixels]:
    size = how.pop("size", size_for(slot))
    white = slot.background == "white"
    fill = how.pop("fill", fill_for(slot) if white else 0.5)
    return a_picture(rng, size, fill, None if white else a_scene(rng, size), **how)


def lying_name(rng: np.random.Generator, slot: Slot) -> Drawn:
    """A PNG that is called .jpg."""
    rgb, cut = _right(rng, slot)
    return Drawn(saved(rgb), cut, "a.jpg")


def of_size(share: float) -> Callable[[np.random.Generator, Slot], Drawn]:
    """A right picture at another size."""

    def draw(rng: np.random.Generator, slot: Slot) -> Drawn:
        base = size_for(slot)
        size = Size(round(base.width * share), slot.height(round(base.width * share)))
        rgb, cut = _right(rng, slot, size=size)
        data, kind = within_bytes(rgb, slot.model_copy(update={"min_bytes": slot.min_bytes}), "PNG")
        return Drawn(data, cut, named(kind))

    return draw


def wrong_ratio(rng: np.random.Generator, slot: Slot) -> Drawn:
    """A fifth too high or too wide."""
    base = size_for(slot)
    size = (
        Size(base.width, round(base.height * 1.2))
        if rng.integers(2)
        else Size(round(base.width * 1.2), base.height)
    )
    rgb, cut = _right(rng, slot, size=size)
    return Drawn(saved(rgb, "JPEG", quality=95) if slot.background != "white" else saved(rgb), cut, "a.png")


def ratio_jpeg(rng: np.random.Generator, slot: Slot) -> Drawn:
    """The same as the JPEG that a channel asks for."""
    base = size_for(slot)
    rgb, cut = _right(rng, slot, size=Size(base.width, round(base.height * 1.2)))
    return Drawn(saved(rgb, "JPEG"), cut, "a.jpg")


def in_mode(mode: str) -> Callable[[np.random.Generator, Slot], Drawn]:
    """A JPEG in another colour model."""

    def draw(rng: np.random.Generator, slot: Slot) -> Drawn:
        rgb, cut = _right(rng, slot)
        return Drawn(saved(rgb, "JPEG", mode=mode), cut, "a.jpg")

    return draw


def lying_profile(rng: np.random.Generator, slot: Slot) -> Drawn:
    """An RGB picture that carries a broken colour profile."""
    rgb, cut = _right(rng, slot)
    return Drawn(saved(rgb, "PNG", icc_profile=b"no profile at all" * 20), cut, "a.png")


def too_many_bytes(rng: np.random.Generator, slot: Slot) -> Drawn:
    """A PNG larger than the slot takes, by as much grain as that needs."""
    rgb, cut = _right(rng, slot, shape="box", fill=0.95)
    inside = cut[..., 3:] == 255
    grain = rng.normal(0, 1, rgb.shape)
    for level in range(10, 100, 5):
        noisy = np.where(inside, np.clip(rgb + level * grain, 0, 240), rgb).astype(np.uint8)
        data = saved(noisy)
        if len(data) > slot.max_bytes:
            return Drawn(data, np.dstack([noisy, cut[..., 3]]), "a.png")
    raise AssertionError(f"{slot.name}: no grain makes a PNG of more than {slot.max_bytes:,} bytes")


def too_few_bytes(rng: np.random.Generator, slot: Slot) -> Drawn:
    """A JPEG squeezed below what the slot takes, white by its quiet edge."""
    rgb, cut = _right(rng, slot, shape="box")
    soft = np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(2)))
    files = (saved(soft, "JPEG", quality=quality, subsampling=2) for quality in (45, 30, 20, 10, 5))
    data = next(file for file in files if len(file) < slot.min_bytes)
    return Drawn(data, np.dstack([soft, _grown(cut[..., 3], 20)]), "a.jpg")


def _grown(alpha: Pixels, by_px: int) -> Pixels:
    grown = Image.fromarray(alpha).resize((alpha.shape[1] // 4, alpha.shape[0] // 4), Image.Resampling.BOX)
    grown = grown.filter(ImageFilter.MaxFilter(2 * (by_px // 4) + 1)).resize(
        (alpha.shape[1], alpha.shape[0]), Image.Resampling.NEAREST
    )
    return np.where(np.asarray(grown) > 0, 255, 0).astype(np.uint8)


def on_grey(rng: np.random.Generator, slot: Slot) -> Drawn:
    """A ground that is not quite white: 230 to 254."""
    size = size_for(slot)
    level = int(rng.integers(230, 255))
    ground = np.full((size.height, size.width, 3), level, np.uint8)
    rgb, cut = a_picture(rng, size, fill_for(slot), ground)
    return Drawn(*_as_taken(rgb, cut, slot))


def with_speck(rng: np.random.Generator, slot: Slot) -> Drawn:
    """A pale speck in a corner, a few px large."""
    rgb, cut = _right(rng, slot)
    side = int(rng.integers(3, 12))
    rgb = rgb.copy()
    rgb[8 : 8 + side, 8 : 8 + side] = int(rng.integers(180, 252))
    return Drawn(*_as_taken(rgb, cut, slot))


def with_shadow(rng: np.random.Generator, slot: Slot) -> Drawn:
    """A soft shadow beside the product."""
    size = size_for(slot)
    ground = Image.new("L", size, 255)
    ImageDraw.Draw(ground).ellipse(
        (size.width * 0.1, size.height * 0.75, size.width * 0.9, size.height * 0.97), fill=170
    )
    soft = np.asarray(ground.filter(ImageFilter.GaussianBlur(12)))
    rgb, cut = a_picture(rng, size, fill_for(slot), np.dstack([soft] * 3))
    return Drawn(*_as_taken(rgb, cut, slot))


def _as_taken(rgb: Pixels, cut: Pixels, slot: Slot) -> tuple[bytes, Pixels, str]:
    kind = "PNG" if "PNG" in formats_of(slot) else "JPEG"
    data, kind = within_bytes(rgb, slot, kind)
    return data, cut, named(kind)


def filled(fill: float) -> Callable[[np.random.Generator, Slot], Drawn]:
    """The product too small, or too large, in its frame, which has room to spare."""

    def draw(rng: np.random.Generator, slot: Slot) -> Drawn:
        base = size_for(slot)
        scale = 1.0 if fill > 0.8 else 1.6
        width = round(base.width * scale)
        rgb, cut = _right(rng, slot, size=Size(width, slot.height(width)), fill=fill)
        return Drawn(*_as_taken(rgb, cut, slot))

    return draw


def off_centre(rng: np.random.Generator, slot: Slot) -> Drawn:
    """The product moved by 6 % of the frame; still inside it."""
    rgb, cut = _right(rng, slot, aside=0.06 * (1 if rng.integers(2) else -1), fill=0.86)
    return Drawn(*_as_taken(rgb, cut, slot))


def framed(colour: tuple[int, int, int] | None) -> Callable[[np.random.Generator, Slot], Drawn]:
    """A frame of 4 to 30 px around the picture; None: of some colour."""

    def draw(rng: np.random.Generator, slot: Slot) -> Drawn:
        base = size_for(slot)
        wider = round(base.width * 1.1)
        size = Size(wider, slot.height(wider))
        white = slot.background == "white"
        rgb, cut = a_picture(rng, size, 0.82 if white else 0.5, None if white else a_scene(rng, size))
        width, rgb = int(rng.integers(4, max(6, round(0.03 * base.width)))), rgb.copy()
        inner = rgb[width:-width, width:-width].copy()
        rgb[:] = rng.integers(0, 60, 3) if colour is None else colour
        rgb[width:-width, width:-width] = inner
        return Drawn(*_as_taken(rgb, cut, slot))

    return draw


def marked(uri: str) -> Callable[[np.random.Generator, Slot], Drawn]:
    """A picture that says of itself how it was made."""

    def draw(rng: np.random.Generator, slot: Slot) -> Drawn:
        rgb, cut = _right(rng, slot)
        kind = ("JPEG", "WEBP")[int(rng.integers(2))] if "WEBP" in formats_of(slot) else "JPEG"
        return Drawn(saved(rgb, kind, xmp=xmp_packet(uri, "drawn")), cut, named(kind))

    return draw


def small(width: int) -> Callable[[np.random.Generator, Slot], Drawn]:
    """A right picture of that width."""

    def draw(rng: np.random.Generator, slot: Slot) -> Drawn:
        rgb, cut = _right(rng, slot, size=Size(width, slot.height(width)))
        return Drawn(
            saved(rgb, "JPEG" if formats_of(slot) == ["JPEG"] else "PNG"),
            cut,
            "a.jpg" if formats_of(slot) == ["JPEG"] else "a.png",
        )

    return draw


OWN = Channel.model_validate(
    {
        "name": "shop",
        "title": "a channel of one's own, without written rules",
        "slots": [
            {
                "name": "main", "role": "main", "lanes": ["packshot"], "preferred_width": 600, "min_width": 400,
                "background": "white", "fill": 0.87, "min_fill": 0.8, "max_bytes": 2_000_000,
            }
        ],
    }
)  # fmt: skip


def shrunk(channel: Channel, by: int) -> Channel:
    """The channel with every length divided by that, every byte count by its square: the same rules, drawn sooner."""

    def less(fields: dict[str, Any]) -> dict[str, Any]:
        lengths = ("width", "height", "side", "product_side")
        out = dict(fields)
        for name, value in fields.items():
            if isinstance(value, int) and name.endswith(lengths):
                out[name] = max(16, value // by)
            elif isinstance(value, int) and name.endswith(("_bytes", "_pixels")):
                out[name] = value // by**2
        return out

    data = channel.model_dump(exclude_defaults=True)
    for slot in data["slots"]:
        slot["rules"] = [
            {**rule, "limit": less(rule["limit"])} if rule.get("limit") else rule
            for rule in slot.get("rules", [])
        ]
    data["slots"] = [less(slot) for slot in data["slots"]]
    return Channel.model_validate(data)


def kinds(shrink: int = 1) -> list[Kind]:
    """Every way to plant a violation, over the rules that are checked by file or matte; `shrink` as in shrunk()."""
    found = [
        ("format: WebP", "amazon", "main", "format", in_format("WEBP")),
        ("format: GIF", "walmart", "additional", "format", in_format("GIF")),
        ("format: PNG", "zalando", "additional", "format", in_format("PNG")),
        ("format: WebP", "mercado-libre", "additional", "format", in_format("WEBP")),
        ("format: BMP", "pinterest", "pin", "format", in_format("BMP")),
        ("format: AVIF", "google", "additional", "format", in_format("AVIF")),
        ("extension", "google", "main", "extension", lying_name),
        ("extension", "ebay", "main", "extension", lying_name),
        ("max size", "momo", "main", "max-size", of_size(1.3)),
        ("ratio", "walmart", "main", "ratio", wrong_ratio),
        ("ratio", "zalando", "additional", "ratio", ratio_jpeg),
        ("ratio", "meta-ads", "portrait", "ratio", ratio_jpeg),
        ("colour: grey", "walmart", "additional", "colour", in_mode("L")),
        ("colour: CMYK", "walmart", "additional", "colour", in_mode("CMYK")),
        ("colour: grey", "amazon", "additional", "colour", in_mode("L")),
        ("colour: lying profile", "walmart", "main", "colour", lying_profile),
        ("max bytes", "momo", "main", "max-bytes", too_many_bytes),
        ("max bytes", "momo", "advert", "max-bytes", too_many_bytes),
        ("min bytes", "bol", "additional", "min-bytes", too_few_bytes),
        ("white: grey ground", "amazon", "main", "white", on_grey),
        ("white: grey ground", "bol", "main", "white", on_grey),
        ("white: speck", "walmart", "main", "white", with_speck),
        ("white: shadow", "bol", "main", "white", with_shadow),
        ("fill: small", "amazon", "main", "fill", filled(0.6)),
        ("border", "google", "additional", "no-border", framed(None)),
        ("border", "ebay", "additional", "no-border", framed((240, 200, 0))),
        ("border: white", "ebay", "additional", "no-border", framed(WHITE)),
        ("marking: short word", "google", "additional", "ai-marking", marked("trainedAlgorithmicMedia")),
    ]
    table = [_kind(*one) for one in found]

    def px(width: int) -> Callable[[np.random.Generator, Slot], Drawn]:
        return small(width // shrink)

    table += [
        _kind("min size", "amazon", "main", "min-size", px(800), fixable=False),
        _kind("min size", "ebay", "main", "min-size", px(400), fixable=False),
        _kind("min size", "zalando", "additional", "min-size", px(700), fixable=False),
        _kind("min size from 2027", "google", "main", "min-size", px(300), fixable=False, on=AFTER),
        _kind("product size", "bol", "main", "product-size", filled(0.2), fixable=False),
        _kind("AI where banned", "etsy", "main", "no-rendering", marked(DRAWN_BY_AI), fixable=False),
        _kind("marking: misspelt", "google", "additional", "ai-marking",
              marked("http://cv.iptc.org/newscodes/digitalsourcetype/compositedWithTrainedAlgorithmicMedia"),
              fixable=False),
        _kind("min size coming", "google", "main", "min-size", px(300), fixable=False, status="advised"),
        _kind("white advised", "google", "main", "white", on_grey, status="advised"),
        _kind("fill advised", "otto", "main", "fill", filled(0.6), status="advised"),
        _kind("fill advised", "google", "main", "fill", filled(0.97), status="advised"),
        Kind("centring", OWN, OWN.slots[0], "centring", off_centre),
        Kind("format", OWN, OWN.slots[0], "format", in_format("TIFF")),
    ]  # fmt: skip
    if shrink == 1:
        return table
    return [_shrunk_kind(one, shrink) for one in table]


def _shrunk_kind(kind: Kind, by: int) -> Kind:
    channel = shrunk(kind.channel, by)
    return kind._replace(
        channel=channel, slot=next(one for one in channel.slots if one.name == kind.slot.name)
    )


def _kind(name: str, channel: str, slot: str, rule: str, draw: Callable[..., Drawn], **how: Any) -> Kind:
    loaded = load_channel(channel)
    return Kind(name, loaded, next(one for one in loaded.slots if one.name == slot), rule, draw, **how)


# ---- judging


class Judged(NamedTuple):
    """What came of one planted picture."""

    found: bool
    others: list[str]  # rules that refused it besides the planted one
    mended: bool | None  # None: nobody can
    told: str  # what went wrong, for the report


def seen_of(drawn: Drawn, decoder: Decoder) -> Seen:
    """The file as the decoder shows it."""
    got = decoder.pixels(drawn.data, drawn.name, PhotoRecipe(min_side_px=16))
    return Seen(got.rgb, got.alpha, got.mode, got.profile, got.ai_source, drawn.name)


def verdicts_of(drawn: Drawn, channel: Channel, slot: Slot, decoder: Decoder, on: date) -> list[RuleVerdict]:
    """Every rule's verdict on a drawn picture."""
    return check(drawn.data, channel, slot, drawn.cut[..., 3], seen=seen_of(drawn, decoder), on=on)


def broken(verdicts: list[RuleVerdict], status: str = "refused") -> list[str]:
    return [verdict.rule for verdict in verdicts if verdict.status == status]


def judge(kind: Kind, drawn: Drawn, decoder: Decoder) -> Judged:
    """Whether the planted violation is found and named, and what `fix` makes of it."""
    verdicts = verdicts_of(drawn, kind.channel, kind.slot, decoder, kind.on)
    found = kind.rule in broken(verdicts, kind.status)
    others = [rule for rule in broken(verdicts) if rule != kind.rule]
    source = Source(drawn.data, seen_of(drawn, decoder), drawn.cut, drawn.name)
    try:
        fixed = fix(source, kind.channel, kind.slot, AssetRecipe(), on=kind.on)
    except InputRefused as error:
        return Judged(found, others, False if kind.fixable else None, f"fix: {error}")
    again = Drawn(fixed.data, drawn.cut, f"b.{fixed.kind.replace('jpeg', 'jpg')}")
    after = check(fixed.data, kind.channel, kind.slot, fixed.matte, seen=seen_of(again, decoder), on=kind.on)
    still = broken(after) + [rule for rule in broken(after, "advised") if rule == kind.rule]
    if kind.fixable:
        return Judged(found, others, not still, f"after fix: {[str(v) for v in after if v.rule in still]}")
    lied = kind.rule not in still
    return Judged(
        found, others, True if lied else None, "fix claims to have mended what nobody can" if lied else ""
    )


def every_slot() -> Iterator[tuple[Channel, Slot]]:
    """All slots of all channels that ship."""
    for name in channel_names():
        channel = load_channel(name)
        for slot in channel.slots:
            yield channel, slot


def measure(pictures: int, seed: int) -> dict[str, Any]:
    """The figures over that many planted and as many clean pictures."""
    table, slots = kinds(), list(every_slot())
    count: Counter[str] = Counter()
    missed: list[str] = []
    began = time.perf_counter()
    with Decoder(seconds=30) as decoder:
        for index in range(pictures):
            kind = table[index % len(table)]
            judged = judge(kind, kind.draw(_rng(seed, index), kind.slot), decoder)
            count["found"] += judged.found
            count["named_others_too"] += bool(judged.others)
            count["fixable"] += kind.fixable
            count["mended"] += judged.mended is True and kind.fixable
            if (
                not judged.found
                or judged.others
                or judged.mended is False
                or (judged.mended and not kind.fixable)
            ):
                missed.append(
                    f"{kind.channel.name}/{kind.slot.name} {kind.name}: {judged.others} {judged.told}"[:300]
                )
        for index in range(pictures):
            channel, slot = slots[index % len(slots)]
            drawn = clean(_rng(seed + 1, index), slot)
            refused = broken(verdicts_of(drawn, channel, slot, decoder, TODAY))
            count["clean_refused"] += bool(refused)
            if refused:
                missed.append(f"clean {channel.name}/{slot.name}: {refused}")
    return {
        "planted": pictures,
        "kinds": len(table),
        **{name: count[name] for name in ("found", "named_others_too", "fixable", "mended")},
        "clean": pictures,
        "slots": len(slots),
        "clean_refused": count["clean_refused"],
        "seconds": round(time.perf_counter() - began, 1),
        "failures": missed,
    }


def _rng(seed: int, index: int) -> np.random.Generator:
    return np.random.default_rng([seed, index])


def main() -> None:
    """Measure and print JSON; exit 1 when a picture was judged wrongly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    told = measure(options.pictures, options.seed)
    print(json.dumps(told, indent=2))
    raise SystemExit(bool(told["failures"]))


if __name__ == "__main__":
    main()
