"""The store: the one door to everything that outlives a process.

A store maps keys ("work/17/cutouts/3f2a.json") to bytes. It is a folder or an S3 bucket; both keep the same
promises (tests/storage runs one contract against both):

- a reader sees the old bytes or the new bytes, never a part of either;
- `create` has exactly one winner, however many write at the same time;
- what was acknowledged is still there after a crash of the writer or the server.

Keys are relative posix paths. The top-level folders `.tmp` and `.probe` belong to the store itself.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from productshot.errors import ConfigInvalid, InputRefused

KEY_LIMIT_BYTES = 1000
"""S3 allows 1024; what is left over is for the store's own prefix."""

RESERVED = frozenset({".tmp", ".probe"})
"""Top-level folders that no key may use and no listing shows."""

_BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Listed:
    """One object as a listing tells it; a changed object has another etag.

    `modified`: seconds since 1970 by the store's clock, of whole seconds on S3; also the same bytes written again are
    newer. Who does not know it says "just now" for ever, so that nothing of unknown age counts as old.
    """

    key: str
    etag: str
    size: int
    modified: float = field(default=math.inf, compare=False)


class Store(Protocol):
    """Keys to bytes. Safe to use from many threads.

    Each call refuses a bad key with InputRefused, and raises StorageUnavailable (run it again),
    StorageRefused (permission, or the store cannot do it) or StorageMissing (no such bucket).
    """

    @property
    def location(self) -> str:
        """The address without credentials; `open_store` of it gives this store again."""

    def get(self, key: str) -> bytes:
        """The bytes of `key`. StorageMissing when there is no such object."""

    def download(self, key: str, path: Path) -> None:
        """Write the object to a new file, in pieces: it may be larger than memory. StorageMissing as in `get`."""

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """Write `data` whether or not `key` exists, in one atomic step."""

    def create(self, key: str, data: bytes, content_type: str) -> bool:
        """True: this call made `key`. False: it exists, and the caller adopts what `get` returns."""

    def head(self, key: str) -> Listed | None:
        """What a listing would tell of `key`; None when there is no such object."""

    def list(self, prefix: str) -> Iterator[Listed]:
        """Every object whose key begins with `prefix` ("photos/", "photos/17-", ""), sorted by key."""

    def list_prefixes(self, prefix: str) -> Iterator[str]:
        """The sub-folders right under the folder `prefix` ("" or "photos/"), as "photos/17/", sorted.

        A folder without objects is none (but S3 consoles make an empty object "photos/17/" to have one).
        """

    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens when it does not exist."""

    def delete_all(self, keys: Sequence[str]) -> None:
        """Remove these keys, on S3 a thousand a request, in no order; those that do not exist are passed over.

        An error may come after some of them are gone; the same call again goes on.
        """

    def url(self, key: str, expires_s: int) -> str:
        """An address a browser can open, on S3 for `expires_s` seconds; `key` need not exist."""


def open_store(url: str, probe: bool = True) -> Store:
    """The store at `url`: a folder's path, "file:///folder" or "s3://bucket/prefix".

    A folder need not exist: the first write makes it. A bucket must exist (StorageMissing). With `probe`, its
    server is asked to prove that it keeps conditional writes (StorageRefused when it ignores them); that
    takes three requests and the right to write, so what only reads opens without.
    Any other form of `url` is refused with ConfigInvalid, which names the nearest valid form.
    """
    if url.startswith("s3://"):
        bucket, prefix = _bucket_and_prefix(url)
        from productshot.s3 import open_bucket

        return open_bucket(bucket, prefix, probe=probe)
    from productshot.folder import open_folder

    return open_folder(_folder_path(url))


def check_key(key: str, segment_limit_bytes: int | None = None) -> None:
    """Refuse (InputRefused) a key that some store could not keep exactly as it is."""
    segments = key.split("/")
    _check_text(key, key, KEY_LIMIT_BYTES)
    if key.startswith("/"):
        raise _refused(key, "starts with a slash", "keys are relative")
    if "" in segments:
        raise _refused(key, "has an empty segment" if key else "is empty", "every segment needs a name")
    if "." in segments or ".." in segments:
        raise _refused(key, 'has a "." or ".." segment', "keys name one object in one way")
    if segments[0] in RESERVED:
        raise _refused(key, f"lies in {segments[0]}/", "that folder belongs to the store")
    longest = max(len(segment.encode()) for segment in segments)
    if segment_limit_bytes is not None and longest > segment_limit_bytes:
        raise _refused(
            key, f"has a segment of {longest} bytes", f"a folder keeps at most {segment_limit_bytes}"
        )


def check_prefix(prefix: str) -> None:
    """Refuse (InputRefused) what cannot be the beginning of a key; the empty prefix means everything."""
    _check_text(prefix, prefix, KEY_LIMIT_BYTES)
    *folders, _ = prefix.split("/")
    if {"", ".", ".."} & set(folders):
        raise _refused(prefix, "is no beginning of a key", 'no leading slash, no empty, "." or ".." segment')


def check_folder_prefix(prefix: str) -> None:
    """Refuse (InputRefused) what is neither empty nor a folder such as "photos/"."""
    check_prefix(prefix)
    if prefix and not prefix.endswith("/"):
        raise _refused(prefix, "is no folder", 'a folder\'s prefix is empty or ends with "/"')


def is_reserved(key: str) -> bool:
    """Whether a found object is the store's own and must not be listed."""
    return key.split("/", 1)[0] in RESERVED


