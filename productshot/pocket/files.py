"""Pocket, the released weight files: where they lie in the package and whether they are what was released."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from productshot.errors import ModelDamaged, ModelMissing

WEIGHTS = Path(__file__).parent / "weights"
DIGESTS = "digests.json"
REMEDY = "restore it from the release or with git checkout"


def base_path() -> Path:
    """Directory of the base model, a StableDiffusionPipeline in float16 safetensors."""
    return present(WEIGHTS / "base")


def controlnet_path() -> Path:
    """Directory of the ControlNet; controlnet.py tells what its control image holds."""
    return present(WEIGHTS / "controlnet")


def present(folder: Path) -> Path:
    """The folder, or ModelMissing."""
    if not folder.is_dir():
        raise ModelMissing(str(folder), "is not there", remedy="install productshot with its package data")
    return folder


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_digests(folder: Path) -> dict[str, str]:
    """{relative posix name: SHA-256} of every file below the folder, without the digest list itself."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DIGESTS)
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def write_digests(folder: Path = WEIGHTS, models: tuple[str, ...] = ("base", "controlnet")) -> None:
    """Record the released files: rewrites digests.json for the models named and every .onnx file."""
    told = {
        f"{model}/{name}": value for model in models for name, value in list_digests(folder / model).items()
    }
    told |= {file.name: digest(file) for file in sorted(folder.glob("*.onnx"))}
    (folder / DIGESTS).write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")


def verify(path: Path = WEIGHTS) -> None:
    """Compare every file that digests.json names with its digest.

    `path` is the weights folder. ModelMissing when it or a file is gone, ModelDamaged with the file's name when it
    differs.
    """
    listing = present(path) / DIGESTS
    if not listing.is_file():
        raise ModelMissing(str(listing), "is not there", remedy=REMEDY)
    for name, expected in json.loads(listing.read_text()).items():
        file = path / name
        if not file.is_file():
            raise ModelMissing(str(file), "is not there", remedy=REMEDY)
        found = digest(file)
        if found != expected:
            raise ModelDamaged(
                str(file), f"has SHA-256 {found[:12]}", f"{expected[:12]} was released", REMEDY
            )
