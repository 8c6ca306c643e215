"""Speed of adapter training as ratios: ours beside diffusers' train_dreambooth_lora.py, in turns on one machine.

    python -m benchmarks.adapters --peer train_dreambooth_lora.py       ratios, JSON on stdout and in out/adapters
    python -m benchmarks.adapters --night 16                            seconds and memory of 16 SKUs, 200 steps each
    python -m benchmarks.adapters --shape sdxl                          a GPU: 1, 2, 4, ... SKUs side by side

The peer is given by path (it needs torchvision) and is run as its authors run it. Both train the same LoRA (rank 4
on to_q, to_k, to_v, to_out.0) on the same base, photos and threads, at batch 1. Its rate is read from its own
progress line, without start-up; `finished` counts everything, from starting the process to the saved file.
With --shape a base model of SD1.5's or SDXL's size with random weights is trained on the device there is: SKU-steps/s
and memory for each number of SKUs, and the share of the chip's dense bfloat16 peak that the counted products reach.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.shapes import UNETS, random_base
from catalog_schemas import AdapterRecipe
from productshot.adapters import (
    TrainedAdapter,
    TrainingSet,
    join,
    make_class_images,
    open_training_base,
    train_adapters,
)
from productshot.adapters.fleet import Fleet
from productshot.errors import OutOfMemory
from productshot.pixels import Pixels
from productshot.pocket.files import base_path
from productshot.pocket.instances import views_of
from productshot.pocket.shapes import NOUNS
from productshot.progress import silent

SEED = 91_000_000
TARGETS = ("to_q", "to_k", "to_v", "to_out.0")
WARM_STEPS = 3
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""Dense bfloat16 products a second by the vendor's data sheets; the first name found in the device's counts."""
TOLD = re.compile(r"(\d+)/\d+ \[")


def a_recipe(steps: int) -> AdapterRecipe:
    """What the peer does at batch 1: its rank and targets, no prior, the token as the tokenizer reads it."""
    return AdapterRecipe(
        steps=steps, batch=1, rank=4, targets=TARGETS, token_learning_rate=0, prior_weight=0, snr_gamma=None
    )


def a_set(number: int) -> TrainingSet:
    """Four views of one studio product."""
    views = views_of(number, SEED)
    pictures = tuple(
        (np.ascontiguousarray(view[..., :3]), np.ascontiguousarray(view[..., 3])) for view in views
    )
    return TrainingSet(f"sku-{number}", "mug", pictures)


def ours(slots: int, dtype: torch.dtype, steps: int) -> float:
    """SKU-steps per second of a fleet of that many slots, start-up left out."""
    recipe = a_recipe(steps + WARM_STEPS + 1)
    base = replace(open_training_base(recipe), compute=dtype)
    fleet = Fleet(base, recipe, slots)
    for slot in range(slots):
        fleet.seat(slot, a_set(slot))
    for _ in range(WARM_STEPS):
        fleet.step(silent)
    began = time.perf_counter()
    for _ in range(steps):
        fleet.step(silent)
    return slots * steps / (time.perf_counter() - began)


def sweep(shape: str, slots: Sequence[int], steps: int) -> list[dict[str, object]]:
    """A row for each number of SKUs trained side by side on a base of that shape; ends where memory does."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    base, recipe, rows = random_base(shape, device), a_recipe(steps + WARM_STEPS + 2), []
    for count in slots:
        fleet = Fleet(base, recipe, count)
        for slot in range(count):
            fleet.seat(slot, a_set(slot))
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            for _ in range(WARM_STEPS):
                fleet.step(silent)
            with FlopCounterMode(display=False) as counted:
                fleet.step(silent)
        except OutOfMemory as error:
            rows.append({"slots": count, "refused": str(error)})
            break
        took = seconds(lambda: [fleet.step(silent) for _ in range(steps)])  # noqa: B023
        name = torch.cuda.get_device_name() if device.type == "cuda" else "cpu"
        peak = next((flops for part, flops in PEAKS.items() if part in name), None)
        rate = counted.get_total_flops() * steps / took
        rows.append(
            {
                "slots": count,
                "device": name,
                "sku_steps_per_s": round(count * steps / took, 3),
                "gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if device.type == "cuda" else None,
                "tflops": round(rate / 1e12, 2),
                "share_of_peak": round(rate / peak, 3) if peak else None,
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return rows


def finish(count: int, steps: int, out: Path) -> None:
    """Train and save `count` products, as a night does."""
    recipe = a_recipe(steps)
    base = open_training_base(recipe)
    for outcome in train_adapters((a_set(k) for k in range(count)), recipe, base, silent):
        assert isinstance(outcome, TrainedAdapter), outcome
        (out / f"{outcome.sku}.safetensors").write_bytes(join(outcome))


def a_night(count: int, steps: int) -> dict[str, float]:
    """Seconds and GiB for so many products with the usual recipe, at so many steps, without looks; and for their
    class images, which a night draws once per noun.
    """
    recipe = AdapterRecipe(steps=steps, look_every=0)
    base, sets = open_training_base(recipe), [learning_set(k) for k in range(count)]
    nouns = sorted({item.noun for item in sets})
    images: dict[str, tuple[Pixels, ...]] = {}
    drawing = seconds(
        lambda: images.update({noun: tuple(make_class_images(base, noun, recipe)) for noun in nouns})
    )
    ready = (replace(item, class_images=images[item.noun]) for item in sets)
    trained: list[object] = []
    training = seconds(lambda: trained.extend(train_adapters(ready, recipe, base, silent)))
    assert all(isinstance(outcome, TrainedAdapter) for outcome in trained), trained
    return {
        "class_images_s": round(drawing, 1),
        "nouns": len(nouns),
        "training_s": round(training, 1),
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
    }


def learning_set(number: int) -> TrainingSet:
    """The pictures of one studio product, by its own noun."""
    return replace(a_set(number), noun=NOUNS[number % len(NOUNS)])


def peer(script: Path, photos: Path, steps: int) -> tuple[float, float]:
    """Steps per second of the peer's own loop, and the seconds from its start to its saved file."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, str(script), "--pretrained_model_name_or_path", str(base_path()),
            "--instance_data_dir", str(photos), "--instance_prompt", "a photo of a sks mug",
            "--output_dir", folder, "--resolution", "128", "--train_batch_size", "1", "--rank", "4",
            "--learning_rate", "1e-3", "--max_train_steps", str(steps), "--lr_scheduler", "constant",
            "--checkpointing_steps", "100000", "--seed", "0",
        ]  # fmt: skip
        began = time.perf_counter()
        with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) as run:
            seen = told_steps(run)
        if run.returncode:
            raise SystemExit(f"{script} ended with {run.returncode}")
        seconds = time.perf_counter() - began
    first, last = seen[WARM_STEPS], seen[steps]
    return (steps - WARM_STEPS) / (last - first), seconds


