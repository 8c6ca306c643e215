"""Keep: whether a picture shows the photographed product, measured on the files of real slots.

    python -m benchmarks.keep                       the demo's photos; JSON on stdout and in out/keep
    python -m benchmarks.keep --photos DIR          other products: a folder of photos each
    python -m benchmarks.keep --photos DIR --sheets     only a contact sheet of each, scenes by shapes

Every product is cut out, painted around in some scenes, composed for slots of three shapes, and encoded. In
the core of the product, INNER_PX inside its outline: the largest difference of a composed pixel from the cutout
resampled once by Lanczos, at the scale and place that explain the picture best, 0..255, and the mean CIEDE2000 of the
encoded file against that.
The halo of gates/edge.py of each file is beside that of the photo at the same size.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import binary_erosion
from scipy.optimize import minimize
from skimage.color import deltaE_ciede2000

from benchmarks.learning import cut_photo
from catalog_schemas import AssetRecipe, Recipes, Scene, Slot
from catalog_schemas.library import load_scene, scene_names
from productshot.assets import Composed, encode, scene_picture
from productshot.assets.encode import pixels_of
from productshot.catalog import find_slot
from productshot.cutout import clean_colours
from productshot.errors import GateRefused
from productshot.gates.comparison import INNER_PX, lab
from productshot.gates.edge import halo, read_edge
from productshot.geometry import Size, centred, fit_inside, frame_for
from productshot.models import Models
from productshot.pixels import Pixels, box_of, resize, size_of
from productshot.pocket.sheets import contact_sheet
from productshot.render.fleet import paint
from productshot.render.keep import paint_around
from productshot.render.plate import Plate

SCENES = ("wooden-table", "sandy-beach", "marble-counter", "green-grass")
SLOTS = (("amazon", "additional"), ("zalando", "additional"), ("meta-ads", "landscape"))
"""A square, an upright and a wide one; all are JPEGs."""
TILE_PX = 480
AROUND_PX = 24
"""More than the halo's widest ring."""


class Product(NamedTuple):
    """One photo and what is pasted of it."""

    photo: Pixels  # (h, w, 3)
    alpha: Pixels  # (h, w) of the product in it
    cutout: Pixels  # (h, w, 4) in its box


def products(photos: Path, models: Models, most: int) -> Iterator[Product]:
    """Each product's first usable photos."""
    for folder in sorted(path for path in photos.iterdir() if path.is_dir()):
        views = [view for path in sorted(folder.iterdir()) for view in cut_photo(path, models)]
        for rgb, alpha in views[:most]:
            box = box_of(alpha > 0)
            assert box is not None
            inside = np.s_[box.top : box.bottom, box.left : box.right]
            yield Product(rgb, alpha, np.dstack([clean_colours(rgb, alpha, box), alpha])[inside])


def truth_of(made: Composed, cutout: Pixels, core: NDArray[np.bool_]) -> Pixels:
    """The picture's product as the cutout resampled once, at the scale and place that explain the picture best."""
    assert made.product is not None
    solid = box_of(cutout[..., 3] >= 128)
    assert solid is not None
    start = (
        made.upscale,
        *(
            edge - made.upscale * own
            for edge, own in ((made.product.left, solid.left), (made.product.bottom, solid.bottom))
        ),
    )

    def off(place: NDArray[np.float64]) -> float:
        seen = resampled_once(cutout, size_of(made.rgb), *place)
        return float(np.abs(made.rgb[core].astype(int) - seen[core]).mean())

    simplex = [start, *(np.add(start, step) for step in ((0.002, 0, 0), (0, 0.6, 0), (0, 0, 0.6)))]
    how = {"initial_simplex": simplex, "xatol": 1e-4, "fatol": 1e-5}
    found = minimize(off, start, method="Nelder-Mead", options=how)
    return resampled_once(cutout, size_of(made.rgb), *found.x)


def resampled_once(cutout: Pixels, size: Size, scale: float, left: float, top: float) -> Pixels:
    """(h, w, 3) of a picture of that size: the cutout by one premultiplied Lanczos resample of Pillow."""
    pad = 2 + max(0, round(max(-left, -top, left + size.width, top + size.height) / scale) + 4)
    wide = Image.fromarray(np.pad(cutout, ((pad, pad), (pad, pad), (0, 0)))).convert("RGBa")
    box = (
        pad - left / scale,
        pad - top / scale,
        pad + (size.width - left) / scale,
        pad + (size.height - top) / scale,
    )
    shown = wide.resize(size, Image.Resampling.LANCZOS, box=box)
    return np.asarray(shown.convert("RGBA"))[..., :3]


def a_file(product: Product, plate: Plate, slot: Slot, scene: Scene) -> tuple[Composed, Pixels]:
    """What is encoded for a slot, and the pixels of the file; GateRefused where the slot takes no such product."""
    recipe, frame = AssetRecipe(), frame_for(slot.ratio, plate.master, plate.size)
    made = scene_picture(plate.rgb, frame, plate.product, product.cutout, scene.shadow, slot, recipe, "bench")
    return made, pixels_of(encode(made, slot, recipe, None, "bench"))


