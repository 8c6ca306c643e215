"""The render room: a base model paints scenes around a product (keep) or draws it (draw).

    base.py      finding, digesting and opening the base model and its ControlNet (paid once)
    sample.py    text, latents and the DDIM loop: one picture at a time, the same bytes for the same seed
    control.py   the maps that tell the ControlNet where the product is
    fill.py      smooth continuation of colours into unknown pixels
    outpaint.py  a square painting grown to the shapes that the slots need
    keep.py      paint_around: the photographed product stays, the model paints the rest
    draw.py      draw_product: the model draws the product from its adapter

What is named here loads no torch; keep, draw, outpaint and sample do, so import them where they are used.
"""

from productshot.render.base import Base, model_digest, open_base, resolve_model
from productshot.render.plate import Plate

__all__ = ["Base", "Plate", "model_digest", "open_base", "resolve_model"]
