"""Which cutout stands for a SKU."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest

from catalog_schemas import Recipes, ReviewPolicy
from productshot.geometry import Box, Size
from productshot.records import Cutout, Photo, Render, Verdict
from productshot.stages.adapters import worth_learning
from productshot.stages.cutouts import choose_cutout, height_of, seen_by
from productshot.stages.gates import judge_render


def a_cutout(name: str, **changes: Any) -> Cutout:
    """A whole, sharp, confident product 500 px wide in a photo of 1,000 px."""
    given: dict[str, Any] = {"width": 500, "confidence": 0.9, "sharpness": 100.0, "left": 100, "view": None}
    given |= changes
    photo = Photo(
        sku="mug",
        key=f"photos/mug/{name}.jpg",
        digest=name,
        size=Size(1000, 1000),
        role="product",
        view=given["view"],
        sharpness=given["sharpness"],
        exposure=0.5,
    )
    box = Box(given["left"], 100, given["left"] + given["width"], 500)
    return Cutout(
        sku="mug",
        key=name,
        digest=name,
        size=box.size,
        box=box,
        confidence=given["confidence"],
        photo=photo,
        hidden=given.get("hidden", 0.0),
    )


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"confidence": 0.45, "width": 800}, {}),
        ({"left": 0, "width": 800}, {}),
        ({"sharpness": 40.0, "width": 800}, {}),
        ({"hidden": 0.1, "width": 800}, {}),
        ({"confidence": 0.6, "width": 700}, {}),
        ({}, {"width": 600}),
        ({}, {"confidence": 0.7, "width": 890}),
    ],
    ids=[
        "unsure",
        "cropped",
        "blurred",
        "behind a hand",
        "larger, less sure",
        "smaller",
        "surer, half as large",
    ],
)
def test_the_better_cutout_is_chosen(worse: dict[str, Any], better: dict[str, Any]) -> None:
    """In either order."""
    pair = [a_cutout("a", **worse), a_cutout("b", **better)]
    assert choose_cutout(pair, None, 0.5) == choose_cutout(pair[::-1], None, 0.5) == pair[1]


def test_a_photo_is_learned_once() -> None:
    """Of the same bytes under two names the first counts; unsure cutouts count where no other is."""
    front, back, unsure = a_cutout("a"), a_cutout("b"), a_cutout("c", confidence=0.3)
    copy = front.model_copy(update={"photo": front.photo.model_copy(update={"key": "photos/mug/copy.jpg"})})
    assert worth_learning([front, back, copy, unsure], 0.5) == [front, back]
    assert worth_learning([unsure, unsure], 0.5) == [unsure]
    assert worth_learning([front, a_cutout("d", hidden=0.1)], 0.5) == [front]


def test_a_view_is_not_replaced_by_another() -> None:
    """A slot that asks for the back gets a cutout of the back, or none."""
    front, back = a_cutout("a", view="front"), a_cutout("b", view="back", confidence=0.3)
    assert choose_cutout([front, back], "back", 0.5) == back
    assert choose_cutout([front], "back", 0.5) is None


def test_a_cutout_that_stands_alone_serves_last() -> None:
    """Though larger and surer."""
    alone, other = a_cutout("a", width=890, confidence=0.99), a_cutout("b")
    assert choose_cutout([alone, other], None, 0.5, {"a"}) == other
    assert choose_cutout([alone], None, 0.5, {"a"}) == alone


def judged(cutout: Cutout, alone: Collection[str] = ()) -> Verdict:
    """What is said of a packshot of the cutout."""
    render = Render(
        sku="mug",
        key="r",
        digest="",
        size=cutout.size,
        scene="white-packshot",
        lane="packshot",
        variant=0,
        seed=0,
        product=None,
        cutout=cutout,
        adapter=None,
    )
    recipes = Recipes()
    return judge_render(render, None, recipes.limits, recipes.cutouts, ReviewPolicy(), alone)


def test_a_person_looks_at_a_cutout_that_stands_alone() -> None:
    """A packshot of it is not published by itself, whatever its confidence."""
    cutout = a_cutout("a", confidence=0.99)
    assert [judged(cutout, alone).status for alone in ((), {"a"})] == ["accepted", "person"]


def test_a_person_looks_at_a_cutout_beside_clutter() -> None:
    """What a hand hid cannot be known."""
    verdict = judged(a_cutout("a", confidence=0.99, hidden=0.12))
    assert (verdict.status, verdict.gate) == ("person", "cutout_clutter")
    assert verdict.value == "clutter touched 12% of the product's outline"


@pytest.mark.parametrize(
    ("view", "height"),
    [
        ("front", "eye"),
        ("Eye-level", "eye"),
        ("high front", "high"),
        ("top", "top"),
        ("flat lay", "top"),
        ("left sole", "below"),
        ("three-quarter", None),
        (None, None),
    ],
)
def test_a_view_says_from_what_height_it_was_shot(view: str | None, height: str | None) -> None:
    """By its words; of several the one that is not usual counts, and some views say nothing."""
    assert height_of(view) == height


def test_a_scene_takes_photos_that_fit_its_camera() -> None:
    """Those from there and those that say no height, in order; a scene without a camera takes all."""
    photos = [a_cutout(str(view), view=view) for view in ("front", "top", "sole", None)]
    assert seen_by(photos, "eye") == [photos[0], photos[3]]
    assert seen_by(photos, "top") == [photos[1], photos[3]]
    assert seen_by(photos, "high") == [photos[3]]
    assert seen_by(photos, None) == photos
