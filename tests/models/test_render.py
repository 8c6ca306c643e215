"""Rendering with a tiny base model of pocket's layout and random weights, made here: laws, not looks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from torch import Tensor

from catalog_schemas.recipes import RenderRecipe
from catalog_schemas.scene import Placement, Scene
from productshot.errors import ConfigInvalid, InputRefused, ModelDamaged, ModelMissing
from productshot.geometry import Box, Size
from productshot.pixels import Pixels
from productshot.pocket.controlnet import build_controlnet
from productshot.pocket.diffusion import build_unet, save_pipeline
from productshot.pocket.text import build_text_encoder, build_tokenizer
from productshot.pocket.vae import build_vae
from productshot.render import Base, Plate, model_digest, open_base, resolve_model
from productshot.render.depth import DepthModel
from productshot.render.draw import AdapterWeights, Subject, draw_product, knowing, with_token
from productshot.render.fleet import paint, paint_one
from productshot.render.keep import known_product, paint_around, without_product
from productshot.render.outpaint import Brief, kept_cells, outpaint
from productshot.render.sample import (
    Conditions,
    Known,
    Request,
    Steps,
    decode_pixels,
    encode_text,
    in_windows,
    sample,
    windows,
)
from productshot.render.solve import timesteps
from productshot.render.wear import wearing

SIDE = 64
WIDTH = 32
THREE = Steps(3)
SQUARE = [(1, 1)]


def a_model(folder: Path) -> Path:
    """The folder with base/ and controlnet/ of pocket's layout, narrow and untrained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tokenizer = build_tokenizer(["a photo of a mug", "an empty scene on a wooden table"])
        unet = build_unet((16, 16, 32), WIDTH)
        text = build_text_encoder(tokenizer, width=WIDTH, layers=1)
        save_pipeline(folder / "base", build_vae((8, 8, 16), SIDE), text, tokenizer, unet)
        build_controlnet(unet, torch.rand(2, 3, SIDE, SIDE)).save_pretrained(folder / "controlnet")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_model(tmp_path_factory.mktemp("tiny"))


def a_recipe(model: Path, **changes: object) -> RenderRecipe:
    """Three steps at 64 px with the tiny model, painted once."""
    fields = {
        "base": str(model / "base"),
        "controlnet": str(model / "controlnet"),
        "controlnet_reads": "pocket",
        "steps": 3,
        "size_px": SIDE,
        "upscale": 1,
    }
    return RenderRecipe.model_validate({**fields, **changes})


@pytest.fixture(scope="module")
def recipe(model: Path) -> RenderRecipe:
    return a_recipe(model)


@pytest.fixture(scope="module")
def base(recipe: RenderRecipe) -> Base:
    return open_base(recipe)


def a_cutout() -> Pixels:
    """A red 40 x 60 card with a half-transparent rim, RGBA."""
    rgba = np.zeros((60, 40, 4), np.uint8)
    rgba[..., 0], rgba[..., 3] = 220, 255
    rgba[[0, -1]] = rgba[:, [0, -1]] = (220, 0, 0, 128)
    return rgba


def a_striped_cutout() -> Pixels:
    """The card with a white stripe across."""
    rgba = a_cutout()
    rgba[25:35, 1:-1, :3] = 255
    return rgba


def a_scene(**changes: object) -> Scene:
    """A wooden table for either lane."""
    fields = {
        "name": "wooden-table",
        "prompt": "a photo of a {token} {noun} on a wooden table",
        "scene_prompt": "an empty scene on a wooden table",
    }
    return Scene.model_validate({**fields, **changes})


def a_lora(base: Base) -> dict[str, Tensor]:
    """Random rank-2 weights for every attention query of the UNet, by diffusers' names."""
    generator = torch.Generator().manual_seed(7)
    lora: dict[str, Tensor] = {}
    for name, weight in base.unet.named_parameters():
        if name.endswith("to_q.weight"):
            layer = f"unet.{name.removesuffix('.weight')}"
            lora[f"{layer}.lora_A.weight"] = torch.randn(2, weight.shape[1], generator=generator)
            lora[f"{layer}.lora_B.weight"] = torch.randn(weight.shape[0], 2, generator=generator)
    return lora


