"""The night's artifact: what the Prefect UI shows of a night, as markdown. Counts first; text from files is escaped."""

from __future__ import annotations

import re
from typing import Any

MAX_THUMBS = 48
MAX_REFUSALS = 40
COLUMNS = 4


def night_markdown(report: dict[str, Any], html_key: str, gallery: str | None) -> str:
    """Counts, stages, thumbnails (as links through the gallery; none without one) and refusals of a report."""
    counts = report["counts"]
    lines = [
        f"# {counts['done']} of {counts['skus']} SKUs have assets",
        "",
        f"**{counts['assets']}** assets, **{counts['pictures']}** pictures, **{counts['person']}** need a person, "
        f"**{counts['refusals']}** refusals, {report['seconds']} s",
        "",
        *([f"[The whole report]({gallery}/{html_key})", ""] if gallery else []),
        "| stage | made | found done | refused | seconds |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {stage['stage']} | {stage['made']} | {stage['adopted']} | {stage['refused']} | {stage['seconds']} |"
            for stage in report["stages"]
        ),
        "",
        *(_thumbnails(report, gallery) if gallery else []),
        *_refusals(report),
    ]
    return "\n".join(lines)


def _thumbnails(report: dict[str, Any], gallery: str) -> list[str]:
    """A table of linked thumbnails, SKU by SKU; the link opens the asset itself."""
    shown = [(sku["sku"], asset) for sku in report["skus"] for asset in sku["assets"] if asset.get("thumb")]
    cells = [
        f"[![{escaped(sku)}]({gallery}/{asset['thumb']})]({gallery}/{asset['key']})<br>{escaped(sku)}, "
        f"{asset['channel']}/{asset['slot']}"
        for sku, asset in shown[:MAX_THUMBS]
    ]
    rows = [cells[start : start + COLUMNS] for start in range(0, len(cells), COLUMNS)]
    table = ["| " + " | ".join(row + [""] * (COLUMNS - len(row))) + " |" for row in rows]
    head = ["|" + "  |" * COLUMNS, "|" + " --- |" * COLUMNS]
    more = [f"and {len(shown) - MAX_THUMBS} more in the report", ""] if len(shown) > MAX_THUMBS else []
    return ["## Assets", "", *head, *table, "", *more] if rows else []


def _refusals(report: dict[str, Any]) -> list[str]:
    told = [refusal["told"] for sku in report["skus"] for refusal in sku["refusals"]]
    if not told:
        return []
    more = [f"- and {len(told) - MAX_REFUSALS} more in the report"] if len(told) > MAX_REFUSALS else []
    return ["## Refused, and what to do", "", *(f"- {escaped(line)}" for line in told[:MAX_REFUSALS]), *more]


def escaped(text: str) -> str:
    """Text as markdown shows it literally: names come from buckets and are data."""
    return re.sub(r"([\\`*_{}\[\]()<>#!|~&])", r"\\\1", " ".join(text.split()))
