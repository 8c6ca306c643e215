"""How long work says where it is: a function that takes a Progress, passed in by whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple


class Progress(NamedTuple):
    """`done` of `total` items of a stage are through; `item` is the one just finished."""

    stage: str
    done: int
    total: int
    item: str = ""


ReportProgress = Callable[[Progress], None]


def silent(progress: Progress) -> None:
    """Tells nobody."""