def an_adapter(base: Base) -> AdapterWeights:
    """A LoRA and a token row."""
    return AdapterWeights(a_lora(base), torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(8)))


def weights_of(base: Base) -> dict[str, Tensor]:
    """A copy of every weight of the UNet and the text encoder, by name."""
    return {k: v.clone() for m in (base.unet, base.text_encoder) for k, v in m.state_dict().items()}


def test_a_digest_follows_the_bytes_not_the_place(model: Path, tmp_path: Path) -> None:
    """The same files elsewhere digest alike; one changed setting digests otherwise."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in (model / "controlnet").iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert model_digest(copy) == model_digest(model / "controlnet")
    (copy / "config.json").write_text("{}")
    assert model_digest(copy) != model_digest(model / "controlnet")


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The message says what was looked for, where, and what to give instead."""
    with pytest.raises(
        ModelMissing, match="controlnet model .*nowhere has no config.json at .*; give pocket, or"
    ):
        resolve_model(str(tmp_path / "nowhere"), "controlnet")


def test_a_damaged_weight_file_is_refused(model: Path, tmp_path: Path) -> None:
    """A cut-off safetensors file is a damaged model, not a crash."""
    bad = tmp_path / "controlnet"
    bad.mkdir()
    for file in (model / "controlnet").iterdir():
        (bad / file.name).write_bytes(
            file.read_bytes()[:100] if "safetensors" in file.name else file.read_bytes()
        )
    with pytest.raises(ModelDamaged, match="cannot be read"):
        open_base(a_recipe(model, controlnet=str(bad)))


def test_another_layout_is_refused(model: Path, tmp_path: Path) -> None:
    """A model that is not of Stable Diffusion's layout is refused by its own name."""
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(ConfigInvalid, match="is a FluxPipeline; the Stable Diffusion 1/2 layout"):
        open_base(a_recipe(model, base=str(tmp_path)))


def test_trailing_timesteps_start_at_the_noisiest() -> None:
    """Five of a thousand: 999, 799, 599, 399, 199."""
    assert timesteps(1000, 5) == [999, 799, 599, 399, 199]


def test_the_same_seed_gives_the_same_bytes(base: Base, recipe: RenderRecipe) -> None:
    """Whatever was rendered in between; another seed gives another picture."""
    first = paint_one(base, paint_around(base, a_scene(), a_cutout(), SQUARE, 1, recipe))
    other = paint_one(base, paint_around(base, a_scene(), a_cutout(), SQUARE, 2, recipe))
    again = paint_one(base, paint_around(base, a_scene(), a_cutout(), SQUARE, 1, recipe))
    assert first.rgb.tobytes() == again.rgb.tobytes()
    assert first.rgb.tobytes() != other.rgb.tobytes()


def test_the_prompt_steers_the_picture(base: Base, recipe: RenderRecipe) -> None:
    """Text reaches the picture at all."""
    one = paint_one(base, paint_around(base, a_scene(), a_cutout(), SQUARE, 1, recipe))
    other = paint_one(
        base, paint_around(base, a_scene(scene_prompt="a photo of a mug"), a_cutout(), SQUARE, 1, recipe)
    )
    assert (one.rgb != other.rgb).any()


def test_a_prompt_longer_than_the_model_reads_is_refused(base: Base) -> None:
    """Cutting it would lose the scene; the message says how long it is and how long it may be."""
    with pytest.raises(
        InputRefused, match='prompt "x x.* has 42 tokens; this base model reads 32; use fewer'
    ):
        encode_text(base, " ".join("x" * 40), "")


def test_known_latents_stay_exact(base: Base) -> None:
    """What the mask keeps is in the result to the bit; the rest is painted."""
    latents = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:9, 4:9] = 1
    steering = Conditions(encode_text(base, "a mug", ""), None, 1.0, 4.0)
    (painted,) = sample(base, [Request(steering, Size(SIDE, SIDE), Steps(3), 1, Known(latents, mask))], 1)
    assert torch.equal(painted[..., 4:9, 4:9], latents[..., 4:9, 4:9])
    assert not torch.isclose(painted[..., 12:, 12:], latents[..., 12:, 12:]).any()


