"""Flows chunk-cutouts, chunk-adapters, chunk-renders, chunk-assets: a stage for some SKUs of a night.

Each starts the next one, and the last chunk of a night its report. The bucket tells what is done: a run that is
started twice finds the stage done, and what a killed run has finished is not done again.
"""

from __future__ import annotations

from contextlib import nullcontext

from prefect import flow, get_run_logger, task
from pydantic import BaseModel, Field

from flows._runtime import RETRYING, open_store_of, report_run, runs_due
from flows._server import gpu_slot, start_runs
from flows.progress import Shown
from productshot.errors import ProductshotError


class ChunkRun(BaseModel):
    """A stage for one chunk of a night. The nightly flow and the sweeper start these."""

    store: str = Field(description="a folder or s3://bucket/prefix")
    night: str = Field(description="the night's id, as in nights/<id>/", min_length=1)
    chunk: int = Field(description="which chunk of the night", ge=0)


@flow(name="chunk-cutouts", flow_run_name="{asked.night} cutouts {asked.chunk}", persist_result=False)
def chunk_cutouts(asked: ChunkRun) -> None:
    """Find and measure the photos, and cut the product out of them."""
    run_chunk(asked, "cutouts")


@flow(name="chunk-adapters", flow_run_name="{asked.night} adapters {asked.chunk}", persist_result=False)
def chunk_adapters(asked: ChunkRun) -> None:
    """Train the adapters, as many SKUs side by side as the GPU holds."""
    run_chunk(asked, "adapters")


@flow(name="chunk-renders", flow_run_name="{asked.night} renders {asked.chunk}", persist_result=False)
def chunk_renders(asked: ChunkRun) -> None:
    """Paint the scenes and judge every picture."""
    run_chunk(asked, "renders")


@flow(name="chunk-assets", flow_run_name="{asked.night} assets {asked.chunk}", persist_result=False)
def chunk_assets(asked: ChunkRun) -> None:
    """Make the files of the channels' slots and publish them."""
    run_chunk(asked, "assets")


def run_chunk(asked: ChunkRun, stage: str) -> None:
    """Do the stage, then start what follows; a chunk that cannot be done says so in the store and ends there."""
    try:
        if not do_stage(asked, stage):
            return
    except ProductshotError as error:
        if not error.retryable:
            end_chunk(asked, stage, str(error))
        raise
    dispatch_next(asked, stage)


@task(name="stage", task_run_name="{stage}", **RETRYING)
def do_stage(asked: ChunkRun, stage: str) -> bool:
    """The library's own stage; False when the night has its report already."""
    from productshot.chunks import ON_GPU, Due, is_closed, read_night, run_stage

    store = open_store_of(asked.store)
    told = read_night(store, asked.night)
    if is_closed(store, asked.night):
        get_run_logger().info("night %s has its report; the next one goes on", asked.night)
        return False
    slot = gpu_slot if stage in ON_GPU else nullcontext
    shown = Shown(f"chunk-{stage}", f"night {asked.night}, chunk {asked.chunk}")
    done = run_stage(store, told, Due(asked.chunk, stage), slot, shown)
    made, adopted = sum(done.made.values()), sum(done.adopted.values())
    get_run_logger().info("%s: %d made, %d found done, %d SKUs", stage, made, adopted, len(done.skus))
    return True


@task(name="dispatch", **RETRYING)
def dispatch_next(asked: ChunkRun, stage: str) -> None:
    """Start the chunk's next stage; after its last, the report if no chunk of the night is open."""
    from productshot.chunks import Due, following, read_night, was_last

    store = open_store_of(asked.store)
    told = read_night(store, asked.night)
    later = following(told, stage)
    if later is not None:
        start_runs(runs_due(asked.store, told, [Due(asked.chunk, later)]))
    elif was_last(store, told, asked.chunk):
        start_runs([report_run(asked.store, asked.night)])


@task(name="give up", **RETRYING)
def end_chunk(asked: ChunkRun, stage: str, told: str) -> None:
    """Write why the chunk ends here; the night's report tells it of each SKU."""
    from productshot.chunks import Due, give_up, read_night, was_last

    store = open_store_of(asked.store)
    night = read_night(store, asked.night)
    give_up(store, asked.night, Due(asked.chunk, stage), told)
    if was_last(store, night, asked.chunk):
        start_runs([report_run(asked.store, asked.night)])
