"""Files outside the store that a command writes: whole or not at all."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from productshot.errors import StorageUnavailable


def write_whole(path: Path, data: bytes) -> None:
    """Write the file in one step: a reader sees the old bytes or the new ones, and the new ones are read back once.

    Missing folders are made. StorageUnavailable: no room, no permission, or other bytes came back.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.chmod(0o644)
            if temporary.read_bytes() != data:
                raise StorageUnavailable(
                    f"file {path}", "does not read back as written", "", "check the disk"
                )
            temporary.replace(path)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
    except OSError as error:
        raise StorageUnavailable(
            f"file {path}", f"cannot be written: {error.strerror}", "", "check it"
        ) from error