def test_a_weak_strength_stays_near_its_start(base: Base) -> None:
    """With a third of the steps less of the given latents is lost than with all of them."""
    latents = 3 * torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    known = Known(latents, torch.zeros(1, 1, 16, 16))
    steering = Conditions(encode_text(base, "a mug", ""), None, 1.0, 4.0)
    whole, weak = (
        sample(base, [Request(steering, Size(SIDE, SIDE), Steps(3), 1, known, strength)], 1)[0]
        for strength in (1, 1 / 3)
    )
    assert (weak - latents).square().mean() < 0.5 * (whole - latents).square().mean()


def test_a_painting_has_no_frame(base: Base) -> None:
    """Whatever its outermost latent cells hold, the picture is that of the cells inside, of the same size."""
    latents = torch.randn(1, 4, 16, 24, generator=torch.Generator().manual_seed(3))
    framed = torch.nn.functional.pad(latents[..., 1:-1, 1:-1], (1, 1, 1, 1), value=9.0)
    picture = decode_pixels(base, latents)
    assert picture.shape == (SIDE, 96, 3)
    assert (decode_pixels(base, framed) == picture).all()
    assert (decode_pixels(base, latents.roll(1, -1)) != picture).any()


def test_kept_cells_lie_whole_inside_what_is_known(base: Base) -> None:
    """Known px 6..43: cells 2..10 are whole, one less on each side with a shrink of one."""
    known = np.zeros((SIDE, SIDE), bool)
    known[6:44, 6:44] = True
    assert kept_cells(base, known, 0)[0, 0, 5].nonzero().flatten().tolist() == list(range(2, 11))
    assert kept_cells(base, known, 1)[0, 0, 5].nonzero().flatten().tolist() == list(range(3, 10))


def test_the_product_keeps_its_place(base: Base, recipe: RenderRecipe) -> None:
    """The plate says where the product stands: centred on the scene's ground line."""
    scene = a_scene(placement=Placement(ground_y=0.75, max_width=0.5, max_height=0.75))
    plate = paint_one(base, paint_around(base, scene, a_cutout(), SQUARE, 1, recipe))
    assert plate.product == Box(16, 0, 48, 48)
    assert (plate.master, plate.size) == (Box(0, 0, SIDE, SIDE), Size(SIDE, SIDE))


def test_no_colour_of_the_product_stays_in_the_plate() -> None:
    """A blurred red product with its halo on grey leaves plain grey."""
    alpha = np.zeros((128, 128), np.uint8)
    alpha[40:80, 40:80] = 255
    rgb = np.full((128, 128, 3), 90, np.uint8)
    rgb[38:82, 38:82] = (200, 0, 0)
    whole = Plate(rgb, Box(0, 0, 128, 128), Box(40, 40, 80, 80))
    assert (without_product(whole, alpha).rgb == 90).all()


def test_the_product_is_known_only_inside_its_edge(base: Base) -> None:
    """Of a 32 px wide product the cells beside its outline are painted."""
    placed = np.zeros((SIDE, SIDE, 4), np.uint8)
    placed[16:48, 16:48] = 255
    mask = known_product(base, placed).mask[0, 0]
    assert mask[8].nonzero().flatten().tolist() == list(range(5, 11))


def test_without_control_the_empty_place_is_painted(base: Base, recipe: RenderRecipe) -> None:
    """Control none knows nothing of the product: another product, the same pixels, only its box differs."""
    other = np.full((30, 90, 4), 255, np.uint8)
    one, two = (
        paint_one(base, paint_around(base, a_scene(control="none"), cutout, SQUARE, 1, recipe))
        for cutout in (a_cutout(), other)
    )
    assert one.rgb.tobytes() == two.rgb.tobytes()
    assert one.product != two.product


