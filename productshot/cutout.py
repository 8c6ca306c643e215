"""Cutouts: the product of one photo as RGBA with clean edge colours; the only door to rembg and pymatting.

A photo passes through: a coarse map (a rembg session) -> the salient part of it -> a trimap, unknown along the edge ->
the matte, solved in the unknown band only -> foreground colours -> snapped alpha, box, confidence. Heavy libraries are
imported inside the functions that need them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from productshot.errors import ConfigInvalid, InputRefused, ModelMissing
from productshot.geometry import Box
from productshot.pocket.files import matte_path

if os.environ.get("OMP_NUM_THREADS", "").isdigit():
    # numba, which PyMatting brings, sets OpenMP's threads for the whole process, torch's too, to all cores: what a
    # model computes would hang on whether a cutout was made before
    os.environ.setdefault("NUMBA_NUM_THREADS", os.environ["OMP_NUM_THREADS"])

if TYPE_CHECKING:
    from rembg.sessions.base import BaseSession

Alpha = NDArray[np.floating[Any]]
"""float32, 0..1."""
Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]

ALLOW_DOWNLOAD = "PRODUCTSHOT_ALLOW_DOWNLOAD"
"""Set to 1, rembg may fetch a model that is not on this machine."""

CUSTOM_SIDE = 320
CUSTOM_MEAN, CUSTOM_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What rembg's custom sessions feed a network."""

LOOK_PX = 512
"""The coarse map is read at this size at most: no network here sees more."""

SOLVE_PX = 60_000
"""A matte with more unknown pixels is solved smaller: what a network leaves open is no matter of single pixels."""
COLOUR_PX = 1024
"""Edge colours are estimated at this size at most; they vary slowly."""

CLUTTER = 128
"""Level from which a pixel of <name>.clutter.png marks clutter."""
NEAR = 0.005
"""Clutter so near to the product, share of the picture's longer side, is beside it."""

MIN_SHARE = 0.005
"""A product smaller than this share of the photo counts as not found."""
SNAP_LOW, SNAP_HIGH, BOX_ALPHA = 3, 252, 8
"""Alpha below the first is 0, above the second 255; the box holds what is above the third (of 255)."""


class Recipe(Protocol):
    """What `cut_out` reads of a cutout recipe."""

    @property
    def band_px_per_1000(self) -> float: ...
    @property
    def solve_limit_px(self) -> int: ...


@dataclass(frozen=True)
class Session:
    """An open cutout model; opened once per process, then used for every photo."""

    model: str
    digest: str
    rembg: BaseSession
    absolute: bool
    """The output is a chance in itself: rembg's stretch of each map to 0..1 would find a product in any photo."""


@dataclass(frozen=True)
class Evidence:
    """What the confidence is made of; each number 0..1."""

    decided: float
    """Mean of |2p - 1| where the coarse map p is above 0.05: 1 when the network wavers nowhere."""
    dominance: float
    """Share of the map's mass (p above a half) that the kept part holds: 1 when there is one candidate only."""
    contrast: float
    """Median colour distance across the outline in CIELAB, 20 units counting as 1."""
    touching: float
    """Share of the frame's border that is product."""
    whole: float
    """Share of the kept part that its largest patch holds: 1 when the product is one piece."""
    agreement: float
    """What is kept of the photo, over what is kept of its mirror image, as intersection over union."""


@dataclass(frozen=True)
class CutoutPixels:
    """A cutout at the photo's size: rgba (h, w, 4) uint8, not premultiplied; box half-open around alpha > 8."""

    rgba: Pixels
    confidence: float
    box: Box
    evidence: Evidence | None = None
    """None for a cutout that the photo brought along."""
    hidden: float = 0.0
    """Share of the product's outline, 0..1, beside clutter that a person marked: there it may hide the product."""


