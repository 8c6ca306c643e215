"""Models from elsewhere: an S3 prefix or a hub repository, copied to this machine once and then used like a folder.

    s3://bucket/models/sd15                     a diffusers directory in a bucket
    owner/name@<40 hex digits of a commit>      a hub repository at a pinned revision

Only configurations, vocabularies and safetensors are copied, never code or pickles. Nights fetch nothing: what is
not here is ModelMissing, and `productshot models pull` brings it.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from productshot.errors import ConfigInvalid, ModelMissing, StorageUnavailable
from productshot.keys import digest_bytes
from productshot.store import check_key, open_store

CACHE = "PRODUCTSHOT_MODELS"
"""Environment variable: the folder for pulled models; default ~/.cache/productshot/models."""
HUB = re.compile(r"([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)@([0-9a-f]{40})")
WANTED = ("*.safetensors", "*.json", "*.txt")
HALVES = "*.fp16.*"
"""Weights in half precision beside the full ones: which are used is this project's choice, not a file's name."""


def is_elsewhere(name: str) -> bool:
    """Whether the name of a model is an S3 prefix or a pinned hub repository."""
    return name.startswith("s3://") or HUB.fullmatch(name) is not None


def place_of(name: str) -> Path:
    """The folder on this machine that a model from elsewhere has, pulled or not."""
    root = Path(os.environ.get(CACHE) or Path.home() / ".cache" / "productshot" / "models")
    plain = re.sub(r"[^A-Za-z0-9]+", "-", name.removeprefix("s3://")).strip("-")
    return root / f"{plain[:60]}-{digest_bytes(name.encode())[:12]}"


def pull(name: str) -> Path:
    """Copy a model here, if it is not yet, and return its folder; a folder is there only when it is complete.

    ConfigInvalid: the name is neither form. ModelMissing: nothing usable is there. The store's errors as they are.
    """
    if not is_elsewhere(name):
        limit = "s3://bucket/prefix, or owner/name@<40 hex digits of a commit>, can be pulled"
        raise ConfigInvalid(
            f"model {name}", "is no model from elsewhere", limit, "pin a hub model's revision"
        )
    place = place_of(name)
    if place.is_dir():
        return place
    partial = place.with_name(f"{place.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if name.startswith("s3://"):
            _from_s3(name, partial)
        else:
            _from_hub(name, partial)
        if not any(partial.rglob("*.safetensors")):
            remedy = "look whether the address is right and the model is stored as safetensors"
            raise ModelMissing(f"model {name}", "has no safetensors file", "", remedy)
        partial.rename(place)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return place


def _from_s3(name: str, folder: Path) -> None:
    """Every wanted object below the prefix."""
    store = open_store(name, probe=False)
    for key in wanted(listed.key for listed in store.list("")):
        check_key(key)  # before a folder is made for it
        target = folder / key
        target.parent.mkdir(parents=True, exist_ok=True)
        store.download(key, target)


def _from_hub(name: str, folder: Path) -> None:
    """Every wanted file of the revision, by the hub's own client."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    found = HUB.fullmatch(name)
    assert found is not None
    repository, revision = found.groups()
    try:
        snapshot_download(
            repository,
            revision=revision,
            local_dir=folder,
            allow_patterns=list(WANTED),
            ignore_patterns=[HALVES],
        )
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        remedy = "check name and revision; a private one needs HF_TOKEN"
        raise ModelMissing(f"model {name}", "is not on the hub", "", remedy) from error
    except (HfHubHTTPError, OSError) as error:
        told = f"cannot be fetched ({type(error).__name__})"
        raise StorageUnavailable(f"model {name}", told, "", "run it again") from error
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the client's own notes


def wanted(keys: Iterator[str]) -> Iterator[str]:
    """Those keys that a model is made of."""
    for key in keys:
        path = PurePosixPath(key)
        if any(path.match(pattern) for pattern in WANTED) and not path.match(HALVES):
            yield key
