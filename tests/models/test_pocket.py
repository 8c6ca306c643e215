"""The committed pocket base model and ControlNet: they load, draw, follow edges, and are what was released."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionInpaintPipeline,
    StableDiffusionPipeline,
)
from PIL import Image

from productshot.cutout import coarse_alpha, open_session
from productshot.errors import ModelDamaged, ModelMissing
from productshot.gates import overlap
from productshot.pocket import clip, controlnet, files, text, vae
from productshot.pocket.instances import VIEWS, views_of
from productshot.pocket.shapes import NOUNS
from productshot.pocket.sheets import sample
from productshot.pocket.studio import Drawing, random_drawing

UNSEEN_SEED = 77_000_000
"""No training set was drawn from seeds near this one."""


@pytest.fixture(scope="module")
def base() -> StableDiffusionPipeline:
    """The committed pipeline in single precision."""
    return StableDiffusionPipeline.from_pretrained(
        files.base_path(), dtype=torch.float32, use_safetensors=True
    )


def unseen(count: int, empty_share: float = 0.15) -> list[Drawing]:
    """Drawings that no training run saw."""
    return [random_drawing(UNSEEN_SEED + k, empty_share=empty_share) for k in range(count)]


def test_every_weight_file_is_safetensors() -> None:
    """Nothing in the release is a pickle."""
    endings = {path.suffix for path in files.base_path().rglob("*") if path.is_file()}
    assert endings == {".json", ".safetensors"}


def test_the_release_is_small_enough_for_git() -> None:
    """All of pocket stays under 45 MB."""
    assert sum(path.stat().st_size for path in files.WEIGHTS.rglob("*") if path.is_file()) <= 45_000_000


def test_the_pipeline_also_inpaints(base: StableDiffusionPipeline) -> None:
    """The directory loads as an inpainting pipeline, which keeps what is outside the mask."""
    inpaint = StableDiffusionInpaintPipeline(**base.components, requires_safety_checker=False)
    drawing = unseen(1, empty_share=0.0)[0]
    mask = np.zeros((128, 128), np.uint8)
    mask[:, 64:] = 255

    drawn = sample(inpaint, ["a photo of an empty scene on green grass"], steps=4, strength=1.0,
                   image=Image.fromarray(drawing.picture), mask_image=Image.fromarray(mask))[0]  # fmt: skip

    changed = np.abs(drawn.astype(int) - drawing.picture).mean(axis=(0, 2))
    assert changed[:48].mean() < 0.6 * changed[72:].mean()


def test_a_seed_draws_one_picture(base: StableDiffusionPipeline) -> None:
    """Ten steps with a fixed seed give the same picture twice, and it is not flat."""
    prompt = ["a photo of a red mug on a wooden table"]

    first, second = sample(base, prompt, steps=10), sample(base, prompt, steps=10)

    assert np.array_equal(first, second)
    assert first.std() > 15


def test_the_prompt_names_the_scene(base: StableDiffusionPipeline) -> None:
    """Grass is drawn greener than a pink fabric, and the fabric redder."""
    prompts = [f"a photo of an empty scene {scene}" for scene in ("on green grass", "on a pink fabric")]

    grass, fabric = sample(base, prompts, steps=10)[:, 64:].reshape(2, -1, 3).astype(float).mean(axis=1)

    assert grass[1] - grass[0] > 10
    assert fabric[0] - fabric[1] > 10


def test_the_prompt_names_the_colour(base: StableDiffusionPipeline) -> None:
    """A red, a green and a blue ball are red, green and blue in the middle."""
    prompts = [f"a photo of a {colour} ball on a grey studio sweep" for colour in ("red", "green", "blue")]

    middle = sample(base, prompts, steps=12)[:, 48:80, 48:80].reshape(3, -1, 3).astype(float).mean(axis=1)

    assert middle.argmax(axis=1).tolist() == [0, 1, 2]


def test_captions_find_their_pictures(base: StableDiffusionPipeline) -> None:
    """Among 32 unseen drawings most captions are nearest to their own; chance is one in 32."""
    tower, drawings = clip.load_tower(files.clip_path()), unseen(128)
    ids = text.token_ids(base.tokenizer, [drawing.caption for drawing in drawings])

    with torch.no_grad():
        said = tower.of_words(base.text_encoder(ids).pooler_output)
    seen = clip.see_pictures(tower, np.stack([drawing.picture for drawing in drawings]))

    assert clip.retrieval(seen, said, 32) > 0.8


def test_the_tower_tells_products_of_one_noun_apart() -> None:
    """Two views of one unseen mug are nearer than views of two mugs, nearly always."""
    tower = clip.load_tower(files.clip_path())
    views = np.stack([views_of(16 * k + NOUNS.index("mug"), UNSEEN_SEED) for k in range(12)])

    known = clip.see_products(tower, views.reshape(-1, *views.shape[2:])).view(12, VIEWS, -1)

    likeness = torch.einsum("avd,bwd->abvw", known, known).numpy()
    upper = np.triu_indices(VIEWS, 1)
    same = np.concatenate([likeness[k, k][upper] for k in range(12)])
    other = np.concatenate([likeness[a, b].ravel() for a in range(12) for b in range(a)])
    assert clip.auc(same, other) > 0.9


def test_the_autoencoder_keeps_pictures() -> None:
    """Eight unseen drawings survive encoding and decoding."""
    model = AutoencoderKL.from_pretrained(files.base_path(), subfolder="vae", dtype=torch.float32)
    x = vae.to_model(np.stack([drawing.picture for drawing in unseen(8)]), torch.device("cpu"))

    with torch.no_grad():
        x_hat = model.decode(model.encode(x).latent_dist.mean).sample

    assert vae.psnr(x, x_hat) > PSNR_FLOOR


PSNR_FLOOR = 28.5
"""dB; MODEL_CARD.md tells what was measured."""
MARGIN = 0.1
"""Of overlaps; MODEL_CARD.md tells what was measured."""


def test_the_controlnet_follows_the_silhouette(base: StableDiffusionPipeline) -> None:
    """What the matte finds in pictures drawn at scale 1 lies in the asked silhouette more than at scale 0."""
    net = ControlNetModel.from_pretrained(files.controlnet_path(), dtype=torch.float32, use_safetensors=True)
    steered = StableDiffusionControlNetPipeline(
        **base.components, controlnet=net, requires_safety_checker=False
    )
    drawings, session = unseen(10, empty_share=0.0), open_session("pocket-matte")
    control = np.stack([controlnet.control_image(d.picture, d.mask) for d in drawings])
    control[..., [controlnet.EDGES, controlnet.SCRIBBLE]] = 0
    images = [Image.fromarray(picture) for picture in control]

    def found(scale: float) -> float:
        captions = [drawing.caption for drawing in drawings]
        drawn = sample(steered, captions, steps=10, image=images, controlnet_conditioning_scale=scale)
        pairs = zip(drawn, drawings, strict=True)
        return float(np.mean([overlap(coarse_alpha(picture, session), d.mask) for picture, d in pairs]))

    assert found(1.0) > found(0.0) + MARGIN


def test_the_weights_are_the_released_ones() -> None:
    """Every file has the digest that was recorded."""
    files.verify()


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    """One changed byte is refused with the file's name."""
    weights = a_release(tmp_path)
    (weights / "base" / "model.safetensors").write_bytes(b"other")

    with pytest.raises(
        ModelDamaged, match=r"base/model\.safetensors has SHA-256 \w{12}; \w{12} was released; "
    ):
        files.verify(weights)


def test_a_lost_file_is_named(tmp_path: Path) -> None:
    """A file that digests.json lists must be there."""
    weights = a_release(tmp_path)
    shutil.rmtree(weights / "base")

    with pytest.raises(
        ModelMissing, match=r"base/model\.safetensors is not there; restore it: git checkout -- "
    ):
        files.verify(weights)


def a_release(folder: Path) -> Path:
    """A weights folder of one file, with its digests."""
    (folder / "base").mkdir()
    (folder / "base" / "model.safetensors").write_bytes(b"weights")
    files.write_digests(folder)
    return folder


@pytest.mark.parametrize("channel", [controlnet.EDGES, controlnet.SCRIBBLE, controlnet.SILHOUETTE])
def test_a_control_image_has_a_plan(channel: int) -> None:
    """Each channel of a control image marks something, and only 0 or 255 in the drawn ones."""
    drawing = unseen(1, empty_share=0.0)[0]

    control = controlnet.control_image(drawing.picture, drawing.mask)[..., channel]

    assert 0.005 < (control > 0).mean() < 0.6
    assert channel == controlnet.SILHOUETTE or set(np.unique(control)) == {0, 255}