def told_steps(run: subprocess.Popen[str]) -> dict[int, float]:
    """When the process said for the first time that it had done so many steps."""
    assert run.stderr is not None
    seen: dict[int, float] = {}
    line = ""
    while character := run.stderr.read(1):
        line = "" if character in "\r\n" else line + character
        if character == "[" and (found := TOLD.search(line)):
            seen.setdefault(int(found[1]), time.perf_counter())
    return seen


def apart(*arguments: str) -> float:
    """One of our measurements in a process of its own: the number that it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.adapters", *arguments], capture_output=True, text=True, check=True
    )
    return float(done.stdout.split()[-1])


def seconds(work: Callable[[], object]) -> float:
    """Wall time of the work."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def ratios(script: Path, photos: Path, rounds: int) -> dict[str, object]:
    """Every measurement `rounds` times in turns; the medians, and the ratios that are medians of each round's."""
    measure: dict[str, Callable[[], float]] = {
        "peer": lambda: peer(script, photos, 40)[0],
        "k16_bf16": lambda: apart("--ours", "16", "--dtype", "bfloat16"),
        "k1_bf16": lambda: apart("--ours", "1", "--dtype", "bfloat16"),
        "k16_fp32": lambda: apart("--ours", "16", "--dtype", "float32"),
        "peer_sku_s": lambda: peer(script, photos, 100)[1],
        "our_16_skus_s": lambda: seconds(lambda: apart("--finish", "16")),
    }
    runs = []
    for number in range(rounds):
        runs.append({name: round(work(), 3) for name, work in measure.items()})
        print(json.dumps({"round": number, **runs[-1]}), file=sys.stderr, flush=True)

    def ratio(one: Callable[[dict[str, float]], float]) -> float:
        return round(statistics.median(one(run) for run in runs), 2)

    return {
        "sku_steps_per_s": {name: statistics.median(run[name] for run in runs) for name in measure},
        "k16_bf16_to_peer": ratio(lambda run: run["k16_bf16"] / run["peer"]),
        "k16_fp32_to_peer": ratio(lambda run: run["k16_fp32"] / run["peer"]),
        "k1_bf16_to_peer": ratio(lambda run: run["k1_bf16"] / run["peer"]),
        "k16_bf16_to_k1": ratio(lambda run: run["k16_bf16"] / run["k1_bf16"]),
        "finished_skus_to_peer": ratio(lambda run: 16 * run["peer_sku_s"] / run["our_16_skus_s"]),
    }


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="benchmarks.adapters", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", type=Path, help="diffusers' train_dreambooth_lora.py")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("out/adapters"))
    parser.add_argument("--ours", type=int, help="only the SKU-steps/s of a fleet of so many slots")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    parser.add_argument("--finish", type=int, help="only train and save so many SKUs, 100 steps each")
    parser.add_argument(
        "--night", type=int, help="only train so many SKUs with the usual recipe, 200 steps each"
    )
    parser.add_argument("--shape", choices=tuple(UNETS), help="sweep over SKUs on a base of this size")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    asked = parser.parse_args()
    if asked.night:
        print(json.dumps(a_night(asked.night, steps=200)))
        return
    if asked.shape:
        print(json.dumps({asked.shape: sweep(asked.shape, asked.slots, steps=20)}))
        return
    if asked.ours:
        print(ours(asked.ours, getattr(torch, asked.dtype), steps=max(6, 40 // asked.ours)))
        return
    with tempfile.TemporaryDirectory() as folder:
        if asked.finish:
            finish(asked.finish, 100, Path(folder))
            print(asked.finish)
            return
        if asked.peer is None:
            parser.error("--peer, --night, --shape, --ours or --finish is needed")
        for number, (rgb, _) in enumerate(a_set(0).pictures):
            Image.fromarray(rgb).save(Path(folder) / f"{number}.png")
        figures = ratios(asked.peer, Path(folder), asked.rounds)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
