"""Review: decisions of people about pictures. Append-only objects in the store; the last one of a render wins."""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import ValidationError

from catalog_schemas import ReviewDecision
from productshot.errors import ConfigInvalid, InputRefused, StorageMissing
from productshot.keys import canonical_json, marker_key
from productshot.records import Render, Verdict
from productshot.store import Store


@dataclass
class Said:
    """What people said of a SKU's pictures, by render key."""

    last: dict[str, ReviewDecision] = field(
        default_factory=dict
    )  # the approval, rejection or redo that counts today
    more: dict[str, int] = field(default_factory=dict)  # how many more like it were asked for


def decisions_of(store: Store, sku: str) -> Said:
    """All that was said of a SKU's pictures. InputRefused: an object among the decisions is none."""
    said = Said()
    for listed in store.list(f"review/{sku}/"):  # sorted: <render>/<utc>-<id>.json
        try:
            decision = ReviewDecision.model_validate_json(store.get(listed.key))
        except ValidationError as error:
            raise InputRefused(
                listed.key,
                "is no review decision",
                "",
                "mend or delete it; decide again with `productshot review`",
            ) from error
        if decision.decision == "vary":
            said.more[decision.render] = max(decision.count, said.more.get(decision.render, 0))
        else:
            said.last[decision.render] = decision
    return said


def with_decision(render: Render, verdict: Verdict, said: Said) -> Verdict:
    """The verdict after a person's word: an approval lifts `person` only; what a gate refused stays refused."""
    decision = said.last.get(render.key)
    if decision is None or verdict.status == "refused":
        return verdict
    if decision.decision == "approve":
        return Verdict(status="accepted", gate="review", value=f"approved by {decision.reviewer}")
    reason = decision.reason or "no reason given"
    word = "sent back" if decision.decision == "redo" else "rejected"
    return Verdict(status="refused", gate="review", value=f"{word} by {decision.reviewer}: {reason}")


