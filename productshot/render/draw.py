"""The render room's draw lane: the model draws the product from its adapter, control maps hold its place."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from transformers import AddedToken

from catalog_schemas.recipes import RenderRecipe
from catalog_schemas.scene import Scene
from productshot.errors import ConfigInvalid, InputRefused
from productshot.geometry import Box, Size
from productshot.pixels import Pixels
from productshot.render.base import Base
from productshot.render.control import control_map, most_told, place
from productshot.render.fleet import Painting
from productshot.render.outpaint import Brief, conditions_of, outpaint
from productshot.render.plate import Plate, plate_size
from productshot.render.sample import Request, decode_pixels, steps_of
from productshot.render.wear import check_fit


@dataclass(frozen=True)
class AdapterWeights:
    """What an adapter's file holds."""

    lora: Mapping[
        str, Tensor
    ]  # as unet.....lora_A.weight, or all of a UNet as unet.conv_in.weight; may be empty
    token_row: Tensor | None  # (1, width) the learned embedding of the token


@dataclass(frozen=True)
class Subject:
    """The product to draw."""

    noun: str
    token: str  # its rare word; unused without an adapter
    adapter: AdapterWeights | None
    cutout: Pixels  # (h, w, 4) uint8 RGBA that the control maps are taken from


def draw_product(
    base: Base,
    scene: Scene,
    subject: Subject,
    ratios: Sequence[tuple[int, int]],
    seed: int,
    recipe: RenderRecipe,
    drawn: Pixels | None = None,
) -> Painting:
    """The scene with the product in it, all of it painted; plate.product is None.

    The product stands where scene.placement puts it, and is steered by scene.control (`most_told`).
    drawn: (size_px, size_px) uint8, a hand-drawn scribble of the scene around it.
    ConfigInvalid: no prompt, or no {token} in it for an adapter. InputRefused: an adapter made for another base model.
    """
    prompt = product_prompt(scene, subject)
    canvas = Size(recipe.size_px, recipe.size_px)
    placed, sketch = place(subject.cutout, scene.placement, canvas)
    near = base.depth.near if base.depth else None
    control = control_map(placed, most_told(scene.control, recipe.reads), recipe.reads, drawn, near)
    brief = Brief(prompt, scene.negative_prompt, seed, recipe)
    steering = conditions_of(knowing(base, subject), brief, control)
    worn = subject.adapter.lora if subject.adapter else None
    latents = yield Request(steering, canvas, steps_of(recipe), seed, adapter=worn)
    master = Plate(decode_pixels(base, latents), Box(0, 0, canvas.width, canvas.height), None, sketch)
    around = replace(
        brief, prompt=scene.scene_prompt or product_prompt(scene, replace(subject, adapter=None))
    )
    return (
        yield from outpaint(base, master, plate_size(recipe.size_px, ratios, base.step_px), around, control)
    )


def product_prompt(scene: Scene, subject: Subject) -> str:
    """The scene's prompt with the product's words in its slots; without an adapter {token} says nothing."""
    if not scene.prompt:
        raise ConfigInvalid(f"scene {scene.name}", "has no prompt", "the draw lane paints it", "write one")
    if subject.adapter is not None and "{token}" not in scene.prompt:
        remedy = "write {token} {noun} where the product is named"
        raise ConfigInvalid(
            f"scene {scene.name}", "has no {token} in its prompt", "its adapter needs it", remedy
        )
    token = subject.token if subject.adapter is not None else ""
    return " ".join(scene.prompt.format(noun=subject.noun, token=token).split())


def knowing(base: Base, subject: Subject) -> Base:
    """The base that reads the subject's token; InputRefused when its adapter does not fit this base model."""
    adapter = subject.adapter
    if adapter is None:
        return base
    check_fit(base.unet, adapter.lora, subject.noun, base.digest)
    return base if adapter.token_row is None else with_token(base, subject.token, adapter.token_row)


def with_token(base: Base, token: str, row: Tensor) -> Base:
    """A base that reads the token as the (1, width) row; it shares its weights with the first, which stays.

    InputRefused: the row is of another width than the base's embeddings.
    """
    old = base.text_encoder.get_input_embeddings().weight
    if row.shape != (1, old.shape[1]):
        value, limit = (
            f"has a row of shape {tuple(row.shape)}",
            f"(1, {old.shape[1]}) is needed by the base",
        )
        raise InputRefused(f"adapter of token {token}", value, limit, "train it again for this base")
    tokenizer = copy.deepcopy(base.tokenizer)
    ids = tokenizer(token, add_special_tokens=False).input_ids
    if len(ids) != 1:
        tokenizer.add_tokens([AddedToken(token, single_word=True)])
        ids = [tokenizer.convert_tokens_to_ids(token)]
    rows = old.new_zeros(max(len(old), ids[0] + 1), old.shape[1])
    rows[: len(old)] = old
    rows[ids[0]] = row[0].to(rows)
    shared = {id(weight): weight for weight in base.text_encoder.parameters()}
    encoder = copy.deepcopy(base.text_encoder, shared)
    encoder.set_input_embeddings(torch.nn.Embedding.from_pretrained(rows))
    return replace(base, tokenizer=tokenizer, text_encoder=encoder)
