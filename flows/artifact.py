"""The night's artifact: what the Prefect UI shows of a night, as markdown.

Counts first, then what waits for somebody, what was refused and why, the worst scores, the assets as a table of SKUs by
channel slots, last what it cost.
All text from catalogs, file names and buckets is escaped; pictures and links go through the gallery.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from productshot.contact import Shown

MAX_LINES = 40
MAX_GROUPS = 8
MAX_OF_GROUP = 10
MAX_ROWS = 50
MAX_COLUMNS = 6
"""What is over these limits stands in the report: the UI loads an artifact as one piece."""

Report = dict[str, Any]


def night_markdown(report: Report, html_key: str, gallery: str | None, worst: Sequence[Shown] = ()) -> str:
    """The markdown of a night's JSON report; without a `gallery` (http address, no slash) no pictures and no links.

    `worst`: pictures that are shown for their scores.
    """
    page = f"{gallery}/{quote(html_key)}" if gallery else None
    parts = [
        _counts(report["counts"], report["seconds"], page),
        _chunks(report.get("chunks")),
        _waiting(report["skus"], page),
        _refused(report["skus"]),
        _worst(worst, gallery),
        _pictures(report["skus"], gallery) if gallery else [],
        _stages(report),
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
    """Refusals in words by their stage and remedy, the largest group first."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for sku in skus:
        for one in sku["refusals"]:
            groups[one["stage"], one["remedy"]].append(f"- {escaped(one['told'])}")
    if not groups:
        return []
    sorted_groups = sorted(groups.items(), key=lambda group: -len(group[1]))
    lines = ["## Refused, and what to do", ""]
    for (stage, remedy), told in sorted_groups[:MAX_GROUPS]:
        head = f"**{len(told)}** in {escaped(stage)}" + (f": {escaped(remedy)}" if remedy else "")
        lines += [head, "", *_first(told, MAX_OF_GROUP), ""]
    over = sum(len(told) for _, told in sorted_groups[MAX_GROUPS:])
    return [*lines, f"and {over} of other kinds in the report", ""] if over else lines


def _first(lines: list[str], most: int = MAX_LINES) -> list[str]:
    over = len(lines) - most
    return [*lines[:most], f"- and {over} more in the report"] if over > 0 else lines


def _worst(worst: Sequence[Shown], gallery: str | None) -> list[str]:
    """A row per picture: its thumbnail, what it is, its worst score and what became of it."""
    if not worst:
        return []
    rows = []
    for one in worst:
        score = one.scores[0]
        told = f"{escaped(score.measure)} {score.number:.3g}, {score.bound} {score.limit:g}"
        thumb = [f"![{escaped(one.label)}]({gallery}/{quote(one.picture)})"] if gallery else []
        rows.append([*thumb, escaped(one.label), told, escaped(one.entry["verdict"]["status"])])
    head = [*(["picture"] if gallery else []), "which", "worst score", "verdict"]
    return ["## Worst scores", "", *table(head, rows), ""]


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


def _stages(report: Report) -> list[str]:
    """Outputs and seconds of each stage, and what an accepted picture cost in all."""
    stages = report["stages"]
    rows = [
        [
            stage["stage"],
            *(f"{stage[name]:g}" for name in ("made", "adopted", "doubled", "refused", "seconds")),
        ]
        for stage in stages
    ]
    costs = table(["stage", "made", "found done", "made twice", "refused", "seconds"], rows, "---:")
    verdicts = [picture["verdict"]["status"] for sku in report["skus"] for picture in sku["pictures"]]
    accepted, seconds = verdicts.count("accepted"), sum(stage["seconds"] for stage in stages)
    each = [f"{seconds / accepted:.3g} s for each of {accepted} accepted pictures.", ""] if accepted else []
    return ["## What it cost", "", *each, *costs]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], align: str = "---") -> list[str]:
    """Markdown table lines; the first column stands left, the others as `align` says."""
    rule = ["---", *[align] * (len(head) - 1)]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *rows)]
