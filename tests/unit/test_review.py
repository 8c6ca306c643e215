"""Review: pictures wait for a person, decisions are kept, the last one wins."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from catalog_schemas import Recipes, RenderRecipe, ReviewDecision, Scene, Sku
from productshot.catalog import load_catalog
from productshot.errors import ConfigInvalid
from productshot.folder import FolderStore
from productshot.models import Models
from productshot.progress import silent
from productshot.report import Written
from productshot.review import Said, decide, decisions_of, find_painted, find_pending, last_report, pending
from productshot.run import run_night
from productshot.stages.renders import RenderJob, render_task, with_more
from productshot.store import Store
from tests.conftest import write_catalog
from tests.unit.test_choose_cutout import a_cutout

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def night(root: Path) -> Written:
    """A night whose pictures all go to a person."""
    path = write_catalog(root.parent / "catalog.yaml", review={"policy": "person"})
    return run_night(load_catalog(path), FolderStore(root), silent)


def said(store: Store, name: str, sku: str = "mug-1", minute: int = 0) -> ReviewDecision:
    (entry,) = [entry for entry in pending(store) if entry["sku"] == sku]
    decision = ReviewDecision.model_validate(
        {"sku": sku, "render": entry["render"], "decision": name, "reviewer": "Ada"}
    )
    decide(store, decision, NOON.replace(minute=minute))
    return decision


def test_pictures_wait_and_nothing_is_published(root: Path, store: Store) -> None:
    """With policy person no slot is filled until someone approves."""
    assert night(root).report["counts"]["person"] == 2
    assert len(pending(store)) == 2
    assert not (root / "catalog").exists()


def test_an_approval_publishes_with_the_next_night(root: Path, store: Store) -> None:
    """Approved: the next night fills the slots of that SKU and of no other."""
    night(root)
    said(store, "approve")
    report = night(root).report
    assert [len(sku["assets"]) for sku in report["skus"]] == [1, 0]
    assert [entry["sku"] for entry in pending(store)] == ["vase-2"]


def test_a_rejected_picture_is_never_published(root: Path, store: Store) -> None:
    """Rejected: refused with the reviewer's name."""
    night(root)
    said(store, "reject")
    (picture,) = night(root).report["skus"][0]["pictures"]
    assert picture["verdict"]["status"] == "refused"
    assert picture["verdict"]["value"] == "rejected by Ada: no reason given"


def test_the_last_decision_wins_and_all_are_kept(root: Path, store: Store) -> None:
    """Decisions are appended; the latest by time counts."""
    night(root)
    first = said(store, "approve")
    decide(store, first.model_copy(update={"decision": "reject"}), NOON.replace(minute=5))
    assert decisions_of(store, "mug-1").last[first.render].decision == "reject"
    assert len(list(store.list("review/mug-1/"))) == 2


def test_a_run_of_one_sku_hides_no_other(root: Path, store: Store) -> None:
    """After one SKU was run alone the others' pictures still wait, and the night's medians still price the plan."""
    path = write_catalog(root.parent / "catalog.yaml", review={"policy": "person"})
    whole = night(root)
    run_night(load_catalog(path), store, silent, only=["mug-1"])
    assert [entry["sku"] for entry in pending(store)] == ["mug-1", "vase-2"]
    last = last_report(store)
    assert last is not None and last["night"] == whole.report["night"]


def test_a_run_of_one_sku_replaces_what_the_night_said_of_it(root: Path, store: Store) -> None:
    """A picture of the SKU that the later run has published waits no more, though its decision was taken back."""
    night(root)
    decision = said(store, "approve")
    run_night(load_catalog(root.parent / "catalog.yaml"), store, silent, only=["mug-1"])
    (key,) = [one.key for one in store.list(f"review/mug-1/{decision.render}/")]
    store.delete(key)
    assert [entry["sku"] for entry in pending(store)] == ["vase-2"]


def test_nights_of_one_second_have_an_order(root: Path, store: Store) -> None:
    """The later by a microsecond is the last one, and newer than one whose id tells whole seconds."""
    catalog = load_catalog(write_catalog(root.parent / "catalog.yaml"))
    for microsecond in (9, 10, 8):
        run_night(catalog, store, silent, lambda: NOON.replace(microsecond=microsecond))  # noqa: B023
    shutil.copytree(root / "nights" / new_night(store), root / "nights" / "20261122T115959Z-ffff")
    assert new_night(store).startswith("20261122T120000.000010Z-")


def new_night(store: Store) -> str:
    """The id under which the newest report lies."""
    report = last_report(store)
    assert report is not None
    return str(report["night"])


def test_an_unknown_render_is_one_line(root: Path, store: Store) -> None:
    """The message says where to look."""
    night(root)
    with pytest.raises(ConfigInvalid, match="means no waiting picture; see `productshot review list`"):
        find_pending(store, "ffff")


