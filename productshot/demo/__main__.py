"""Draws the demo's photos from nothing; run on the same machine, the same bytes."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from productshot.pocket.studio import ProductSpec, shop_photo

HERE = Path(__file__).parent
SIDE_PX = 1_200
VIEWS = 4
PRODUCTS = {
    "backpack-teal": ProductSpec("backpack", "teal", "orange", "plain", "matte", "none", 7),
    "mug-striped": ProductSpec("mug", "red", "white", "striped", "glossy", "none", 3),
    "vase-blue": ProductSpec("vase", "blue", "white", "dotted", "glossy", "none", 11),
}


def main() -> None:
    """Write photos/<sku>/<n>.jpg and nouns.csv beside this file."""
    for sku, product in PRODUCTS.items():
        folder = HERE / "photos" / sku
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(VIEWS):
            picture = shop_photo(product, 100 + number, SIDE_PX, SIDE_PX).picture
            Image.fromarray(picture).save(folder / f"{number}.jpg", quality=85, optimize=True)
    rows = [f"{sku},{product.noun}" for sku, product in PRODUCTS.items()]
    (HERE / "nouns.csv").write_text("\n".join(["sku,noun", *rows]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
