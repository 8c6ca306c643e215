"""Which addresses open a store, and what a wrong one is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from productshot.errors import ConfigInvalid, InputRefused
from productshot.store import check_key, open_store, shown


def test_a_folder_by_path_and_by_address(tmp_path: Path) -> None:
    """A path and its file:// address are the same store."""
    folder = tmp_path / "my shop"
    open_store(str(folder)).put("a", b"1", "text/plain")
    assert open_store(folder.as_uri()).get("a") == b"1"


def test_opening_a_folder_makes_nothing(tmp_path: Path) -> None:
    """Only the first write makes the folder; until then the store is empty."""
    store = open_store(str(tmp_path / "new"))
    assert list(store.list("")) == [] and list(store.list_prefixes("")) == [] and store.head("a") is None
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("gs://shop/photos", "write s3://bucket/prefix"),
        ("s3:/shop/photos", "write s3://shop/photos"),
        ("S3://shop/photos", "write s3://shop/photos"),
        ("s3a://shop/photos", "write s3://shop/photos"),
        ("file://photos", "write file:///photos"),
        (
            "https://me:pass@host:9000/shop/x?k=pass",
            "set AWS_ENDPOINT_URL=https://host:9000 and write s3://shop/x",
        ),
        ("s3://key:pass@shop/x", "holds credentials"),
        ("s3://", "names no bucket"),
        ("s3://shop_!/x", '"shop_!" is no bucket name'),
        ("s3://shop/a//b", "has a bad prefix"),
        ("", "is empty"),
    ],
)
def test_other_forms_are_refused(url: str, told: str) -> None:
    """A wrong address is told the nearest valid one, and no password is repeated."""
    with pytest.raises(ConfigInvalid) as refusal:
        open_store(url)
    assert told in str(refusal.value) and "pass" not in str(refusal.value)


def test_a_file_is_no_store(tmp_path: Path) -> None:
    """A file where a folder is needed is refused at once."""
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(ConfigInvalid, match="photo.jpg is a file; a store is a folder or s3://bucket/prefix"):
        open_store(str(tmp_path / "photo.jpg"))


def test_a_wrong_endpoint_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An AWS setting that boto3 cannot use is the user's to correct."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not an address")
    with pytest.raises(
        ConfigInvalid, match="cannot be opened; Invalid endpoint.*; correct the AWS_... settings"
    ):
        open_store("s3://shop/photos")


def test_the_port_does_not_load_boto3() -> None:
    """`import productshot.store` and a folder store leave boto3 alone."""
    program = "import sys, productshot.store as s; s.open_store('.'); sys.exit('boto3' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@settings(deadline=None)
@given(st.text())
def test_an_accepted_key_is_one_relative_path(key: str) -> None:
    """What check_key lets through is a normal relative path of printable text."""
    try:
        check_key(key)
    except InputRefused:
        return
    assert Path("/root", key).relative_to("/root").as_posix() == key
    assert ".." not in key.split("/") and "\n" not in key and len(key.encode()) <= 1000


@settings(deadline=None)
@given(st.text())
def test_a_shown_key_is_one_short_line(key: str) -> None:
    """A key in a message cannot break the line or fill the screen."""
    assert shown(key).isprintable() and len(shown(key)) <= 100
