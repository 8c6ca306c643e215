"""A review on a real server and worker: the run suspends, an answer through the API resumes it, the bucket shows it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image
from shop import Shop, ask
from test_nights import patiently, start_night

from catalog_schemas import ReviewDecision, load_scene
from flows._server import runs_by_key
from productshot.chunks import ChunkedNight
from productshot.contact import Sheet, make_sheet
from productshot.store import Store
from tests.conftest import draw_photo

GALLERY = "http://127.0.0.1:4201"


@pytest.fixture
def studio(tmp_path: Path, store: Store) -> Shop:
    """One mug in three variants of a painted scene; a person decides on every picture."""
    for name, picture in zip(("front.jpg", "front.mask.png"), draw_photo(), strict=True):
        buffer = io.BytesIO()
        picture.save(buffer, Image.registered_extensions()[Path(name).suffix])
        store.put(f"photos/mug-1/{name}", buffer.getvalue(), "image/png")
    scene = load_scene("wooden-table").model_dump(mode="json") | {"variants": 3}
    data: dict[str, Any] = {"catalog": "studio", "channels": ["zalando"], "scenes": [scene]}
    data |= {"review": {"policy": "person"}, "skus": [{"sku": "mug-1", "noun": "mug"}]}
    catalog = tmp_path / "studio.yaml"
    catalog.write_text(yaml.safe_dump(data), "utf-8")
    return Shop(str(catalog), store.location)


def suspended(key: str) -> Callable[[], dict[str, Any] | None]:
    """Finds the review's run when it waits for an answer."""

    def look() -> dict[str, Any] | None:
        run = runs_by_key([key]).get(key)
        return run if run and run["state"]["name"] == "Suspended" else None

    return look


def resume(run: dict[str, Any], answer: dict[str, Any]) -> str:
    """Send an answer as the UI does; the server's word on it."""
    status: str = ask(f"/flow_runs/{run['id']}/resume", {"run_input": answer})["status"]
    return status


def decided(store: Store) -> dict[str, str]:
    """Render key -> word of all decisions about the mug."""
    said = [ReviewDecision.model_validate_json(store.get(one.key)) for one in store.list("review/mug-1/")]
    return {one.render: one.decision for one in said}


@pytest.mark.slow
@pytest.mark.usefixtures("worker")
def test_two_rejected_one_painted_again(studio: Shop, store: Store) -> None:
    """Rejecting two pictures and sending one back through the form leaves exactly that in the bucket."""
    told: ChunkedNight = start_night(studio, store, f"night of {studio.store}")
    run = patiently(suspended(f"{told.night}/review/0"))
    sheet: Sheet = make_sheet(store, told.night, 0)
    labels = [one.label for one in sheet.shown]
    assert len(labels) == 3
    text = ask("/artifacts/contact-sheet/latest")["data"]
    assert text.count(f"]({GALLERY}/nights/{told.night}/review/") == 18
    assert "data:" not in text
    assert resume(run, {"reviewer": "", "reject": labels[:1]}) == "REJECT"
    assert decided(store) == {}
    answer = {
        "reviewer": "Ada",
        "reject": labels[:2],
        "redo": labels[2:],
        "rest": "hold",
        "reason": "chipped",
    }
    assert resume(run, answer) == "ACCEPT"
    single = patiently(lambda: ended(f"{run['id']}/mug-1"))
    assert single["state"]["type"] == "COMPLETED", single["state"]["message"]
    renders = [one.entry["render"] for one in sheet.shown]
    assert decided(store) == dict(zip(renders, ("reject", "reject", "redo"), strict=True))
    again = [one for one in store.list("work/mug-1/renders/") if one.key.endswith(".json")]
    assert len(again) == 4  # three of the night, one painted again
    assert list(store.list("catalog/")) == []
    assert ask("/artifacts/review-outcome/latest")["data"].startswith("# **2** reject, **1** redo")


def ended(key: str) -> dict[str, Any] | None:
    """The run with that key when it is over."""
    run = runs_by_key([key]).get(key)
    return run if run and run["state"]["type"] in ("COMPLETED", "FAILED", "CRASHED") else None
