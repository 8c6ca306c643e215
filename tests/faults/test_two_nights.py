"""Two nights at once over one catalog and one store: each output is committed once, and nothing is torn."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from productshot.keys import digest_bytes
from tests.conftest import tree_of
from tests.faults.test_killed_night import shop, start

SKUS = 6


def made_in(root: Path) -> Counter[str]:
    """Outputs per stage that the reports of a store's nights count as made."""
    found = Counter[str]()
    for path in root.glob("nights/*/report.json"):
        found.update({stage["stage"]: stage["made"] for stage in json.loads(path.read_text())["stages"]})
    return +found


def test_two_nights_at_once_make_everything_once(tmp_path: Path) -> None:
    """The bucket is that of one night, and both nights together have made what one makes alone."""
    alone, shared = shop(tmp_path / "a" / "store", SKUS), shop(tmp_path / "b" / "store", SKUS)
    assert start(alone, SKUS, {}).wait(300) == 0
    both = [start(shared, SKUS, {}) for _ in range(2)]
    assert [night.wait(300) for night in both] == [0, 0]
    assert len(list(shared.glob("nights/*/report.json"))) == 2
    tree = tree_of(shared, "work", "catalog")
    assert tree == tree_of(alone, "work", "catalog")
    assert made_in(shared) == made_in(alone)
    named = {key: data for key, data in tree.items() if key.endswith(".png")}
    assert named and all(digest_bytes(data) == Path(key).stem for key, data in named.items())
