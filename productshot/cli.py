"""The commands. Each is a few lines over the library; heavy imports happen inside the command that needs them.

Exit codes: 0 done; 1 check, fix, extend, cutout: something was refused (night, sku, feed with --strict too); 2 bad
input, one readable line; 3 the store or server is unavailable: run it again.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from productshot import __version__
from productshot.errors import (
    ConfigInvalid,
    InputRefused,
    ProductshotError,
    StorageMissing,
    StorageRefused,
    StorageUnavailable,
)

if TYPE_CHECKING:
    from catalog_schemas import AssetRecipe, Catalog, Channel, Slot
    from productshot.assets import RuleVerdict
    from productshot.inspection import Picture
    from productshot.night import Night
    from productshot.photos import Decoder
    from productshot.progress import Progress, ReportProgress
    from productshot.render.base import Base
    from productshot.render.outpaint import Brief
    from productshot.report import Written
    from productshot.store import Store

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
review_app = typer.Typer(no_args_is_help=True, help="Pictures that wait for a person.")
models_app = typer.Typer(no_args_is_help=True, help="Base models, ControlNets and cutout models.")
app.add_typer(review_app, name="review")
app.add_typer(models_app, name="models")

CatalogFile = Annotated[Path, typer.Argument(help="the catalog: .yaml or .csv")]
StoreUrl = Annotated[str, typer.Option("--store", help="a folder or s3://bucket/prefix")]
AsJson = Annotated[bool, typer.Option("--json", help="one JSON document on stdout")]
Strict = Annotated[bool, typer.Option("--strict", help="exit 1 when anything was refused")]


def main() -> None:
    """Entry point: runs a command and turns a typed error into one line and its exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads sleep: a night shares its machine
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    try:
        app()
    except ProductshotError as error:
        if "--json" in sys.argv:
            print(json.dumps({"error": type(error).__name__, "told": str(error)}))
        print(f"productshot: {error}", file=sys.stderr)
        storage = (StorageUnavailable, StorageMissing, StorageRefused)
        raise SystemExit(3 if isinstance(error, storage) else 2) from None


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    if version:
        print(f"productshot {__version__}")
        raise typer.Exit


# -- the catalog ---------------------------------------------------------------------------------------------


