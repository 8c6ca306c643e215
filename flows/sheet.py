"""The contact sheet as markdown and the form under it: what a reviewer sees in the Prefect UI."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from prefect.input import RunInput
from pydantic import Field, create_model

from flows.artifact import escaped, table

if TYPE_CHECKING:
    from productshot.contact import Sheet, Shown
    from productshot.review import Recorded

SCORES = 4
"""Measures shown of a picture, those that nearly or really broke their limit; the report has all."""


def sheet_markdown(sheet: Sheet, night: str, gallery: str | None) -> str:
    """Each picture under its name beside its photo and its cutout, as thumbnails by address, then why it waits.

    Names stand above the thumbnails and reasons below them: the form's narrow dialog leaves the pictures its whole
    width. Without a `gallery` (http address, no slash) there are words only, and the way to the pictures.
    """
    page = f"{gallery}/nights/{quote(night)}/report.html" if gallery else None
    head = f"**{len(sheet.shown)}** pictures of night {escaped(night)} wait for you."
    link = (
        f"[Open the whole report]({page})" if page else "No gallery is set, so see report.html of the night."
    )
    shown = [line for one in sheet.shown for line in _block(one, gallery)]
    gone = [f"- {escaped(line)}" for line in sheet.refused]
    lost = ["", "Cannot be decided any more:", "", *gone] if gone else []
    return "\n".join([head, "", link, *shown, *lost])


def _block(one: Shown, gallery: str | None) -> list[str]:
    """Lines about one picture."""
    verdict = one.entry["verdict"]
    why = "; ".join(escaped(verdict[name]) for name in ("value", "limit") if verdict.get(name))
    told = [f"{one.measure} {one.number:.3g}, {one.bound} {one.limit:g}" for one in one.scores[:SCORES]]
    scores = "; ".join(escaped(words) for words in told) or "–"
    thumbs = [_thumb(key, gallery) for key in (one.photo, one.cutout, one.picture)] if gallery else []
    pictures = ["", *table(["photo", "cutout", "picture"], [thumbs])] if thumbs else []
    return ["", f"**{escaped(one.label)}**", *pictures, "", f"{why} ({scores})"]


def _thumb(key: str | None, gallery: str) -> str:
    address = f"{gallery}/{quote(key)}" if key else None
    return f"[![thumbnail]({address})]({address})" if address else "gone"


def form_of(sheet: Sheet) -> type[RunInput]:
    """The form: which pictures to reject, to paint again, to vary; what becomes of the rest; who says so."""
    picture: Any = Literal[tuple(one.label for one in sheet.shown)]
    some = list[picture]
    fields: dict[str, Any] = {
        "reviewer": (
            str,
            Field(title="Your name", description="kept with each decision", min_length=1, max_length=100),
        ),
        "reject": (some, Field([], title="Reject", description="never published")),
        "redo": (some, Field([], title="Redo", description="rejected, and painted again with another seed")),
        "vary": (some, Field([], title="Vary", description="more pictures like these, beside them")),
        "more": (int, Field(4, title="How many more for Vary", ge=1, le=8)),
        "rest": (
            Literal["approve", "hold"],
            Field("hold", title="All others", description="approve publishes them; hold leaves them waiting"),
        ),
        "reason": (str, Field("", title="Reason", max_length=500)),
    }
    form: type[RunInput] = create_model("Review", __base__=RunInput, **fields)
    return form


def outcome_markdown(done: Recorded) -> str:
    """What became of the answer: counts, then what was refused and what is odd."""
    counts = ", ".join(f"**{count}** {word}" for word, count in done.counts.items()) or "nothing decided"
    skus = ", ".join(escaped(sku) for sku in done.skus) or "none"
    lines = [f"# {counts}", "", f"Started again: {skus}"]
    for title, told in (("Refused", done.refused), ("Worth knowing", done.noted)):
        if told:
            lines += ["", f"## {title}", "", *(f"- {escaped(line)}" for line in told)]
    return "\n".join(lines)
