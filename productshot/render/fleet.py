"""The render room, its fleet: pictures of many products and scenes are painted side by side.

A painting (keep.py, draw.py, outpaint.py) is a generator: it yields a `Request` whenever it needs latents, and goes on
when it gets them. The fleet collects the requests of many paintings and has those of one kind denoised together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from typing import TypeAlias

from torch import Tensor

from productshot.errors import InputRefused
from productshot.render.base import Base
from productshot.render.plate import Plate
from productshot.render.sample import Request, sample

Painting: TypeAlias = Generator[Request, Tensor, Plate]

OPEN_BATCHES = 4
"""Paintings at work, in batches: enough that full ones are found among kinds, few enough to keep in memory."""


def paint(
    base: Base, paintings: Iterable[Painting], slots: int
) -> Iterator[tuple[int, Plate | InputRefused]]:
    """The number of each painting and its plate, or why it was refused, in the order in which they end.

    slots: places of a batch. A painting's pixels do not depend on the others (`sample`). Paintings are begun when
    there is room for them. Every error but InputRefused ends them all.
    """
    waiting: dict[tuple[object, ...], list[tuple[int, Painting, Request]]] = defaultdict(list)
    coming = enumerate(paintings)
    while True:
        for number, painting in coming:
            yield from _go_on(number, painting, None, waiting)
            if sum(map(len, waiting.values())) >= OPEN_BATCHES * slots:
                break
        if not any(waiting.values()):
            return
        kind = max(waiting, key=lambda kind: len(waiting[kind]))
        now, waiting[kind] = waiting[kind][:slots], waiting[kind][slots:]
        painted = sample(base, [request for _, _, request in now], slots)
        for (number, painting, _), latents in zip(now, painted, strict=True):
            yield from _go_on(number, painting, latents, waiting)


def paint_one(base: Base, painting: Painting, slots: int = 1) -> Plate:
    """The plate of one painting; InputRefused: why there is none."""
    ((_, told),) = paint(base, [painting], slots)
    if isinstance(told, InputRefused):
        raise told
    return told


def _go_on(
    number: int,
    painting: Painting,
    latents: Tensor | None,
    waiting: dict[tuple[object, ...], list[tuple[int, Painting, Request]]],
) -> Iterator[tuple[int, Plate | InputRefused]]:
    """Let a painting begin, or go on with its latents: it waits for others then, or it has ended."""
    try:
        request = next(painting) if latents is None else painting.send(latents)
    except StopIteration as end:
        yield number, end.value
    except InputRefused as refusal:
        yield number, refusal
    else:
        waiting[request.kind].append((number, painting, request))
