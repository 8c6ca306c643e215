"""What only a folder can do wrong: killed writers, full disks, links, other file systems' rules."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from productshot.errors import InputRefused, StorageRefused, StorageUnavailable
from productshot.folder import STALE_AFTER_S, FolderStore

WRITE_FOR_EVER = """
import sys
from pathlib import Path
from productshot.folder import FolderStore
store, version = FolderStore(Path(sys.argv[1])), 0
while True:
    store.put("a", b"%d" % (version % 10) * 4_000_000, "x")
    version += 1
"""
WRITE_TOO_MUCH = """
import resource, sys
from pathlib import Path
from productshot.errors import StorageUnavailable
from productshot.folder import FolderStore
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    FolderStore(Path(sys.argv[1])).put("a", b"0" * 200_000, "x")
except StorageUnavailable as error:
    print(error)
"""


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    """An empty folder store."""
    return FolderStore(tmp_path / "store")


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no permission to mount a tmpfs; the file-size limit is tested instead")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Without root's right to pass every door."""
    user = os.geteuid()
    os.seteuid(65534 if user == 0 else user)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_killed_writer_leaves_nothing_torn(store: FolderStore, tmp_path: Path) -> None:
    """After kill -9 in mid-put readers still get one whole version, and listings show nothing else."""
    for round_ in range(6):
        writer = subprocess.Popen([sys.executable, "-c", WRITE_FOR_EVER, str(tmp_path / "store")])
        while store.head("a") is None or not any((tmp_path / "store/.tmp").iterdir()):
            assert writer.poll() is None
            time.sleep(0.001)
        time.sleep(0.003 * round_)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        data = store.get("a")
        assert len(data) == 4_000_000 and len(set(data)) == 1
        assert [found.key for found in store.list("")] == ["a"]


def test_a_writer_killed_before_its_first_object_shows_nothing(store: FolderStore, tmp_path: Path) -> None:
    """A temporary file that never became an object is in no listing."""
    temporary = tmp_path / "store/.tmp/1-dead"
    temporary.parent.mkdir(parents=True)
    temporary.write_bytes(b"half")
    assert list(store.list("")) == [] and list(store.list_prefixes("")) == []


def test_what_killed_writers_left_is_swept(store: FolderStore, tmp_path: Path) -> None:
    """The first write removes old temporary files, not those of a writer that may be alive."""
    folder = tmp_path / "store/.tmp"
    folder.mkdir(parents=True)
    (folder / "1-young").touch()
    (folder / "1-old").touch()
    os.utime(folder / "1-old", (0, time.time() - STALE_AFTER_S - 60))
    store.put("a", b"", "x")
    assert [path.name for path in folder.iterdir()] == ["1-young"]


def test_a_full_disk_keeps_what_was_there(tiny_disk: Path) -> None:
    """A put that finds no room is told so in one line; the old object stays and nothing is left behind."""
    store = FolderStore(tiny_disk)
    store.put("a", b"old", "x")
    with pytest.raises(StorageUnavailable) as error:
        store.put("a", b"0" * 2_000_000, "x")
    assert "is full: no room for the 2000000 bytes of a; No space left on device (ENOSPC)" in str(error.value)
    assert str(error.value).endswith("make room and run it again") and error.value.retryable
    assert store.get("a") == b"old" and not any((tiny_disk / ".tmp").iterdir())


def test_a_file_size_limit_reads_like_a_full_disk(tmp_path: Path) -> None:
    """Where the system limits a file's size, the line says what did not fit."""
    command = [sys.executable, "-c", WRITE_TOO_MUCH, str(tmp_path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "is full: no room for the 200000 bytes of a; File too large (EFBIG)" in told
    assert [path.name for path in tmp_path.iterdir()] == [".tmp"] and not any((tmp_path / ".tmp").iterdir())


def test_a_forbidden_folder_is_told(store: FolderStore, tmp_path: Path) -> None:
    """Without permission the action and the key are named, for each call."""
    (tmp_path / "store").mkdir(mode=0)
    with ordinary_user():
        with pytest.raises(StorageRefused, match=r"does not let us write a/b; Permission denied \(EACCES\)"):
            store.put("a/b", b"", "x")
        with pytest.raises(
            StorageRefused, match=r"does not let us read a/b; .*; give this user the permission"
        ):
            store.get("a/b")
        with pytest.raises(StorageRefused, match="does not let us list"):
            list(store.list(""))


def test_a_read_only_disk_is_told(tiny_disk: Path) -> None:
    """A file system that takes no writes is a refusal, not a reason to run it again."""
    FolderStore(tiny_disk).put("a", b"1", "x")
    subprocess.run(["mount", "-o", "remount,ro", str(tiny_disk)], check=True)
    with pytest.raises(StorageRefused, match=r"does not let us delete a; Read-only file system \(EROFS\)"):
        FolderStore(tiny_disk).delete("a")


def test_a_store_across_two_disks_is_told(tiny_disk: Path, tmp_path: Path) -> None:
    """A sub-folder on another file system cannot be written in one step."""
    store = FolderStore(tmp_path / "store")
    (tmp_path / "store").mkdir()
    (tmp_path / "store/other").symlink_to(tiny_disk)
    with pytest.raises(
        StorageRefused, match="cannot write other/a in one atomic step; .*keep the whole store on one"
    ):
        store.put("other/a", b"", "x")


@pytest.mark.parametrize("key", ["a", "a/b/c"])
def test_a_key_below_another_key_is_refused(store: FolderStore, key: str) -> None:
    """A folder cannot hold both a/b and a, or a/b/c; neither write changes anything."""
    store.put("a/b", b"1", "x")
    for write in (store.put, store.create):
        with pytest.raises(InputRefused, match=f"key {key} collides with another key in .*; rename one"):
            write(key, b"2", "x")
    assert [found.key for found in store.list("")] == ["a/b"]


def test_a_long_segment_is_refused(store: FolderStore) -> None:
    """File systems end a name at 255 bytes; the key and the limit are told."""
    with pytest.raises(
        InputRefused, match="has a segment of 256 bytes; a folder keeps at most 255; rename it"
    ):
        store.put("a/" + "é" * 128, b"", "x")
    store.put("a/" + "é" * 127, b"", "x")


def test_links_are_followed_but_not_in_circles(store: FolderStore, tmp_path: Path) -> None:
    """Photos may lie behind a link; a link to a folder above is walked once; a dangling link is nothing."""
    store.put("photos/1/a", b"1", "x")
    (tmp_path / "store/photos/1/up").symlink_to(tmp_path / "store/photos")
    (tmp_path / "store/photos/dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b").write_bytes(b"2")
    (tmp_path / "store/photos/2").symlink_to(tmp_path / "elsewhere")
    assert [found.key for found in store.list("")] == ["photos/1/a", "photos/2/b"]


def test_a_changed_file_has_a_new_etag(store: FolderStore, tmp_path: Path) -> None:
    """Also when another program replaces it by as many bytes."""
    store.put("a", b"old", "x")
    before = store.head("a")
    (tmp_path / "store/a").write_bytes(b"new")
    os.utime(tmp_path / "store/a", ns=(1, 1))
    assert store.head("a") != before


def test_files_are_readable_by_the_group(store: FolderStore, tmp_path: Path) -> None:
    """Objects get the ordinary mode that the user's umask allows, not a temporary file's private one."""
    umask = os.umask(0o022)
    store.put("a", b"", "x")
    os.umask(umask)
    assert (tmp_path / "store/a").stat().st_mode & 0o777 == 0o644
