"""The catalog room: a file that people write becomes a checked Catalog, or one readable line says what is wrong."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from catalog_schemas import Catalog, Channel, RenderRecipe, Scene, Slot, load_channel, load_scene
from catalog_schemas.base import did_you_mean
from catalog_schemas.recipes import READABLE
from productshot.errors import ConfigInvalid, InputRefused

CSV_COLUMNS = ("sku", "noun", "group", "variant")
MAX_BYTES = 64_000_000


def load_catalog(path: Path) -> Catalog:
    """The catalog in a .yaml, .yml, .json or .csv file; ConfigInvalid names file, key, value and remedy."""
    text = _read(path)
    if path.suffix.lower() == ".csv":
        data: Any = {"skus": _rows(text, path)}
    else:
        try:
            data = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except yaml.YAMLError as error:
            raise ConfigInvalid(
                f"catalog {path}", f"is not YAML: {error}", "", "mend the line named"
            ) from error
    if not isinstance(data, dict):
        raise ConfigInvalid(f"catalog {path}", "is not a mapping", "", "start from `productshot init PHOTOS`")
    try:
        catalog = Catalog.model_validate(data)
        scenes_of(catalog)
        channels_of(catalog)
    except ValidationError as error:
        raise ConfigInvalid(f"catalog {path}", told(error), "", "mend it and run again") from error
    return catalog


def told(error: ValidationError) -> str:
    """The first problem of a pydantic error as words: where, what; and how many more."""
    first, *more = error.errors(include_url=False)
    where = ".".join(str(part) for part in first["loc"])
    what = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    value = f" (given: {given!r})" if isinstance(given, (str, int, float, bool)) else ""
    rest = f" (and {len(more)} more)" if more else ""
    return f"{where}: {what}{value}{rest}" if where else f"{what}{rest}"


def scenes_of(catalog: Catalog) -> dict[str, Scene]:
    """The catalog's scenes by name, in its order.

    ConfigInvalid: a name that the library lacks, or a control that the ControlNet cannot read.
    """
    scenes: dict[str, Scene] = {}
    for entry in catalog.scenes:
        try:
            scene = load_scene(entry) if isinstance(entry, str) else entry
        except ValueError as error:
            raise ConfigInvalid(
                "catalog", str(error), "", "name a scene of the library or write one"
            ) from error
        if scene.name in scenes:
            raise ConfigInvalid("catalog", f"names scene {scene.name!r} twice", "", "name each scene once")
        _check_control(scene, catalog.recipes.renders)
        scenes[scene.name] = scene
    return scenes


def _check_control(scene: Scene, recipe: RenderRecipe) -> None:
    """ConfigInvalid: the scene steers by what the recipe's ControlNet was not trained on."""
    readable = READABLE[recipe.reads]
    if scene.lane != "packshot" and scene.control not in readable:
        limit = f"ControlNet {recipe.controlnet} reads {recipe.reads} maps: {', '.join(readable)}"
        other = (
            "one that reads depth, and a depth model," if scene.control == "depth" else "another ControlNet"
        )
        remedy = f"write control: {readable[-1]}, or name {other} in recipes.renders"
        raise ConfigInvalid(f"scene {scene.name}", f"has control: {scene.control}", limit, remedy)


def channels_of(catalog: Catalog) -> dict[str, Channel]:
    """The catalog's channels by name, in its order; ConfigInvalid for an unknown one."""
    channels: dict[str, Channel] = {}
    for entry in catalog.channels:
        try:
            channel = load_channel(entry) if isinstance(entry, str) else entry
        except ValueError as error:
            remedy = "name a channel that ships, or write one"
            raise ConfigInvalid("catalog", str(error), "", remedy) from error
        if channel.name in channels:
            told = f"names channel {channel.name!r} twice"
            raise ConfigInvalid("catalog", told, "", "name each channel once")
        label = catalog.labels.get(channel.name, channel.label)
        channels[channel.name] = channel.model_copy(update={"label": label})
    for name in catalog.labels:
        if name not in channels:
            valid = f"valid: {', '.join(channels)}"
            raise ConfigInvalid(
                "catalog", f"labels channel {name!r}, which it does not list", valid, "name one of them"
            )
    return channels


def read_nouns(path: Path) -> dict[str, str]:
    """SKU -> class noun from a CSV with the columns sku,noun."""
    rows = _rows(_read(path), path)
    missing = [row["sku"] for row in rows if not row.get("noun")]
    if missing:
        raise ConfigInvalid(f"{path}", f"has no noun for {missing[0]!r}", "", "fill the column noun")
    return {row["sku"]: row["noun"] for row in rows}