def measured(product: Product, whole: Composed, pixels: Pixels) -> dict[str, float]:
    """The figures of one file."""
    file, made = around(pixels, whole)
    core = binary_erosion(made.matte == 255, iterations=INNER_PX)
    truth = truth_of(made, product.cutout, core)
    off = np.abs(made.rgb[core].astype(int) - truth[core])
    return {
        "largest_difference": float(off.max()),
        "share_beyond_1": float((off.max(axis=1) > 1).mean()),
        "delta_e": float(deltaE_ciede2000(lab(file[core]), lab(truth[core])).mean()),
        "halo": halo(read_edge(file, made.matte)),
        "halo_of_photo": halo_of_photo(product, made.upscale),
    }


def halo_of_photo(product: Product, scale: float) -> float:
    """The halo of the photo itself, the product as large as in the file."""
    width, height = size_of(product.photo)
    size = Size(round(width * scale), round(height * scale))
    photo, alpha = resize(product.photo, size), resize(product.alpha, size)
    near = window_of(alpha)
    return halo(read_edge(photo[near], alpha[near]))


def window_of(alpha: Pixels) -> tuple[slice, slice]:
    """Rows and columns of the product and AROUND_PX on each side, as far as the frame goes."""
    box = box_of(alpha > 0)
    assert box is not None
    left, top = max(0, box.left - AROUND_PX), max(0, box.top - AROUND_PX)
    return slice(top, box.bottom + AROUND_PX), slice(left, box.right + AROUND_PX)


def around(file: Pixels, made: Composed) -> tuple[Pixels, Composed]:
    """The parts of a file and of what was encoded around the product."""
    near = window_of(made.matte)
    matte = made.matte[near]
    return file[near], replace(made, rgb=made.rgb[near], matte=matte, product=box_of(matte >= 128))


def shown(file: Pixels) -> Pixels:
    """A file in the middle of a grey tile of the contact sheet."""
    side = Size(TILE_PX, TILE_PX)
    small = resize(file, fit_inside(size_of(file), side))
    tile = np.full((TILE_PX, TILE_PX, 3), 128, np.uint8)
    at = centred(size_of(small), side)
    tile[at.top : at.bottom, at.left : at.right] = small
    return tile


def summary(rows: Sequence[dict[str, float]], refused: int) -> dict[str, object]:
    """The figures of all files."""

    def each(name: str) -> NDArray[np.float64]:
        return np.array([row[name] for row in rows])

    return {
        "files": len(rows),
        "refused": refused,
        "largest_difference": float(each("largest_difference").max()),
        "share_beyond_1": round(float(each("share_beyond_1").mean()), 6),
        "delta_e_mean": round(float(each("delta_e").mean()), 3),
        "delta_e_worst_file": round(float(each("delta_e").max()), 3),
        "halo_median": round(float(np.median(each("halo"))), 2),
        "halo_of_photo_median": round(float(np.median(each("halo_of_photo"))), 2),
        "halo_not_above_the_photos": round(float((each("halo") <= each("halo_of_photo")).mean()), 3),
    }


def main() -> None:
    """Cut out, paint, compose, compare."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.keep", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=Path, default=Path("productshot/demo/photos"))
    parser.add_argument("--views", type=int, default=1, help="photos of each product")
    parser.add_argument("--scenes", nargs="+", choices=scene_names(), default=SCENES)
    parser.add_argument("--sheets", action="store_true", help="only draw the sheets")
    parser.add_argument("--out", type=Path, default=Path("out/keep"))
    asked = parser.parse_args()
    models, recipe = Models(Recipes()), Recipes().renders
    slots, scenes = [find_slot(*slot)[1] for slot in SLOTS], [load_scene(name) for name in asked.scenes]
    pairs = [(product, scene) for product in products(asked.photos, models, asked.views) for scene in scenes]
    ratios = sorted({slot.ratio for slot in slots})
    paintings = (
        paint_around(models.base, scene, product.cutout, ratios, seed, recipe)
        for seed, (product, scene) in enumerate(pairs)
    )
    rows, refused, tiles = [], 0, np.full((len(pairs) * len(slots), TILE_PX, TILE_PX, 3), 128, np.uint8)
    for number, plate in paint(models.base, paintings, recipe.batch):
        assert isinstance(plate, Plate), plate
        product, scene = pairs[number]
        for column, slot in enumerate(slots):
            try:
                whole, file = a_file(product, plate, slot, scene)
            except GateRefused:
                refused += 1
                continue
            tiles[number * len(slots) + column] = shown(file)
            if not asked.sheets:
                rows.append(measured(product, whole, file))
    asked.out.mkdir(parents=True, exist_ok=True)
    a_sheet = len(scenes) * len(slots)
    for sheet in range(len(tiles) // a_sheet):
        part = tiles[sheet * a_sheet : (sheet + 1) * a_sheet]
        contact_sheet(part, len(slots), asked.out / f"sheet-{sheet:02}.png")
    if rows:
        figures = summary(rows, refused)
        (asked.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
