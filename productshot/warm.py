"""`make setup` runs this once: imports what compiles on its first import, so that no first command waits for it."""

from __future__ import annotations

import importlib

COMPILES_ON_IMPORT = ("pymatting", "rembg", "diffusers")


def main() -> None:
    """Import each module; a broken installation shows here and not in the night."""
    for name in COMPILES_ON_IMPORT:
        importlib.import_module(name)
    studio = importlib.import_module("productshot.pocket.studio")
    studio.random_drawing(0)  # compiles its kernels on the first picture


if __name__ == "__main__":
    main()
