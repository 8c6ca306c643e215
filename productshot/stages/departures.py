"""SKUs that left the catalog: what their slots.json still shows is taken down, and the file remembers what it was."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from productshot.ledger import Ledger
from productshot.stages.assets import published, swap


def departed(
    catalog: str, channels: Iterable[str], known: Iterable[str], ledger: Ledger
) -> tuple[list[tuple[str, str]], int]:
    """(channel, SKU) of all that this catalog published and no longer lists, and how many are published in all.

    One listing of the folders of each channel; what was taken down before, or published by another catalog, is none.
    """
    here, gone, count = set(known), [], 0
    for channel in channels:
        folder = f"catalog/{channel}/"
        for prefix in ledger.store.list_prefixes(folder):
            sku = prefix.removeprefix(folder).rstrip("/")
            if sku in here:
                count += 1
            elif _is_shown(sku, channel, catalog, ledger):
                count += 1
                gone.append((channel, sku))
    return gone, count


def unpublish(gone: Sequence[tuple[str, str]], ledger: Ledger) -> None:
    """Empty the slots of each (channel, SKU) with one put; files and `previous` stay, so a rollback is one put too."""
    for channel, sku in gone:
        before = published(sku, channel, ledger)
        if before is not None and any(before["slots"].values()):
            empty: dict[str, list[str]] = {name: [] for name in before["slots"]}
            swap(sku, channel, {**before, "slots": empty, "previous": before["slots"]}, ledger)


def _is_shown(sku: str, channel: str, catalog: str, ledger: Ledger) -> bool:
    """Whether this catalog published the SKU and any of its slots has a file."""
    said = published(sku, channel, ledger)
    return said is not None and said.get("catalog") == catalog and any(said["slots"].values())
