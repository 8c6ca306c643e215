"""The render room: a base model paints scenes around a product (keep) or draws it (draw).

    base.py      finding, digesting and opening the base model and its ControlNet (paid once)
    sample.py    text, latents and the DDIM loop: a batch of pictures, each with the same bytes whatever its neighbours
    lora.py      layers that wear the low-rank weights of several products
    wear.py      adapters put on for a batch
    control.py   the maps that tell the ControlNet where the product is
    scribbles.py a person's drawing as lines on a scene's canvas
    depth.py     the depth model, for ControlNets that read depth
    fill.py      smooth continuation of colours into unknown pixels
    fleet.py     many paintings side by side
    outpaint.py  a square painting grown to the shapes that the slots need
    upscale.py   a painting at twice or four times its size, with detail of its own
    keep.py      paint_around: the photographed product stays, the model paints the rest
    draw.py      draw_product: the model draws the product from its adapter

What is named here loads no torch; all but base, control, scribbles, fill and plate does, so import them where they
are used.
"""

from productshot.render.base import Base, model_digest, open_base, resolve_model
from productshot.render.plate import Plate

__all__ = ["Base", "Plate", "model_digest", "open_base", "resolve_model"]
