"""What benchmarks of several parts share: choosing parts, keeping their figures, timing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Part = Callable[[], dict[str, object]]


def run_parts(parts: Mapping[str, Part], only: Sequence[str], out: Path) -> None:
    """Measure the parts that are asked for; print each one's JSON, and keep it beside the others' in figures.json."""
    out.mkdir(parents=True, exist_ok=True)
    kept = out / "figures.json"
    figures = json.loads(kept.read_text()) if kept.is_file() else {}
    for name in only:
        began = time.monotonic()
        figures[name] = parts[name]() | {"measured_in_s": round(time.monotonic() - began)}
        kept.write_text(json.dumps(figures, indent=2) + "\n")
        print(json.dumps({name: figures[name]}), flush=True)


def timed(work: Callable[[], object]) -> float:
    """Seconds that the work takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
