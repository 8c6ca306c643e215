"""A started `productshot up` and the small drawn shop that it serves."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import psutil
import yaml
from PIL import Image, ImageDraw

from catalog_schemas import load_scene

START_S = 360
RUN_S = 600
CATALOG = """
catalog: autumn
scenes: [white-packshot]
channels: [amazon, google, zalando]
recipes: {{cutouts: {{model: {model}}}}}
skus:
  - {{sku: MUG-RED, noun: mug}}
  - {{sku: MUG-BLUE, noun: mug}}
  - {{sku: mug_small, noun: mug}}
  - {{sku: broken, noun: mug}}
"""


@dataclass(frozen=True)
class Running:
    """A started `productshot up`."""

    process: subprocess.Popen[str]
    store: Path  # where it is a folder
    ui: str
    gallery: str

    def api(self, path: str, body: dict[str, Any] | None = None, method: str | None = None) -> Any:
        """What the Prefect API answers, None for nothing; urllib's HTTPError for a refusal."""
        data = None if body is None else json.dumps(body).encode()
        request = Request(f"{self.ui}/api/{path}", data, {"Content-Type": "application/json"}, method=method)
        with urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or "null")

    def parts(self) -> tuple[psutil.Process, psutil.Process]:
        """The processes of the Prefect server and of the worker, once both are there."""
        found: tuple[psutil.Process, psutil.Process] = patiently(self._parts, START_S, pause_s=0.2)
        return found

    def _parts(self) -> tuple[psutil.Process, psutil.Process] | None:
        named = {}
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):  # it has just ended
                named |= {word: child for word in ("server", "worker") if word in child.cmdline()}
        return (named["server"], named["worker"]) if len(named) == 2 else None

    def run(self, deployment: str, parameters: dict[str, Any]) -> dict[str, Any]:
        """Trigger a deployment as a receiver or the UI does, and wait for its end."""
        found = patiently(lambda: self.api(f"deployments/name/{deployment}"), START_S)
        body = {
            "parameters": parameters,
            "idempotency_key": secrets.token_hex(8),
        }  # asked twice, it runs once
        flow_run = patiently(lambda: self.api(f"deployments/{found['id']}/create_flow_run", body), START_S)
        return self.end_of(lambda: self.api(f"flow_runs/{flow_run['id']}"))

    def end_of(self, look: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        """The run that `look` finds, once it is over."""

        def ended() -> dict[str, Any] | None:
            now = look()
            return (
                now if now and now["state_type"] in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED") else None
            )

        done: dict[str, Any] = patiently(ended, RUN_S)
        return done

    def run_of(self, key: str) -> dict[str, Any] | None:
        """The run that was started with this idempotency key; None before."""
        found = self.api("flow_runs/filter", {"flow_runs": {"idempotency_key": {"any_": [key]}}})
        return found[0] if found else None

    def night_of(self, dispatched: dict[str, Any]) -> str:
        """The id of the night that a run of catalog-nightly has dispatched; it ends like the run's own id."""
        (night,) = (path.name for path in (self.store / "nights").glob(f"*-{dispatched['id'][-4:]}"))
        return night

    def closing(self, night: str) -> dict[str, Any]:
        """The run that wrote the night's report."""
        return self.end_of(lambda: self.run_of(f"{night}/report"))


@contextmanager
def brought_up(folder: Path, catalog: Path, store: Path | str) -> Iterator[Running]:
    """`productshot up` with a Prefect home of its own in `folder`; what it says goes to up.log there."""
    port, log = free_ports(), folder / "up.log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment["PREFECT_HOME"] = str(folder / "prefect")
    productshot = Path(sys.executable).with_name("productshot")
    command = [productshot, "up", catalog, "--store", store, "--port", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True
        )
        try:
            patiently(
                lambda: {} if "Prefect UI:" in log.read_text() or process.poll() is not None else None,
                START_S,
            )
            assert process.poll() is None, log.read_text()
            yield Running(process, Path(store), f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}")
        finally:
            process.terminate()
            process.wait(60)


def patiently(ask: Callable[[], Any], seconds: float, pause_s: float = 1) -> Any:
    """The first answer of `ask` that is not None; a starting server refuses, one under load says 503."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            answer = ask()
        except OSError:  # urllib's own errors among them
            answer = None
        if answer is not None:
            return answer
        time.sleep(pause_s)
    raise TimeoutError(f"no answer within {seconds} s")


def a_shop(folder: Path) -> tuple[Path, Path]:
    """A catalog file and a store: two mugs, one whose photo is too small for every slot, one that is no picture.

    A third mug is in the catalog of `write_reviewed` alone.
    """
    store = folder / "store"
    for sku, colour, side in (
        ("MUG-RED", (176, 42, 48), 1400),
        ("MUG-BLUE", (40, 84, 160), 1000),
        ("mug_small", (90, 90, 90), 300),
        ("MUG-GREEN", (38, 104, 70), 1000),
    ):
        place = store / "photos" / sku
        place.mkdir(parents=True)
        photo, mask = Image.new("RGB", (side, side), (238, 236, 232)), Image.new("L", (side, side), 0)
        for picture, fill in ((photo, colour), (mask, 255)):
            draw = ImageDraw.Draw(picture)
            u = side / 100
            draw.ellipse((60 * u, 32 * u, 92 * u, 70 * u), outline=fill, width=round(7 * u))
            draw.rounded_rectangle((12 * u, 15 * u, 74 * u, 88 * u), 8 * u, fill=fill)
        photo.save(place / "front.jpg", quality=95)
        mask.save(place / "front.mask.png")
    (store / "photos" / "broken").mkdir()
    (store / "photos" / "broken" / "front_<b>.jpg").write_bytes(b"no picture")
    model = folder / "never-opened.onnx"  # its digest is in the keys; with masks nobody opens it
    model.write_bytes(b"")
    catalog = folder / "catalog.yaml"
    catalog.write_text(CATALOG.format(model=model), "utf-8")
    write_reviewed(folder / "reviewed.yaml")
    return catalog, store


def write_reviewed(path: Path) -> None:
    """A catalog of one mug in four variants of a painted scene; a person decides on every picture."""
    scene = load_scene("wooden-table").model_dump(mode="json") | {"variants": 4}
    data: dict[str, Any] = {"catalog": "reviewed", "channels": ["zalando"], "scenes": [scene]}
    data |= {"review": {"policy": "person"}, "skus": [{"sku": "MUG-GREEN", "noun": "mug"}]}
    path.write_text(yaml.safe_dump(data), "utf-8")


def free_ports() -> int:
    """A port that is free together with the next one, which the gallery takes."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