@app.command()
def init(
    photos: Annotated[Path, typer.Argument(help="a folder with one folder of photos per SKU")],
    out: Annotated[Path, typer.Option(help="the catalog file to write")],
    nouns: Annotated[Path | None, typer.Option(help="csv with the columns sku,noun")] = None,
    noun: Annotated[list[str] | None, typer.Option(help="SKU=NOUN, may be repeated")] = None,
    store: Annotated[str | None, typer.Option(help="copy the photos into this store as well")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a catalog file from a folder per SKU; a SKU without a noun is refused, never guessed."""
    import yaml

    from productshot.catalog import init_catalog, read_nouns

    known = read_nouns(nouns) if nouns else {}
    known |= dict(_pair(text) for text in noun or [])
    data, refused = init_catalog(photos, known, _ask_noun)
    if not data["skus"]:
        raise ConfigInvalid(
            f"photos {photos}", "give no usable SKU", "", str(refused[0]) if refused else "add folders"
        )
    copied = _copy_photos(photos, [sku["sku"] for sku in data["skus"]], store) if store else 0
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True), "utf-8")
    lines = [str(error) for error in refused]
    told = {"catalog": str(out), "skus": len(data["skus"]), "photos_copied": copied, "refused": lines}
    _tell(as_json, told, f"{out}: {len(data['skus'])} SKUs" + (f", {copied} photos copied" if store else ""))
    _tell_refusals(as_json, lines)


def _pair(text: str) -> tuple[str, str]:
    sku, equals, noun = text.partition("=")
    if not (sku and equals and noun):
        raise ConfigInvalid(f"--noun {text!r}", "is not SKU=NOUN", "", "write --noun mug-1=mug")
    return sku, noun


def _ask_noun(sku: str) -> str | None:
    if not sys.stdin.isatty():
        return None
    answer: str = typer.prompt(
        f"class noun of {sku} (as sneaker; empty leaves it out)", default="", show_default=False
    )
    return answer.strip() or None


def _copy_photos(photos: Path, skus: list[str], store: str) -> int:
    from mimetypes import guess_type

    from productshot.store import open_store

    target = open_store(store)
    files = [path for sku in skus for path in sorted((photos / sku).iterdir()) if path.is_file()]
    for path in files:
        kind = guess_type(path.name)[0] or "application/octet-stream"
        target.put(f"photos/{path.parent.name}/{path.name}", path.read_bytes(), kind)
    return len(files)


@app.command()
def plan(catalog: CatalogFile, store: StoreUrl, as_json: AsJson = False) -> None:
    """What a night would do and why, per SKU and stage, with estimated cost and bytes; does nothing."""
    from productshot.night import Night
    from productshot.plan import plan_night
    from productshot.progress import silent
    from productshot.review import last_report

    loaded, opened = _open(catalog, store, probe=False)
    with Night(loaded, opened, silent) as night:
        planned = plan_night(night, last_report(opened))
        refused = [str(refusal) for one in night.skus.values() for refusal in one.refusals]
    if as_json:
        print(json.dumps({**planned.as_json(), "refused": refused}))
        return
    for work in planned.work:
        print(f"{work.sku:24s} {work.stage:10s} {work.outputs:4d}  {work.cause}")
    _tell_refusals(False, refused)
    for channel, name in planned.departed:
        print(f"{name:24s} {channel:10s}    -  no longer in the catalog: taken down")
    total = sum(work.outputs for work in planned.work)
    print(
        f"{total} outputs at most, about {planned.seconds:.0f} s and {planned.bytes / 1e6:.1f} MB ({planned.basis})"
        if total
        else "nothing to do"
    )


@app.command()
def night(
    catalog: CatalogFile,
    store: StoreUrl,
    redo: Annotated[
        bool, typer.Option("--redo", help="redo finished SKUs after a changed recipe or model")
    ] = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """One night: everything that is missing is made, checked and published; run again, it resumes."""
    _run(catalog, store, None, redo, strict, as_json)


@app.command()
def sku(
    sku: Annotated[str, typer.Argument(help="one SKU of the catalog")],
    catalog: CatalogFile,
    store: StoreUrl,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """One SKU now."""
    _run(catalog, store, sku, True, strict, as_json)


def _run(catalog: Path, store: str, only: str | None, redo: bool, strict: bool, as_json: bool) -> None:
    from productshot.catalog import known_skus
    from productshot.run import run_night

    loaded, opened = _open(catalog, store)
    chosen = None if only is None else known_skus(loaded, [only])
    with _progress() as report:
        written = run_night(loaded, opened, report, only=chosen, redo=redo)
    _tell_night(written, opened, as_json)
    counts = written.report["counts"]
    if strict and counts["refusals"] + counts["gate_refusals"]:
        raise typer.Exit(1)


def _tell_night(written: Written, store: Store, as_json: bool) -> None:
    page = store.url(written.html_key, 7 * 24 * 3600)
    if as_json:
        print(json.dumps({**written.report, "html": page}))
        return
    report, counts = written.report, written.report["counts"]
    for one in report["skus"]:
        for refusal in one["refusals"]:
            print(f"refused  {refusal['told']}")
    print(
        f"night {report['night']}: {counts['done']} of {counts['skus']} SKUs have assets, {counts['assets']} assets, "
        f"{counts['person']} pictures need a person, {counts['refusals']} refusals, {report['seconds']} s"
    )
    print(f"report: {page}")


# -- single stages -------------------------------------------------------------------------------------------

ChosenSkus = Annotated[list[str] | None, typer.Option("--sku", help="a SKU, may be repeated; default: all")]


@app.command()
def train(
    catalog: CatalogFile,
    store: StoreUrl,
    skus: ChosenSkus = None,
    export: Annotated[
        Path | None, typer.Option(help="folder that gets <sku>.safetensors of each adapter as well")
    ] = None,
    keys: Annotated[
        Literal["diffusers", "kohya"], typer.Option(help="names in exported files; ComfyUI reads kohya's")
    ] = "diffusers",
    as_json: AsJson = False,
) -> None:
    """Train the adapters of chosen SKUs (photos and cutouts first, where they are missing)."""
    with _stages(catalog, store, skus, ("photos", "cutouts", "adapters"), as_json) as run:
        if export is not None:
            _export(run, export, keys)


def _export(run: Night, folder: Path, keys: str) -> None:
    """Write the adapter file of every trained SKU into a folder."""
    from productshot.adapters.files import as_kohya

    folder.mkdir(parents=True, exist_ok=True)
    for one in run.skus.values():
        if one.adapter is not None:
            data = run.ledger.data(one.sku.sku, "adapters", one.adapter.digest, "safetensors")
            path = folder / f"{one.sku.sku}.safetensors"
            path.write_bytes(as_kohya(data) if keys == "kohya" else data)


@app.command()
def render(catalog: CatalogFile, store: StoreUrl, skus: ChosenSkus = None, as_json: AsJson = False) -> None:
    """Render and judge the scenes of chosen SKUs (earlier stages first, where they are missing)."""
    with _stages(catalog, store, skus, ("photos", "cutouts", "adapters", "renders"), as_json):
        pass


@contextmanager
def _stages(
    catalog: Path, store: str, skus: list[str] | None, steps: tuple[str, ...], as_json: bool
) -> Iterator[Night]:
    """Run some steps of a night for chosen SKUs, lend the night, then tell what was made."""
    from productshot.catalog import known_skus
    from productshot.night import Night

    loaded, opened = _open(catalog, store)
    with (
        _progress() as report,
        Night(loaded, opened, report, known_skus(loaded, skus) if skus else None) as run,
    ):
        for step in steps:
            getattr(run, step)()
        made = {step: run.ledger.made[step] for step in steps}
        found = {step: run.ledger.adopted[step] for step in steps}
        refused = [str(refusal) for one in run.skus.values() for refusal in one.refusals]
        yield run
    _tell(as_json, {"made": made, "found": found, "refused": refused}, f"made {made}, found done {found}")
    _tell_refusals(as_json, refused)


@app.command()
def cutout(
    files: Annotated[list[Path], typer.Argument(help="pictures")],
    out: Annotated[Path, typer.Option(help="folder for <name>.png (RGBA)")],
    model: Annotated[
        str, typer.Option(help="pocket-matte, a rembg model name, or an .onnx file")
    ] = "pocket-matte",
    as_json: AsJson = False,
) -> None:
    """Cut the product out of pictures: <name>.png (RGBA, full frame) each, with its confidence."""
    from catalog_schemas import CutoutRecipe, NightSettings, PhotoRecipe
    from productshot.cutout import cut_out, open_session
    from productshot.photos import Decoder
    from productshot.pixels import png_bytes

    recipe, settings = CutoutRecipe(model=model), NightSettings()
    session = open_session(model)
    out.mkdir(parents=True, exist_ok=True)
    told: list[dict[str, Any]] = []
    taken: set[str] = set()
    with Decoder(seconds=settings.decode_seconds, memory_mb=settings.decode_memory_mb) as decoder:
        for file in files:
            try:
                if file.stem in taken:
                    raise InputRefused(
                        str(file),
                        f"would be {file.stem}.png, as another picture of this call is",
                        "one file a name",
                        "rename it, or give it a call and a folder of its own",
                    )
                decoded = decoder.pixels(_bytes(file), str(file), PhotoRecipe(min_side_px=16))
                cut = cut_out(decoded.rgb, session, recipe, item=str(file))
            except InputRefused as error:
                told.append({"file": str(file), "refused": str(error)})
                continue
            taken.add(file.stem)
            target = out / f"{file.stem}.png"
            target.write_bytes(png_bytes(cut.rgba))
            told.append(
                {"file": str(file), "png": str(target), "confidence": round(float(cut.confidence), 3)}
            )
    _tell(as_json, told, "\n".join(_cutout_line(one) for one in told))
    if any("refused" in one for one in told):
        raise typer.Exit(1)


def _cutout_line(one: dict[str, Any]) -> str:
    return (
        f"refused  {one['refused']}"
        if "refused" in one
        else f"{one['png']}  confidence {one['confidence']:.2f}"
    )


ChannelName = Annotated[str, typer.Option("--channel", help="a channel that ships, or the .yaml of your own")]
SlotName = Annotated[str, typer.Option("--slot", help="a slot of the channel, as main")]
OnDay = Annotated[
    datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="as of this day; default: today")
]
MatteFile = Annotated[
    Path | None,
    typer.Option(
        "--matte", help="the product's outline, for one file; default: <name>.mask.png, else our cutout"
    ),
]


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="picture files, ours or not")],
    channel: ChannelName,
    slot: SlotName,
    on: OnDay = None,
    matte: MatteFile = None,
    max_rule_age: Annotated[
        int, typer.Option(help="days after which a rule is to be read again", min=0)
    ] = 180,
    as_json: AsJson = False,
) -> None:
    """The channel's rules for picture files, one verdict a line; advice and what needs a person refuse nothing."""
    from productshot.assets import age_verdict
    from productshot.catalog import find_slot
    from productshot.run import utc_now

    found, wanted = find_slot(channel, slot)
    day = (on or utc_now()).date()
    told: list[dict[str, Any]] = []
    with _inspector(files, wanted, matte) as look:
        for file in files:
            verdicts = _verdicts(file, found, wanted, day, look)
            told += [{"file": str(file), **verdict.model_dump()} for verdict in verdicts]
    if (old := age_verdict(wanted, utc_now().date(), max_rule_age)) is not None:
        told.append({"file": f"{found.name}/{wanted.name}", **old.model_dump()})
    _tell(as_json, told, "\n".join(_check_line(one) for one in told))
    if any(one["status"] == "refused" for one in told):
        raise typer.Exit(1)


@contextmanager
def _inspector(files: list[Path], slot: Slot, matte: Path | None) -> Iterator[Callable[[Path], Picture]]:
    """What decodes a file and finds its product's matte; the cutout model is opened for the first file in need."""
    from functools import cache

    from productshot.cutout import Session, open_session
    from productshot.inspection import inspect, needs_matte
    from productshot.photos import Decoder

    _refuse_missing(files)
    if matte is not None and len(files) > 1:
        raise ConfigInvalid(
            "--matte", f"is given with {len(files)} files", "it fits one", "check them one by one"
        )

    @cache
    def cutter() -> Session:
        return open_session()

    with Decoder() as decoder:
        yield lambda file: inspect(file, _bytes(file), decoder, matte, cutter if needs_matte(slot) else None)


def _refuse_missing(files: list[Path]) -> None:
    for file in files:
        if not file.is_file():
            raise ConfigInvalid(f"file {file}", "is not there", "", "check the path")


def _verdicts(
    file: Path, channel: Channel, slot: Slot, day: date, look: Callable[[Path], Picture]
) -> list[RuleVerdict]:
    """What every rule says of a file; of one that cannot be decoded, that and what its bytes tell."""
    from productshot.assets import RuleVerdict, unreadable
    from productshot.assets import check as check_file
    from productshot.inspection import own_origin

    data = _bytes(file)
    try:
        picture, ours = look(file), own_origin(file, data)
    except InputRefused as error:
        why = RuleVerdict(rule="readable", status="refused", value=str(error))
        return [why, *unreadable(data, channel, slot, day)]
    lane, expected = ours or (None, None)
    return check_file(data, channel, slot, picture.matte, lane, expected, seen=picture.seen, on=day)


def _check_line(one: dict[str, Any]) -> str:
    parts = [one["value"], one["limit"], one["remedy"]]
    return f"{one['file']}  {one['rule']:20s} {one['status']:12s} {'; '.join(part for part in parts if part)}"


@app.command()
def fix(
    files: Annotated[list[Path], typer.Argument(help="picture files, ours or not")],
    channel: ChannelName,
    slot: SlotName,
    out: Annotated[Path, typer.Option(help="a folder, or for one file a .jpg, .png, .webp or .avif")],
    on: OnDay = None,
    matte: MatteFile = None,
    quality: Annotated[
        int, typer.Option(help="JPEG, WebP and AVIF quality to start with", min=50, max=100)
    ] = 92,
    min_quality: Annotated[int, typer.Option(help="below it a file is refused", min=30, max=100)] = 75,
    as_json: AsJson = False,
) -> None:
    """Repair picture files for a slot without inventing pixels; what still breaks a rule is told and not written."""
    from catalog_schemas import AssetRecipe
    from productshot.catalog import find_slot
    from productshot.run import utc_now

    found, wanted = find_slot(channel, slot)
    day, recipe = (on or utc_now()).date(), AssetRecipe(quality=quality, min_quality=min_quality)
    with _inspector(files, wanted, matte) as look:
        told = [_fixed(file, _output(out, files), found, wanted, recipe, day, look) for file in files]
    _tell(as_json, told, "\n".join(_fix_lines(one) for one in told))
    if any("refused" in one for one in told):
        raise typer.Exit(1)


def _output(out: Path, files: list[Path]) -> Path:
    """The output as given; ConfigInvalid for an ending that is not written, or where files would overwrite files."""
    from productshot.assets import ENDINGS, WRITTEN, ending_of

    if out.suffix and ENDINGS.get(out.suffix.lower()) not in WRITTEN:
        written = f"name {', '.join(map(ending_of, WRITTEN))}"
        raise ConfigInvalid(f"--out {out}", "has an ending that fix does not write", "", written)
    if out.suffix and len(files) > 1:
        raise ConfigInvalid(f"--out {out}", f"is one file for {len(files)}", "", "name a folder")
    _refuse_overwriting(out, files)
    return out


def _refuse_overwriting(out: Path, files: list[Path]) -> None:
    """ConfigInvalid where files would overwrite each other or a photo."""
    stems = [file.stem for file in files]
    if len(set(stems)) < len(stems):
        double = next(stem for stem in stems if stems.count(stem) > 1)
        raise ConfigInvalid(
            f"--out {out}", f"would take two files called {double!r}", "", "give them one by one"
        )
    if any(file.resolve() in (out.resolve(), out.resolve() / file.name) for file in files):
        raise ConfigInvalid(
            f"--out {out}", "is where the files lie", "a photo is never overwritten", "name another"
        )


def _fixed(
    file: Path,
    out: Path,
    channel: Channel,
    slot: Slot,
    recipe: AssetRecipe,
    day: date,
    look: Callable[[Path], Picture],
) -> dict[str, Any]:
    """What became of one file, JSON-able; written only when no rule refuses it any more, and checked as written."""
    from productshot.assets import ENDINGS, Source, ending_of
    from productshot.assets import fix as fix_file
    from productshot.files import write_whole

    try:
        picture = look(file)
        asked = ENDINGS[out.suffix.lower()] if out.suffix else None
        source = Source(picture.data, picture.seen, picture.cut, str(file))
        fixed = fix_file(source, channel, slot, recipe, kind=asked, on=day)
    except InputRefused as error:
        return {"file": str(file), "refused": [str(error)]}
    verdicts = [verdict.model_dump() for verdict in fixed.verdicts]
    told: dict[str, Any] = {
        "file": str(file),
        "matte": picture.matte_from,
        "done": list(fixed.done),
        "verdicts": verdicts,
    }
    if fixed.refused:
        return {**told, "refused": [str(verdict) for verdict in fixed.refused]}
    target = out if out.suffix else out / f"{file.stem}{ending_of(fixed.kind)}"
    write_whole(target, fixed.data)
    return {**told, "written": str(target), "bytes": len(fixed.data)}


def _fix_lines(one: dict[str, Any]) -> str:
    if "refused" in one:
        return "\n".join(f"refused  {one['file']}  {line}" for line in one["refused"])
    done = ", ".join(one["done"]) or "encoded again"
    lines = [f"{one['written']}  {one['bytes']:,} bytes: {done}; product's outline: {one['matte']}"]
    open_ones = [verdict for verdict in one["verdicts"] if verdict["status"] in ("advised", "person")]
    return "\n".join([*lines, *(_check_line({**verdict, "file": one["written"]}) for verdict in open_ones)])


@app.command()
def extend(
    files: Annotated[list[Path], typer.Argument(help="picture files")],
    prompt: Annotated[str, typer.Option(help="what the picture shows, without its product")],
    out: Annotated[Path, typer.Option(help="folder for <name>.png")],
    to: Annotated[str | None, typer.Option(help="size of the file in px, as 1920x1080")] = None,
    ratio: Annotated[str | None, typer.Option(help="or its shape, as 16:9: no larger than needed")] = None,
    negative_prompt: Annotated[str, typer.Option(help="what it does not show")] = "",
    seed: Annotated[int, typer.Option(help="another one paints another picture", min=0)] = 0,
    catalog: Annotated[
        Path | None, typer.Option(help="whose recipes.renders names the models and steps; default: pocket")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Extend pictures to a larger size or another shape: their own pixels stay, the model paints around them."""
    from catalog_schemas import RenderRecipe
    from productshot.catalog import load_catalog
    from productshot.extend import check_prompt, parse_ratio, parse_size
    from productshot.photos import Decoder
    from productshot.progress import Progress

    if to is not None and ratio is None:
        wanted: tuple[int, int] = parse_size(to)
    elif ratio is not None and to is None:
        wanted = parse_ratio(ratio)
    else:
        raise ConfigInvalid(
            "extend", "needs one of --to and --ratio", "", "write --to 1920x1080 or --ratio 16:9"
        )
    _refuse_missing(files)
    _refuse_overwriting(out, files)
    recipe = load_catalog(catalog).recipes.renders if catalog else RenderRecipe()
    from productshot.render import open_base
    from productshot.render.outpaint import Brief

    base, told = open_base(recipe), []
    check_prompt(base, prompt, negative_prompt)
    brief = Brief(prompt, negative_prompt, seed, recipe)
    with Decoder() as decoder, _progress() as report:
        for done, file in enumerate(files, 1):
            told.append(_extended(file, out, wanted, base, brief, decoder))
            report(Progress("extend", done, len(files), file.name))
    _tell(as_json, told, "\n".join(_extend_line(one) for one in told))
    if any("refused" in one for one in told):
        raise typer.Exit(1)


def _extended(
    file: Path, out: Path, wanted: tuple[int, int], base: Base, brief: Brief, decoder: Decoder
) -> dict[str, Any]:
    """What became of one picture, JSON-able."""
    from productshot.extend import extended, extension_file, target_of
    from productshot.files import write_whole
    from productshot.inspection import ANY_SIZE, on_white
    from productshot.pixels import size_of
    from productshot.render.fleet import paint_one

    try:
        decoded = decoder.pixels(_bytes(file), str(file), ANY_SIZE)
        picture = on_white(decoded.rgb, decoded.alpha)
        target = target_of(size_of(picture), wanted, str(file))
        plate = paint_one(base, extended(base, picture, target, brief))
    except InputRefused as error:
        return {"file": str(file), "refused": str(error)}
    written = out / f"{file.stem}.png"
    write_whole(written, extension_file(plate.rgb, decoded.ai_source, brief.prompt))
    return {
        "file": str(file),
        "written": str(written),
        "size": list(plate.size),
        "picture": list(plate.master),
    }


def _extend_line(one: dict[str, Any]) -> str:
    if "refused" in one:
        return f"refused  {one['refused']}"
    (width, height), (left, top, *_) = one["size"], one["picture"]
    return f"{one['written']}  {width}x{height} px, the picture begins at {left},{top}"


@app.command()
def feed(
    catalog: CatalogFile,
    store: StoreUrl,
    channel: Annotated[
        Literal["google", "shopify", "amazon"], typer.Option(help="whose bulk upload takes it")
    ],
    out: Annotated[Path, typer.Option(help=".tsv or .txt (tabs), .csv (commas; Shopify)")],
    url_template: Annotated[
        str | None,
        typer.Option(help="as https://cdn.example.com/{key}; default: presigned links of the bucket"),
    ] = None,
    expires_days: Annotated[float, typer.Option(help="of presigned links", min=0.01, max=7)] = 7,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """The published pictures of a catalog as the table that a channel's bulk upload takes."""
    from productshot.feeds import address_by, as_table, make_feed
    from productshot.files import write_whole
    from productshot.ledger import Ledger

    loaded, opened = _open(catalog, store, probe=False)
    address = address_by(url_template, opened, round(expires_days * 24 * 3600))
    made = make_feed(channel, [one.sku for one in loaded.skus], Ledger(opened), address)
    write_whole(out, as_table(made, out))
    left_out = [str(error) for error in made.left_out]
    told = {"feed": str(out), "rows": len(made.rows) - 1, "left_out": left_out}
    _tell(as_json, told, f"{out}: {len(made.rows) - 1} rows, {len(left_out)} SKUs left out")
    _tell_refusals(as_json, left_out)
    if strict and left_out:
        raise typer.Exit(1)


# -- review --------------------------------------------------------------------------------------------------


@review_app.command("list")
def review_list(store: StoreUrl, as_json: AsJson = False) -> None:
    """The pictures of the last night that wait for a person."""
    from productshot.review import pending
    from productshot.store import open_store

    waiting = pending(open_store(store, probe=False))
    lines = [
        f"{one['render'][:12]}  {one['sku']}  {one['scene']} ({one['lane']})  "
        f"{one['verdict']['gate']}: {one['verdict']['value']}"
        for one in waiting
    ]
    _tell(as_json, waiting, "\n".join(lines) or "nothing waits")


RenderName = Annotated[str, typer.Argument(help="the render, or the first digits that `review list` shows")]
Reviewer = Annotated[str, typer.Option(help="your name; it is kept with the decision")]
Reason = Annotated[str, typer.Option(help="why")]


def _add_decision(decision: str, told: str) -> None:
    """A command of `review` that says one word of one picture."""

    def say(
        render: RenderName, store: StoreUrl, reviewer: Reviewer, reason: Reason = "", as_json: AsJson = False
    ) -> None:
        _decide(decision, render, store, reviewer, reason, as_json)

    review_app.command(decision, help=told)(say)


_add_decision("approve", "Approve a waiting picture; the next night (or `productshot sku`) publishes it.")
_add_decision("reject", "Reject a waiting picture; it is never published.")
_add_decision(
    "redo", "Reject a painted picture, waiting or not; the next night paints it again with another seed."
)


@review_app.command()
def vary(
    render: RenderName,
    store: StoreUrl,
    reviewer: Reviewer,
    reason: Reason = "",
    count: Annotated[int, typer.Option(min=1, max=8, help="how many more pictures")] = 4,
    as_json: AsJson = False,
) -> None:
    """Ask for more pictures like a painted one, with other seeds; the next night paints them beside it."""
    _decide("vary", render, store, reviewer, reason, as_json, count)


def _decide(
    decision: str, render: str, store: str, reviewer: str, reason: str, as_json: bool, count: int = 1
) -> None:
    from catalog_schemas import ReviewDecision
    from productshot.review import decide, find_painted, find_pending
    from productshot.run import utc_now
    from productshot.store import open_store

    opened = open_store(store)
    find = find_painted if decision in ("redo", "vary") else find_pending
    entry = find(opened, render)
    said = ReviewDecision.model_validate(
        {
            "sku": entry["sku"],
            "render": entry["render"],
            "decision": decision,
            "reviewer": reviewer,
            "reason": reason,
            "count": count,
        }
    )
    key = decide(opened, said, utc_now())
    _tell(as_json, {"decision": key}, f"{decision}: {entry['sku']} {entry['scene']} by {reviewer}")


# -- models, machine, schemas --------------------------------------------------------------------------------


@models_app.command("list")
def models_list(as_json: AsJson = False) -> None:
    """The models that ship with productshot: where they are, size, digest, licence."""
    from productshot.shipped import shipped_models

    told = [one._asdict() | {"path": str(one.path)} for one in shipped_models()]
    lines = [
        f"{one['name']:20s} {one['bytes'] / 1e6:6.1f} MB  {one['digest'][:12]}  {one['licence']}  {one['path']}"
        for one in told
    ]
    _tell(as_json, told, "\n".join(lines))


@models_app.command("pull")
def models_pull(
    name: Annotated[str, typer.Argument(help="s3://bucket/prefix or owner/name@<commit of 40 hex digits>")],
    as_json: AsJson = False,
) -> None:
    """Copy a model from a bucket or the hub to this machine; catalogs then name it as it is named here."""
    from productshot.pull import pull

    path = pull(name)
    _tell(as_json, {"name": name, "path": str(path)}, f"{name}: {path}")


@models_app.command("verify")
def models_verify(as_json: AsJson = False) -> None:
    """Compare every shipped weight file with its released digest."""
    from productshot.shipped import shipped_models, verify_shipped

    verify_shipped()
    names = [one.name for one in shipped_models()]
    _tell(as_json, {"verified": names}, f"{', '.join(names)}: as released")


@app.command()
def schema(out: Annotated[Path | None, typer.Option(help="folder; default: stdout")] = None) -> None:
    """JSON Schemas of everything people write."""
    from catalog_schemas import Catalog, Channel, ReviewDecision, Scene

    schemas = {
        model.__name__.lower(): model.model_json_schema()
        for model in (Catalog, Channel, Scene, ReviewDecision)
    }
    if out is None:
        print(json.dumps(schemas, indent=2))
        return
    out.mkdir(parents=True, exist_ok=True)
    for name, text in schemas.items():
        (out / f"{name}.schema.json").write_text(json.dumps(text, indent=2) + "\n", "utf-8")


@app.command()
def doctor(
    store: Annotated[str | None, typer.Option(help="a store to try")] = None, as_json: AsJson = False
) -> None:
    """What this machine can do: devices, models, store, Prefect, and what is missing."""
    from productshot.doctor import examine

    findings = examine(store)
    lines = [f"{'ok     ' if one.good else 'missing'}  {one.what}: {one.told}" for one in findings]
    _tell(as_json, [one._asdict() for one in findings], "\n".join(lines))


@app.command()
def gc(
    catalog: CatalogFile,
    store: StoreUrl,
    apply: Annotated[bool, typer.Option("--apply", help="delete it; without, it is only told")] = False,
    purge: Annotated[str | None, typer.Option(help="a SKU of which everything goes (a take-down)")] = None,
    with_photos: Annotated[
        bool, typer.Option("--with-photos", help="with --purge: the shop's photos of the SKU too")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """What can go, by kind: outputs that nothing reaches; with --apply it goes. --purge SKU: all of one SKU."""
    from productshot.gc import collect
    from productshot.purge import purge as take_down
    from productshot.run import utc_now

    loaded, opened = _open(catalog, store, probe=False)
    now = utc_now().timestamp()
    if purge is None and with_photos:
        raise ConfigInvalid(
            "--with-photos", "is given without --purge", "gc leaves photos alone", "leave it out"
        )
    if purge is not None:
        collected = take_down(loaded, opened, purge, now, apply, with_photos)
        again = purge in {sku.sku for sku in loaded.skus}
    else:
        with _progress() as report:
            collected, again = collect(loaded, opened, now, apply, report), False
    told = collected.as_json()
    _tell(as_json, told, "\n".join(_gc_lines(told)))
    if again:
        print(f"SKU {purge} is still in {catalog}: the next night makes it again", file=sys.stderr)


def _gc_lines(told: dict[str, Any]) -> Iterator[str]:
    """A line a kind, then why SKUs were left alone (how many, the first by name), then the sum."""
    for kind, one in told["kinds"].items():
        yield f"{kind:10s} {one['count']:9,d}  {one['bytes'] / 1e6:11,.1f} MB"
    reasons: dict[str, list[str]] = {}
    for name, why in told["left_alone"].items():
        reasons.setdefault(why, []).append(name)
    for why, names in sorted(reasons.items()):
        yield f"left alone {len(names):,d} SKUs ({names[0]} first): {why}"
    verb = "gone" if told["applied"] else "can go (--apply deletes)"
    yield f"{told['count']:,d} objects, {told['bytes'] / 1e6:,.1f} MB {verb}"


@app.command()
def up(
    catalog: CatalogFile,
    store: StoreUrl,
    port: Annotated[int, typer.Option(help="of the Prefect server; the gallery takes the next one")] = 4200,
    cron: Annotated[str, typer.Option(help="when the nightly run starts")] = "0 2 * * *",
    timezone: Annotated[str, typer.Option(help="of the cron, as Europe/Berlin")] = "UTC",
) -> None:
    """Prefect on this machine: server, worker, all deployments (nightly on a cron), until Ctrl-C."""
    from flows.up import bring_up

    _open(catalog, store)
    bring_up(catalog.resolve(), store, port, cron, timezone)


@app.command()
def listen(
    catalog: CatalogFile,
    store: StoreUrl,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one", min=0, max=65_535)] = 8470,
    queue: Annotated[
        str | None, typer.Option(help="URL of an SQS queue to read as well; without a secret, instead")
    ] = None,
    deployment: Annotated[str, typer.Option(help="the Prefect deployment that is run")] = "single-sku/now",
    by_event: Annotated[
        bool,
        typer.Option(
            "--by-event", help="tell Prefect by an event, on which an automation runs single-sku/now"
        ),
    ] = False,
) -> None:
    """The receiver of bucket notifications: one run of a SKU when its photos changed and have settled."""
    from productshot.events import place_of
    from productshot.listen import SECRET_NAME, KnownSkus, Receiver, check_secret, serve
    from productshot.store import open_store

    secret = os.environ.get(SECRET_NAME)
    if secret is not None or queue is None:
        secret = check_secret(secret)
    known, opened = KnownSkus(catalog), open_store(store, probe=False)
    place_of(opened.location, known.catalog.photos)  # a folder is refused before anything heavy is loaded
    from flows.trigger import open_teller, open_trigger
    from productshot.s3 import open_queue

    receiver = Receiver(known, opened, open_teller() if by_event else open_trigger(deployment))
    logging.getLogger("productshot").setLevel(logging.INFO)
    serve(receiver, secret, host, port, open_queue(queue) if queue else None)


# -- shared --------------------------------------------------------------------------------------------------


def _open(catalog: Path, store: str, probe: bool = True) -> tuple[Catalog, Store]:
    from productshot.catalog import load_catalog
    from productshot.store import open_store

    return load_catalog(catalog), open_store(store, probe=probe)


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise ConfigInvalid(
            f"file {file}", f"cannot be read: {error.strerror}", "", "check the path"
        ) from error


def _tell(as_json: bool, data: Any, text: str) -> None:
    print(json.dumps(data) if as_json else text)


def _tell_refusals(as_json: bool, refused: list[str]) -> None:
    if not as_json:
        for line in refused:
            print(f"refused  {line}")


@contextmanager
def _progress() -> Iterator[ReportProgress]:
    """Bars on a terminal, one per stage; silence elsewhere."""
    from productshot.progress import silent

    if not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:10s}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[item]}"),
    )
    with Bars(*columns, console=Console(stderr=True)) as bars:
        rows: dict[str, Any] = {}

        def report(progress: Progress) -> None:
            if progress.stage not in rows:
                rows[progress.stage] = bars.add_task(progress.stage, total=progress.total, item="")
            bars.update(
                rows[progress.stage], completed=progress.done, total=progress.total, item=progress.item
            )

        yield report
