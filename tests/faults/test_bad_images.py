"""Hostile and odd files from the test suites of image libraries: every one ends in a typed verdict.

The files are not part of the project: $PRODUCTSHOT_BAD_IMAGES names their folder, else ../shared/bad-images
beside the repository is looked at, else the test is skipped.
"""

from __future__ import annotations

import io
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from catalog_schemas import PhotoRecipe
from productshot.errors import InputRefused
from productshot.photos import Decoder, PhotoMeasures

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(os.environ.get("PRODUCTSHOT_BAD_IMAGES", ROOT.parent / "shared" / "bad-images"))
MAX_SECONDS = 5.0


def verdict(decoder: Decoder, path: Path) -> str:
    """What the decoder says of the file: accepted, or the value it was refused for; any other error fails."""
    try:
        decoder.pixels(path.read_bytes(), f"photo {path.name}", PhotoRecipe(min_side_px=16))
    except InputRefused as refusal:
        assert str(refusal).startswith(f"photo {path.name} ") and refusal.limit and refusal.remedy
        return refusal.value
    return "accepted"


def a_good_photo() -> bytes:
    """A plain 300x300 PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (300, 300), (200, 40, 40)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no folder of hostile images at {FOLDER}")
def test_every_hostile_file_ends_in_a_typed_verdict_within_five_seconds() -> None:
    """Each file is accepted or refused with a readable line, in time, and the decoder works at the end."""
    verdicts: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    with Decoder(seconds=MAX_SECONDS) as decoder:
        decoder.start()
        for path in sorted(path for path in FOLDER.rglob("*") if path.is_file()):
            start = time.monotonic()
            verdicts[verdict(decoder, path)] += 1
            seconds[path.name] = time.monotonic() - start
        neighbour = decoder.measure(a_good_photo(), "photo good.png", PhotoRecipe())
    slowest = max(seconds, key=lambda name: seconds[name])
    print(f"\n{sum(verdicts.values())} files; slowest {slowest} {seconds[slowest]:.2f} s")
    print("\n".join(f"{count:5d} {value}" for value, count in verdicts.most_common()))
    assert sum(verdicts.values()) > 0
    assert seconds[slowest] <= MAX_SECONDS + 1  # a stopped file costs its limit and the child's next start
    assert isinstance(neighbour, PhotoMeasures)
