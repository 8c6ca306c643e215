"""Recipes: every setting that changes a stage's output. Frozen and hashed into the keys of what they made.

A library version is recorded, never hashed; where a file or a number of CPU threads does not change the
output it is no recipe field.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from catalog_schemas.base import Written
from catalog_schemas.channel import AssetFormat
from catalog_schemas.scene import Control


class PhotoRecipe(Written):
    """What a photo must be to enter the catalog."""

    min_side_px: int = Field(256, ge=16, description="shorter side; smaller photos are refused")
    max_pixels: int = Field(100_000_000, ge=1_000_000, description="width x height, read before decoding")
    max_bytes: int = Field(64_000_000, ge=1_000)
    min_sharpness: float = Field(0.0, ge=0, description="variance of the Laplacian; 0 takes every photo")


class CutoutRecipe(Written):
    """How the product is cut out of a photo."""

    model: str = Field(
        "pocket-matte", description="pocket-matte, a rembg model name, or a path to an .onnx file"
    )
    band_px_per_1000: float = Field(
        12, gt=0, le=100, description="half width of the unknown band per 1,000 px"
    )
    solve_limit_px: int = Field(1024, ge=128, le=4096, description="the matte is solved at most at this size")
    min_confidence: float = Field(0.7, ge=0, le=1, description="below it the cutout needs a person")


LORA_TARGETS = ("to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "conv1", "conv2")
"""Attention, feed-forward and the resnets' convolutions: a small base model needs all to learn a shape."""


class AdapterRecipe(Written):
    """How an adapter learns one product."""

    method: Literal["dreambooth-lora", "textual-inversion", "dreambooth"] = Field(
        "dreambooth-lora", description="dreambooth learns all weights of the UNet, one product at a time"
    )
    base: str = Field(
        "pocket", description="pocket; a path, S3 prefix or pinned hub name of a diffusers directory"
    )
    token: str = Field("sks", pattern=r"^[a-z]{2,16}$", description="rare token that names the product")
    rank: int = Field(8, ge=1, le=256)
    targets: tuple[str, ...] = Field(
        LORA_TARGETS, min_length=1, description="layers with a LoRA, named as peft's target_modules"
    )
    dora: bool = Field(False, description="learn each output's magnitude apart (DoRA, Liu et al. 2024)")
    steps: int = Field(40, ge=1, le=20_000)
    batch: int = Field(4, ge=1, le=64)
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="null: 1e-3 for a LoRA, 1e-4 for all weights"
    )
    token_learning_rate: float = Field(5.0e-3, ge=0, le=1)
    prior_weight: float = Field(1.0, ge=0, le=10, description="0 leaves prior preservation out")
    prior_images: int = Field(8, ge=0, le=1_000)
    snr_gamma: float | None = Field(5.0, description="min-SNR weighting (Hang et al. 2023); null: none")
    offset_noise: float = Field(
        0.0, ge=0, le=1, description="noise shared by a channel, for very dark or bright pictures; 0: none"
    )
    ema: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="decay of the average of the weights that is kept; 0: the weights themselves",
    )
    mask_floor: float = Field(
        0.01,
        ge=0,
        le=1,
        description="loss weight outside the product; grounds that are learned with it show in every picture",
    )
    look_every: int = Field(
        20,
        ge=0,
        description="steps between two looks at what the adapter draws; 0: none, the last step is kept",
    )
    look_pictures: int = Field(4, ge=1, le=64, description="pictures of a look, picture i with seed i")
    enough: float | None = Field(
        None, ge=0, le=1, description="subject fidelity at which training stops early; null: never for this"
    )
    patience: int = Field(2, ge=1, description="looks without a better one after which training stops")
    seed: int = Field(0, ge=0)

    @property
    def rate(self) -> float:
        """The learning rate, the method's own where none is given."""
        return self.learning_rate or (1e-4 if self.method == "dreambooth" else 1e-3)

    @model_validator(mode="after")
    def _prior_needs_images(self) -> AdapterRecipe:
        if self.prior_weight > 0 and self.prior_images == 0:
            raise ValueError(
                "prior_weight is above 0 but prior_images is 0; set prior_images or prior_weight: 0"
            )
        return self