def decide(store: Store, decision: ReviewDecision, now: datetime) -> str:
    """Append a decision and return its key; the next night acts on it."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")
    key = f"review/{decision.sku}/{decision.render}/{stamp}-{secrets.token_hex(4)}.json"
    store.create(key, canonical_json(decision.model_dump(mode="json")), "application/json")
    return key


@dataclass(frozen=True)
class Answer:
    """What a person said of the pictures of one contact sheet, by render key."""

    reviewer: str
    reject: Sequence[str] = ()
    redo: Sequence[str] = ()
    vary: Sequence[str] = ()
    rest: Literal["approve", "hold"] = "hold"
    reason: str = ""
    more: int = 4  # pictures that vary asks for


@dataclass(frozen=True)
class Recorded:
    """What became of an answer."""

    skus: tuple[str, ...]  # those with a decision
    counts: dict[str, int]  # decisions by word
    refused: tuple[str, ...]  # what could not be recorded, in words
    noted: tuple[str, ...]  # what was recorded and is odd, in words


def record(store: Store, offered: Sequence[Mapping[str, Any]], answer: Answer, now: datetime) -> Recorded:
    """Write an answer as decisions; `offered` are pictures as a report tells them, each with its SKU.

    A picture that is named nowhere belongs to the rest. One named twice gets every word in the order reject, redo,
    vary, so the later of reject and redo wins. A picture that is gone, and a packshot to be painted again, are refused.
    """
    asked = {"reject": answer.reject, "redo": answer.redo, "vary": answer.vary}
    skus: dict[str, None] = {}
    counts, refused, noted = Counter[str](), [], []
    for picture in offered:
        words = [word for word, renders in asked.items() if picture["render"] in renders]
        words = words or (["approve"] if answer.rest == "approve" else [])
        try:
            for word in words:
                _refuse_word(store, picture, word)
        except InputRefused as error:
            refused.append(str(error))
            continue
        noted += _odd(store, picture, words) if words else []
        for word in words:
            decision = ReviewDecision(
                sku=picture["sku"],
                render=picture["render"],
                decision=word,  # type: ignore[arg-type]
                count=answer.more if word == "vary" else 1,
                reviewer=answer.reviewer,
                reason=answer.reason,
            )
            decide(store, decision, now + timedelta(microseconds=counts.total()))
            counts[word] += 1
            skus[picture["sku"]] = None
    return Recorded(tuple(skus), dict(counts), tuple(refused), tuple(noted))


def _refuse_word(store: Store, picture: Mapping[str, Any], word: str) -> None:
    """InputRefused for a word that cannot be said of a picture."""
    item = named(picture)
    if store.head(marker_key(picture["sku"], "renders", picture["render"])) is None:
        raise InputRefused(item, "is gone from the store", "", "the next night paints it again")
    if word in ("redo", "vary") and picture["lane"] == "packshot":
        raise InputRefused(item, f"cannot be asked to {word}", "a packshot has no seed", "reject it instead")


def _odd(store: Store, picture: Mapping[str, Any], words: Sequence[str]) -> list[str]:
    """What a person should know of a decision that is recorded all the same."""
    told = []
    before = decisions_of(store, picture["sku"]).last.get(picture["render"])
    if before is not None:
        told.append(
            f"{named(picture)}: {before.reviewer} said {before.decision} before; {words[-1]} counts now"
        )
    if {"reject", "redo"} <= set(words):
        told.append(f"{named(picture)} was both rejected and sent back: redo counts")
    return told


def named(picture: Mapping[str, Any]) -> str:
    """A picture of a report in words that mean only it."""
    return f"{picture['sku']} {picture['scene']} {picture['lane']} {picture['render'][:8]}"


def reports(store: Store) -> Iterator[dict[str, Any]]:
    """The JSON reports of all nights that have one, the newest first. InputRefused: one cannot be read."""
    for folder in sorted(store.list_prefixes("nights/"), reverse=True):
        key = f"{folder}report.json"
        try:
            report = json.loads(store.get(key))
            _ = report["catalog"], [picture["render"] for picture in pictures_of(report["skus"])]
            _ = [asset["key"] for sku in report["skus"] for asset in sku["assets"]]
        except StorageMissing:  # it is running, or was killed
            continue
        except (ValueError, KeyError, TypeError) as error:
            raise InputRefused(key, "is no report of a night", "", "mend or delete it") from error
        yield report


def last_report(store: Store) -> dict[str, Any] | None:
    """The JSON report of the newest night over a whole catalog; None before the first."""
    return next((report for report in reports(store) if report.get("whole")), None)


def last_pictures(store: Store) -> list[dict[str, Any]]:
    """The pictures of the last whole night, each with its SKU; a SKU that was run alone since is told as it is now.

    ConfigInvalid: the store has no night yet.
    """
    newest: dict[str, Mapping[str, Any]] = {}
    for report in reports(store):
        newest = {sku["sku"]: sku for sku in report["skus"]} | newest
        if report.get("whole"):
            break
    if not newest:
        raise ConfigInvalid(
            f"store {store.location}", "has no night yet", "", "run `productshot night` first"
        )
    return pictures_of(newest.values())


def pending(store: Store) -> list[dict[str, Any]]:
    """The pictures that wait for a person and have no decision yet. ConfigInvalid as `last_pictures` says."""
    entries = [entry for entry in last_pictures(store) if _waits(entry)]
    known = {sku: decisions_of(store, sku).last for sku in {entry["sku"] for entry in entries}}
    return [entry for entry in entries if entry["render"] not in known[entry["sku"]]]


def waiting(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The pictures of a report whose verdict is for a person, each with its SKU."""
    return [entry for entry in pictures_of(report["skus"]) if _waits(entry)]


def pictures_of(skus: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """All pictures of SKUs as a report tells them, each with its SKU."""
    return [{**entry, "sku": sku["sku"]} for sku in skus for entry in sku["pictures"]]


def _waits(entry: Mapping[str, Any]) -> bool:
    return bool(entry["verdict"]["status"] == "person")


def find_pending(store: Store, name: str) -> dict[str, Any]:
    """The one waiting picture that a name means: a render's key, or the first digits of it."""
    return _the_one(pending(store), name, "waiting picture", "see `productshot review list`")


def find_painted(store: Store, name: str) -> dict[str, Any]:
    """The one painted picture of the last night, waiting or not, that a name means. ConfigInvalid: none, or several."""
    painted = [entry for entry in last_pictures(store) if entry["lane"] != "packshot"]
    return _the_one(
        painted, name, "painted picture of the last night", "see the night's report; packshots have no seed"
    )


def _the_one(entries: Sequence[dict[str, Any]], name: str, kind: str, remedy: str) -> dict[str, Any]:
    found = [entry for entry in entries if entry["render"].startswith(name)]
    if len(found) == 1:
        return found[0]
    how_many = f"no {kind}" if not found else f"{len(found)} of them: {kind}"
    raise ConfigInvalid(f"render {name!r}", f"means {how_many}", "", remedy)
