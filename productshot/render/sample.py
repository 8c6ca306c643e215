"""The render room's sampler: prompts and pixels to latents, denoising with guidance, latents to pixels.

Pictures of many products and scenes share a pass, each with its own noise, text, control and adapter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor

from catalog_schemas.recipes import RenderRecipe, Scheduler
from productshot.errors import InputRefused
from productshot.geometry import Box, Size
from productshot.pixels import Pixels
from productshot.render.base import Base, memory_errors
from productshot.render.recall import deep_modules, recalling
from productshot.render.solve import SOLVERS, Guess, add_noise, timesteps
from productshot.render.wear import kind_of, wearing

LATENTS = 4
BEYOND = 3
"""Latent cells decoded beyond what is shown and cut off: so far reaches what decoding draws along a border."""
OVERLAP = 4
"""Neighbouring windows share at least a window's side divided by this."""


@dataclass(frozen=True)
class Conditions:
    """What steers one picture, or n in a batch."""

    text: Tensor  # (2 n, tokens, width): negative prompt, prompt of each; of the base's dtype
    control: Tensor | None  # (n, 3, h, w), 0..1; of the base's dtype
    control_scale: float
    guidance_scale: float


@dataclass(frozen=True)
class Known:
    """Latents that are given, and where: 1 keeps, 0 is painted (from these latents where strength is below 1)."""

    latents: Tensor  # (n, 4, h/cell, w/cell)
    mask: Tensor  # (n, 1, h/cell, w/cell)


@dataclass(frozen=True)
class Steps:
    """The way from noise to a picture."""

    count: int
    scheduler: Scheduler = "ddim"
    cache_every: int = 1  # deep layers are computed at each such step


def steps_of(recipe: RenderRecipe) -> Steps:
    """Those that a recipe asks for."""
    return Steps(recipe.steps, recipe.scheduler, recipe.cache_every)


@dataclass(frozen=True)
class Request:
    """The latents of one picture, which a painting waits for."""

    conditions: Conditions
    size: Size  # in px
    steps: Steps
    seed: int
    known: Known | None = None
    strength: float = 1.0
    adapter: Mapping[str, Tensor] | None = None  # what the UNet wears, by the names of an adapter's file
    window: Size | None = None  # in px, what the network sees at a time; None: all. Without a control map

    @property
    def kind(self) -> tuple[object, ...]:
        """What the requests of one batch have in common."""
        steering = self.conditions
        control = None if steering.control is None else steering.control_scale
        known = self.known is not None, self.strength
        how = self.size, self.window, self.steps, steering.guidance_scale
        return (*how, control, *known, kind_of(self.adapter))


@torch.inference_mode()
def encode_text(base: Base, prompt: str, negative_prompt: str) -> Tensor:
    """(2, tokens, width) text embeddings, the negative prompt first.

    InputRefused: a prompt is longer than the model reads; its end, often the scene, would be lost.
    """
    for text in (negative_prompt, prompt):
        tokens, limit = len(base.tokenizer.tokenize(text)) + 2, base.tokenizer.model_max_length
        if tokens > limit:
            told, most = f"has {tokens} tokens", f"this base model reads {limit}"
            raise InputRefused(f'prompt "{text}"', told, most, "use fewer or more common words")
    words = base.tokenizer(
        [negative_prompt, prompt],
        padding="max_length",
        max_length=base.tokenizer.model_max_length,
        return_tensors="pt",
    )
    embedded: Tensor = base.text_encoder(words.input_ids.to(base.device)).last_hidden_state
    return embedded.to(base.dtype)


@torch.inference_mode()
def encode_pixels(base: Base, rgb: Pixels) -> Tensor:
    """(1, 4, h/cell, w/cell) latents, the mean of the VAE's posterior, of an (h, w, 3) uint8 picture."""
    x = torch.from_numpy(rgb.astype(np.float32) / 127.5 - 1).permute(2, 0, 1)[None].to(base.device)
    mean: Tensor = base.vae.encode(x).latent_dist.mean
    return mean * float(base.vae.config.scaling_factor)


