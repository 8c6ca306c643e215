"""The folder store: a plain directory that keeps the promises of `productshot.store`.

A write goes to `.tmp/` in the same root and reaches the disk there (fsync); one rename (`put`) or one hard
link (`create`: it fails when the name exists) then makes it visible, and the directory entry is flushed too.
A killed writer leaves at most a file in `.tmp/`, which no listing shows and a later writer sweeps away.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from productshot.errors import (
    ConfigInvalid,
    InputRefused,
    ProductshotError,
    StorageMissing,
    StorageRefused,
    StorageUnavailable,
)
from productshot.store import Listed, check_folder_prefix, check_key, check_prefix, is_reserved, shown

SEGMENT_LIMIT_BYTES = 255
STALE_AFTER_S = 24 * 3600
"""A temporary file this old has lost its writer."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}
_UNABLE = {errno.EXDEV, errno.EOPNOTSUPP, errno.EMLINK}
_ABSENT = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


def open_folder(root: Path) -> FolderStore:
    """The store in the folder `root`, which need not exist; ConfigInvalid when it is a file."""
    store = FolderStore(root)
    store.find_folder()
    return store


class FolderStore:
    """A store in the folder `root`, which the first write makes."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._swept = False

    @property
    def location(self) -> str:
        return str(self._root)

    def get(self, key: str) -> bytes:
        path = self._path(key)
        with self._translated("read", key), self._known(key):
            return path.read_bytes()

    def download(self, key: str, path: Path) -> None:
        with self._translated("read", key), self._known(key):
            shutil.copyfile(self._path(key), path)

    @contextmanager
    def _known(self, key: str) -> Iterator[None]:
        """Within it, a file that is not there is StorageMissing."""
        try:
            yield
        except _ABSENT as cause:
            raise StorageMissing(
                f"object {shown(key)}", f"is not in {self.location}", "", "check the key and the store's path"
            ) from cause

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """See Store; a folder keeps no content type."""
        path = self._path(key)
        with self._translated("write", key, len(data)), self._temporary(data) as temporary:
            self._make_folder(path.parent)
            temporary.replace(path)
            _flush_folder(path.parent)

    def create(self, key: str, data: bytes, content_type: str) -> bool:
        """See Store; a folder keeps no content type."""
        path = self._path(key)
        if self.head(key):
            return False
        with self._translated("write", key, len(data)), self._temporary(data) as temporary:
            self._make_folder(path.parent)
            try:
                os.link(temporary, path)
            except FileExistsError:
                if path.is_dir():
                    raise
                return False
            _flush_folder(path.parent)
            return True

    def head(self, key: str) -> Listed | None:
        path = self._path(key)
        with self._translated("look at", key):
            try:
                found = path.stat()
            except _ABSENT:
                return None
            return _listed(key, found) if stat.S_ISREG(found.st_mode) else None

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        return self._walk(prefix.rpartition("/")[0], prefix, ())

    def list_prefixes(self, prefix: str) -> Iterator[str]:
        check_folder_prefix(prefix)
        return self._sub_folders(prefix)

    def delete(self, key: str) -> None:
        path = self._path(key)
        with self._translated("delete", key):
            if path.is_dir():
                return
            try:
                path.unlink()
            except _ABSENT:
                return
            _flush_folder(path.parent)

    def delete_all(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.delete(key)

    def url(self, key: str, expires_s: int) -> str:
        """The file's own address; it never expires."""
        return self._path(key).as_uri()

    def find_folder(self) -> None:
        """ConfigInvalid when the store's path is a file; nothing is made."""
        with self._translated("open", ""):
            is_file = self._root.exists() and not self._root.is_dir()
        if is_file:
            limit = "a store is a folder or s3://bucket/prefix"
            raise ConfigInvalid(f"store {self.location}", "is a file", limit, "name a folder")

    def _path(self, key: str) -> Path:
        check_key(key, SEGMENT_LIMIT_BYTES)
        return self._root / key

    def _walk(self, folder: str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[Listed]:
        """Objects under `folder` in the order of their keys; `above` ends a loop of symbolic links."""
        here = self._identity(folder)
        if here is None or here in above:
            return
        for key, entry in self._entries(folder):
            if key.endswith("/"):
                if key.startswith(prefix) or prefix.startswith(key):
                    yield from self._walk(key[:-1], prefix, (*above, here))
            elif key.startswith(prefix):
                with suppress(FileNotFoundError), self._translated("look at", key):
                    yield _listed(key, entry.stat())

    def _sub_folders(self, prefix: str) -> Iterator[str]:
        for key, _ in self._entries(prefix.rstrip("/")):
            if key.endswith("/") and next(self._walk(key[:-1], key, ()), None):
                yield key

    def _entries(self, folder: str) -> Sequence[tuple[str, os.DirEntry[str]]]:
        """Files and folders right in `folder` by key; a folder's ends with "/", which gives S3's order."""
        with self._translated("list", folder):
            try:
                with os.scandir(self._root / folder) as found:
                    entries = [
                        (f"{folder}/{entry.name}".lstrip("/") + ("/" if entry.is_dir() else ""), entry)
                        for entry in found
                        if entry.is_dir() or entry.is_file()
                    ]
            except _ABSENT:
                return []
        return sorted(
            ((key, entry) for key, entry in entries if not is_reserved(key)), key=lambda pair: pair[0]
        )

    def _identity(self, folder: str) -> tuple[int, int] | None:
        with self._translated("list", folder):
            try:
                found = (self._root / folder).stat()
            except _ABSENT:
                return None
        return found.st_dev, found.st_ino

    def _make_folder(self, folder: Path) -> None:
        """Make `folder` and what is above it, and flush each new directory entry."""
        if folder.is_dir():
            return
        if folder.parent != folder:
            self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _flush_folder(folder.parent)

    @contextmanager
    def _temporary(self, data: bytes) -> Iterator[Path]:
        """A file in `.tmp/` that holds `data` and has reached the disk; it is gone afterwards."""
        folder = self._root / ".tmp"
        self._make_folder(folder)
        self._sweep(folder)
        path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
        try:
            with open(path, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _sweep(self, folder: Path) -> None:
        """Once per store: remove what killed writers left behind."""
        if self._swept:
            return
        self._swept = True
        for entry in os.scandir(folder):
            with suppress(FileNotFoundError):
                if time.time() - entry.stat().st_mtime > STALE_AFTER_S:
                    Path(entry).unlink()

    @contextmanager
    def _translated(self, action: str, key: str, size: int = 0) -> Iterator[None]:
        """Turn what the operating system says into our errors, its own error kept as the cause."""
        try:
            yield
        except OSError as cause:
            raise self._error(cause, action, key, size) from cause

    def _error(self, cause: OSError, action: str, key: str, size: int) -> ProductshotError:
        item, said = (
            f"store {self.location}",
            f"{cause.strerror} ({errno.errorcode.get(cause.errno or 0, 'unknown')})",
        )
        if cause.errno in _FULL:
            told = f"is full: no room for the {size} bytes of {shown(key)}"
            limit = f"{said}, {self._free_bytes()} bytes are free"
            return StorageUnavailable(item, told, limit, "make room and run it again")
        if cause.errno in _FORBIDDEN:
            remedy = "give this user the permission, or choose another folder"
            return StorageRefused(item, f"does not let us {action} {shown(key)}".rstrip(), said, remedy)
        if cause.errno in _UNABLE:
            told = f"cannot {action} {shown(key)} in one atomic step"
            return StorageRefused(item, told, said, "keep the whole store on one file system with hard links")
        if isinstance(cause, (FileExistsError, IsADirectoryError, NotADirectoryError)):
            told = f"collides with another key in {self.location}"
            return InputRefused(
                f"key {shown(key)}", told, "a folder keeps no key below another key", "rename one"
            )
        if cause.errno == errno.ENAMETOOLONG:
            return InputRefused(f"key {shown(key)}", f"is too long for {self.location}", said, "rename it")
        return StorageUnavailable(
            item, f"could not {action} {shown(key)}", said, "run it again; look at the disk"
        )

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self._root if self._root.exists() else self._root.anchor).free


def _listed(key: str, found: os.stat_result) -> Listed:
    """The etag holds the inode too: two writes within one tick of the file system's clock differ in it."""
    etag = f"{found.st_mtime_ns:x}-{found.st_ino:x}-{found.st_size:x}"
    return Listed(key=key, etag=etag, size=found.st_size, modified=found.st_mtime)


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