def a_job(**changes: Any) -> RenderJob:
    """A keep picture of the mug on a table; only its names count here."""
    cutout = a_cutout("front")
    job = RenderJob(Sku(sku="mug-1", noun="mug"), Scene(name="table"), "keep", cutout, None, 0, 0, ((1, 1),))
    return job._replace(**changes)


@pytest.fixture
def models() -> Models:
    """Never opened: the digests that keys need are given."""
    given = Models(Recipes())
    given.__dict__ |= {"base_digest": "b", "controlnet_digest": "c"}
    return given


def test_what_the_controlnet_reads_is_in_a_pictures_key(models: Models) -> None:
    """The same weights shown other maps paint another picture; a packshot has no ControlNet."""
    recipes = [RenderRecipe(controlnet="x", controlnet_reads=reads) for reads in ("pocket", "canny")]
    keys = {render_task(a_job(), recipe, models).key for recipe in (*recipes, RenderRecipe())}
    assert len(keys) == 2
    assert len({render_task(a_job(lane="packshot"), recipe, models).key for recipe in recipes}) == 1


def test_options_that_came_later_redo_no_picture(models: Models) -> None:
    """At their defaults they are not in the key; set, they are another picture."""
    task = render_task(a_job(), RenderRecipe(), models)
    assert not {"scheduler", "cache_every"} & set(task.recipe)
    others = [RenderRecipe(scheduler="dpm-solver++"), RenderRecipe(cache_every=2)]
    assert len({task.key, *(render_task(a_job(), recipe, models).key for recipe in others)}) == 3


def test_a_camera_changes_no_picture(models: Models) -> None:
    """It chooses the cutout, whose digest is in the key already."""
    scenes = [Scene(name="table", placement={"camera": camera}) for camera in (None, "eye", "top")]  # type: ignore[arg-type]
    assert len({render_task(a_job(scene=scene), RenderRecipe(), models).key for scene in scenes}) == 1


def asked(said: Said, *jobs: RenderJob, models: Models) -> list[tuple[int, int]]:
    """(variant, attempt) of all jobs after what people said."""
    found = with_more(jobs, said, Recipes().renders, models)
    return [(job.variant, job.attempt) for job in found]


def decision_on(job: RenderJob, name: str, models: Models) -> ReviewDecision:
    key = render_task(job, Recipes().renders, models).key
    return ReviewDecision.model_validate(
        {"sku": "mug-1", "render": key, "decision": name, "reviewer": "Ada", "count": 2}
    )


def test_only_a_picture_that_is_painted_again_hangs_on_the_larger_size(models: Models) -> None:
    """A keep picture is another one at another size; a drawn one is not painted again and stays what it was."""
    keys = {
        lane: {
            render_task(a_job(lane=lane), RenderRecipe(upscale=factor), models).key for factor in (1, 2, 4)
        }
        for lane in ("keep", "draw")
    }
    assert {lane: len(found) for lane, found in keys.items()} == {"keep": 3, "draw": 1}


def test_a_picture_sent_back_is_painted_again_and_again(store: Store, models: Models) -> None:
    """Each redo adds a job with the next seed behind the one it is said of; without one nothing changes."""
    first, second = a_job(), a_job(attempt=1)
    assert asked(decisions_of(store, "mug-1"), first, models=models) == [(0, 0)]
    decide(store, decision_on(first, "redo", models), NOON)
    assert asked(decisions_of(store, "mug-1"), first, models=models) == [(0, 0), (0, 1)]
    decide(store, decision_on(second, "redo", models), NOON)
    assert asked(decisions_of(store, "mug-1"), first, models=models) == [(0, 0), (0, 1), (0, 2)]
    assert len({job.seed for job in (first, second, a_job(attempt=2))}) == 3


def test_variations_stay_beside_an_approved_picture(store: Store, models: Models) -> None:
    """Two more of variant 1 get numbers that no scene's own variants have; a later approval leaves them."""
    job = a_job(variant=1)
    decide(store, decision_on(job, "vary", models), NOON)
    decide(store, decision_on(job, "approve", models), NOON.replace(minute=1))
    said = decisions_of(store, "mug-1")
    assert said.last[decision_on(job, "vary", models).render].decision == "approve"
    assert asked(said, a_job(), job, models=models) == [(0, 0), (1, 0), (32, 0), (33, 0)]


def test_a_packshot_has_nothing_to_redo(root: Path, store: Store) -> None:
    """It follows from its photo alone; the message says so."""
    night(root)
    (entry,) = [entry for entry in pending(store) if entry["sku"] == "mug-1"]
    with pytest.raises(ConfigInvalid, match="no painted picture of the last night; .*packshots have no seed"):
        find_painted(store, entry["render"])
