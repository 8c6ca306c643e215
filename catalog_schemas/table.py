"""The page docs/channels.md, made from the channels' own data: python -m catalog_schemas.table > docs/channels.md"""

from __future__ import annotations

from collections.abc import Iterator

from catalog_schemas.channel import Channel, Rule, Slot
from catalog_schemas.library import channel_names, load_channel

HEAD = """# Channels and their rules

Made from `catalog_schemas/channels/*.yaml` by `python -m catalog_schemas.table > docs/channels.md`; a test compares.
A rule binds (required) only where the authority's own page, or a copy of it, was read; what was found second-hand is
advice. "From" and "until" are the days on which a rule holds. file, matte: measured by `productshot check`; person: no
file tells. A slot without lanes is checked and fixed, never filled by a night.

An additional or lifestyle slot shows nothing that its page shows already: a lifestyle slot takes a scene of its own,
and stays empty when there is one scene alone. An additional slot of packshots (Etsy) takes the other views that the
photos' file names tell.

A channel of your own is a file of the same form: `productshot check FILE --channel mine.yaml --slot main`.
"""


def page() -> str:
    """The whole page as Markdown."""
    channels = [load_channel(name) for name in channel_names()]
    slots = sum(len(channel.slots) for channel in channels)
    rules = {(channel.name, rule) for channel in channels for slot in channel.slots for rule in slot.rules}
    count = f"\n{len(channels)} channels, {slots} slots, {len(rules)} rules.\n"
    return HEAD + count + "".join(f"\n{_section(channel)}" for channel in channels)


def _section(channel: Channel) -> str:
    lines = [f"## {channel.title} (`{channel.name}`)", ""]
    if not channel.generated:
        lines += ["Takes no generated pictures: packshots only.", ""]
    lines += ["| slot | role | lanes | made as | at most |", "| --- | --- | --- | --- | --- |"]
    lines += [_slot_row(slot) for slot in channel.slots]
    lines += [
        "",
        "| rule | slots | status | checked | from, until | authority, read on |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    return "\n".join([*lines, *_rule_rows(channel)]) + "\n"


def _slot_row(slot: Slot) -> str:
    size = f"{slot.preferred_width}x{slot.height(slot.preferred_width)} px, from {slot.min_width} px of width"
    ground = "on white" if slot.background == "white" else "any ground"
    least = f"{slot.min_bytes:,} to " if slot.min_bytes else ""
    lanes = ", ".join(slot.lanes) or "none"
    most = f"{least}{slot.max_bytes:,} bytes, {slot.count} a SKU"
    return f"| {slot.name} | {slot.role} | {lanes} | {size}, {ground} | {most} |"


def _rule_rows(channel: Channel) -> Iterator[str]:
    """One row a rule, however many slots it stands in, in the order of the file."""
    slots: dict[Rule, list[str]] = {}
    for slot in channel.slots:
        for rule in slot.rules:
            slots.setdefault(rule, []).append(slot.name)
    for rule, names in slots.items():
        days = ", ".join(
            [f"from {rule.effective_from}"] * bool(rule.effective_from)
            + [f"until {rule.effective_until}"] * bool(rule.effective_until)
        )
        where = "all" if len(names) == len(channel.slots) else ", ".join(names)
        source = f"[{rule.authority}]({rule.address}), {rule.read}"
        yield f"| {rule.text} | {where} | {rule.status} | {rule.checked} | {days} | {source} |"


if __name__ == "__main__":
    print(page(), end="")
