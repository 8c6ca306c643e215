"""What is reached, as laws over drawn families of markers."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from productshot.reach import asset_markers, is_marker, kept_markers, unreached, without_data
from productshot.store import Listed


def hexes(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def name(stage: str, number: int) -> str:
    return f"work/mug-1/{stage}/{hexes(f'{stage} {number}')}.json"


@st.composite
def families(draw: st.DrawFn) -> tuple[dict[str, dict[str, Any]], dict[str, Listed]]:
    """Photos, cutouts of them, renders of those, gates and assets of these, with all their objects."""
    markers: dict[str, dict[str, Any]] = {}
    keys: list[str] = ["catalog/google/mug-1/slots.json"]
    before: list[tuple[str, str]] = []  # (key, digest) of what may be a parent
    for stage in ("photos", "cutouts", "renders", "gates", "assets"):
        made = []
        for number in range(draw(st.integers(1, 3))):
            parent = draw(st.sampled_from(before)) if before else ("", hexes(f"file {number}"))
            key, digest = hexes(f"{stage} {number}"), hexes(f"data of {stage} {number}")
            record: dict[str, Any] = {"key": key, "digest": digest}
            parents = [parent[0], parent[1]] if stage in ("gates", "assets") else [parent[1]]
            if stage == "photos":
                record = {"key": f"photos/mug-1/{number}.jpg", "digest": parent[1]}
                digest = parent[1]
            elif stage == "gates":
                record = {"render": parent[0]}
            elif stage == "assets":
                record["key"] = f"catalog/google/mug-1/main-{number}-{digest[:12]}.jpg"
                keys += [record["key"], f"{record['key']}.json"]
            else:
                keys.append(f"work/mug-1/{stage}/{digest}.png")
            markers[name(stage, number)] = {
                "stage": stage,
                "parents": parents,
                "record": record,
                "format": 1,
                "recipe": {},
            }
            made.append((key, digest))
        before = before if stage == "gates" else made
    look = {key: Listed(key, "e", 1, 0.0) for key in [*markers, *keys]}
    return markers, look


@given(families(), st.data())
def test_what_is_kept_has_all_that_it_was_made_from(
    family: tuple[dict[str, dict[str, Any]], dict[str, Listed]], data: st.DataObject
) -> None:
    """Every parent of a kept marker is made by a kept marker, and no data of a kept one goes."""
    markers, look = family
    roots = data.draw(st.sets(st.sampled_from(sorted(markers))))
    kept = kept_markers(markers, roots)
    going = {one.listed.key for one in unreached(look, markers, kept, ())}
    made = {markers[one]["record"].get("digest") for one in kept}
    made |= {markers[one]["record"].get("key") for one in kept}
    for one in kept:
        if markers[one]["stage"] != "photos":
            assert set(markers[one]["parents"]) <= made
    left = {key: look[key] for key in look if key not in going}
    assert roots <= kept <= set(left)
    assert without_data({one: markers[one] for one in kept}, left) == set()


@given(families(), st.data())
def test_collecting_twice_is_collecting_once(
    family: tuple[dict[str, dict[str, Any]], dict[str, Listed]], data: st.DataObject
) -> None:
    """What is left after the first time has nothing that can go."""
    markers, look = family
    roots = data.draw(st.sets(st.sampled_from(sorted(markers))))
    kept = kept_markers(markers, roots)
    going = {one.listed.key for one in unreached(look, markers, kept, ())}
    left = {key: look[key] for key in look if key not in going}
    rest = {one: markers[one] for one in markers if one in left}
    assert kept_markers(rest, roots) == kept
    assert list(unreached(left, rest, kept, ())) == []


@given(families())
def test_without_a_root_all_goes_but_slots(
    family: tuple[dict[str, dict[str, Any]], dict[str, Listed]],
) -> None:
    """Only slots.json stays, and the files that it shows."""
    markers, look = family
    assets = sorted(asset_markers(markers))
    going = {one.listed.key for one in unreached(look, markers, set(), assets[:1])}
    assert set(look) - going == {"catalog/google/mug-1/slots.json", assets[0], f"{assets[0]}.json"}


def test_foreign_files_are_never_unreached() -> None:
    """What productshot did not name is not its to delete."""
    keys = ["work/mug-1/notes.txt", "work/mug-1/cutouts/mine.png", "catalog/google/mug-1/logo.png"]
    look = {key: Listed(key, "e", 1, 0.0) for key in keys}
    assert list(unreached(look, {}, set(), ())) == []
    assert not is_marker("work/mug-1/cutouts/mine.json")


def test_a_marker_without_its_data_is_found() -> None:
    """A cutout whose PNG is gone, an asset whose manifest is gone; a refusal needs nothing."""
    digest = hexes("png")
    file = f"catalog/google/mug-1/main-1-{digest[:12]}.jpg"
    markers: dict[str, dict[str, Any]] = {
        name("cutouts", 1): {"stage": "cutouts", "parents": [], "record": {"key": "k", "digest": digest}},
        name("assets", 1): {"stage": "assets", "parents": [], "record": {"key": file, "digest": digest}},
        name("cutouts", 2): {"stage": "cutouts", "parents": [], "refusal": {}},
    }
    assert without_data(markers, [file]) == {name("cutouts", 1), name("assets", 1)}
    assert without_data(markers, [file, f"{file}.json", f"work/mug-1/cutouts/{digest}.png"]) == set()
