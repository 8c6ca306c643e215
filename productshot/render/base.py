"""The render room's door to torch and diffusers: find, digest and open a base model, once per process."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from catalog_schemas.recipes import RenderRecipe
from productshot.errors import ConfigInvalid, ModelDamaged, ModelMissing, OutOfMemory
from productshot.pull import is_elsewhere, place_of

if TYPE_CHECKING:
    import torch

    from productshot.render.depth import DepthModel

Kind = Literal["base", "controlnet", "eyes", "depth"]
INDEX = {
    "base": "model_index.json",
    "controlnet": "config.json",
    "eyes": "config.json",
    "depth": "config.json",
}
"""The file that a model directory of each kind must have."""
DIGESTED = {".json", ".safetensors", ".txt"}
"""What of a model directory changes its output: configurations, weights, vocabularies."""
PREDICTIONS = ("epsilon", "v_prediction")


@dataclass(frozen=True)
class Base:
    """An opened, frozen base model with its ControlNet; the modules are diffusers' and transformers' own."""

    unet: Any
    vae: Any
    text_encoder: Any
    tokenizer: Any
    controlnet: Any
    alphas_cumprod: torch.Tensor  # (training timesteps,) float32, the product of 1 - beta
    prediction: str  # epsilon or v_prediction
    device: torch.device
    dtype: torch.dtype  # of the UNet and the ControlNet; the VAE and the text encoder are float32
    digest: str
    controlnet_digest: str
    cell_px: int  # side of one latent cell in px
    step_px: int  # sides of a picture are multiples of this
    depth: DepthModel | None = None  # who makes the maps of a ControlNet that reads depth


def model_digest(path: Path) -> str:
    """SHA-256 over sorted names and bytes of the .json, .safetensors and .txt files below the directory."""
    files = sorted(
        (file.relative_to(path).as_posix(), file)
        for file in path.rglob("*")
        if file.is_file() and file.suffix in DIGESTED
    )
    if not files:
        raise ModelMissing(f"model {path}", "has no configuration or weight file", "", _remedy("base"))
    digest = hashlib.sha256()
    for name, file in files:
        with file.open("rb") as stream:
            content = hashlib.file_digest(stream, "sha256").hexdigest()
        digest.update(f"{name}\0{content}\n".encode())
    return digest.hexdigest()


def resolve_model(name: str, kind: Kind = "base") -> Path:
    """The directory of a model: "pocket" ships, one from elsewhere was pulled, else a path. ModelMissing: not there."""
    if name == "pocket" and kind != "depth":
        from productshot.pocket.files import base_path, clip_path, controlnet_path

        path = {"base": base_path, "controlnet": controlnet_path, "eyes": clip_path}[kind]()
    elif is_elsewhere(name):
        path = place_of(name)
        if not path.is_dir():
            remedy = f"bring it here: productshot models pull {name}"
            raise ModelMissing(f"{kind} model {name}", "was not pulled to this machine", "", remedy)
    else:
        path = Path(name).expanduser()
    if not (path / INDEX[kind]).is_file():
        raise ModelMissing(f"{kind} model {name}", f"has no {INDEX[kind]} at {path}", "", _remedy(kind))
    return path


def open_base(recipe: RenderRecipe) -> Base:
    """The base model, ControlNet and depth model of the recipe, frozen, on the GPU if there is one; safetensors only.

    ModelMissing: a directory is not there. ModelDamaged: a file in it cannot be read. ConfigInvalid: not of
    the Stable Diffusion layout, or size_px does not fit it. OutOfMemory: the device is too small.
    """
    import torch

    path, control_path = resolve_model(recipe.base, "base"), resolve_model(recipe.controlnet, "controlnet")
    scheduler = _layout(path, recipe.base)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with memory_errors(f"base model {recipe.base}"):
        unet, vae, text_encoder, tokenizer, controlnet = _load(path, control_path, device)
    cell_px = 2 ** (len(vae.config.block_out_channels) - 1)
    step_px = cell_px * 2 ** (len(unet.config.block_out_channels) - 1)
    if recipe.size_px % step_px:
        limit = f"a multiple of {step_px} is needed by base model {recipe.base}"
        raise ConfigInvalid("renders.size_px", f"is {recipe.size_px}", limit, "change it in the recipe")
    return Base(
        unet=unet,
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        controlnet=controlnet,
        alphas_cumprod=scheduler.alphas_cumprod,
        prediction=scheduler.config.prediction_type,
        device=device,
        dtype=unet.dtype,
        digest=model_digest(path),
        controlnet_digest=model_digest(control_path),
        cell_px=cell_px,
        step_px=step_px,
        depth=_depth_model(recipe, device),
    )


def _depth_model(recipe: RenderRecipe, device: torch.device) -> DepthModel | None:
    """Who makes the maps of a ControlNet that reads depth; None: another one."""
    if recipe.depth is None:
        return None
    from productshot.render.depth import open_depth

    with memory_errors(f"depth model {recipe.depth}"):
        return open_depth(recipe.depth, device)


@contextmanager
def memory_errors(item: str) -> Iterator[None]:
    """Within it, a device or machine that runs out of memory raises our OutOfMemory, cause kept."""
    import torch

    remedy = "use a smaller renders.batch or size_px, or a larger machine"
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(item, "does not fit into memory", "", remedy) from error
    except RuntimeError as error:
        if "DefaultCPUAllocator" not in str(error):
            raise
        raise OutOfMemory(item, "does not fit into memory", "", remedy) from error


def best_dtype(device: torch.device) -> torch.dtype:
    """bfloat16 where the machine computes it fast; elsewhere its emulation is slower than float32."""
    import torch

    fast = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if fast else torch.float32


def _layout(path: Path, name: str) -> Any:
    """The noise schedule of a model that we know how to run; ConfigInvalid names what is foreign."""
    from diffusers import DDIMScheduler

    layout = str(json.loads((path / INDEX["base"]).read_text("utf-8")).get("_class_name"))
    if not layout.startswith("StableDiffusion") or "XL" in layout or layout.startswith("StableDiffusion3"):
        limit = "the Stable Diffusion 1/2 layout (StableDiffusion...Pipeline) is supported"
        raise ConfigInvalid(f"base model {name}", f"is a {layout}", limit, "give another directory")
    with quiet():
        scheduler = DDIMScheduler.from_pretrained(path / "scheduler", local_files_only=True)
    if scheduler.config.prediction_type not in PREDICTIONS:
        value = f"predicts {scheduler.config.prediction_type}"
        raise ConfigInvalid(f"base model {name}", value, f"{' and '.join(PREDICTIONS)} are supported")
    return scheduler


def _load(path: Path, control_path: Path, device: torch.device) -> tuple[Any, Any, Any, Any, Any]:
    """UNet, VAE, text encoder, tokenizer and ControlNet, eval and frozen; UNet and ControlNet in best_dtype."""
    import torch
    from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
    from safetensors import SafetensorError
    from transformers import CLIPTextModel, CLIPTokenizer

    fast, full, how = best_dtype(device), torch.float32, {"use_safetensors": True, "local_files_only": True}
    try:
        with quiet():
            unet = UNet2DConditionModel.from_pretrained(path / "unet", torch_dtype=fast, **how)
            vae = AutoencoderKL.from_pretrained(path / "vae", torch_dtype=full, **how)
            controlnet = ControlNetModel.from_pretrained(control_path, torch_dtype=fast, **how)
            text = CLIPTextModel.from_pretrained(path / "text_encoder", dtype=full, **how)
            tokenizer = CLIPTokenizer.from_pretrained(path / "tokenizer", local_files_only=True)
    except (OSError, SafetensorError) as error:
        raise ModelDamaged(f"base model {path}", f"cannot be read ({error})", "", _remedy("base")) from error
    for module in (unet, vae, text, controlnet):
        module.to(device).eval().requires_grad_(False)
    for module in (unet, controlnet):
        module.to(memory_format=torch.channels_last)
    return unet, vae, text, tokenizer, controlnet


@contextmanager
def quiet() -> Iterator[None]:
    """Loading without the libraries' progress bars and chatter; their settings are put back afterwards."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    loggers = (diffusers_logging, transformers_logging)
    levels = [logging.get_verbosity() for logging in loggers]
    bars = [logging.is_progress_bar_enabled() for logging in loggers]
    for logging in loggers:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
    try:
        yield
    finally:
        for logging, level, bar in zip(loggers, levels, bars, strict=True):
            logging.set_verbosity(level)
            if bar:
                logging.enable_progress_bar()


def _remedy(kind: Kind) -> str:
    """What a person does when a model is not there."""
    if kind == "depth":
        return "give the path, S3 prefix or pinned hub name of DPT or Depth Anything with safetensors files"
    made_by = "transformers image model" if kind == "eyes" else f"diffusers {kind}"
    return f"give pocket, or the path, S3 prefix or pinned hub name of a {made_by} with safetensors files"
