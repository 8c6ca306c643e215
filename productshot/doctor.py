"""Doctor: what this machine can do, and what is missing for the rest."""

from __future__ import annotations

import os
import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

from productshot.errors import ProductshotError

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "rembg", "onnxruntime", "boto3", "prefect")


class Finding(NamedTuple):
    """One line of the doctor."""

    what: str
    good: bool
    told: str


def examine(store: str | None) -> list[Finding]:
    """All findings, the machine first; a given store is opened and probed."""
    findings = [
        Finding("python", sys.version_info >= (3, 11), sys.version.split()[0]),
        Finding("processors", True, str(os.cpu_count())),
        *(_library(name) for name in LIBRARIES),
        _device(),
        _models(),
        Finding("disk", True, f"{shutil.disk_usage('.').free // 10**9} GB free here"),
    ]
    if store is not None:
        findings.append(_store(store))
    return findings


def _library(name: str) -> Finding:
    try:
        return Finding(name, True, version(name))
    except PackageNotFoundError:
        return Finding(name, False, "not installed; run make setup")


def _device() -> Finding:
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return Finding("gpu", True, f"{torch.cuda.get_device_name()}, {free >> 30} of {total >> 30} GiB free")
    return Finding("gpu", False, "none found; the pocket models run on the CPU")


def _models() -> Finding:
    from productshot.shipped import shipped_models, verify_shipped

    try:
        verify_shipped()
        names = ", ".join(model.name for model in shipped_models())
    except ProductshotError as error:
        return Finding("pocket models", False, str(error))
    return Finding("pocket models", True, names)


def _store(url: str) -> Finding:
    from productshot.store import open_store

    try:
        return Finding("store", True, open_store(url).location)
    except ProductshotError as error:
        return Finding("store", False, str(error))
