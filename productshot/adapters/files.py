"""The adapters room, its files: one safetensors file per adapter, made for diffusers' own loaders.

    dreambooth-lora      unet.<layer>.lora_A.weight and .lora_B.weight: peft's names behind "unet."
                         lora_token.<token>   (1, width), when the token was learned as well
    textual-inversion    <token>              (1, width)
    dreambooth           unet.<parameter>     all weights of the UNet, float16; and the token's row as above

With SDXL's two text encoders the rows are lora_clip_l.<token> and lora_clip_g.<token>, or clip_l and clip_g, as
embeddings for SDXL are spelt everywhere.

The first loads with `pipeline.load_lora_weights`, which passes over the token's row but refuses a key
without "lora" in it, hence the name; the second with `pipeline.load_textual_inversion`. The header says what
the file belongs to in a single entry of canonical JSON, because the order of several is not fixed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from productshot.errors import ConfigInvalid, ModelDamaged
from productshot.keys import canonical_json

ENCODERS = ("clip_l", "clip_g")
HEADER_ENTRY = "productshot"
REMEDY = "remove it and train this adapter again"


@dataclass(frozen=True)
class TrainedAdapter:
    """What training one set made."""

    sku: str
    lora: Mapping[
        str, Tensor
    ]  # by diffusers' names, float16; the UNet's own with dreambooth, none with only a token
    rows: tuple[
        Tensor, ...
    ]  # (1, width) float32 for each text encoder, the learned token's; empty without one
    losses: tuple[float, ...]  # mean of each tenth of the training
    looks: tuple[tuple[int, float], ...]  # (step, subject fidelity) of each look, in order
    token: str
    noun: str
    steps: int  # those behind the kept weights
    method: str
    base: str  # digest
    recipe: str  # digest


def join(adapter: TrainedAdapter) -> bytes:
    """The file of an adapter; the same adapter gives the same bytes. The SKU is not in it."""
    tensors = {name: value.contiguous() for name, value in adapter.lora.items()}
    kinds = ENCODERS if len(adapter.rows) > 1 else ("token",)
    for kind, row in zip(kinds, adapter.rows, strict=False):
        alone = adapter.token if kind == "token" else kind
        tensors[f"lora_{kind}.{adapter.token}" if adapter.lora else alone] = row.contiguous()
    told = {name: getattr(adapter, name) for name in ("base", "recipe", "token", "noun", "method")}
    return save(tensors, {HEADER_ENTRY: canonical_json(told).decode()})


def split(data: bytes) -> tuple[dict[str, Tensor], tuple[Tensor, ...]]:
    """The LoRA or the UNet by diffusers' names (empty with textual inversion) and the token's (1, width) rows, if any.

    float16 and float32, as they were joined. ModelDamaged: the bytes are not an adapter file.
    """
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise ModelDamaged("adapter file", f"cannot be read ({error})", "", REMEDY) from error
    lora = {name: value for name, value in tensors.items() if name.startswith("unet.")}
    rows = {name: value for name, value in tensors.items() if name not in lora}
    if len(rows) > 2 or not tensors:
        told = f"has {len(rows)} token rows and {len(lora)} LoRA weights"
        raise ModelDamaged("adapter file", told, "", REMEDY)
    return lora, tuple(rows[name] for name in sorted(rows, key=lambda name: "clip_g" in name))


def as_kohya(data: bytes) -> bytes:
    """An adapter file with the names that kohya's scripts write and ComfyUI and AUTOMATIC1111 read.

    LoRA weights only, in diffusers' own spelling of those names; a learned token is one row named "emb_params", as
    they read embeddings, so an adapter with both becomes its LoRA. ModelDamaged: the bytes are no adapter file.
    ConfigInvalid: they are a whole UNet.
    """
    from diffusers.utils.state_dict_utils import convert_state_dict_to_kohya

    lora, rows = split(data)
    if about(data)["method"] == "dreambooth":
        raise ConfigInvalid(
            "--keys", "is kohya", "a whole UNet is no LoRA", "export it without --keys, or train a LoRA"
        )
    if not lora:
        names = ENCODERS if len(rows) > 1 else ("emb_params",)
        return save(dict(zip(names, rows, strict=True)))
    return save({name: value.contiguous() for name, value in convert_state_dict_to_kohya(lora).items()})


def about(data: bytes) -> dict[str, str]:
    """What the header says: base and recipe (digests), token, noun, method. ModelDamaged: it says nothing."""
    try:
        told: dict[str, str] = header_of(data)
    except (ValueError, KeyError) as error:
        raise ModelDamaged("adapter file", "has no header of productshot", "", REMEDY) from error
    return told


def header_of(data: bytes) -> Any:
    """The JSON in our entry of a safetensors file's header. ValueError, KeyError: there is none."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"][HEADER_ENTRY])
