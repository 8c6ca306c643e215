"""The models that ship inside the package: what `productshot models` and `doctor` tell of them."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from productshot.pocket.files import WEIGHTS, digest, list_digests, verify

LICENCE = "Apache-2.0"


class ShippedModel(NamedTuple):
    """One model of the package."""

    name: str
    purpose: str
    path: Path
    bytes: int
    digest: str  # SHA-256 of the file, or the model digest of the folder
    licence: str


def shipped_models() -> list[ShippedModel]:
    """Every model that ships, in the order in which a night uses them; ModelMissing when one is gone."""
    return [
        _described("pocket-matte", "cutout model", WEIGHTS / "matte.onnx"),
        _described("pocket", "base model, Stable Diffusion layout, 128 px", WEIGHTS / "base"),
        _described("pocket-controlnet", "ControlNet: edges and silhouette", WEIGHTS / "controlnet"),
        _described("pocket-clip", "image tower: prompt match and subject fidelity", WEIGHTS / "clip"),
    ]


def verify_shipped() -> None:
    """ModelDamaged or ModelMissing names the first file that is not as released."""
    verify(WEIGHTS)


def _described(name: str, purpose: str, path: Path) -> ShippedModel:
    from productshot.render.base import model_digest

    if path.is_file():
        return ShippedModel(name, purpose, path, path.stat().st_size, digest(path), LICENCE)
    size = sum((path / file).stat().st_size for file in list_digests(path))
    return ShippedModel(name, purpose, path, size, model_digest(path), LICENCE)