def init_catalog(
    photos: Path, nouns: Mapping[str, str], ask: Callable[[str], str | None], name: str = "catalog"
) -> tuple[dict[str, Any], list[InputRefused]]:
    """A catalog (as data for a YAML file) from a folder with one sub-folder of photos per SKU.

    A SKU's noun comes from `nouns` or from `ask(sku)`; without one the SKU is refused, never guessed.
    ConfigInvalid when there is no folder, or nouns name SKUs that have no folder.
    """
    from productshot.photos import sku_problem

    if not photos.is_dir():
        raise ConfigInvalid(
            f"photos {photos}", "is not a folder", "", "name a folder with one folder per SKU"
        )
    folders = sorted(
        path.name for path in photos.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    unknown = sorted(set(nouns) - set(folders))
    if unknown:
        hint = did_you_mean(unknown[0], folders).strip() or "name SKUs as their folders"
        raise ConfigInvalid("nouns", f"name SKU {unknown[0]!r}", f"{photos} has no such folder", hint)
    skus, refused = [], []
    for sku in folders:
        problem = sku_problem(sku)
        noun = None if problem else nouns.get(sku) or ask(sku)
        if problem or not noun:
            refused.append(problem or noun_missing(sku))
        else:
            skus.append({"sku": sku, "noun": noun})
    return {"catalog": name, "skus": skus}, refused


def noun_missing(sku: str) -> InputRefused:
    """The refusal of a SKU without a class noun."""
    return InputRefused(
        f"SKU {sku!r}",
        "has no class noun",
        "it is never guessed",
        "write noun: sneaker (say) in the catalog, or --noun SKU=NOUN",
    )


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigInvalid(
                f"{path}", f"has {path.stat().st_size} bytes", f"at most {MAX_BYTES}", "split it"
            )
        return path.read_text("utf-8-sig")
    except OSError as error:
        raise ConfigInvalid(f"{path}", f"cannot be read: {error.strerror}", "", "check the path") from error
    except UnicodeDecodeError as error:
        raise ConfigInvalid(f"{path}", "is not UTF-8 text", "", "save it as UTF-8") from error


def _rows(text: str, path: Path) -> list[dict[str, str]]:
    """The rows of a CSV of SKUs; only the columns of CSV_COLUMNS, sku first among equals."""
    reader = csv.DictReader(io.StringIO(text), strict=True)
    try:
        columns = [column.strip().lower() for column in reader.fieldnames or []]
        for column in columns:
            if column not in CSV_COLUMNS:
                meant = f"{did_you_mean(column, CSV_COLUMNS)}valid: {', '.join(CSV_COLUMNS)}"
                raise ConfigInvalid(f"{path}", f"has an unknown column {column!r}", meant)
        if "sku" not in columns:
            raise ConfigInvalid(f"{path}", "has no column sku", f"valid columns: {', '.join(CSV_COLUMNS)}")
        rows = [dict(zip(columns, row.values(), strict=False)) for row in reader]
    except csv.Error as error:
        raise ConfigInvalid(f"{path}", f"is not CSV: line {reader.line_num}: {error}") from error
    return [
        {key: value.strip() for key, value in row.items() if key and value and value.strip()} for row in rows
    ]


def known_skus(catalog: Catalog, names: Sequence[str]) -> list[str]:
    """The names, each a SKU of the catalog; ConfigInvalid names the nearest one."""
    known = [one.sku for one in catalog.skus]
    for name in names:
        if name not in known:
            raise ConfigInvalid(
                f"SKU {name!r}", "is not in the catalog", "", did_you_mean(name, known).strip()
            )
    return list(names)


def find_slot(channel: str, slot: str) -> tuple[Channel, Slot]:
    """A shipped channel, or one of one's own in a .yaml file, and its slot by name; ConfigInvalid names the nearest."""
    found = _own_channel(Path(channel)) if channel.endswith((".yaml", ".yml")) else _shipped_channel(channel)
    for one in found.slots:
        if one.name == slot:
            return found, one
    known = [one.name for one in found.slots]
    valid = f"{did_you_mean(slot, known)}valid: {', '.join(known)}"
    raise ConfigInvalid(f"--slot {slot!r}", f"is no slot of {channel}", valid)


def _shipped_channel(name: str) -> Channel:
    try:
        return load_channel(name)
    except ValueError as error:
        remedy = "name one, or the .yaml file of a channel of your own"
        raise ConfigInvalid("--channel", str(error), "", remedy) from error


def _own_channel(path: Path) -> Channel:
    """The channel in a YAML file that a person wrote; ConfigInvalid names the key and the mend."""
    try:
        return Channel.model_validate(yaml.safe_load(_read(path)))
    except (yaml.YAMLError, ValidationError) as error:
        what = told(error) if isinstance(error, ValidationError) else f"is not YAML: {error}"
        raise ConfigInvalid(f"channel {path}", what, "", "mend it and run again") from error
