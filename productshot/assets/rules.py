"""Assets, the rules of a slot on a day: which bind, which only advise, which are still to come, which are old."""

from __future__ import annotations

from datetime import date
from typing import Literal, NamedTuple

from catalog_schemas import Channel, Limit, Rule, Slot
from catalog_schemas.channel import OWN_RULES
from productshot.records import Record

MAX_AGE_DAYS = 180
"""Rules that were read longer ago are to be read again; channels change theirs once or twice a year."""


class RuleVerdict(Record):
    """What one rule says of one file.

    advised: the file breaks a rule that only advises, or one that comes into force later. not-checked: no file
    tells. person: measured, but only a person can decide.
    """

    rule: str
    status: Literal["accepted", "refused", "advised", "person", "not-checked"]
    value: str = ""
    limit: str = ""
    remedy: str = ""

    def __str__(self) -> str:
        told = "; ".join(part for part in (self.value, self.limit, self.remedy) if part)
        return f"{self.rule}: {self.status}" + (f" ({told})" if told else "")


class Binding(NamedTuple):
    """A limit as it stands on a day."""

    rule: str
    limit: Limit
    required: bool
    later: str = ""  # from when it holds, in words; empty: it holds
    written: bool = True  # by the channel; else it is a field of the slot, what productshot makes


def bindings(channel: Channel, slot: Slot, on: date | None, ours: bool) -> list[Binding]:
    """Every limit that a file of this slot is measured against, the channel's first, each once.

    A field of the slot is a rule of its own where the channel wrote none of that name. It binds our own pictures
    (`ours`) and any picture of a slot without rules; to a foreign one it is advice. On a day `on` rules that have
    ended are left out and later ones marked; None: the rules that have no end, so that no clock decides.
    """
    own = slot.own_limits()
    found = [
        Binding(
            rule.id,
            rule.limit or own[rule.id],
            rule.status == "required" or (ours and rule.id in OWN_RULES),
            later_words(rule, on),
        )
        for rule in slot.rules
        if (rule.limit or rule.id in own) and rule.status != "allowed" and not has_ended(rule, on)
    ]
    named = {rule.id for rule in slot.rules if rule.status != "allowed"}
    binds = ours or not slot.rules
    found += [
        Binding(name, limit, binds, written=not slot.rules)
        for name, limit in own.items()
        if name not in named
    ]
    if not any(binding.limit.ai for binding in found):
        found.append(
            Binding("ai-marking", Limit(ai="marked" if channel.generated else "none"), True, written=False)
        )
    return found


def has_ended(rule: Rule, on: date | None) -> bool:
    """Whether the rule's last day is over; without a day, whether it has one."""
    return rule.effective_until is not None and (on is None or rule.effective_until < on)


def later_words(rule: Rule, on: date | None) -> str:
    """From when to when a rule will hold, in words; empty when it holds on that day."""
    if on is None or rule.effective_from is None or rule.effective_from <= on:
        return ""
    return f"in force from {rule.effective_from} to {rule.effective_until or 'further notice'}"


def for_a_person(slot: Slot, on: date | None) -> list[RuleVerdict]:
    """The rules that no file tells, as far as they hold on that day."""
    return [
        RuleVerdict(rule=rule.id, status="not-checked", value="only a person can see it", limit=rule.text)
        for rule in slot.rules
        if rule.checked == "person" and rule.status != "allowed"
        and not has_ended(rule, on) and not later_words(rule, on)
    ]  # fmt: skip


def age_verdict(slot: Slot, on: date, max_age_days: int = MAX_AGE_DAYS) -> RuleVerdict | None:
    """Advice to read a slot's rules again, when some were read longer ago than that; else None."""
    old = [rule for rule in slot.rules if (on - rule.read).days > max_age_days]
    if not old:
        return None
    first = min(old, key=lambda rule: rule.read)
    days = (on - first.read).days
    return RuleVerdict(
        rule="rules-age",
        status="advised",
        value=f"{len(old)} of {len(slot.rules)} rules, first {first.id}, were read up to {days} days ago",
        limit=f"at most {max_age_days} days",
        remedy=f"read {first.address} again and date the rules anew",
    )