def test_both_lanes_show_the_controlnet_what_it_reads(base: Base, model: Path) -> None:
    """To a canny ControlNet white lines: keep's outline, draw's edges too."""
    canny = a_recipe(model, controlnet_reads="canny")
    product = Subject("mug", "sks", None, a_striped_cutout())
    told = [
        next(painting).conditions.control
        for painting in (
            paint_around(base, a_scene(), a_striped_cutout(), SQUARE, 1, canny),
            draw_product(base, a_scene(), product, SQUARE, 1, canny),
        )
    ]
    assert all(control is not None and (control == control[:, :1]).all() for control in told)
    kept, drawn = (int((control > 0).sum()) for control in told)
    assert 0 < kept < drawn


class RedIsNear:
    """A depth model that answers how red a pixel is."""

    device = torch.device("cpu")

    def __call__(self, pixel_values: Tensor) -> object:
        return SimpleNamespace(predicted_depth=pixel_values[:, 0])


def test_depth_goes_on_where_the_plate_grows(base: Base, model: Path) -> None:
    """The red card on grey is near; in a wider plate the map's sides are continued, where lines would end."""
    reads_depth = a_recipe(model, controlnet_reads="depth", depth="never opened")
    sees = replace(base, depth=DepthModel(RedIsNear(), SIDE, (0, 0, 0), (1, 1, 1), metric=False))
    scene = a_scene(placement=Placement(centre_x=0, ground_y=1, max_height=1, max_width=1))
    painting = paint_around(sees, scene, a_cutout(), [(3, 2)], 1, reads_depth)
    square = next(painting).conditions.control
    grown = painting.send(torch.zeros(1, 4, 16, 16)).conditions.control
    assert square is not None and grown is not None and grown.shape[-2:] == (SIDE, 96)
    assert (square[0, :, 30, 0] > 0.9).all() and (square[0, :, 30, -1] < 0.05).all()
    assert (grown[..., :16] == square[..., :1]).all() and (grown[..., 80:] == square[..., -1:]).all()


def test_keep_without_a_scene_prompt_is_refused(base: Base, recipe: RenderRecipe) -> None:
    """The scene is named, with what to write."""
    with pytest.raises(
        ConfigInvalid, match="scene wooden-table has no scene_prompt; the keep lane paints it"
    ):
        paint_one(base, paint_around(base, a_scene(scene_prompt=""), a_cutout(), SQUARE, 1, recipe))


def test_one_plate_serves_all_ratios(base: Base, recipe: RenderRecipe) -> None:
    """A tall and a wide slot: the plate grows both ways, master and product move along."""
    plate = paint_one(base, paint_around(base, a_scene(), a_cutout(), [(1, 1), (2, 3), (4, 3)], 1, recipe))
    assert plate.size == Size(96, 96)
    assert plate.master == Box(16, 16, 80, 80)
    square = paint_one(base, paint_around(base, a_scene(), a_cutout(), SQUARE, 1, recipe))
    assert plate.product is not None and square.product is not None
    assert plate.product.left == square.product.left + 16


def test_outpainting_keeps_the_old_pixels_but_for_the_seam(base: Base, recipe: RenderRecipe) -> None:
    """Grown upwards and downwards only: the rows inside the seam are the master's, rim to rim."""
    rgb = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    old = Plate(rgb, Box(0, 0, SIDE, SIDE), None)
    new = paint_one(base, outpaint(base, old, Size(SIDE, 96), Brief("a mug", "", 1, recipe)))
    assert (new.size, new.master) == (Size(SIDE, 96), Box(0, 16, SIDE, 80))
    assert (new.rgb[16:80][16:-16] == rgb[16:-16]).all()
    assert (new.rgb[:16] > 0).any()


def test_an_outpainting_target_off_the_grid_is_refused(base: Base, recipe: RenderRecipe) -> None:
    """The message names the size and the step."""
    old = Plate(np.zeros((SIDE, SIDE, 3), np.uint8), Box(0, 0, SIDE, SIDE), None)
    with pytest.raises(ConfigInvalid, match="is 64x90 px; both sides must be multiples of 16"):
        paint_one(base, outpaint(base, old, Size(SIDE, 90), Brief("a mug", "", 1, recipe)))


