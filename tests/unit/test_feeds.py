"""Feeds: what slots.json shows, as each channel's bulk upload takes it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from productshot.errors import ConfigInvalid
from productshot.feeds import FeedName, address_by, as_table, make_feed
from productshot.folder import FolderStore
from productshot.keys import canonical_json
from productshot.ledger import Ledger
from tests.conftest import write_catalog
from tests.unit.test_cli import productshot

CDN = "https://cdn.example.com/{key}"


def a_ledger(tmp_path: Path, channel: str, **slots: list[str]) -> Ledger:
    """A store in which SKU mug-1 shows these slots of the channel."""
    store = FolderStore(tmp_path)
    said = {"channel": channel, "sku": "mug-1", "slots": slots, "previous": None}
    store.put(f"catalog/{channel}/mug-1/slots.json", canonical_json(said), "application/json")
    return Ledger(store)


def rows(name: FeedName, ledger: Ledger, *skus: str) -> list[tuple[str, ...]]:
    return make_feed(name, skus or ("mug-1",), ledger, address_by(CDN, ledger.store, 60)).rows


def test_google_joins_additional_links_by_commas(tmp_path: Path) -> None:
    """Main, additional and lifestyle have columns of their own."""
    ledger = a_ledger(tmp_path, "google", main=["m.jpg"], additional=["a.jpg", "b.jpg"], lifestyle=["l.jpg"])
    header, row = rows("google", ledger)

    assert header == ("id", "image_link", "additional_image_link", "lifestyle_image_link")
    links = [f"https://cdn.example.com/{key}.jpg" for key in "mabl"]
    assert row == ("mug-1", links[0], f"{links[1]},{links[2]}", links[3])


def test_amazon_has_a_column_a_picture_and_eight_at_most(tmp_path: Path) -> None:
    """Unused columns stay empty; a ninth picture has none."""
    ledger = a_ledger(tmp_path, "amazon", main=["m.jpg"], additional=[f"{n}.jpg" for n in range(9)])
    header, row = rows("amazon", ledger)

    assert header[:3] == ("sku", "main_image_url", "other_image_url1") and header[-1] == "other_image_url8"
    assert len(row) == len(header) == 10
    assert row[-1].endswith("/7.jpg")


def test_shopify_has_a_row_a_picture(tmp_path: Path) -> None:
    """The handle is the SKU as an address; positions count from 1."""
    ledger = a_ledger(tmp_path, "shopify", main=["m.jpg"], additional=["a.jpg"])

    assert [(row[0], row[2]) for row in rows("shopify", ledger)[1:]] == [("mug-1", "1"), ("mug-1", "2")]


def test_two_skus_with_one_handle_are_not_mixed(tmp_path: Path) -> None:
    """The second one is left out and told."""
    ledger = a_ledger(tmp_path, "shopify", main=["m.jpg"])
    said = ledger.store.get("catalog/shopify/mug-1/slots.json")
    ledger.store.put("catalog/shopify/MUG_1/slots.json", said, "application/json")
    made = make_feed("shopify", ["mug-1", "MUG_1"], ledger, address_by(CDN, ledger.store, 60))

    assert len(made.rows) == 2
    assert str(made.left_out[0]).startswith("SKU MUG_1 has the handle 'mug-1' of SKU mug-1")


def test_a_sku_without_a_main_picture_is_left_out_and_told(tmp_path: Path) -> None:
    """No row with an empty address."""
    ledger = a_ledger(tmp_path, "google", main=[], additional=["a.jpg"])
    made = make_feed("google", ["mug-1", "vase-2"], ledger, address_by(CDN, ledger.store, 60))

    assert len(made.rows) == 1
    assert [error.value for error in made.left_out] == [
        "has no published main picture",
        "has nothing published",
    ]


@pytest.mark.parametrize(
    "template",
    ["https://cdn.example.com/", "cdn/{key}", "https://cdn.example.com/{key}/{sku}", "https:///{key}"],
)
def test_a_template_that_is_no_address_is_refused(tmp_path: Path, template: str) -> None:
    """Without {key} every picture would have one address."""
    with pytest.raises(ConfigInvalid, match="is no address"):
        address_by(template, FolderStore(tmp_path), 60)


def test_a_folder_has_no_public_links(tmp_path: Path) -> None:
    """file:// opens on this machine only."""
    with pytest.raises(ConfigInvalid, match="a channel cannot fetch its files; give --url-template"):
        address_by(None, FolderStore(tmp_path), 60)


class SigningStore(FolderStore):
    """A folder that passes for a bucket: its links say for how long they hold."""

    @property
    def location(self) -> str:
        return "s3://shop"

    def url(self, key: str, expires_s: int) -> str:
        return f"https://s3.example.com/{key}?expires={expires_s}"


def test_a_bucket_signs_its_links(tmp_path: Path) -> None:
    """Without a template the store's own links stand in the feed, for the time asked for."""
    assert (
        address_by(None, SigningStore(tmp_path), 3600)("m.jpg") == "https://s3.example.com/m.jpg?expires=3600"
    )


def test_a_presigned_link_keeps_its_commas_out_of_the_list(tmp_path: Path) -> None:
    """A comma inside a link would be read as the next one."""
    ledger = a_ledger(tmp_path, "google", main=["m.jpg"], additional=["a.jpg", "b.jpg"])
    made = make_feed("google", ["mug-1"], ledger, lambda key: f"https://s3.example.com/{key}?sig=a,b")

    assert made.rows[1][2].split(",") == [
        "https://s3.example.com/a.jpg?sig=a%2Cb",
        "https://s3.example.com/b.jpg?sig=a%2Cb",
    ]


def test_the_ending_chooses_the_delimiter(tmp_path: Path) -> None:
    """Tabs for .tsv and .txt, commas for .csv; another ending is refused."""
    ledger = a_ledger(tmp_path, "shopify", main=["m.jpg"])
    made = make_feed("shopify", ["mug-1"], ledger, address_by(CDN, ledger.store, 60))

    assert as_table(made, Path("a.csv")).startswith(b"Handle,Image Src,Image Position\nmug-1,")
    assert as_table(made, Path("a.TSV")).startswith(b"Handle\tImage Src\t")
    with pytest.raises(ConfigInvalid, match="has an unknown ending"):
        as_table(made, Path("a.xlsx"))


def test_a_night_then_its_feed_from_the_command_line(root: Path, tmp_path: Path) -> None:
    """Every row's address ends in a key that exists in the store."""
    catalog, out = write_catalog(root.parent / "c.yaml"), tmp_path / "feed.tsv"
    productshot("night", catalog, "--store", root)
    done = productshot(
        "feed", catalog, "--store", root, "--channel", "google", "--out", out, "--url-template", CDN
    )
    table = list(csv.DictReader(io.StringIO(out.read_text("utf-8")), delimiter="\t"))

    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in table] == ["mug-1", "vase-2"]
    assert all((root / row["image_link"].removeprefix("https://cdn.example.com/")).is_file() for row in table)
