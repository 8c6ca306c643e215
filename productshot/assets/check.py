"""Assets, the check: a channel's rules computed on a finished file, one verdict a rule.

Which rules hold on a day is in rules.py, how each is measured in limits.py. Our own assets pass through here after
their last encode, and so does any file of a shop.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import numpy as np

from catalog_schemas import Channel, Slot
from catalog_schemas.scene import Lane
from productshot.assets.encode import WRITTEN, decoded
from productshot.assets.frame import marks_like_text
from productshot.assets.label import label_box
from productshot.assets.limits import (
    MEASURES,
    WITHOUT_PIXELS,
    Finding,
    Seen,
    Subject,
    ending_finding,
    kind_of,
)
from productshot.assets.marking import read_source_type, says_ai
from productshot.assets.rules import Binding, RuleVerdict, bindings, for_a_person
from productshot.geometry import Box
from productshot.pixels import Pixels, size_of

__all__ = ["RuleVerdict", "check", "unreadable"]


def check(
    data: bytes,
    channel: Channel,
    slot: Slot,
    matte: Pixels | None = None,
    lane: Lane | None = None,
    expected: str | None = None,
    seen: Seen | None = None,
    on: date | None = None,
) -> list[RuleVerdict]:
    """One verdict per rule of the slot for the bytes of a file.

    `matte` (h, w) uint8 is the product's alpha in the file; None or empty: what only it tells goes to a person.
    With a `lane` the picture is ours and its marking must be `expected`. `seen` is the decoded file: give it for a
    file of others (photos.Decoder); without, `data` was encoded here and is decoded here. On a day `on` a rule
    that is not in force refuses nothing; None: the rules that have no end. ValueError: matte and file differ in
    size.
    """
    binding = bindings(channel, slot, on, ours=lane is not None)
    kind = kind_of(data)
    if not kind or (seen is None and kind not in WRITTEN):
        return unreadable(data, channel, slot, on)
    shown = seen or decoded(data)
    if matte is not None and matte.shape != shown.rgb.shape[:2]:
        raise ValueError(f"the matte is {size_of(matte)}, the file {size_of(shown.rgb)}")
    alpha = matte if matte is not None and matte.any() else None
    subject = Subject(data, kind, shown, alpha, read_source_type(data))
    measured = [one for one in binding if not one.limit.ai or lane is None]
    verdicts = [verdict for one in measured if (verdict := _verdict(one, subject, slot))]
    if lane is None:
        verdicts += _beside_the_rules(subject, channel, slot)
    else:
        verdicts += [_banned(one, expected) for one in binding if one.limit.ai == "none"]
        verdicts += [_lane(channel, slot, lane), _our_marking(subject.said, expected)]
    return verdicts + for_a_person(slot, on)


def unreadable(data: bytes, channel: Channel, slot: Slot, on: date | None = None) -> list[RuleVerdict]:
    """The verdicts on bytes that nothing decodes: format and size of the file, no more."""
    return [
        _told(one, WITHOUT_PIXELS[one.limit.subject](data, one.limit))
        for one in bindings(channel, slot, on, ours=False)
        if one.limit.subject in WITHOUT_PIXELS and not one.later
    ] + for_a_person(slot, on)


def _verdict(binding: Binding, subject: Subject, slot: Slot) -> RuleVerdict | None:
    """What one rule says; None for a rule that comes later and is kept already."""
    finding = MEASURES[binding.limit.subject](subject, binding.limit)
    if binding.limit.ai and finding.status == "holds" and not set(slot.lanes) - {"packshot"}:
        finding = Finding("person", finding.value, "a photographed product")
    return None if binding.later and finding.status != "broken" else _told(binding, finding)


def _told(binding: Binding, finding: Finding) -> RuleVerdict:
    """The finding as a verdict: what breaks a required rule is refused, what breaks another is advised."""
    if finding.status == "broken":
        refused = binding.required and not binding.later
        whose = "" if binding.written or binding.required else "as productshot makes it"
        limit = ", ".join(part for part in (finding.limit, binding.later, whose) if part)
        return RuleVerdict(
            rule=binding.rule,
            status="refused" if refused else "advised",
            value=finding.value,
            limit=limit,
            remedy=finding.remedy,
        )
    status = "accepted" if finding.status == "holds" else finding.status
    return RuleVerdict(rule=binding.rule, status=status, value=finding.value, limit=finding.limit)


def _banned(binding: Binding, expected: str | None) -> RuleVerdict:
    """Of our own picture we know whether AI took part, whatever its marking says."""
    finding = Finding("holds", "no AI took part", "no picture made by AI")
    if expected is not None:
        finding = Finding("broken", expected, finding.limit, "use a photographed packshot")
    return _told(binding, finding)


def _our_marking(said: str | None, expected: str | None) -> RuleVerdict:
    """Of our own picture we know how it was made: its marking must say exactly that."""
    shown, wanted = said or "no DigitalSourceType", expected or "no DigitalSourceType"
    if said == expected:
        return RuleVerdict(rule="ai-marking", status="accepted", value=shown, limit=wanted)
    remedy = "write the XMP again, after the last encode"
    return RuleVerdict(rule="ai-marking", status="refused", value=shown, limit=wanted, remedy=remedy)


def _lane(channel: Channel, slot: Slot, lane: Lane) -> RuleVerdict:
    """Whether the picture was made in a way that the slot takes."""
    lanes = [name for name in slot.lanes if channel.generated or name == "packshot"]
    limit = f"one of {', '.join(lanes)}"
    if lane in lanes:
        return RuleVerdict(rule="lane", status="accepted", value=lane, limit=limit)
    remedy = "fill the slot from an allowed lane"
    return RuleVerdict(rule="lane", status="refused", value=lane, limit=limit, remedy=remedy)


def _beside_the_rules(subject: Subject, channel: Channel, slot: Slot) -> Iterator[RuleVerdict]:
    """What no rule of the slot names and a file of others may have: an ending that lies, marks like text.

    The channel's own label, in its place on a picture that says AI made it, is no text that anybody has to look at.
    """
    ending = ending_finding(subject)
    if ending is not None:
        status = "accepted" if ending.status == "holds" else "refused"
        yield RuleVerdict(
            rule="extension", status=status, value=ending.value, limit=ending.limit, remedy=ending.remedy
        )
    known = subject.matte
    if channel.label and says_ai(subject.said):
        known = _with_box(subject, label_box(channel.label, size_of(subject.seen.rgb)))
    if slot.rules and (marks := marks_like_text(subject.seen.rgb, known)):
        yield RuleVerdict(
            rule="text", status="person", value=marks, limit="a person looks at text and watermarks"
        )


def _with_box(subject: Subject, box: Box) -> Pixels:
    """The matte (h, w), empty where none is known, with a box of the picture added."""
    height, width = subject.seen.rgb.shape[:2]
    matte = np.zeros((height, width), np.uint8) if subject.matte is None else subject.matte.copy()
    matte[max(box.top, 0) : max(box.bottom, 0), max(box.left, 0) : max(box.right, 0)] = 255
    return matte