@pytest.mark.parametrize("canvas", [Size(64, 64), Size(32, 32), Size(20, 45), Size(128, 33)])
def test_windows_cover_the_canvas_and_overlap(canvas: Size) -> None:
    """Every cell is seen, no window leaves the canvas, and neighbours share a quarter of a window at least."""
    boxes, seen = windows(canvas, Size(32, 32)), np.zeros((canvas.height, canvas.width), int)
    for box in boxes:
        seen[box.top : box.bottom, box.left : box.right] += 1
    lefts = sorted({box.left for box in boxes})
    assert seen.min() == 1 and seen.sum() == sum(box.size.width * box.size.height for box in boxes)
    assert all(b - a <= 24 for a, b in zip(lefts, lefts[1:], strict=False))


def test_what_windows_agree_on_is_what_the_whole_is() -> None:
    """A guess that looks at each cell alone is the same through windows, without a border."""
    x = torch.randn(2, 4, 16, 24, generator=torch.Generator().manual_seed(1))
    boxes = windows(Size(24, 16), Size(8, 8))
    clean, noise = in_windows([lambda x, t: (x * t, x + 1)] * len(boxes), boxes)(x, 3)
    assert torch.allclose(clean, 3 * x, atol=1e-5) and torch.allclose(noise, x + 1, atol=1e-5)


def test_an_upscaled_plate_has_its_boxes_enlarged(base: Base, model: Path, recipe: RenderRecipe) -> None:
    """Four times the size: every box is four times as large, wide plate included."""
    one, larger = (
        paint_one(base, paint_around(base, a_scene(), a_cutout(), [(1, 1), (2, 3)], 1, each))
        for each in (recipe, a_recipe(model, upscale=4))
    )
    assert larger.size == Size(4 * one.size.width, 4 * one.size.height)
    assert larger.product is not None and one.product is not None
    assert larger.product == Box(*(4 * edge for edge in one.product))
    assert larger.master == Box(*(4 * edge for edge in one.master))


def test_upscaled_pictures_do_not_depend_on_their_company(base: Base, model: Path) -> None:
    """Three side by side in a batch of two, and the last alone."""
    recipe = a_recipe(model, upscale=2)
    seeds = range(3)
    together = dict(
        paint(base, (paint_around(base, a_scene(), a_cutout(), SQUARE, seed, recipe) for seed in seeds), 2)
    )
    alone = paint_one(base, paint_around(base, a_scene(), a_cutout(), SQUARE, 2, recipe), 2)
    last = together[2]
    assert isinstance(last, Plate) and last.rgb.tobytes() == alone.rgb.tobytes()


def a_whole_unet(base: Base) -> AdapterWeights:
    """All of the UNet's weights, each larger by a hundredth, and no token."""
    return AdapterWeights(
        {f"unet.{name}": weight * 1.01 for name, weight in base.unet.state_dict().items()}, None
    )


@pytest.mark.parametrize("made", [an_adapter, a_whole_unet])
def test_an_adapter_changes_the_picture_and_leaves_the_base_clean(
    base: Base, recipe: RenderRecipe, made: Callable[[Base], AdapterWeights]
) -> None:
    """Every weight name and value of the base is the same afterwards."""
    before = weights_of(base)
    plain = paint_one(
        base, draw_product(base, a_scene(), Subject("mug", "sks", None, a_cutout()), SQUARE, 1, recipe)
    )
    worn = paint_one(
        base, draw_product(base, a_scene(), Subject("mug", "sks", made(base), a_cutout()), SQUARE, 1, recipe)
    )
    after = weights_of(base)
    assert (plain.rgb != worn.rgb).any() and worn.product is None
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("made", [an_adapter, a_whole_unet])
def test_an_error_while_an_adapter_is_worn_leaves_the_base_clean(
    base: Base, made: Callable[[Base], AdapterWeights]
) -> None:
    """Taking off happens on every way out."""
    before = weights_of(base)
    with pytest.raises(KeyboardInterrupt), wearing(base.unet, [made(base).lora]):
        raise KeyboardInterrupt
    after = weights_of(base)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    assert not any(module._forward_hooks for module in base.unet.modules())


