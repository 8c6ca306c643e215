"""The adapters room, its memory of the class: pictures of the plain noun as the untrained base model draws it.

Prior preservation (Ruiz et al. 2023, "DreamBooth", section 3.3) trains on them beside the product, so that
"mug" goes on meaning any mug.
"""

from __future__ import annotations

import torch
from torch import Tensor

from catalog_schemas import AdapterRecipe
from productshot.adapters.base import TrainingBase
from productshot.adapters.sets import CLASS_PROMPT
from productshot.adapters.text import encode_prompts
from productshot.errors import InputRefused
from productshot.pixels import Pixels
from productshot.render.sample import add_noise, split, timesteps

STEPS = 12  # enough for what only reminds the model of a class
GUIDANCE_SCALE = 3.0


@torch.inference_mode()
def make_class_images(base: TrainingBase, noun: str, recipe: AdapterRecipe) -> list[Pixels]:
    """recipe.prior_images pictures, (side, side, 3), of "a photo of a <noun>"; picture i has seed i.

    They follow from the base model, the noun and their number alone, so all SKUs of a noun share them.
    """
    if not noun.strip():
        raise InputRefused(
            "class images", "have no noun", "one is needed", "name the SKU's class in the catalog"
        )
    text = encode_prompts(base.tokenizer, base.text_encoder, ["", CLASS_PROMPT.format(noun)])
    return [_draw(base, text, seed) for seed in range(recipe.prior_images)]


def _draw(base: TrainingBase, text: Tensor, seed: int) -> Pixels:
    """One picture by DDIM with classifier-free guidance; text is (2, n, d), the empty prompt first."""
    cells = int(base.unet.config.sample_size)
    noise = torch.randn((1, 4, cells, cells), generator=torch.Generator().manual_seed(seed))
    z = noise.to(base.device)
    times = timesteps(len(base.alpha_bars), STEPS)
    ends = [base.alpha_bars[t] for t in times[1:]] + [torch.ones_like(base.alpha_bars[0])]
    for t, end in zip(times, ends, strict=True):
        pair = torch.cat([z, z])
        free, guided = base.predict(pair, torch.tensor([t, t], device=base.device), text).chunk(2)
        predicted = free + GUIDANCE_SCALE * (guided - free)
        z0, seen = split(base.prediction, predicted, z, base.alpha_bars[t])
        z = add_noise(z0, seen, end)
    return base.decode(z)[0].numpy()
