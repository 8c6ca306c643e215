"""Models from a bucket (moto, and the real server under -m s3) and from a hub that this test serves."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from productshot.cli import app
from productshot.errors import ConfigInvalid, ModelMissing, StorageMissing
from productshot.pull import place_of, pull
from productshot.render.base import resolve_model
from productshot.store import open_store

COMMIT = "0123456789abcdef0123456789abcdef01234567"
MODEL = {
    "model_index.json": b"{}",
    "unet/config.json": b"{}",
    "unet/diffusion_pytorch_model.safetensors": b"weights",
    "unet/diffusion_pytorch_model.fp16.safetensors": b"halves",
    "unet/diffusion_pytorch_model.bin": b"a pickle",
    "tokenizer/merges.txt": b"#version",
    "pipeline.py": b"print('code')",
}
KEPT = [
    "model_index.json",
    "tokenizer/merges.txt",
    "unet/config.json",
    "unet/diffusion_pytorch_model.safetensors",
]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for pulled models."""
    monkeypatch.setenv("PRODUCTSHOT_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_model_in_a_bucket_is_pulled_once(url: str, cache: Path) -> None:
    """Weights, configurations and vocabularies only; the catalog's name then finds the folder; nothing is left over."""
    name = f"{url}/models/sd15"
    for key, data in MODEL.items():
        open_store(name).put(key, data, "application/octet-stream")
    with pytest.raises(ModelMissing, match=f"was not pulled to this machine; bring it here: .* pull {name}"):
        resolve_model(name)
    told = CliRunner().invoke(app, ["models", "pull", name, "--json"], catch_exceptions=False)
    folder = Path(json.loads(told.stdout)["path"])
    assert files_of(folder) == KEPT
    assert resolve_model(name) == folder
    open_store(name).delete("model_index.json")
    assert pull(name) == folder
    assert [path.name for path in cache.iterdir()] == [folder.name]


def test_an_empty_prefix_is_told(url: str, cache: Path) -> None:
    """Nothing is kept of a pull that found no weights."""
    with pytest.raises(ModelMissing, match="has no safetensors file; look whether the address is right"):
        pull(f"{url}/models/nothing")
    assert not any(cache.iterdir())


def test_a_bucket_that_is_not_there_is_told(server: object, cache: Path) -> None:
    """The store's own error."""
    with pytest.raises(StorageMissing):
        pull("s3://no-such-bucket-here/models")
    assert not any(cache.iterdir())


@pytest.mark.parametrize("name", ["runwayml/sd15", "runwayml/sd15@main", "runwayml/sd15@0123", "/folder"])
def test_a_hub_model_needs_its_commit(name: str) -> None:
    """A branch moves; only a commit pins what a night is made of."""
    with pytest.raises(ConfigInvalid, match="is no model from elsewhere; .*40 hex digits"):
        pull(name)


class Hub(BaseHTTPRequestHandler):
    """The three answers of a model hub that its client asks for."""

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/models/shop/sd15/"):
            siblings = [{"rfilename": name, "size": len(data)} for name, data in MODEL.items()]
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": "0"} for name, data in MODEL.items()
            ]
            told: object = (
                tree if "/tree/" in path else {"id": "shop/sd15", "sha": COMMIT, "siblings": siblings}
            )
            self.say(200, json.dumps(told).encode(), body, "application/json")
        elif path.startswith(f"/shop/sd15/resolve/{COMMIT}/"):
            name = path.split(f"{COMMIT}/")[1]
            self.say(200, MODEL[name], body, "application/octet-stream", name)
        else:
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def say(self, status: int, data: bytes, body: bool, kind: str, name: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{name.replace("/", "-")}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:
        """Silent."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The hub's client talks to this test."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", address)
    monkeypatch.setattr("huggingface_hub.hf_api.api.endpoint", address)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
        address + "/{repo_id}/resolve/{revision}/{filename}",
    )
    yield
    server.shutdown()
    server.server_close()


def test_a_hub_model_is_pulled_at_its_commit(hub: None) -> None:
    """By the hub's own client over HTTP: the same files, no code, no pickle, no halves."""
    name = f"shop/sd15@{COMMIT}"
    assert files_of(pull(name)) == KEPT
    assert resolve_model(name) == place_of(name)


def test_an_unknown_hub_model_is_told(hub: None, cache: Path) -> None:
    """With what to check; nothing is kept."""
    with pytest.raises(ModelMissing, match="is not on the hub; check name and revision"):
        pull(f"shop/other@{COMMIT}")
    assert not any(cache.iterdir())
