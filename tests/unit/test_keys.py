"""Keys follow from content."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from productshot.keys import canonical_json, digest_json, seed_of, shard_of, stage_key

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), values))
def test_the_order_of_fields_does_not_change_a_digest(value: dict[str, object]) -> None:
    """One spelling per value."""
    assert digest_json(value) == digest_json(dict(reversed(value.items())))


def test_parents_keep_their_order_and_the_recipe_counts() -> None:
    """Other parents, another order, another recipe or another stage give another key."""
    keys = {
        stage_key("renders", ["a", "b"], {"steps": 1}),
        stage_key("renders", ["b", "a"], {"steps": 1}),
        stage_key("renders", ["a", "b"], {"steps": 2}),
        stage_key("assets", ["a", "b"], {"steps": 1}),
    }
    assert len(keys) == 4


def test_a_number_that_is_none_has_no_spelling() -> None:
    """NaN would make a key that no one can find again."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json({"x": float("nan")})


def test_shards_and_seeds_are_stable_for_ever() -> None:
    """Golden values: changing them would orphan state and change every picture."""
    assert shard_of("mug-1") == shard_of("mug-1") and len(shard_of("mug-1")) == 2
    assert seed_of("mug-1", "beach", 0) == seed_of("mug-1", "beach", 0) != seed_of("mug-1", "beach", 1)