@torch.inference_mode()
def decode_pixels(base: Base, latents: Tensor) -> Pixels:
    """The (h, w, 3) uint8 picture of (1, 4, h/cell, w/cell) latents without a frame.

    Convolutions see zeros beyond the border: a painting's outermost latent cells hold lines along it, and decoding
    draws more. So the cells inside them are decoded as if they went on, and their outermost pixels do.
    """
    inside = latents[..., 1:-1, 1:-1]
    wide = torch.nn.functional.pad(inside, (BEYOND,) * 4, mode="replicate")
    x = base.vae.decode(wide / float(base.vae.config.scaling_factor)).sample[0]
    picture = ((x.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    cut, rim = BEYOND * base.cell_px, (base.cell_px, base.cell_px)
    shown = picture[:, cut:-cut, cut:-cut].permute(1, 2, 0).cpu().numpy()
    return np.pad(shown, (rim, rim, (0, 0)), mode="edge")


def as_control(base: Base, control: Pixels | None) -> Tensor | None:
    """(1, 3, h, w) in 0..1 on the base's device, of an (h, w, 3) uint8 control map."""
    if control is None:
        return None
    return (
        torch.from_numpy(control.astype(np.float32) / 255).permute(2, 0, 1)[None].to(base.device, base.dtype)
    )


def split(prediction: str, output: Tensor, x: Tensor, alpha_bar: Tensor) -> tuple[Tensor, Tensor]:
    """The clean x0 and the noise in x that the network's output stands for (v: Salimans & Ho 2022, appendix D).

    With v the last timestep may be pure noise (alpha_bar 0, Lin et al. 2024); with epsilon x0 would be lost there.
    """
    signal, spread = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    if prediction == "v_prediction":
        return signal * x - spread * output, signal * output + spread * x
    return (x - spread * output) / signal, output


@torch.inference_mode()
def predict(base: Base, x: Tensor, t: int, conditions: Conditions) -> tuple[Tensor, Tensor]:
    """The clean pictures and the noise in x (n, 4, ...), guided: f(empty) + w (f(prompt) - f(empty)).

    Ho & Salimans 2022. Both samples of a picture follow each other, so that an adapter finds its own.
    """
    given = {
        "sample": x.to(base.dtype).repeat_interleave(2, 0),
        "timestep": t,
        "encoder_hidden_states": conditions.text,
    }
    down = mid = None
    if conditions.control is not None and conditions.control_scale > 0:
        down, mid = base.controlnet(
            **given,
            controlnet_cond=conditions.control.repeat_interleave(2, 0),
            conditioning_scale=conditions.control_scale,
            return_dict=False,
        )
    residuals = {"down_block_additional_residuals": down, "mid_block_additional_residual": mid}
    output = base.unet(**given, **residuals).sample.float()
    without, guided = output.unflatten(0, (-1, 2)).unbind(1)
    alpha_bar = base.alphas_cumprod[t].to(x)
    return split(base.prediction, without + conditions.guidance_scale * (guided - without), x, alpha_bar)


def cells(size: Size, base: Base) -> Size:
    """The size in latent cells of one in px."""
    return Size(size.width // base.cell_px, size.height // base.cell_px)


def windows(canvas: Size, window: Size) -> list[Box]:
    """Boxes of the window's size, or the canvas's where that is smaller, that cover it evenly and overlap."""

    def starts(length: int, side: int) -> list[int]:
        side = min(length, side)
        count = -(-(length - side) // (side - side // OVERLAP)) + 1
        return [round(i * (length - side) / max(count - 1, 1)) for i in range(count)]

    width, height = min(canvas.width, window.width), min(canvas.height, window.height)
    return [
        Box(left, top, left + width, top + height)
        for top in starts(canvas.height, window.height)
        for left in starts(canvas.width, window.width)
    ]


def in_windows(guesses: Sequence[Guess], boxes: Sequence[Box]) -> Guess:
    """What is guessed in each window apart, averaged where they overlap (Bar-Tal et al. 2023, equation 5).

    Weights fall towards a window's border, so that none can be seen.
    """

    def averaged(x: Tensor, t: int) -> tuple[Tensor, Tensor]:
        clean, noise, total = torch.zeros_like(x), torch.zeros_like(x), torch.zeros_like(x[:1, :1])
        for guess, box in zip(guesses, boxes, strict=True):
            at = (..., slice(box.top, box.bottom), slice(box.left, box.right))
            weight = _tent(box.size).to(x)
            clean_here, noise_here = guess(x[at], t)
            clean[at] += weight * clean_here
            noise[at] += weight * noise_here
            total[at] += weight
        return clean / total, noise / total

    return averaged


def _tent(size: Size) -> Tensor:
    """(h, w) above 0, highest in the middle and falling evenly to the sides."""
    down, across = (
        torch.minimum(torch.arange(n) + 1, torch.arange(n, 0, -1)).float() for n in (size.height, size.width)
    )
    return down[:, None] * across


@torch.inference_mode()
def sample(base: Base, requests: Sequence[Request], slots: int) -> list[Tensor]:
    """Latents (1, 4, h/cell, w/cell) of each request; all are of one kind and denoised in one pass.

    The pass has `slots` places, the free ones filled with the first request again: the numbers of a picture follow
    from its request, on one kind of machine and number of threads, whatever stands beside it and in which place.
    Known latents are put back at every timestep at that timestep's noise (blended latent diffusion, Avrahami
    et al. 2023) and are exact in the result. Below strength 1 the first timesteps are left out and the whole
    picture starts from known.latents (SDEdit, Meng et al. 2022). OutOfMemory: the device is too small.
    """
    first, steps = requests[0], requests[0].steps
    filled = [*requests, *(first for _ in range(slots - len(requests)))]
    alpha_bars, known = base.alphas_cumprod.to(base.device), _known_of(filled)
    times = timesteps(len(alpha_bars), steps.count)[round((1 - first.strength) * steps.count) :]
    noise = torch.cat([first_noise(base, request) for request in filled]).to(base.device)
    x = noise
    if known is not None and first.strength < 1:
        x = add_noise(known.latents, noise, alpha_bars[times[0]])

    def put_back(x: Tensor, alpha_bar: Tensor) -> Tensor:
        return (
            x if known is None else torch.where(known.mask > 0, add_noise(known.latents, noise, alpha_bar), x)
        )

    doing = f"{slots} pictures of {first.size.width}x{first.size.height} px"
    with memory_errors(doing), wearing(base.unet, [request.adapter for request in filled]):
        guess = _guess_of(base, first, _conditions_of(filled))
        painted = SOLVERS[steps.scheduler](alpha_bars, times, x, guess, put_back)
    return list(painted[: len(requests)].split(1))


def _guess_of(base: Base, like: Request, conditions: Conditions) -> Guess:
    """What a batch of requests like this one is denoised by: in windows, with recalled layers, as they ask."""
    whole: Guess = partial(predict, base, conditions=conditions)
    every, modules = like.steps.cache_every, deep_modules(base)

    def one() -> Guess:
        return whole if every == 1 else recalling(modules, every, whole)

    if like.window is None:
        return one()
    boxes = windows(cells(like.size, base), cells(like.window, base))
    return in_windows([one() for _ in boxes], boxes)


def first_noise(base: Base, request: Request) -> Tensor:
    """(1, 4, h/cell, w/cell) standard normal, from the request's seed alone."""
    shape = (1, LATENTS, request.size.height // base.cell_px, request.size.width // base.cell_px)
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(request.seed))


def _conditions_of(requests: Sequence[Request]) -> Conditions:
    """Those of several requests in one batch."""
    each = [request.conditions for request in requests]
    controls = [one.control for one in each if one.control is not None]
    return replace(
        each[0],
        text=torch.cat([one.text for one in each]),
        control=torch.cat(controls) if controls else None,
    )


def _known_of(requests: Sequence[Request]) -> Known | None:
    """What is known of several requests in one batch."""
    each = [request.known for request in requests if request.known is not None]
    if not each:
        return None
    return Known(torch.cat([one.latents for one in each]), torch.cat([one.mask for one in each]))
