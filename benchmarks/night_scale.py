"""What planning an unchanged catalog costs: `python -m benchmarks.night_scale [--skus 1000 5000 20000]`.

The store is a recording in memory: the listing of photos/ (two per SKU) and the state shards, as a night of packshots
leaves them. Nothing is decoded and no network is used, so the figures are those of this program alone; on S3 a
plan adds a request per 1,000 photos and 64 shards. CPU seconds, because machines are shared.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from catalog_schemas import Catalog
from productshot.errors import StorageMissing
from productshot.geometry import Box, Size
from productshot.keys import digest_bytes
from productshot.ledger import Ledger, Task
from productshot.night import Night, SkuNight
from productshot.plan import by_shard, plan_night
from productshot.progress import silent
from productshot.records import Cutout, Photo, Record, Refusal, Render
from productshot.stages.cutouts import cutout_task
from productshot.stages.photos import find_photos, photo_task
from productshot.stages.renders import render_task
from productshot.store import Listed

SIDE = Size(1200, 1200)
PHOTOS = 2


class Recording:
    """A store in memory that tells a recorded listing and keeps what is put; counts its calls."""

    location = "recording"

    def __init__(self, skus: Sequence[str], objects: dict[str, bytes]) -> None:
        self.skus, self.objects, self.calls = skus, objects, 0

    def list(self, prefix: str) -> Iterator[Listed]:
        self.calls += 1
        sku = prefix.removeprefix("photos/").rstrip("/")
        skus = self.skus if prefix == "photos/" else [sku] if prefix.startswith("photos/") else []
        return (
            Listed(f"photos/{sku}/{number}.jpg", f"etag-{sku}-{number}", 300_000)
            for sku in skus
            for number in range(PHOTOS)
        )

    def list_prefixes(self, prefix: str) -> Iterator[str]:
        self.calls += 1
        return iter(())

    def get(self, key: str) -> bytes:
        self.calls += 1
        if key.startswith("photos/"):
            return key.encode()
        if key not in self.objects:
            raise StorageMissing(f"object {key}", "is not in the recording")
        return self.objects[key]

    def put(self, key: str, data: bytes, content_type: str) -> None:
        self.objects[key] = data

    def create(self, key: str, data: bytes, content_type: str) -> bool:
        return self.objects.setdefault(key, data) is data


def catalog_of(count: int) -> Catalog:
    """Packshots of so many SKUs for one channel."""
    skus = [{"sku": f"sku-{number:07d}", "noun": "mug"} for number in range(count)]
    return Catalog.model_validate({"skus": skus, "scenes": ["white-packshot"], "channels": ["google"]})


def record_night(count: int, folder: Path) -> None:
    """Write the state shards that a night over the catalog leaves, without a picture; one shard at a time."""
    catalog = catalog_of(count)
    skus = {sku.sku: sku for sku in catalog.skus}
    for names in by_shard(skus).values():
        store: Any = Recording(names, {})
        piece = catalog.model_copy(update={"skus": tuple(skus[name] for name in names)})
        with Night(piece, store, silent) as night:
            for one in night.skus.values():
                _record_sku(night, one)
            night.ledger.save_state()
        for key, data in store.objects.items():
            if key.startswith("state/"):
                (folder / key.rpartition("/")[2]).write_bytes(data)


def _record_sku(night: Night, one: SkuNight) -> None:
    ledger, recipes = night.ledger, night.catalog.recipes
    for source in find_photos(night.catalog, [one.sku], ledger.store)[one.sku.sku]:
        task = photo_task(source, recipes.photos, ledger)
        photo = _committed(ledger, task, _photo(one.sku.sku, source.listed.key, task))
        task = cutout_task(photo, recipes.cutouts, night.models)
        one.cutouts.append(_committed(ledger, task, _cutout(photo, task)))
    for job in night.render_jobs(one):
        task = render_task(job, recipes.renders, night.models)
        _committed(ledger, task, _render(job.cutout, task, job.seed))


def _committed(ledger: Ledger, task: Task, record: Record) -> Any:
    outcome = ledger.commit(task, record)
    assert not isinstance(outcome, Refusal)
    return outcome


def _photo(sku: str, key: str, task: Task) -> Photo:
    return Photo(
        sku=sku, key=key, digest=task.parents[0], size=SIDE, role="product", sharpness=300, exposure=0.5
    )


def _cutout(photo: Photo, task: Task) -> Cutout:
    box = Box(100, 100, 1100, 1100)
    return Cutout(
        sku=photo.sku,
        key=task.key,
        digest=digest_bytes(task.key.encode()),
        size=box.size,
        box=box,
        confidence=0.9,
        photo=photo,
    )


def _render(cutout: Cutout, task: Task, seed: int) -> Render:
    return Render(
        sku=cutout.sku,
        key=task.key,
        digest="",
        size=cutout.size,
        scene="white-packshot",
        lane="packshot",
        variant=0,
        seed=seed,
        product=None,
        cutout=cutout,
        adapter=None,
    )


def measured(action: Callable[[], Any]) -> tuple[Any, float, float]:
    """What an action returns, its CPU seconds and its seconds on the wall."""
    wall, began = time.monotonic(), time.process_time()
    return action(), time.process_time() - began, time.monotonic() - wall


def measure(count: int, folder: Path) -> dict[str, float]:
    """One row of the table: the plan of so many SKUs of which nothing changed."""
    catalog = catalog_of(count)
    objects = {f"state/{path.name}": path.read_bytes() for path in folder.iterdir()}
    store: Any = Recording([sku.sku for sku in catalog.skus], objects)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Night(catalog, store, silent) as night:
        plan, cpu_s, wall_s = measured(lambda: plan_night(night, None))
    assert plan.work == (), "an unchanged catalog has no work"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "skus": count,
        "cpu_s": round(cpu_s, 2),
        "wall_s": round(wall_s, 2),
        "state_mb": round(sum(map(len, objects.values())) / 1e6, 2),
        "calls": store.calls,
        "peak_mb": round(peak / 1024),
        "peak_mb_before": round(before / 1024),
    }


def exponent(rows: Sequence[dict[str, float]]) -> float:
    """b of cpu = a n^b, by least squares of the logarithms: 1 is linear."""
    points = [(math.log(row["skus"]), math.log(row["cpu_s"])) for row in rows]
    mean_x, mean_y = (sum(values) / len(points) for values in zip(*points, strict=True))
    top = sum((x - mean_x) * (y - mean_y) for x, y in points)
    return top / sum((x - mean_x) ** 2 for x, _ in points)


def main() -> None:
    """Each size is recorded and planned in processes of their own, so that memory is the plan's; then the growth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--skus", type=int, nargs="+", default=[100, 1_000, 5_000, 20_000, 100_000])
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.record:
        record_night(chosen.skus[0], chosen.record)
    elif chosen.plan:
        print(json.dumps(measure(chosen.skus[0], chosen.plan)))
    else:
        rows = []
        for count in chosen.skus:
            rows.append(_row(count))
            print(json.dumps(rows[-1]), flush=True)
        if len(rows) > 1:
            print(f"cpu seconds grow as skus^{exponent(rows):.2f}")


def _row(count: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.night_scale", "--skus", str(count)]
    with TemporaryDirectory() as folder:
        subprocess.run([*command, "--record", folder], check=True)
        told = subprocess.run([*command, "--plan", folder], check=True, capture_output=True, text=True)
    row: dict[str, float] = json.loads(told.stdout)
    return row


if __name__ == "__main__":
    main()