Scheduler = Literal["ddim", "dpm-solver++"]
Reads = Literal["pocket", "canny", "scribble", "depth"]
READABLE: dict[Reads, tuple[Control, ...]] = {
    "pocket": ("none", "silhouette", "scribble", "edges"),
    "canny": ("none", "silhouette", "edges"),
    "scribble": ("none", "silhouette", "scribble"),
    "depth": ("none", "silhouette", "depth"),
}
"""What can be told to a ControlNet by what it was trained to read; the last is the most that it can be told."""


class RenderRecipe(Written):
    """How a scene is painted."""

    base: str = Field(
        "pocket", description="pocket; a path, S3 prefix or pinned hub name of a diffusers directory"
    )
    controlnet: str = Field(
        "pocket", description="pocket; a path, S3 prefix or pinned hub name of a ControlNet"
    )
    controlnet_reads: Reads | None = Field(
        None,
        description="the maps that the ControlNet was trained on. pocket: red edges, green scribble, blue silhouette; "
        "canny: white lines of 1 px on black; scribble: thick ones; depth: near is bright. "
        "null: pocket's own; any other ControlNet must say",
    )
    depth: str | None = Field(
        None,
        description="who makes the maps of a ControlNet that reads depth: a path, S3 prefix or pinned hub name of DPT "
        "or Depth Anything",
    )
    steps: int = Field(20, ge=1, le=200)
    scheduler: Scheduler = Field(
        "ddim", description="who denoises; dpm-solver++ is of second order and needs fewer steps"
    )
    cache_every: int = Field(
        1,
        ge=1,
        le=8,
        description="the network's deep layers are computed at each such step and reused at the others; 1: at all",
    )
    guidance_scale: float = Field(4.0, ge=0, le=30)
    control_scale: float = Field(1.0, ge=0, le=2)
    size_px: int = Field(128, ge=64, le=2048, multiple_of=16, description="side of the square master render")
    upscale: Literal[1, 2, 4] = Field(
        2,
        description="a keep picture's surroundings are painted once more, this much larger; 1: enlarged only",
    )
    tries: int = Field(1, ge=1, le=16, description="seeds tried before a picture counts as refused")
    batch: int = Field(
        4,
        ge=1,
        le=64,
        description="pictures painted in one pass; always filled up, so neighbours change nothing",
    )

    @property
    def reads(self) -> Reads:
        """The form of the control maps."""
        return self.controlnet_reads or "pocket"

    @model_validator(mode="after")
    def _controlnet_says_what_it_reads(self) -> RenderRecipe:
        valid = ", ".join(READABLE)
        if self.controlnet != "pocket" and self.controlnet_reads is None:
            raise ValueError(
                f"controlnet is {self.controlnet}, but controlnet_reads does not say on which maps it was trained; "
                f"write one of {valid}"
            )
        if self.controlnet == "pocket" and self.reads != "pocket":
            raise ValueError(
                f"controlnet_reads is {self.reads}, but controlnet is pocket, which reads its own maps only; "
                "name the ControlNet, or leave controlnet_reads out"
            )
        if self.reads == "depth" and self.depth is None:
            raise ValueError(
                "controlnet_reads is depth, but depth names no model that makes depth maps; give the path, S3 prefix "
                "or pinned hub name of DPT or Depth Anything"
            )
        if self.reads != "depth" and self.depth is not None:
            raise ValueError(
                f"depth is {self.depth}, but the ControlNet reads {self.reads} maps; leave depth out"
            )
        return self