def shown(key: str) -> str:
    """`key` for a message: printable, at most about a hundred characters."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in key)
    return text if len(text) <= 100 else f"{text[:60]}...{text[-37:]}"


def _check_text(item: str, text: str, limit_bytes: int) -> None:
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in text):
        raise _refused(item, "has a control character or is no valid Unicode", "keys are printable text")
    if len(text.encode()) > limit_bytes:
        raise _refused(item, f"has {len(text.encode())} bytes", f"at most {limit_bytes} bytes are possible")


def _refused(key: str, value: str, limit: str) -> InputRefused:
    return InputRefused(f'key "{shown(key)}"', value, limit, "rename it")


def _bucket_and_prefix(url: str) -> tuple[str, str]:
    """("bucket", "prefix/") of "s3://bucket/prefix"; the prefix is empty or ends with a slash."""
    bucket, _, path = url.removeprefix("s3://").partition("/")
    prefix, form = path.strip("/"), "write s3://bucket/prefix"
    if "@" in bucket:
        raise ConfigInvalid(
            "store s3://...", "holds credentials", "they come from the AWS_... settings", form
        )
    if not _BUCKET_NAME.fullmatch(bucket):
        told = f'"{shown(bucket)}" is no bucket name' if bucket else "names no bucket"
        raise ConfigInvalid("store s3://...", told, "3 to 63 letters, digits, dots and hyphens", form)
    try:
        check_key(prefix or "none")
    except InputRefused as cause:
        raise ConfigInvalid(f"store s3://{bucket}", f"has a bad prefix: {cause}", "", form) from cause
    return bucket, f"{prefix}/" if prefix else ""


def _folder_path(url: str) -> Path:
    """The absolute folder that `url` means."""
    if not url.strip() or "\0" in url:
        raise ConfigInvalid('store ""', "is empty", "a store is a folder or s3://bucket/prefix", "name one")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]*):/*", url)
    if url.startswith("file:///"):
        return Path(unquote(url.removeprefix("file://")))
    if scheme and (url.startswith(f"{scheme[1]}://") or scheme[1].lower() in ("s3", "file")):
        raise _nearest_form(scheme[1], url)
    return Path(url).expanduser().absolute()


def _nearest_form(scheme: str, url: str) -> ConfigInvalid:
    """The refusal of a `url` with a foreign or misspelt scheme; user names and passwords are not repeated."""
    rest = url[len(scheme) + 1 :].lstrip("/").rpartition("@")[2].partition("?")[0]
    if scheme.lower() in ("s3", "s3a", "s3n"):
        remedy = f"write s3://{shown(rest)}"
    elif scheme.lower() == "file":
        remedy = f"write file:///{shown(rest)}"
    elif scheme.lower() in ("http", "https"):
        host, path = (
            urlsplit(f"{scheme}://{rest}").netloc or "host:port",
            rest.partition("/")[2] or "bucket/prefix",
        )
        remedy = f"set AWS_ENDPOINT_URL={scheme}://{host} and write s3://{shown(path)}"
    else:
        remedy = "write s3://bucket/prefix, or copy it to a folder"
    return ConfigInvalid(
        f"store {scheme}:...",
        "is no form that productshot knows",
        "a folder, file:///folder or s3://bucket/prefix",
        remedy,
    )
