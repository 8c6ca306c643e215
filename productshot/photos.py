"""Photos room: hostile bytes in, sRGB pixels and measures out.

A shop's files are decoded in a child process (productshot/decode.py) that is capped in memory and time, so a
crash, a hang or a memory bomb costs one photo its place and its neighbours nothing. This module starts that
child, talks to it over pipes and turns every way to fail into InputRefused. It also reads what names say:
role and view of a photo, masks, files that are no pictures, SKU names.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np
from pydantic import ValidationError

from catalog_schemas import PhotoRecipe, PhotoRule
from productshot.decode import FRAME
from productshot.errors import ConfigInvalid, DependencyMissing, InputRefused, InputTooSlow
from productshot.geometry import Size
from productshot.pixels import Pixels
from productshot.records import Record

Profile = Literal["none", "srgb", "converted", "ignored"]
"""What became of the ICC profile; ignored: it is broken or of another colour space, and sRGB was assumed."""

START_SECONDS = 30.0
MIN_MEMORY_MB = 192  # the child's libraries take 110 MB of address space
MAX_HEAD_BYTES = 65_536
PIPE_STEP = 1 << 20
SKU_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class PhotoMeasures(Record):
    """What the photos stage records of one accepted file."""

    size: Size  # after EXIF orientation
    sharpness: float  # variance of the Laplacian of the 0..255 luma, longer side at most 512 px
    exposure: float  # mean luma, 0..1
    has_alpha: bool  # some pixel is not fully opaque
    ai_source: str | None  # DigitalSourceType URI when the photo says that AI made it
    profile: Profile


@dataclass(frozen=True)
class Decoded:
    """One upright photo: rgb (h, w, 3) uint8 sRGB; alpha (h, w) uint8 straight, None when opaque."""

    rgb: Pixels
    alpha: Pixels | None
    ai_source: str | None
    profile: Profile
    mode: str = "RGB"  # of the file, by Pillow's name: L, CMYK, I;16, ...


class _Reply(Record):
    """The JSON of a child's frame; the child is not trusted either, so its answer is validated."""

    ready: bool = False
    refused: tuple[str, str, str] | None = None
    out_of_memory: bool = False
    size: Size = Size(0, 0)
    has_alpha: bool = False
    ai_source: str | None = None
    profile: Profile = "none"
    mode: str = "RGB"
    sharpness: float = 0.0
    exposure: float = 0.0


class _ChildDied(Exception):
    """The pipe to the child closed, or what came out of it was no answer."""


class _Child:
    """A started child process and its pipes; every transfer ends at a deadline (time.monotonic, s)."""

    def __init__(self, memory_mb: int) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end(); nobody empties a pipe
        self._process = subprocess.Popen(
            [sys.executable, "-m", "productshot.decode", str(memory_mb)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            bufsize=0,
            env=_child_environment(),
            start_new_session=True,
        )
        assert self._process.stdin and self._process.stdout  # both are pipes
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)
        os.set_blocking(self._stdout.fileno(), False)

    @property
    def pid(self) -> int:
        return self._process.pid

    def alive(self) -> bool:
        """False once the process has ended."""
        return self._process.poll() is None

    def write(self, data: bytes, deadline: float) -> None:
        """All of the data into the child; raises TimeoutError, _ChildDied."""
        left = memoryview(data)
        while left:
            _wait_for(self._stdin.fileno(), select.POLLOUT, deadline)
            try:
                left = left[os.write(self._stdin.fileno(), left[:PIPE_STEP]) :]
            except BrokenPipeError as error:
                raise _ChildDied from error

    def read_frame(self, max_payload: int, deadline: float) -> tuple[_Reply, bytearray]:
        """One frame from the child; raises TimeoutError, and _ChildDied for an end or nonsense."""
        head_bytes, payload_bytes = FRAME.unpack(self._read(FRAME.size, deadline))
        if head_bytes > MAX_HEAD_BYTES or payload_bytes > max_payload:
            raise _ChildDied
        try:
            reply = _Reply.model_validate_json(bytes(self._read(head_bytes, deadline)))
        except ValidationError as error:
            raise _ChildDied from error
        return reply, self._read(payload_bytes, deadline)

    def _read(self, count: int, deadline: float) -> bytearray:
        data = bytearray(count)
        left = memoryview(data)
        while left:
            _wait_for(self._stdout.fileno(), select.POLLIN, deadline)
            read = os.readv(self._stdout.fileno(), [left])
            if read == 0:
                raise _ChildDied
            left = left[read:]
        return data

    def how_it_died(self) -> str:
        """The signal's name, or the exit code and the last line on stderr; "" when it still runs."""
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return ""
        return signal.Signals(-code).name if code < 0 else f"exit {code}: {self.last_words()}"

    def last_words(self) -> str:
        """The last line the child wrote to stderr, at most 200 characters."""
        self._log.seek(0)
        lines = self._log.read(MAX_HEAD_BYTES).decode("utf-8", "replace").strip().splitlines()
        return lines[-1][:200] if lines else ""

    def end(self) -> None:
        """Kill the process, whatever it does, and close what belongs to it."""
        self._process.kill()
        self._process.wait()
        for file in (self._stdin, self._stdout, self._log):
            file.close()