@pytest.mark.parametrize("made", [a_lora, lambda base: a_whole_unet(base).lora], ids=["lora", "unet"])
def test_an_adapter_of_another_base_is_refused(base: Base, made: Callable[[Base], dict[str, Tensor]]) -> None:
    """Its weights do not fit; the message names the noun and the base."""
    lora = {name: torch.zeros(3, 3) for name in made(base)}
    subject = Subject("mug", "sks", AdapterWeights(lora, None), a_cutout())
    with pytest.raises(InputRefused, match=r"adapter of mug has .* of shape \(3, 3\); base model .* has \("):
        knowing(base, subject)


def test_a_token_row_is_read_by_its_token_only(base: Base) -> None:
    """The new row changes prompts with the token, no others, and the first base does not know it."""
    dressed = with_token(base, "sks", torch.ones(1, WIDTH))
    with_word, without = "a photo of a sks mug", "a photo of a mug"
    assert not torch.equal(encode_text(dressed, with_word, ""), encode_text(base, with_word, ""))
    assert torch.equal(encode_text(dressed, without, ""), encode_text(base, without, ""))
    assert len(base.tokenizer) == len(dressed.tokenizer) - 1


def test_drawing_and_training_read_a_token_alike(base: Base) -> None:
    """The adapters room trains the row with its own reading of the prompt: both readings agree."""
    from productshot.adapters.text import Reader, encode_prompts

    row, prompt = torch.randn(1, WIDTH, generator=torch.Generator().manual_seed(9)), "a photo of a sks mug"
    readers = [Reader(base.tokenizer, base.text_encoder)]
    trained = encode_prompts(readers, [prompt], "sks", [row]).tokens
    drawn = encode_text(with_token(base, "sks", row), prompt, "")[1:]
    assert torch.equal(trained.to(base.dtype), drawn)


def test_a_prompt_without_its_token_is_refused_for_an_adapter(base: Base, recipe: RenderRecipe) -> None:
    """An adapter that no word calls would change the picture without being asked to."""
    subject = Subject("mug", "sks", an_adapter(base), a_cutout())
    with pytest.raises(ConfigInvalid, match="scene wooden-table has no {token} in its prompt"):
        paint_one(base, draw_product(base, a_scene(prompt="a photo of a {noun}"), subject, SQUARE, 1, recipe))


def some_loras(base: Base, count: int) -> list[dict[str, Tensor]]:
    """Adapters of one kind that differ."""
    return [{name: weight * (1 + number) for name, weight in a_lora(base).items()} for number in range(count)]


def requests_of(
    base: Base, adapters: Sequence[dict[str, Tensor] | None], steps: Steps = THREE
) -> list[Request]:
    """One a picture, each of its own prompt and seed."""
    return [
        Request(
            Conditions(encode_text(base, f"a photo of {number} mug", ""), None, 1.0, 4.0),
            Size(SIDE, SIDE),
            steps=steps,
            seed=number,
            adapter=adapter,
        )
        for number, adapter in enumerate(adapters)
    ]


@pytest.mark.parametrize("worn", [True, False])
@pytest.mark.parametrize("steps", [Steps(3), Steps(4, "dpm-solver++", 2)], ids=["usual", "fewer"])
def test_a_picture_has_the_same_bits_in_every_place_and_company(base: Base, worn: bool, steps: Steps) -> None:
    """First and last place, other neighbours, alone in the filled-up batch."""
    adapters = some_loras(base, 8) if worn else [None] * 8
    requests = requests_of(base, adapters, steps)
    together = sample(base, requests, 8)
    turned = sample(base, requests[::-1], 8)
    some = sample(base, [requests[7], requests[0], requests[3]], 8)
    alone = sample(base, requests[:1], 8)
    assert all(torch.equal(a, b) for a, b in zip(together, turned[::-1], strict=True))
    assert torch.equal(alone[0], together[0])
    assert [torch.equal(a, together[n]) for a, n in zip(some, (7, 0, 3), strict=True)] == [True] * 3


