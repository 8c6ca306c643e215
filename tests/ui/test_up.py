"""What a merchandiser sees: runs triggered through the API, pages that show numbers and pictures, a clean end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import psutil
import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.ui.started import RUN_S, START_S, Running, patiently

pytestmark = pytest.mark.ui
SCREENSHOTS = Path(__file__).parents[2] / "out" / "ui"
PATIENCE_MS = 120_000


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A fresh window of a laptop's size."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()


def loaded_pictures(page: Page, selector: str, wanted: int) -> int:
    """How many of the selector's pictures the browser has really decoded; waits for `wanted`."""
    counted = page.wait_for_function(
        "([selector, wanted]) => { const count = ([...document.querySelectorAll(selector)]"
        ".filter(image => image.complete && image.naturalWidth > 0)).length; return count >= wanted && count; }",
        arg=[selector, wanted],
    )  # counted where it is waited for: the page may draw itself anew right after
    count: int = counted.json_value()
    return count


def keep_screenshot(page: Page, name: str) -> None:
    """Keep a picture of the page for people."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def test_nightly_is_scheduled(running: Running) -> None:
    """The server has put the next nights on the calendar: the cron string alone starts nothing."""
    deployment = patiently(lambda: running.api("deployments/name/catalog-nightly/nightly"), START_S)
    wanted = {
        "deployments": {"id": {"any_": [deployment["id"]]}},
        "flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}},
    }
    scheduled = patiently(lambda: running.api("flow_runs/filter", wanted) or None, START_S)
    assert "auto-scheduled" in scheduled[0]["tags"]


def test_night_completes(running: Running, night: dict[str, Any]) -> None:
    """A night triggered through the API ends well and publishes both mugs."""
    assert night["state_type"] == "COMPLETED", night["state"]["message"]
    for sku in ("MUG-RED", "MUG-BLUE"):
        slots = json.loads((running.store / "catalog" / "google" / sku / "slots.json").read_text())
        assert (running.store / slots["slots"]["main"][0]).is_file()


def test_flow_run_page(running: Running, night: dict[str, Any], page: Page) -> None:
    """The flow run's page shows that it completed and the stages as tasks."""
    page.goto(f"{running.ui}/v2/runs/flow-run/{night['id']}")
    expect(page.get_by_text("Completed").first).to_be_visible(timeout=PATIENCE_MS)
    keep_screenshot(page, "flow-run")


def test_artifact_page(running: Running, night: dict[str, Any], page: Page) -> None:
    """The artifact shows the counts in words, and every thumbnail loads through the gallery."""
    (artifact,) = running.api("artifacts/filter", {"flow_runs": {"id": {"any_": [night["id"]]}}})
    page.goto(f"{running.ui}/v2/artifacts/artifact/{artifact['id']}")
    expect(page.get_by_role("heading", name="2 of 4 SKUs have assets")).to_be_visible(timeout=PATIENCE_MS)
    thumbs = artifact["data"].count("/thumbs/")
    assert thumbs > 0
    assert loaded_pictures(page, 'img[src*="/thumbs/"]', thumbs) == thumbs
    keep_screenshot(page, "artifact")
    refused = page.get_by_role("listitem").filter(has_text="photos/broken/front_<b>.jpg is not a picture")
    expect(refused).to_be_visible()


def test_report_page(running: Running, night: dict[str, Any], page: Page) -> None:
    """The night's report opens through the gallery and all its pictures load."""
    page.goto(running.gallery)
    page.get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="SKUs", exact=True)).to_be_visible()
    pictures = page.locator("img").count()
    assert pictures > 0
    assert loaded_pictures(page, "img", pictures) == pictures
    keep_screenshot(page, "report")


@pytest.fixture(scope="session")
def review(running: Running) -> dict[str, Any]:
    """The suspended run that asks about the four painted pictures of a second catalog's night."""
    asked = {"catalog": str(running.store.parent / "reviewed.yaml"), "store": str(running.store)}
    more = {"gallery": running.gallery, "redo": True}
    dispatched = running.run("catalog-nightly/nightly", {"asked": {**asked, **more}})
    night = running.night_of(dispatched)
    assert running.closing(night)["state_type"] == "COMPLETED"

    def suspended() -> dict[str, Any] | None:
        run = running.run_of(f"{night}/review/0")
        return run if run and run["state"]["name"] == "Suspended" else None

    found: dict[str, Any] = patiently(suspended, RUN_S)
    return found


