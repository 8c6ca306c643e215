"""The pixels that stages share."""

from __future__ import annotations

import numpy as np

from productshot.pixels import from_png, png_bytes


def test_a_png_is_one_piece_whatever_its_size() -> None:
    """600 kB come back in a single IDAT chunk: where Pillow cuts must not depend on what it encoded before."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
    data = png_bytes(noise)
    assert len(data) > 500_000 and data.count(b"IDAT") == 1
    assert (from_png(data) == noise).all()