def confidence_of(evidence: Evidence) -> float:
    """How sure a cutout is, 0..1.

    (decided^2 x dominance x contrast^(1/2))^(1/2) x (1 - touching, at most a half) x whole x agreement: a product in
    two pieces is either a product and something beside it, or a product with a gap; a part that is seen in the
    mirror only was nearly lost.
    """
    clear = evidence.decided**2 * evidence.dominance * evidence.contrast**0.5
    alone = (1 - min(evidence.touching, 0.5)) * evidence.whole
    return float(np.clip(clear**0.5 * alone * evidence.agreement, 0, 1))


# ---- the model


def open_session(model: str = "pocket-matte") -> Session:
    """An open cutout model: "pocket-matte", a rembg model name, or the path of an .onnx file (u2net layout, 320 x 320).

    ModelMissing: the file is not on this machine (nothing is downloaded unless PRODUCTSHOT_ALLOW_DOWNLOAD=1).
    ModelDamaged: pocket-matte is not as it was released.
    ConfigInvalid: no model has this name.
    """
    from rembg import new_session

    digest = model_digest(model)
    path = _file_of(model)
    if path is not None:
        with _rembg_home(path.parent):
            return Session(model, digest, new_session("u2net_custom", model_path=str(path)), absolute=True)
    _check_present(model)
    return Session(model, digest, new_session(model), absolute=False)


def model_digest(model: str) -> str:
    """The SHA-256 of the model's file; of a rembg model its name, because rembg keeps and checks that file."""
    path = _file_of(model)
    if path is None:
        return f"rembg:{model}"
    if not path.is_file():
        remedy = "check the path, or bring the file here"
        raise ModelMissing(f"cutout model {model}", f"is not at {path.name}", "", remedy)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _file_of(model: str) -> Path | None:
    """The model's own file; None for a name that rembg knows."""
    if model == "pocket-matte":
        return matte_path()
    return Path(model).expanduser().resolve() if model.endswith(".onnx") else None


def _check_present(model: str) -> None:
    """Refuses a name that rembg does not know, and one whose file it would have to download."""
    from rembg.sessions import sessions_class

    known = {session.name(): session for session in sessions_class if session.is_local()}
    if model not in known or model.endswith("_custom"):
        names = ", ".join(sorted(name for name in known if not name.endswith("_custom")))
        raise ConfigInvalid(
            "cutout model", f'"{model}" is not known', f"known: pocket-matte, {names}", "name one, or a path"
        )
    if os.environ.get(ALLOW_DOWNLOAD) == "1" or known[model].resolve_existing(f"{model}.onnx"):
        return
    raise ModelMissing(
        f"cutout model {model}",
        "is not on this machine",
        "nothing is downloaded in silence",
        f"put {model}.onnx into {known[model].model_dir()}, or set {ALLOW_DOWNLOAD}=1",
    )