class Decoder:
    """Decodes photos in one child process that is started when first needed and again after it died.

    seconds: wall time one photo may take, transfer included (the child's own start is not counted).
    memory_mb: cap of the child's address space. Not for several threads at once: one Decoder each.
    Raises ConfigInvalid for a cap too small to start with; DependencyMissing when the child does not start.
    """

    def __init__(self, seconds: float = 5.0, memory_mb: int = 2_048) -> None:
        if memory_mb < MIN_MEMORY_MB:
            remedy = "raise decode_memory_mb"
            raise ConfigInvalid("decode_memory_mb", f"is {memory_mb}", f"at least {MIN_MEMORY_MB}", remedy)
        self.seconds, self.memory_mb = seconds, memory_mb
        self._child: _Child | None = None

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> int:
        """The child's process id; starts it ahead of the first photo if none runs."""
        return self._running_child().pid

    def close(self) -> None:
        """End the child; a further photo would start another."""
        if self._child:
            self._child.end()
        self._child = None

    def pixels(self, data: bytes, item: str, recipe: PhotoRecipe, least_px: int = 0) -> Decoded:
        """The photo's pixels, upright, sRGB, 8 bit. Raises InputRefused for whatever is wrong with it.

        With `least_px` a JPEG comes back as small as its decoder makes it while its shorter side has that many px.
        """
        reply, payload = self._ask("pixels", data, item, recipe, least_px)
        width, height = reply.size
        if min(width, height) < 1 or len(payload) != width * height * (4 if reply.has_alpha else 3):
            self.close()
            raise _nonsense(item)
        flat = np.frombuffer(payload, np.uint8)
        rgb = flat[: width * height * 3].reshape(height, width, 3)
        alpha = flat[width * height * 3 :].reshape(height, width) if reply.has_alpha else None
        return Decoded(rgb, alpha, reply.ai_source, reply.profile, reply.mode)

    def measure(self, data: bytes, item: str, recipe: PhotoRecipe) -> PhotoMeasures:
        """The photo's measures; no pixels cross the pipe. Refuses as pixels() does, and for blur."""
        reply, _ = self._ask("measures", data, item, recipe)
        if reply.sharpness < recipe.min_sharpness:
            limit = f"at least {recipe.min_sharpness:g} is needed"
            raise InputRefused(item, f"has sharpness {reply.sharpness:.1f}", limit, "send a sharper photo")
        return PhotoMeasures.model_validate(reply.model_dump(include=set(PhotoMeasures.model_fields)))

    def _ask(
        self, want: str, data: bytes, item: str, recipe: PhotoRecipe, least_px: int = 0
    ) -> tuple[_Reply, bytearray]:
        """The child's answer; every failure as InputRefused, after which the child is fit or gone."""
        _check_bytes(data, item, recipe)
        limits = {"min_side_px": recipe.min_side_px, "max_pixels": recipe.max_pixels, "seconds": self.seconds}
        head = json.dumps({"want": want, "least_px": least_px} | limits).encode()
        child = self._running_child()
        deadline = time.monotonic() + self.seconds
        try:
            child.write(FRAME.pack(len(head), len(data)) + head, deadline)
            child.write(data, deadline)
            reply, payload = child.read_frame(recipe.max_pixels * 4, deadline)
        except TimeoutError:
            self.close()
            limit = f"its decoding was stopped after {self.seconds:g} s"
            remedy = "open and save it again, or send a smaller version"
            raise InputTooSlow(item, "takes too long", limit, remedy) from None
        except _ChildDied as death:
            how = child.how_it_died()
            self.close()
            raise _crash(item, how) if how else _nonsense(item) from death
        if reply.out_of_memory:
            self.close()
            limit = f"{self.memory_mb:,} MB are allowed"
            raise InputRefused(item, "needs too much memory to decode", limit, "send a smaller version")
        if reply.refused:
            raise InputRefused(item, *reply.refused)
        return reply, payload

    def _running_child(self) -> _Child:
        """The child, started if there is none and past its greeting."""
        if self._child and self._child.alive():
            return self._child
        self.close()
        self._child = child = _Child(self.memory_mb)
        try:
            child.read_frame(0, time.monotonic() + START_SECONDS)
        except (TimeoutError, _ChildDied) as error:
            value = f"does not start ({child.last_words() or 'it says nothing'})"
            self.close()
            raise DependencyMissing("the photo decoder", value, "", "run productshot doctor") from error
        return child


