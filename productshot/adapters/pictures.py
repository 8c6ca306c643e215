"""The adapters room, its pictures: what the base model draws, alone for the class, with an adapter for its proof."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from productshot.adapters.base import TrainingBase
from productshot.adapters.text import Words
from productshot.pixels import Pixels
from productshot.render.sample import split
from productshot.render.solve import ddim, timesteps

STEPS = 12
GUIDANCE_SCALE = 3.0


@torch.no_grad()
def draw_pictures(base: TrainingBase, free: Words, texts: Words, seeds: Sequence[int]) -> list[Pixels]:
    """One (side, side, 3) picture for each of the texts, by DDIM with classifier-free guidance.

    free: the empty prompt alone. A picture follows from its text and its seed alone, whatever else is drawn
    beside it. Each picture is two samples in a row of one batch, so that adapters worn by the base find theirs.
    """
    cells = int(base.unet.config.sample_size)
    shape = (base.unet.config.in_channels, cells, cells)
    noise = [torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    z = torch.stack(noise).to(base.device, base.dtype)
    pairs = Words.merged(
        [free, texts], lambda each: torch.stack([each[0].expand_as(each[1]), each[1]], dim=1).flatten(0, 1)
    )

    def guess(z: Tensor, t: int) -> tuple[Tensor, Tensor]:
        now = torch.full((2 * len(z),), t, device=base.device)
        without, guided = base.predict(z.repeat_interleave(2, 0), now, pairs).unflatten(0, (-1, 2)).unbind(1)
        predicted = without + GUIDANCE_SCALE * (guided - without)
        return split(base.prediction, predicted, z, base.alpha_bars[t])

    drawn = ddim(base.alpha_bars, timesteps(len(base.alpha_bars), STEPS), z, guess)
    return [base.decode(latent[None].float())[0].numpy() for latent in drawn]
