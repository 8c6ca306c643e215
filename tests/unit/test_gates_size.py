"""A drawn picture that no slot can take is refused before anybody waits for it."""

from __future__ import annotations

import pytest

from catalog_schemas import AssetRecipe, load_channel
from productshot.geometry import Box, Size
from productshot.records import Render, Verdict
from productshot.stages.gates import judge_size
from tests.unit.test_assets_manifest import a_render

ALL = [load_channel(name) for name in ("amazon", "google", "zalando")]
PASSED = Verdict(status="accepted")


def drawn(side: int) -> Render:
    """A drawn square picture of that side, not outpainted."""
    size, square = Size(side, side), Box(0, 0, side, side)
    return a_render().model_copy(update={"lane": "draw", "size": size, "master": square, "product": None})


def test_a_picture_of_pockets_size_fits_no_slot() -> None:
    """128 px are refused with the slot that comes nearest, what it needs and the remedy."""
    verdict = judge_size(drawn(128), PASSED, ALL, AssetRecipe())

    assert (verdict.status, verdict.gate) == ("refused", "drawn_size")
    assert verdict.value == "128 px wide"
    assert "needs at least 334 px at upscale 1.5" in verdict.limit
    assert "use lane keep" in verdict.remedy


def test_an_approval_does_not_make_it_larger() -> None:
    """What a person approved is refused all the same."""
    approved = Verdict(status="accepted", gate="review", value="approved by Ada")

    assert judge_size(drawn(128), approved, ALL, AssetRecipe()).gate == "drawn_size"


@pytest.mark.parametrize("status", ["accepted", "person"])
def test_a_large_picture_keeps_its_verdict(status: str) -> None:
    """1,024 px fit a slot: gates and people decide."""
    verdict = Verdict.model_validate({"status": status})

    assert judge_size(drawn(1024), verdict, ALL, AssetRecipe()) == verdict


def test_photographed_products_are_sized_by_their_own_pixels() -> None:
    """A keep picture of 128 px is none of this rule's business."""
    keep = drawn(128).model_copy(update={"lane": "keep", "product": Box(10, 10, 90, 90)})

    assert judge_size(keep, PASSED, ALL, AssetRecipe()) == PASSED