@contextmanager
def _rembg_home(folder: Path) -> Iterator[None]:
    """Lets rembg open a custom model in `folder`: it takes model files from its home only."""
    before = os.environ.get("U2NET_HOME")
    os.environ["U2NET_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["U2NET_HOME"]
        else:
            os.environ["U2NET_HOME"] = before


def coarse_alpha(photo: Pixels, session: Session) -> Pixels:
    """What the model alone sees as product in a photo (h, w, 3) uint8: (h, w) uint8, nothing cleaned or refused."""
    return np.round(chance_map(photo, session) * 255).astype(np.uint8)


def chance_map(photo: Pixels, session: Session) -> Alpha:
    """The model's chance (h, w), 0..1, that a pixel of the photo (h, w, 3) uint8 is product."""
    from PIL import Image

    picture = Image.fromarray(photo)
    if not session.absolute:
        return np.asarray(session.rembg.predict(picture)[0], np.float32) / 255
    feed = session.rembg.normalize(picture, CUSTOM_MEAN, CUSTOM_STD, (CUSTOM_SIDE, CUSTOM_SIDE))
    chance = np.asarray(session.rembg.inner_session.run(None, feed)[0][0, 0], np.float32)
    whole = Image.fromarray(chance).resize(picture.size, Image.Resampling.BILINEAR)
    return np.asarray(whole, np.float32).clip(0, 1)


# ---- the cut


def cut_out(
    photo: Pixels, session: Session, recipe: Recipe, item: str = "photo", clutter: Pixels | None = None
) -> CutoutPixels:
    """The product of a photo (h, w, 3) uint8 sRGB, at the photo's size; the same arguments give the same bytes.

    `clutter` (h, w) uint8: white where something is that is not the product; all of it is ground.
    InputRefused (naming `item`): nothing that looks like a product was found, or clutter is of another size.
    """
    look = _shrunk(photo, min(LOOK_PX, recipe.solve_limit_px))
    views = [_looked_twice(look, session), mirrored(_looked_twice(mirrored(look), session))]
    marked = np.zeros(look.shape[:2], bool)
    if clutter is not None:
        _refuse_size(photo, clutter, f"clutter of {item}")
        marked = _shrunk(clutter, max(look.shape[:2])) >= CLUTTER
        views = [np.asarray(np.where(marked, 0, view), np.float32) for view in views]
    coarse = (views[0] + views[1]) / 2
    kept = salient(coarse)
    share = float(kept.mean())
    if share < MIN_SHARE:
        raise InputRefused(
            item,
            f"shows no product that {session.model} finds ({share:.1%} of the picture)",
            f"at least {MIN_SHARE:.1%} are needed",
            "give a photo of the product alone, or a mask beside it",
        )
    band_px = max(2, round(recipe.band_px_per_1000 * max(look.shape[:2]) / 1000))
    trimap = trimap_of(coarse, kept, band_px)
    trimap[marked] = 0
    small = _shrunk(photo, _solve_side(photo, trimap, recipe.solve_limit_px))
    trimap = _stretched(trimap, small)
    alpha = enlarged(solved(small, trimap), trimap, small, photo)
    evidence = evidence_of(look, coarse, kept, iou(*map(salient, views)))
    return _finished(photo, _cleared(alpha, clutter), evidence, outline_met(kept, marked))


def bring_own(
    photo: Pixels, alpha: Pixels, item: str = "mask", clutter: Pixels | None = None
) -> CutoutPixels:
    """The cutout that a photo (h, w, 3) uint8 brings along as alpha (h, w) uint8; its edge colours are cleaned too.

    `clutter` as in `cut_out`. InputRefused: the sizes differ, or nothing is opaque.
    """
    _refuse_size(photo, alpha, item)
    hidden, own = 0.0, np.asarray(alpha / 255, np.float32)
    if clutter is not None:
        _refuse_size(photo, clutter, f"clutter of {item}")
        own = _cleared(own, clutter)
        hidden = outline_met(own > 0.5, clutter >= CLUTTER)
    if not (own > BOX_ALPHA / 255).any():
        raise InputRefused(
            item, "is empty", "white marks the product", "draw the product white, or remove the mask"
        )
    return _finished(photo, own, None, hidden)


def outline_met(product: Mask, clutter: Mask) -> float:
    """Share of a product's outline, 0..1, that lies beside clutter, which may hide a part of the product there.

    Beside: within NEAR of the picture's longer side, as marks drawn by hand leave a gap.
    """
    from scipy import ndimage

    outline = product & ~ndimage.binary_erosion(product, border_value=1)
    reach = max(1, round(NEAR * max(product.shape)))
    near = ndimage.distance_transform_edt(~clutter) <= reach if clutter.any() else clutter
    return float((outline & near).sum() / max(outline.sum(), 1))


def _cleared(alpha: Alpha, clutter: Pixels | None) -> Alpha:
    """The alpha (h, w), 0 where clutter is."""
    return alpha if clutter is None else np.minimum(alpha, 1 - clutter.astype(np.float32) / 255)


def _refuse_size(photo: Pixels, mask: Pixels, item: str) -> None:
    """Raise InputRefused for a mask that is not of its photo's size."""
    if photo.shape[:2] != mask.shape:
        sizes = [f"{a.shape[1]}x{a.shape[0]} px" for a in (mask, photo)]
        raise InputRefused(
            item, f"is {sizes[0]}", f"its photo is {sizes[1]}", "draw the mask at the photo's size"
        )


def _finished(photo: Pixels, alpha: Alpha, evidence: Evidence | None, hidden: float = 0.0) -> CutoutPixels:
    """Snapped alpha, decontaminated colours, box and confidence."""
    levels = np.round(alpha * 255).astype(np.uint8)
    levels[levels < SNAP_LOW] = 0
    levels[levels > SNAP_HIGH] = 255
    rows, columns = (np.flatnonzero((levels > BOX_ALPHA).any(axis)) for axis in (1, 0))
    box = Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    rgba = np.dstack([clean_colours(photo, levels, box), levels])
    return CutoutPixels(rgba, 1.0 if evidence is None else confidence_of(evidence), box, evidence, hidden)


def clean_colours(photo: Pixels, levels: Pixels, box: Box) -> Pixels:
    """The product's own colours (h, w, 3): photographed pixels where opaque, at the edge the ground is taken out.

    Multi-level foreground estimation (Germer et al. 2020) inside `box`, at most COLOUR_PX large; 0 where alpha is 0.
    """
    from PIL import Image
    from pymatting import estimate_foreground_ml

    margin = 16
    window = np.s_[
        max(box.top - margin, 0) : box.bottom + margin, max(box.left - margin, 0) : box.right + margin
    ]
    part, alpha = photo[window], levels[window]
    own = estimate_foreground_ml(*(_shrunk(a, COLOUR_PX).astype(np.float32) / 255 for a in (part, alpha)))
    small = Image.fromarray(np.round(np.clip(own, 0, 1) * 255).astype(np.uint8))
    edge = np.asarray(small.resize((part.shape[1], part.shape[0]), Image.Resampling.BILINEAR))
    colours = np.zeros_like(photo)
    colours[window] = np.where((alpha == 255)[..., None], part, edge) * (alpha > 0)[..., None]
    return colours


def _shrunk(photo: Pixels, limit_px: int) -> Pixels:
    """A picture (h, w, 3) or (h, w) with its long side at most `limit_px`."""
    from PIL import Image

    height, width = photo.shape[:2]
    scale = limit_px / max(height, width)
    if scale >= 1:
        return photo
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BOX))


