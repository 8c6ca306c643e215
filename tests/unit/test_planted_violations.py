"""One planted violation of every rule that is checked by file or matte: found, named, mended; clean pictures pass.

The channels are the shipped ones with every length divided by four, so that a picture is drawn in milliseconds;
benchmarks/violations.py does the same at full size, 400 times.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from benchmarks.violations import (
    TODAY,
    Kind,
    broken,
    clean,
    every_slot,
    judge,
    kinds,
    shrunk,
    verdicts_of,
)
from catalog_schemas import Channel, Slot
from productshot.photos import Decoder

SMALL = [
    kind for kind in kinds(shrink=4) if kind.name != "min bytes"
]  # a JPEG's header alone is larger than a 16th
LARGE = [kind for kind in kinds() if kind.name == "min bytes"]
PLANTED = SMALL + LARGE


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(seconds=30) as opened:
        yield opened


@pytest.mark.parametrize("kind", PLANTED, ids=[f"{k.channel.name}-{k.slot.name}-{k.name}" for k in PLANTED])
def test_a_planted_violation_is_found_named_and_mended(kind: Kind, decoder: Decoder) -> None:
    """Its rule speaks and no other refuses; `fix` mends what can be mended and claims nothing else."""
    judged = judge(kind, kind.draw(np.random.default_rng(5), kind.slot), decoder)

    assert judged.found, kind.rule
    assert judged.others == []
    assert judged.mended is (True if kind.fixable else None), judged.told


SLOTS = list(every_slot())


@pytest.mark.parametrize(("channel", "slot"), SLOTS, ids=[f"{c.name}-{s.name}" for c, s in SLOTS])
def test_a_clean_picture_is_not_refused(channel: Channel, slot: Slot, decoder: Decoder) -> None:
    """What keeps every rule of a slot passes it."""
    small = next(one for one in shrunk(channel, 4).slots if one.name == slot.name)
    drawn = clean(np.random.default_rng(6), small)

    assert broken(verdicts_of(drawn, channel, small, decoder, TODAY)) == []
