"""What is reached: from which markers a SKU's other markers, its data and its published files are still needed.

Pure functions over one SKU's listing and markers; `gc` decides with them what can go.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from productshot.keys import STAGE_FORMATS
from productshot.store import Listed

Marker = Mapping[str, Any]
"""As `Ledger.commit` writes it."""

_STAGES = "|".join(STAGE_FORMATS)
_MARKER = re.compile(rf"work/[^/]+/(?:{_STAGES})/[0-9a-f]{{64}}\.json")
_DATA = re.compile(rf"work/[^/]+/({_STAGES})/([0-9a-f]{{64}})\.[a-z]+")
_ASSET = re.compile(r"(catalog/[^/]+/[^/]+/[^/]+-\d+-[0-9a-f]{12}\.[a-z]+)(?:\.json)?")


class Going(NamedTuple):
    """One object that nothing reaches; `kind` is "markers", "assets", or the stage whose data it is."""

    kind: str
    listed: Listed


def is_marker(key: str) -> bool:
    """Whether a key is one that the ledger gives to markers."""
    return _MARKER.fullmatch(key) is not None


def kept_markers(markers: Mapping[str, Marker], roots: Iterable[str]) -> set[str]:
    """Names of the roots and of all markers that they were made from; what gates measured stays with its render."""
    makers: dict[str, set[str]] = defaultdict(set)
    for name, marker in markers.items():
        record = marker.get("record", {})
        for said in {record.get("digest"), record.get("key")} - {None, ""}:
            makers[said].add(name)
    kept: set[str] = set()
    waiting = [name for name in roots if name in markers]
    while waiting:
        name = waiting.pop()
        if name not in kept:
            kept.add(name)
            waiting += [maker for parent in markers[name]["parents"] for maker in makers[parent]]
    renders = {record["key"] for record in _records(markers, kept, "renders")}
    return kept | {
        name
        for name, marker in markers.items()
        if marker["stage"] == "gates" and marker["parents"][0] in renders
    }


def without_data(markers: Mapping[str, Marker], there: Collection[str]) -> set[str]:
    """Names of markers whose data is not among the keys that are there: whoever adopts one stops at the gap."""
    data = {match.groups() for match in map(_DATA.fullmatch, there) if match}
    found = set()
    for name, marker in markers.items():
        stage, record = marker["stage"], marker.get("record", {})
        if stage == "assets" and "key" in record:
            torn = not {record["key"], f"{record['key']}.json"} <= set(there)
        else:
            has_data = stage in ("cutouts", "adapters", "renders") and record.get("digest")
            torn = bool(has_data) and (stage, record["digest"]) not in data
        if torn:
            found.add(name)
    return found


def asset_markers(markers: Mapping[str, Marker]) -> dict[str, set[str]]:
    """Key of a published file -> names of the markers that made it."""
    found: dict[str, set[str]] = defaultdict(set)
    for name, marker in markers.items():
        if marker["stage"] == "assets" and "record" in marker:
            found[marker["record"]["key"]].add(name)
    return found


def unreached(
    look: Mapping[str, Listed], markers: Mapping[str, Marker], kept: set[str], shown: Collection[str]
) -> Iterator[Going]:
    """The objects of a SKU's listing that neither the kept markers nor slots.json (`shown`: its keys) need.

    What has no name that productshot gives is never among them.
    """
    data = {
        (stage, record["digest"])
        for stage in STAGE_FORMATS
        for record in _records(markers, kept, stage)
        if "digest" in record
    }
    files = {record["key"] for record in _records(markers, kept, "assets")} | set(shown)
    for key, listed in look.items():
        if is_marker(key):
            if key not in kept:
                yield Going("markers", listed)
        elif named := _DATA.fullmatch(key):
            if named.groups() not in data:
                yield Going(named[1], listed)
        elif (asset := _ASSET.fullmatch(key)) and asset[1] not in files:
            yield Going("assets", listed)


def _records(markers: Mapping[str, Marker], names: Iterable[str], stage: str) -> Iterator[Mapping[str, Any]]:
    """The records in the named markers of a stage; refusals have none."""
    for name in names:
        if markers[name]["stage"] == stage and "record" in markers[name]:
            yield markers[name]["record"]
