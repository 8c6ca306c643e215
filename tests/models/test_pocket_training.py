"""Pocket's trainers: the losses have the papers' values; the loop counts, anneals and resumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from productshot.adapters.losses import add_noise
from productshot.pocket import diffusion, tasks, text, train, vae
from productshot.pocket.loop import Budget, fit, learning_rate
from productshot.pocket.textures import SCENES


class Line:
    """A toy task: one weight is fitted to noisy samples around 3."""

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.model.weight)
        self.stop_after: int | None = None

    @property
    def weight(self) -> float:
        """Where the fit stands."""
        return self.model.weight.item()

    def modules(self) -> dict[str, nn.Module]:
        """The one layer."""
        return {"line": self.model}

    def trained(self) -> list[nn.Parameter]:
        """The weight."""
        return [self.model.weight]

    def loss(self, rng: np.random.Generator, batch: int, progress: float) -> Tensor:
        """Mean squared distance to the samples."""
        return (self.model.weight - torch.from_numpy(rng.normal(3, 1, batch))).square().mean()

    def after_step(self, step: int) -> None:
        """Break off where the test says."""
        if step == self.stop_after:
            raise KeyboardInterrupt

    def export(self, folder: Path, step: int) -> dict[str, float]:
        """Nothing to write."""
        return {"weight": self.weight}


def a_budget(**changes: float) -> Budget:
    """Forty steps of four samples."""
    return Budget(
        **{"samples": 160, "batch": 4, "peak_lr": 0.1, "warmup_steps": 4, "log_every": 10} | changes
    )  # type: ignore[arg-type]


def test_a_budget_counts_samples(tmp_path: Path) -> None:
    """The last line reports as many samples as were allowed."""
    lines: list[dict[str, float]] = []

    fit(Line(), a_budget(), tmp_path, lines.append)

    assert [line["samples"] for line in lines if "samples" in line] == [40, 80, 120, 160]


def test_a_run_broken_off_resumes_exactly(tmp_path: Path) -> None:
    """Steps after a resume draw the batches and rates of a run that was never broken off."""
    whole, broken, resumed = Line(), Line(), Line()
    fit(whole, a_budget(), tmp_path / "whole", print)
    broken.stop_after = 21
    with pytest.raises(KeyboardInterrupt):
        fit(broken, a_budget(save_every_s=0.0), tmp_path / "broken", lambda line: None)

    fit(resumed, a_budget(), tmp_path / "broken", lambda line: None, resume=True)

    assert resumed.weight == whole.weight


def test_the_learning_rate_warms_up_and_anneals() -> None:
    """A quarter of the peak at the first of four warm-up steps, the peak when flat, near zero at the end."""
    rates = [learning_rate(step, a_budget()) for step in range(40)]

    assert rates[0] == pytest.approx(0.025)
    assert rates[10] == pytest.approx(0.1)
    assert rates[-1] < 0.001


def test_the_schedule_ends_in_pure_noise() -> None:
    """The last timestep holds no signal, the first almost nothing else."""
    alpha_bar = diffusion.build_scheduler().alphas_cumprod

    assert float(alpha_bar[-1]) == 0.0
    assert float(alpha_bar[0]) > 0.99


def test_noise_keeps_unit_variance() -> None:
    """x_t of unit-variance latents has unit variance at every timestep."""
    torch.manual_seed(0)
    x_0, epsilon = torch.randn(2, 8, 4, 64, 64)

    x_t = add_noise(x_0, epsilon, torch.linspace(0.01, 0.99, 8))

    assert x_t.var(dim=(1, 2, 3)).tolist() == pytest.approx([1.0] * 8, abs=0.05)


def test_kl_of_a_normal_with_itself_is_zero() -> None:
    """KL(N(0,1)||N(0,1)) = 0 and KL(N(1,1)||N(0,1)) = 1/2."""
    zero = torch.zeros(4)
    assert float(vae.kl_to_normal(zero, zero)) == 0
    assert float(vae.kl_to_normal(zero + 1, zero)) == pytest.approx(0.5)


def test_psnr_of_a_known_error() -> None:
    """An error of one tenth of the range is 20 dB."""
    assert vae.psnr(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.2)) == pytest.approx(20.0, abs=1e-4)


def test_merges_join_the_most_frequent_pair_first() -> None:
    """Of "aab" and "aac" the pair (a, a) comes first; the words end whole."""
    merges = text.learn_merges(["aab aac aab"], limit=10)

    assert merges[0] == ("a", "a")
    assert merges[1:] == [("aa", "b</w>"), ("aa", "c</w>")]


def test_the_tokenizer_spells_unknown_words_in_bytes() -> None:
    """A caption's word is one token; an unknown one is spelled, never cut to the end-of-text token."""
    tokenizer = text.build_tokenizer(["a photo of a red mug"])

    assert tokenizer.tokenize("red mug") == ["red</w>", "mug</w>"]
    assert tokenizer.tokenize("sks") == ["s", "k", "s</w>"]
    assert tokenizer.unk_token_id not in tokenizer("näive ☕", add_special_tokens=False).input_ids


def test_a_caption_names_its_scene() -> None:
    """Each scene is found in its caption, and a caption without one is refused."""
    assert [tasks.scene_of(f"a photo of a mug {scene}") for scene in SCENES] == list(range(len(SCENES)))
    with pytest.raises(ValueError, match="'a mug' names no scene"):
        tasks.scene_of("a mug")


def test_the_command_line_asks_for_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Training diffusion without an autoencoder is refused by name."""
    with pytest.raises(SystemExit):
        train.parse(["diffusion", "--data", "d", "--out", "o"])
    assert "diffusion needs --vae" in capsys.readouterr().err