def _solve_side(photo: Pixels, trimap: Alpha, limit_px: int) -> int:
    """The long side in px at which the matte is solved: at most the limit, and SOLVE_PX unknown pixels."""
    height, width = photo.shape[:2]
    unknown = max(float((trimap == 0.5).mean()) * height * width, 1.0)
    return max(64, min(limit_px, int(max(height, width) * (SOLVE_PX / unknown) ** 0.5)))


def _stretched(trimap: Alpha, photo: Pixels) -> Alpha:
    """The trimap at the photo's size, without new values."""
    from PIL import Image

    size = (photo.shape[1], photo.shape[0])
    return np.asarray(Image.fromarray(trimap).resize(size, Image.Resampling.NEAREST))


# ---- from the coarse map to a trimap


def _looked_twice(photo: Pixels, session: Session) -> Alpha:
    """The coarse map; where the product fills only a part of the frame, its mean with a second, closer look."""
    coarse = chance_map(photo, session)
    kept = salient(coarse)
    if not session.absolute or not kept.mean() >= MIN_SHARE:
        return coarse
    rows, columns = (np.flatnonzero(kept.any(axis)) for axis in (1, 0))
    margin = int(0.2 * max(len(rows), len(columns))) + 8
    top, bottom = max(rows[0] - margin, 0), min(rows[-1] + margin + 1, len(photo))
    left, right = max(columns[0] - margin, 0), min(columns[-1] + margin + 1, photo.shape[1])
    if (bottom - top) * (right - left) > 0.8 * coarse.size:
        return coarse
    window = np.s_[top:bottom, left:right]
    both = np.where(kept, coarse, np.minimum(coarse, 0.5))
    both[window] = (coarse[window] + chance_map(np.ascontiguousarray(photo[window]), session)) / 2
    return both