class GateRecipe(Written):
    """Limits of the gates; changing one re-judges stored numbers and renders nothing.

    The defaults were chosen by benchmarks/gates.py on planted faults. Limits that are null are those of cosines,
    whose scale is the image model's own: with the eyes that ship they are `POCKET_COSINES`, with others nothing is
    judged until a limit is written.
    """

    max_missing: float = Field(0.5, gt=0, le=1, description="share of the product that a picture may lack")
    max_expansion: float = Field(0.24, gt=0, description="growth of the product area, share of the reference")
    max_delta_e: float = Field(
        3.0, gt=0, description="median CIEDE2000 inside the product, keep and packshot"
    )
    max_draw_delta_e: float = Field(12.0, gt=0, description="CIEDE2000 between mean product colours, draw")
    max_colour_changed: float = Field(
        0.1, ge=0, le=1, description="share of the product whose colour differs by a CIEDE2000 of 5 or more"
    )
    max_moved: float = Field(
        0.014, ge=0, description="distance from where the product belongs, share of its longer side"
    )
    max_outline_lost: float = Field(
        0.54, gt=0, le=1, description="share of the outline beyond which the product's colour goes on"
    )
    max_second_likeness: float | None = Field(
        None,
        ge=-1,
        le=1,
        description="cosine of the product and another thing in the picture; null: the eyes' own",
    )
    max_other_things: float = Field(
        0.18, ge=0, description="area of things that stand out beside the product, share of the product's"
    )
    min_print_kept: float = Field(
        0.74, ge=-1, le=1, description="structural similarity of the worst place of print or pattern"
    )
    min_sharpness: float = Field(
        0.6, ge=0, description="gradient energy of the product, share of that of the photo"
    )
    max_halo: float = Field(
        10.0, gt=0, description="Lab distance of the rim from mixtures of product and ground"
    )
    min_ground_range: float = Field(
        0.026, ge=0, le=1, description="range of the surroundings' luma; a black or plain picture has none"
    )
    max_seam: float = Field(
        3.4,
        gt=0,
        description="step along the border of what was continued, over the picture's own 95th percentile",
    )
    min_shadow_depth: float = Field(
        0.11, ge=-1, le=1, description="how much darker the ground is below the product than around it"
    )
    max_unlike: float | None = Field(
        None,
        ge=0,
        le=2,
        description="a cutout whose nearest among the SKU's others is less alike than its most alike pair by more "
        "than this stands alone: another serves, or a person looks; null: the eyes' own",
    )
    min_fidelity: float | None = Field(
        None, ge=-1, le=1, description="cosine of a drawn product and its photo; null: the eyes' own"
    )
    min_prompt_match: float | None = Field(
        None, ge=-1, le=1, description="cosine of picture and prompt; null: the eyes' own"
    )


POCKET_COSINES = {
    "max_second_likeness": 0.78,
    "max_unlike": 0.15,
    "min_fidelity": 0.7,
    "min_prompt_match": 0.66,
}
"""What the null limits are with the eyes that ship."""


class AssetRecipe(Written):
    """How an accepted picture becomes a file of a channel."""

    max_upscale: float = Field(1.5, ge=1, le=4, description="the product is enlarged at most this much")
    format: AssetFormat | None = Field(
        None, description="of every slot whose channel takes it; null: each slot's own"
    )
    quality: int = Field(92, ge=50, le=100, description="JPEG, WebP or AVIF quality to start with")
    min_quality: int = Field(75, ge=30, le=100, description="below it the file is refused, not made smaller")
    linear_light: bool = Field(
        False, description="true: the product is resized in linear light, not in sRGB numbers"
    )
    sharpen: float = Field(
        0.0,
        ge=0,
        le=2,
        description="how much of the detail of 1 px is added to a product that was shrunk; 0: none",
    )


class Recipes(Written):
    """All recipes of a catalog; each stage hashes its own only."""

    photos: PhotoRecipe = PhotoRecipe()
    cutouts: CutoutRecipe = CutoutRecipe()
    adapters: AdapterRecipe = AdapterRecipe()
    renders: RenderRecipe = RenderRecipe()
    gates: GateRecipe = GateRecipe()
    eyes: str = Field(
        "pocket",
        description="who tells how like two products are: pocket; a path, S3 prefix or pinned hub name of CLIP or DINO",
    )
    assets: AssetRecipe = AssetRecipe()

    @property
    def limits(self) -> GateRecipe:
        """The gates' limits, those of cosines filled in where the eyes are the ones that ship."""
        if self.eyes != "pocket":
            return self.gates
        own = {name: value for name, value in POCKET_COSINES.items() if getattr(self.gates, name) is None}
        return self.gates.model_copy(update=own)
