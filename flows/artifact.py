"""The night's artifact: what the Prefect UI shows of a night, as markdown.

Counts first, then what waits for somebody, then the pictures as a table of SKUs by channel slots, last what it cost.
All text from catalogs, file names and buckets is escaped; pictures and links go through the gallery.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

MAX_LINES = 40
MAX_ROWS = 50
MAX_COLUMNS = 6
"""What is over these limits stands in the report: the UI loads an artifact as one piece."""

Report = dict[str, Any]


def night_markdown(report: Report, html_key: str, gallery: str | None) -> str:
    """The markdown of a night's JSON report; without a `gallery` (http address, no slash) no pictures and no links."""
    page = f"{gallery}/{quote(html_key)}" if gallery else None
    parts = [
        _counts(report["counts"], report["seconds"], page),
        _chunks(report.get("chunks")),
        _waiting(report["skus"], page),
        _refused(report["skus"]),
        _pictures(report["skus"], gallery) if gallery else [],
        _stages(report["stages"]),
    ]
    return "\n".join(line for part in parts for line in part)


def escaped(text: str) -> str:
    """Text as markdown shows it literally: one line, no mark-up, nothing unprintable; names are data."""
    printable = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split()))
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", printable)


def _counts(counts: dict[str, int], seconds: float, page: str | None) -> list[str]:
    """The one line that is read every morning, and the way to the rest."""
    told = [
        f"**{counts['assets']}** assets",
        f"**{counts['pictures']}** pictures",
        f"**{counts['person']}** need a person",
        f"**{counts['refusals']}** refusals",
        f"{seconds:g} s",
    ]
    link = ["", f"[Open the whole report]({page})"] if page else []
    return [f"# {counts['done']} of {counts['skus']} SKUs have assets", "", ", ".join(told), *link, ""]


def _chunks(chunks: dict[str, int] | None) -> list[str]:
    """How a night in chunks ended, where not all of them did."""
    if chunks is None or not chunks["given_up"] + chunks["late"]:
        return []
    told = f"Of **{chunks['total']}** chunks **{chunks['given_up']}** were given up and **{chunks['late']}** are late."
    return [f"{told} The next night goes on with them.", ""]


def _waiting(skus: Sequence[Report], page: str | None) -> list[str]:
    """Pictures that nobody has decided about yet, and how to decide."""
    lines = []
    for sku in skus:
        name = f"**{escaped(sku['sku'])}**"
        linked = f"[{name}]({page}#{quote(sku['sku'])})" if page else name
        for picture in sku["pictures"]:
            verdict = picture["verdict"]
            if verdict["status"] == "person":
                why = "; ".join(escaped(verdict[name]) for name in ("value", "limit") if verdict.get(name))
                lines.append(f"- {linked} {escaped(picture['scene'])}, {picture['lane']}: {why}")
    remedy = (
        "Decide in the waiting run of flow review-batch (three dots, Resume), or with `productshot review list`, then "
        "`approve` or `reject`; the next night acts on it."
    )
    return ["## Needs a person", "", *_first(lines), "", remedy, ""] if lines else []


def _refused(skus: Sequence[Report]) -> list[str]:
    """Every refusal in words; the words say the remedy."""
    lines = [f"- {escaped(one['told'])}" for sku in skus for one in sku["refusals"]]
    return ["## Refused, and what to do", "", *_first(lines), ""] if lines else []


def _first(lines: list[str]) -> list[str]:
    over = len(lines) - MAX_LINES
    return [*lines[:MAX_LINES], f"- and {over} more in the report"] if over > 0 else lines


def _pictures(skus: Sequence[Report], gallery: str) -> list[str]:
    """A row per SKU, a column per channel slot; each thumbnail opens the asset itself."""
    shown = [sku for sku in skus if any(asset.get("thumb") for asset in sku["assets"])]
    slots = list(dict.fromkeys(_slot(asset) for sku in shown for asset in sku["assets"]))
    if not shown:
        return []
    columns = slots[:MAX_COLUMNS]
    rows = [
        [f"**{escaped(sku['sku'])}**", *(_cell(sku["assets"], slot, gallery) for slot in columns)]
        for sku in shown[:MAX_ROWS]
    ]
    over = (len(shown) - MAX_ROWS, "SKUs"), (len(slots) - MAX_COLUMNS, "slots")
    more = [f"and {count} more {what} in the report" for count, what in over if count > 0]
    return ["## Assets", "", *table(["SKU", *columns], rows), "", *([", ".join(more), ""] if more else [])]


def _slot(asset: Report) -> str:
    return f"{escaped(asset['channel'])}/{escaped(asset['slot'])}"


def _cell(assets: Sequence[Report], slot: str, gallery: str) -> str:
    """The slot's first picture, and how many more there are."""
    mine = [asset for asset in assets if _slot(asset) == slot and asset.get("thumb")]
    if not mine:
        return "–"
    picture = f"![{slot}]({gallery}/{quote(mine[0]['thumb'])})"
    more = f" and {len(mine) - 1} more" if len(mine) > 1 else ""
    return f"[{picture}]({gallery}/{quote(mine[0]['key'])}){more}"


def _stages(stages: Sequence[Report]) -> list[str]:
    rows = [
        [
            stage["stage"],
            *(f"{stage[name]:g}" for name in ("made", "adopted", "doubled", "refused", "seconds")),
        ]
        for stage in stages
    ]
    costs = table(["stage", "made", "found done", "made twice", "refused", "seconds"], rows, "---:")
    return ["## What it cost", "", *costs]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str = "---") -> list[str]:
    """Markdown table lines; the first column stands left, the others as `align` says."""
    rule = ["---", *[align] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