def mirrored(pixels: NDArray[Any]) -> NDArray[Any]:
    """(h, w, ...) with left and right exchanged."""
    return np.ascontiguousarray(pixels[:, ::-1])


def iou(one: Mask, other: Mask) -> float:
    """Intersection over union, 0..1; 1 for two empty masks."""
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


def salient(coarse: Alpha) -> Mask:
    """The product in a coarse map: the largest patch above a half, and patches half as large or close beside it.

    Specks are dropped and pin holes (below 0.2 % of the product) closed; openings of handles stay.
    """
    from scipy import ndimage

    labels, count = ndimage.label(coarse > 0.5)
    if count == 0:
        return np.zeros(coarse.shape, bool)
    areas = ndimage.sum_labels(coarse, labels, range(1, count + 1))
    main = labels == 1 + int(areas.argmax())
    reach = max(1, round(0.015 * max(coarse.shape)))
    near = np.unique(labels[ndimage.distance_transform_edt(~main) <= reach])
    wanted = [n for n in range(1, count + 1) if areas[n - 1] >= 0.5 * areas.max() or n in near]
    kept = np.isin(labels, wanted)
    holes, number = ndimage.label(~kept)
    sizes = ndimage.sum_labels(np.ones_like(coarse), holes, range(1, number + 1))
    small = [n for n in range(1, number + 1) if sizes[n - 1] < 0.002 * kept.sum()]
    return kept | np.isin(holes, small)


def trimap_of(coarse: Alpha, kept: Mask, band_px: int) -> Alpha:
    """1 product, 0 ground, 0.5 unknown (h, w): within `band_px` of the outline, thrice that where the map wavers."""
    from scipy import ndimage

    inside = ndimage.distance_transform_edt(kept)
    outside = ndimage.distance_transform_edt(~kept)
    away = np.maximum(inside, outside)
    wavers = (np.abs(coarse - 0.5) < 0.4) & (away <= 3 * band_px)
    trimap = np.where(kept, np.float32(1), np.float32(0))
    trimap[(away <= band_px) | wavers] = 0.5
    return trimap


def evidence_of(photo: Pixels, coarse: Alpha, kept: Mask, agreement: float) -> Evidence:
    """The numbers behind the confidence, from the photo (h, w, 3), its coarse map and the kept part."""
    considered = coarse > 0.05
    mass = coarse[coarse > 0.5].sum()
    border = np.concatenate([kept[0], kept[-1], kept[:, 0], kept[:, -1]])
    return Evidence(
        decided=float(np.abs(2 * coarse[considered] - 1).mean()),
        dominance=float(coarse[kept & (coarse > 0.5)].sum() / mass),
        contrast=outline_contrast(photo, kept),
        touching=float(border.mean()),
        whole=largest_share(kept),
        agreement=agreement,
    )


def largest_share(kept: Mask) -> float:
    """Share of a map's area that its largest connected patch holds; 1 for an empty map."""
    from scipy import ndimage

    labels, _ = ndimage.label(kept)
    areas = np.bincount(labels.ravel())[1:]
    return float(areas.max() / areas.sum()) if areas.size else 1.0


def outline_contrast(photo: Pixels, kept: Mask) -> float:
    """Median CIELAB distance of the colours just inside and just outside the outline, 0..1 (1 from 20 units on)."""
    from scipy import ndimage
    from skimage.color import rgb2lab

    lab = rgb2lab(photo)
    reach = max(2.0, max(kept.shape) / 100)
    weights = [ndimage.gaussian_filter(side.astype(np.float32), reach) for side in (kept, ~kept)]
    means = []
    for side, weight in zip((kept, ~kept), weights, strict=True):
        sums = [ndimage.gaussian_filter(lab[..., c] * side, reach) for c in range(3)]
        means.append(np.stack(sums, -1) / np.maximum(weight, 1e-3)[..., None])
    outline = kept & ~ndimage.binary_erosion(kept, border_value=1)
    if not outline.any():
        return 0.0
    return float(np.clip(np.median(np.linalg.norm(means[0] - means[1], axis=-1)[outline]) / 20, 0, 1))