def _crash(item: str, how: str) -> InputRefused:
    return InputRefused(item, "crashes its decoder", f"the decoder died ({how})", "open and save it again")


def _nonsense(item: str) -> InputRefused:
    return InputRefused(
        item, "makes its decoder answer nonsense", "the decoder was ended", "open and save it again"
    )


def _check_bytes(data: bytes, item: str, recipe: PhotoRecipe) -> None:
    if not data:
        raise InputRefused(item, "is empty", "a photo has more than 0 bytes", "upload the file again")
    if len(data) > recipe.max_bytes:
        limit = f"at most {recipe.max_bytes:,} bytes are taken"
        raise InputRefused(item, f"has {len(data):,} bytes", limit, "send a smaller version")


def _child_environment() -> dict[str, str]:
    """What the child may know: where its modules lie, one thread; no credentials of ours."""
    root = str(Path(__file__).resolve().parent.parent)
    passed = {
        name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH", "LANG") if name in os.environ
    }
    modules = os.pathsep.join([root, *(entry for entry in sys.path if entry)])
    return passed | {"PYTHONPATH": modules, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def _wait_for(pipe: int, event: int, deadline: float) -> None:
    """Until the pipe is ready or closed; raises TimeoutError at the deadline."""
    poll = select.poll()
    poll.register(pipe, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise TimeoutError


def role_and_view(file_name: str, rules: Sequence[PhotoRule]) -> tuple[str, str | None]:
    """Role and view of a photo by its file name; the first rule that matches wins, case is ignored.

    Without a match: ("product", None).
    """
    name = file_name.rsplit("/", 1)[-1].lower()
    for rule in rules:
        if fnmatchcase(name, rule.pattern.lower()):
            return rule.role, rule.view
    return "product", None


def is_mask(key: str) -> bool:
    """True for <name>.mask.png, the mask that a shop laid beside a photo."""
    return _is_beside(key, ".mask.png")


def is_clutter(key: str) -> bool:
    """True for <name>.clutter.png, which marks what is in a photo and is not its product, as a hand that holds it."""
    return _is_beside(key, ".clutter.png")


def _is_beside(key: str, ending: str) -> bool:
    name = key.rsplit("/", 1)[-1].lower()
    return name.endswith(ending) and name != ending


def is_picture_name(key: str) -> bool:
    """False for what file managers and people leave beside photos; whatever else lies there is tried."""
    parts = key.split("/")
    name = parts[-1].lower()
    hidden = any(part.startswith(".") for part in parts)
    return (
        bool(name) and not hidden and name not in ("thumbs.db", "desktop.ini") and not name.endswith(".txt")
    )


def sku_problem(name: str) -> InputRefused | None:
    """Why this cannot be a SKU name (it becomes part of keys and file names), or None when it can."""
    if SKU_NAME.fullmatch(name) and ".." not in name:
        return None
    limit = "1 to 100 of A-Z a-z 0-9 . _ - are allowed, a letter or digit first, no '..'"
    return InputRefused(f"SKU {name!r}", "is not a usable name", limit, "rename it in the catalog")
