"""Pocket, the released weight files: where they lie in the package and whether they are what was released."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from productshot.errors import ModelDamaged, ModelMissing

WEIGHTS = Path(__file__).parent / "weights"
DIGESTS = "digests.json"


def base_path() -> Path:
    """Directory of the base model, a StableDiffusionPipeline in float16 safetensors, as it was released."""
    return released("base")


def controlnet_path() -> Path:
    """Directory of the ControlNet as released; controlnet.py tells what its control image holds."""
    return released("controlnet")


def clip_path() -> Path:
    """Directory of the image tower as released; clip.py opens it."""
    return released("clip")


def matte_path() -> Path:
    """The file of pocket-matte as it was released."""
    return released("matte.onnx")


def released(name: str) -> Path:
    """A file or folder of the package's weights, every byte of it as released; ModelMissing or ModelDamaged."""
    path = WEIGHTS / name
    if not path.exists():
        raise ModelMissing(str(path), "is not there", remedy=restore_command(path))
    verify(WEIGHTS, name)
    return path


def restore_command(file: Path) -> str:
    """What a person types to get a released file back."""
    return f"restore it: git checkout -- {file}, or reinstall productshot"


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def list_digests(folder: Path) -> dict[str, str]:
    """{relative posix name: SHA-256} of every file below the folder, without the digest list itself."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DIGESTS)
    return {path.relative_to(folder).as_posix(): digest(path) for path in files}


def write_digests(folder: Path = WEIGHTS) -> None:
    """Record the released files: rewrites digests.json for every weight, configuration and tokenizer file."""
    told = {name: value for name, value in list_digests(folder).items() if not name.endswith(".md")}
    (folder / DIGESTS).write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")


def verify(path: Path = WEIGHTS, below: str = "") -> None:
    """Compare the files that digests.json names, or those at and below one name, with their digests.

    `path` is the weights folder. ModelMissing when it or a file is gone, ModelDamaged with the file's name when it
    differs; both tell the command that restores it.
    """
    listing = path / DIGESTS
    if not listing.is_file():
        raise ModelMissing(str(listing), "is not there", remedy=restore_command(listing))
    for name, expected in json.loads(listing.read_text()).items():
        if below and name != below and not name.startswith(f"{below}/"):
            continue
        file = path / name
        if not file.is_file():
            raise ModelMissing(str(file), "is not there", remedy=restore_command(file))
        found = digest(file)
        if found != expected:
            told = f"has SHA-256 {found[:12]}"
            raise ModelDamaged(str(file), told, f"{expected[:12]} was released", restore_command(file))


if __name__ == "__main__":  # python -m productshot.pocket.files: after a new release
    write_digests()