def test_deep_layers_are_recalled_with_adapters_on(base: Base) -> None:
    """The first step and the one behind it differ from those of a picture without cache; the UNet is as it was."""
    (lora,) = some_loras(base, 1)
    every, second, alone = (
        sample(base, requests_of(base, [lora], steps), 1)[0]
        for steps in (Steps(2), Steps(2, cache_every=2), Steps(1, cache_every=2))
    )
    assert not torch.equal(every, second)
    assert torch.equal(alone, sample(base, requests_of(base, [lora], Steps(1)), 1)[0])
    assert not any("forward" in vars(module) for module in base.unet.modules())


@pytest.mark.parametrize("upscale", [1, 4])
def test_few_steps_paint_the_same_plate_whatever_stands_beside_it(
    base: Base, model: Path, upscale: int
) -> None:
    """With control, outpainting and windows, each with its own cache: alone, and as the second of two kinds."""
    few = a_recipe(model, steps=4, scheduler="dpm-solver++", cache_every=2, upscale=upscale)
    shape = [(1, 1), (2, 3)]
    kinds = [paint_around(base, a_scene(), a_cutout(), each, 1, few) for each in (SQUARE, shape, shape)]
    together = dict(paint(base, kinds, 2))
    alone = paint_one(base, paint_around(base, a_scene(), a_cutout(), shape, 1, few), 2)
    same = [together[number] for number in (1, 2)]
    assert all(isinstance(one, Plate) and one.rgb.tobytes() == alone.rgb.tobytes() for one in same)


def test_each_picture_of_a_batch_wears_its_own_adapter(base: Base) -> None:
    """The pictures are those that diffusers' own loader paints, adapter after adapter."""
    loras = some_loras(base, 3)
    together = sample(base, requests_of(base, loras), 3)
    for number, lora in enumerate(loras):
        request = replace(requests_of(base, loras)[number], adapter=None)
        StableDiffusionLoraLoaderMixin.load_lora_into_unet(lora, None, base.unet, adapter_name="product")
        alone = sample(base, [request], 1)[0]
        base.unet.unload_lora()
        plain = sample(base, [request], 1)[0]
        off = (together[number] - alone).norm() / (plain - alone).norm()
        assert off < 0.05, number


def test_a_refused_painting_leaves_the_others_alone(base: Base, recipe: RenderRecipe) -> None:
    """One of five has an adapter of another base; the four others are painted as they would be without it."""
    misfit = Subject(
        "mug", "sks", AdapterWeights({"unet.x.lora_A.weight": torch.zeros(3, 3)}, None), a_cutout()
    )
    paintings = [paint_around(base, a_scene(), a_cutout(), SQUARE, seed, recipe) for seed in range(4)]
    paintings.insert(2, draw_product(base, a_scene(), misfit, SQUARE, 1, recipe))
    told = dict(paint(base, paintings, 2))
    assert isinstance(told[2], InputRefused) and sorted(told) == [0, 1, 2, 3, 4]
    again = paint_one(base, paint_around(base, a_scene(), a_cutout(), SQUARE, 3, recipe), 2)
    assert isinstance(told[4], Plate) and told[4].rgb.tobytes() == again.rgb.tobytes()


def test_paintings_of_different_shapes_go_on_side_by_side(base: Base, recipe: RenderRecipe) -> None:
    """Squares and tall ones, more than are open at once: each ends as it does alone."""
    shapes = [SQUARE, [(1, 1), (2, 3)]] * 5
    made = [paint_around(base, a_scene(), a_cutout(), shape, 1, recipe) for shape in shapes]
    plates = dict(paint(base, made, 2))
    for number, shape in enumerate(shapes[:2]):
        alone = paint_one(base, paint_around(base, a_scene(), a_cutout(), shape, 1, recipe), 2)
        same = [plates[n] for n in range(number, 10, 2)]
        assert all(isinstance(one, Plate) and (one.rgb == alone.rgb).all() for one in same)