def test_review_by_clicking(running: Running, review: dict[str, Any], page: Page) -> None:
    """Two pictures are rejected, one is sent back, the last approved; review/ and the slots show exactly that."""
    renders = sorted(path.stem for path in running.store.glob("work/MUG-GREEN/renders/*.json"))
    labels = [f"{render[:8]} MUG-GREEN wooden-table keep" for render in renders]
    page.goto(f"{running.ui}/v2/runs/flow-run/{review['id']}")
    expect(page.get_by_text("Suspended").first).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Open menu").or_(page.locator("button[aria-haspopup=menu]")).last.click()
    page.get_by_role("menuitem", name="Resume").click()
    dialog = page.get_by_role("dialog")
    assert loaded_pictures(page, '[role=dialog] img[src*="/review/"]', 12) == 12
    keep_screenshot(page, "review-form")
    dialog.get_by_label("Your name").fill("Ada")
    choose(page, dialog, "Reject", labels[:2])
    choose(page, dialog, "Redo", labels[2:3])
    pick(page, dialog, "All others", "approve")
    keep_screenshot(page, "review-filled")
    dialog.get_by_role("button", name="Resume").click()
    again = running.end_of(lambda: running.run_of(f"{review['id']}/MUG-GREEN"))
    assert again["state_type"] == "COMPLETED", again["state"]["message"]
    said = [json.loads(path.read_text()) for path in running.store.glob("review/**/*.json")]
    decided = {one["render"]: (one["decision"], one["reviewer"]) for one in said}
    words = ["reject", "reject", "redo", "approve"]
    assert (len(said), decided) == (4, {key: (word, "Ada") for key, word in zip(renders, words, strict=True)})
    slots = json.loads((running.store / "catalog/zalando/MUG-GREEN/slots.json").read_text())["slots"]
    assert slots.pop("main") == [] and len(slots) == 1  # it has no packshot
    (shown,) = slots["additional"]
    manifest = json.loads((running.store / f"{shown}.json").read_text())
    assert manifest["render"]["key"] == renders[3]
    painted = {path.stem for path in running.store.glob("work/MUG-GREEN/renders/*.json")}
    assert painted > set(renders) and len(painted) == 5


def pick(page: Page, dialog: Locator, field: str, option: str) -> None:
    """Pick an option of a drop-down; a page that is drawn anew closes it, so it may take some tries."""
    for _ in range(5):
        with suppress(PlaywrightTimeout):
            dialog.get_by_label(field).click(timeout=10_000)
            page.get_by_role("option", name=option).click(timeout=10_000)
            return
    raise AssertionError(f"{field} cannot be set to {option}")


def choose(page: Page, dialog: Locator, field: str, labels: list[str]) -> None:
    """Pick some of a multi-select's options."""
    dialog.get_by_role("button", name=f"Select {field}").click()
    for label in labels:
        page.get_by_role("option", name=label).click()
    page.keyboard.press("Escape")


def test_run_form(running: Running, page: Page) -> None:
    """Whoever starts a SKU by hand is asked for it in words, and each field takes what is typed."""
    deployment = patiently(lambda: running.api("deployments/name/single-sku/now"), START_S)
    page.goto(f"{running.ui}/v2/deployments/deployment/{deployment['id']}/run")
    expect(page.get_by_text("a SKU of the catalog")).to_be_visible(timeout=PATIENCE_MS)
    for name, typed in {"sku": "MUG-BLUE", "catalog": "catalog.yaml", "store": "s3://shop/spring"}.items():
        page.get_by_label(name, exact=True).fill(typed)
    keep_screenshot(page, "run-form")


def test_single_sku_from_the_api(running: Running, night: dict[str, Any]) -> None:
    """A trigger needs only the SKU; the rest are the deployment's own parameters."""
    ended = running.run("single-sku/now", {"sku": "MUG-BLUE"})
    assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
    assert ended["name"] == "sku-MUG-BLUE"
    assert running.api("artifacts/single-sku/latest")["data"].startswith("# 1 of 1 SKUs have assets")


def test_trigger_without_sku_is_refused(running: Running) -> None:
    """The server refuses a trigger that names no SKU before any process starts."""
    deployment = running.api("deployments/name/single-sku/now")
    with pytest.raises(HTTPError) as caught:
        running.api(f"deployments/{deployment['id']}/create_flow_run", {"parameters": {"sku": ""}})
    assert caught.value.code == 409
    caught.value.close()


def test_dead_server_comes_back(running: Running) -> None:
    """A server that was killed is started again; the records are still there, and so is who holds a GPU."""
    running.api("v2/concurrency_limits/", {"name": "gpu:elsewhere", "limit": 1})
    wanted = {"names": ["gpu:elsewhere"], "slots": 1, "lease_duration": 300}
    lease = running.api("v2/concurrency_limits/increment-with-lease", wanted)["lease_id"]
    server, _ = running.parts()
    server.kill()
    psutil.wait_procs([server], timeout=30)
    assert patiently(lambda: running.api("artifacts/catalog-night/latest"), START_S)["key"] == "catalog-night"
    assert running.api("v2/concurrency_limits/gpu:elsewhere")["active_slots"] == 1
    running.api("v2/concurrency_limits/decrement-with-lease", {"lease_id": lease})
    assert running.api("v2/concurrency_limits/gpu:elsewhere")["active_slots"] == 0


def test_sigterm_ends_everything(running: Running) -> None:
    """SIGTERM ends `up` with code 0 and leaves no process behind. Keep this test last."""
    family = psutil.Process(running.process.pid).children(recursive=True)
    assert len(family) >= 2
    running.process.terminate()
    assert running.process.wait(60) == 0
    _, alive = psutil.wait_procs(family, timeout=5)
    assert alive == []
