"""Review: decisions of people about pictures. Append-only objects in the store; the last one of a render wins."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from catalog_schemas import ReviewDecision
from productshot.errors import ConfigInvalid, InputRefused
from productshot.keys import canonical_json
from productshot.records import Render, Verdict
from productshot.store import Store


def decisions_of(store: Store, sku: str) -> dict[str, ReviewDecision]:
    """Render key -> the decision that counts today."""
    said: dict[str, ReviewDecision] = {}
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
        said[decision.render] = decision
    return said


def with_decision(render: Render, verdict: Verdict, decisions: dict[str, ReviewDecision]) -> Verdict:
    """The verdict after a person's word: an approval lifts `person` only; what a gate refused stays refused."""
    decision = decisions.get(render.key)
    if decision is None or verdict.status == "refused":
        return verdict
    if decision.decision == "approve":
        return Verdict(status="accepted", gate="review", value=f"approved by {decision.reviewer}")
    reason = decision.reason or "no reason given"
    return Verdict(status="refused", gate="review", value=f"rejected by {decision.reviewer}: {reason}")


def decide(store: Store, decision: ReviewDecision, now: datetime) -> str:
    """Append a decision and return its key; the next night acts on it."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S%f")
    key = f"review/{decision.sku}/{decision.render}/{stamp}-{secrets.token_hex(4)}.json"
    store.create(key, canonical_json(decision.model_dump(mode="json")), "application/json")
    return key


def last_report(store: Store) -> dict[str, Any] | None:
    """The JSON report of the newest night that has one; None before the first night."""
    for folder in sorted(store.list_prefixes("nights/"), reverse=True):
        if store.head(f"{folder}report.json"):
            report: dict[str, Any] = json.loads(store.get(f"{folder}report.json"))
            return report
    return None


def pending(store: Store) -> list[dict[str, Any]]:
    """The pictures of the last night that wait for a person and have no decision yet."""
    report = last_report(store)
    if report is None:
        raise ConfigInvalid(
            f"store {store.location}", "has no night yet", "", "run `productshot night` first"
        )
    waiting = []
    for sku in report["skus"]:
        entries = [entry for entry in sku["pictures"] if entry["verdict"]["status"] == "person"]
        known = decisions_of(store, sku["sku"]) if entries else {}
        waiting += [{**entry, "sku": sku["sku"]} for entry in entries if entry["render"] not in known]
    return waiting


def find_pending(store: Store, name: str) -> dict[str, Any]:
    """The one waiting picture that a name means: a render's key, or the first digits of it."""
    found = [entry for entry in pending(store) if entry["render"].startswith(name)]
    if len(found) == 1:
        return found[0]
    how_many = "no waiting picture" if not found else f"{len(found)} waiting pictures"
    raise ConfigInvalid(f"render {name!r}", f"means {how_many}", "", "see `productshot review list`")
