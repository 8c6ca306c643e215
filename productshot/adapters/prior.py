"""The adapters room, its memory of the class: pictures of the plain noun as the untrained base model draws it.

Prior preservation (Ruiz et al. 2023, "DreamBooth", section 3.3) trains on them beside the product, so that
"mug" goes on meaning any mug.
"""

from __future__ import annotations

import torch

from catalog_schemas import AdapterRecipe
from productshot.adapters.base import TrainingBase
from productshot.adapters.pictures import draw_pictures
from productshot.adapters.sets import CLASS_PROMPTS
from productshot.adapters.text import encode_prompts
from productshot.errors import InputRefused
from productshot.pixels import Pixels

AT_ONCE = 16


@torch.no_grad()
def make_class_images(base: TrainingBase, noun: str, recipe: AdapterRecipe) -> list[Pixels]:
    """recipe.prior_images pictures, (side, side, 3), of CLASS_PROMPTS in turn; picture i has seed i.

    They follow from the base model, the noun and their number alone, so all SKUs of a noun share them.
    """
    if not noun.strip():
        raise InputRefused(
            "class images", "have no noun", "one is needed", "name the SKU's class in the catalog"
        )
    words = encode_prompts(base.readers, ["", *(prompt.format(noun) for prompt in CLASS_PROMPTS)])
    pictures: list[Pixels] = []
    for first in range(0, recipe.prior_images, AT_ONCE):
        seeds = range(first, min(first + AT_ONCE, recipe.prior_images))
        said = [1 + seed % len(CLASS_PROMPTS) for seed in seeds]
        pictures += draw_pictures(base, words[:1], words[said], seeds)
    return pictures