# ---- the matte


def solved(photo: Pixels, trimap: Alpha) -> Alpha:
    """The matte (h, w), 0..1, of a photo (h, w, 3) uint8: closed form (Levin et al. 2008) in the unknown band only."""
    from pymatting import estimate_alpha_cf
    from pymatting.preconditioner.ichol import ichol

    known = trimap != 0.5
    if known.all() or not (trimap == 1).any() or not (trimap == 0).any():
        return trimap
    rows, columns = (np.flatnonzero((~known).any(axis)) for axis in (1, 0))
    window = np.s_[max(rows[0] - 2, 0) : rows[-1] + 3, max(columns[0] - 2, 0) : columns[-1] + 3]
    alpha = trimap.copy()
    with redirect_stdout(
        sys.stderr
    ):  # ichol prints when it has to try a larger shift; stdout belongs to the caller
        alpha[window] = estimate_alpha_cf(
            photo[window].astype(np.float64) / 255,
            trimap[window].astype(np.float64),
            preconditioner=partial(ichol, shifts=(1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)),
            laplacian_kwargs={"epsilon": 1e-6},
            cg_kwargs={"maxiter": 4000, "rtol": 1e-5},
        )
    return alpha


def enlarged(alpha: Alpha, trimap: Alpha, small: Pixels, photo: Pixels) -> Alpha:
    """The small matte at the photo's size, its edges following the photo's: a guided filter's coefficients, enlarged.

    Fast guided filter (He & Sun 2015): alpha = a . colour + b in each neighbourhood, a and b interpolated. Outside the
    band the known values stay.
    """
    from PIL import Image

    height, width = photo.shape[:2]
    if alpha.shape == (height, width):
        return alpha

    def large(field: Alpha) -> Alpha:
        return np.asarray(Image.fromarray(field).resize((width, height), Image.Resampling.BILINEAR))

    *slopes, offset = guided_coefficients(small, alpha, trimap == 0.5)
    full = large(offset).copy()
    for channel, slope in enumerate(slopes):
        full += large(slope) * (photo[..., channel] * np.float32(1 / 255))
    near, known = large(alpha), large(trimap)
    full = np.clip(np.clip(full, near - 0.5, near + 0.5), 0, 1)
    full[known <= 0] = 0
    full[known >= 1] = 1
    return full


def guided_coefficients(
    photo: Pixels, alpha: Alpha, band: Mask, radius: int = 2, epsilon: float = 1e-4
) -> list[Alpha]:
    """a_r, a_g, a_b and b (h, w) of the guided filter (He et al. 2013, eq. 14-15) of `alpha` by the photo, in the band.

    Outside the band, and a neighbourhood of it, a is 0 and b is alpha.
    """
    from scipy.ndimage import maximum_filter, uniform_filter

    guide = photo.astype(np.float32) / 255
    near = maximum_filter(band, 4 * radius + 1)

    def mean(field: Alpha) -> Alpha:
        return np.asarray(uniform_filter(field, 2 * radius + 1), np.float32)

    centre = np.stack([mean(guide[..., c])[near] for c in range(3)], -1)
    level = mean(alpha)
    covariance = (
        np.stack([mean(guide[..., c] * alpha)[near] for c in range(3)], -1) - centre * level[near][:, None]
    )
    sigma = -centre[:, :, None] * centre[:, None, :] + epsilon * np.eye(3, dtype=np.float32)
    for row in range(3):
        for column in range(row + 1):
            product = mean(guide[..., row] * guide[..., column])[near]
            sigma[:, row, column] += product
            sigma[:, column, row] += product * (row != column)
    slope = np.linalg.solve(sigma, covariance[..., None])[..., 0]
    offset = level[near] - (slope * centre).sum(-1)
    fields = []
    for values, outside in zip((*slope.T, offset), (0, 0, 0, 1), strict=True):
        field = alpha * np.float32(outside)
        field[near] = values
        fields.append(mean(field))
    return fields
