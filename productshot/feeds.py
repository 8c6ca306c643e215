"""Feeds: the published assets of a catalog as the table that a channel's bulk upload takes.

Google Merchant Center: id, image_link, additional_image_link, lifestyle_image_link (support.google.com/merchants/
answer/6324350 and 6324370; several additional links are joined by commas). Shopify: Handle, Image Src, Image Position
(the product CSV, read second-hand). Amazon: sku, main_image_url, other_image_url1 to 8 (inventory file templates).
What slots.json shows is in the feed, nothing else; a SKU without a main picture is left out and told.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

from catalog_schemas import Channel, load_channel
from productshot.errors import ConfigInvalid, InputRefused
from productshot.ledger import Ledger
from productshot.stages.assets import published
from productshot.store import Store

FeedName = Literal["google", "shopify", "amazon"]

OTHERS = {"google": 10, "shopify": 249, "amazon": 8}
"""Pictures beside the main one that a product takes: Google's page, Shopify's 250 media, Amazon's columns."""

MAX_URL_CHARS = 2_000
"""Longest address that Google takes (answer/6324350); the others name no limit."""

DELIMITERS = {".tsv": "\t", ".txt": "\t", ".csv": ","}
"""By the ending of the file: Google and Amazon take tabs, Shopify takes commas."""


class Pictures(NamedTuple):
    """The addresses of one SKU's published pictures, in the channel's order."""

    sku: str
    main: str
    others: tuple[str, ...]
    lifestyle: str = ""


class Feed(NamedTuple):
    """A table, first its header, and the SKUs that it lacks with the reason."""

    rows: list[tuple[str, ...]]
    left_out: list[InputRefused]


def make_feed(name: FeedName, skus: Sequence[str], ledger: Ledger, address: Callable[[str], str]) -> Feed:
    """The channel's table of these SKUs; `address` gives the public address of a key."""
    channel = load_channel(name)
    found: list[Pictures] = []
    left_out: list[InputRefused] = []
    for sku in skus:
        try:
            found.append(pictures_of(sku, channel, ledger, address))
        except InputRefused as error:
            left_out.append(error)
    if name == "shopify":
        found, doubles = _with_own_handles(found)
        left_out += doubles
    return Feed([HEADERS[name], *(row for one in found for row in ROWS[name](one))], left_out)


def pictures_of(sku: str, channel: Channel, ledger: Ledger, address: Callable[[str], str]) -> Pictures:
    """What slots.json shows of a SKU, by the roles of the channel's slots; InputRefused without a main picture."""
    said = published(sku, channel.name, ledger)
    keys: dict[str, list[str]] = {"main": [], "lifestyle": [], "additional": []}
    for slot in channel.slots:
        if slot.role in keys:
            keys[slot.role] += (said["slots"] if said else {}).get(slot.name, [])
    if not keys["main"]:
        told = "has no published main picture" if said else "has nothing published"
        raise InputRefused(
            f"SKU {sku}", told, f"channel {channel.name}", "run a night, or look at its refusals"
        )
    links = {role: [_link(key, address) for key in found] for role, found in keys.items()}
    others = (*links["main"][1:], *links["additional"])[: OTHERS[channel.name]]
    return Pictures(sku, links["main"][0], others, next(iter(links["lifestyle"]), ""))


def _link(key: str, address: Callable[[str], str]) -> str:
    url = address(key).replace(",", "%2C")  # a comma parts the links of a row
    if len(url) > MAX_URL_CHARS:
        limit = f"at most {MAX_URL_CHARS:,} characters"
        raise InputRefused(f"address of {key}", f"has {len(url):,} characters", limit, "use --url-template")
    return url


def _google(one: Pictures) -> list[tuple[str, ...]]:
    return [(one.sku, one.main, ",".join(one.others), one.lifestyle)]


def _amazon(one: Pictures) -> list[tuple[str, ...]]:
    empty = ("",) * (OTHERS["amazon"] - len(one.others))
    return [(one.sku, one.main, *one.others, *empty)]


def _shopify(one: Pictures) -> list[tuple[str, ...]]:
    links = (one.main, *one.others)
    return [(handle_of(one.sku), link, str(place)) for place, link in enumerate(links, 1)]


def handle_of(sku: str) -> str:
    """The Shopify handle of a SKU: lower-case letters, digits and dashes, as Shopify makes it of a title."""
    return re.sub(r"[^a-z0-9]+", "-", sku.lower()).strip("-")


def _with_own_handles(found: Sequence[Pictures]) -> tuple[list[Pictures], list[InputRefused]]:
    """The SKUs whose handle is nobody else's before them; two products under one handle would mix their pictures."""
    owner: dict[str, str] = {}
    kept, doubles = [], []
    for one in found:
        first = owner.setdefault(handle_of(one.sku), one.sku)
        if first == one.sku:
            kept.append(one)
        else:
            told = f"has the handle {handle_of(one.sku)!r} of SKU {first}"
            doubles.append(
                InputRefused(f"SKU {one.sku}", told, "a handle names one product", "rename one of the two")
            )
    return kept, doubles


HEADERS: dict[str, tuple[str, ...]] = {
    "google": ("id", "image_link", "additional_image_link", "lifestyle_image_link"),
    "shopify": ("Handle", "Image Src", "Image Position"),
    "amazon": ("sku", "main_image_url", *(f"other_image_url{n}" for n in range(1, OTHERS["amazon"] + 1))),
}
ROWS: dict[str, Callable[[Pictures], list[tuple[str, ...]]]] = {
    "google": _google,
    "shopify": _shopify,
    "amazon": _amazon,
}


def address_by(template: str | None, store: Store, expires_s: int) -> Callable[[str], str]:
    """How a key becomes an address: by a template with {key}, or the store's own link for `expires_s` seconds.

    ConfigInvalid: a template without {key} or of no public form; a folder as store, whose files nobody else can open.
    """
    if template is None:
        if not store.location.startswith("s3://"):
            remedy = "give --url-template https://cdn.example.com/{key}"
            raise ConfigInvalid(
                f"store {store.location}", "is a folder", "a channel cannot fetch its files", remedy
            )
        return lambda key: store.url(key, expires_s)
    rest = template.replace("{key}", "")
    if (
        "{key}" not in template
        or "{" in rest
        or "}" in rest
        or not re.match(r"https?://[^/\s]+/\S*$", template)
    ):
        limit = "http(s)://host/... with {key} and no other braces"
        raise ConfigInvalid(
            f"--url-template {template!r}", "is no address", limit, "https://cdn.example.com/{key}"
        )
    return lambda key: template.replace("{key}", quote(key, safe="/"))


def as_table(feed: Feed, path: Path) -> bytes:
    """The feed's rows as UTF-8 text, delimited as the file's ending says; ConfigInvalid for another ending."""
    delimiter = DELIMITERS.get(path.suffix.lower())
    if delimiter is None:
        raise ConfigInvalid(
            f"--out {path}", "has an unknown ending", f"known: {', '.join(DELIMITERS)}", "name .tsv"
        )
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows(feed.rows)
    return text.getvalue().encode()
