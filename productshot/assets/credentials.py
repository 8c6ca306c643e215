"""Assets, Content Credentials: a signed C2PA manifest in each file, with the source photo as ingredient.

The one door to c2pa-python (optional: pip install productshot[c2pa]). A signature holds random numbers, so two signings
of one picture differ; the marker still lets only one of them be published. A verifier shows a certificate that no trust
list knows, a self-made one for example, as untrusted.
"""

from __future__ import annotations

import io
import json
import threading
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from catalog_schemas import Signing
from catalog_schemas.scene import Lane
from productshot import __version__
from productshot.decode import type_of
from productshot.errors import ConfigInvalid, DependencyMissing, GateRefused
from productshot.keys import digest_bytes

RESERVED_BYTES = 16_384
"""Left free under a slot's byte limit for the manifest: about 4 kB, and the photo's own where it has one."""

PHOTO = "photo"
"""The label by which the actions name their ingredient."""


class Made(NamedTuple):
    """What is to be said of a file."""

    title: str
    lane: Lane
    source_type: str | None  # DigitalSourceType URI; None: no AI took part
    photo_name: str
    photo: bytes  # as the shop took it
    item: str  # names the picture in a refusal


class Credentials:
    """A certificate and its key, read once a night; the key stays in memory and is written nowhere.

    DependencyMissing: c2pa-python is not installed. ConfigInvalid: a file cannot be read, or key and certificate do
    not sign.
    """

    def __init__(self, signing: Signing) -> None:
        self._library = _library()
        chain, key = _read(signing.certificate, "certificate"), _read(signing.key, "key")
        self.digest = digest_bytes(chain)
        self._lock = threading.Lock()
        info = self._library.C2paSignerInfo(
            alg=signing.algorithm.encode(),
            sign_cert=chain,
            private_key=key,
            ta_url=signing.timestamp_url.encode() if signing.timestamp_url else None,
        )
        try:
            self._signer = self._library.Signer.from_info(info)
        except self._library.C2paError as error:
            raise ConfigInvalid(
                f"night.signing.certificate {signing.certificate}",
                f"does not sign: {_words(error)}",
                "a PEM chain, its own certificate first, and the key of that one",
                f"look at both files and at algorithm: {signing.algorithm}",
            ) from error

    @cached_property
    def _context(self) -> Any:
        """No thumbnails, so no foreign picture is decoded here; no trust list, which is the reader's business."""
        chosen = {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_trust": False}}
        return self._library.Context(settings=self._library.Settings.from_dict(chosen))

    def signed(self, data: bytes, kind: str, made: Made) -> bytes:
        """The file with its signed manifest, verified as read back; GateRefused where that cannot be made."""
        taken = f"image/{type_of(made.photo).lower()}"
        if taken not in self._library.Builder.get_supported_mime_types():
            told, remedy = (
                f"comes from a {type_of(made.photo)} photo",
                "upload the photo as JPEG, PNG or WebP",
            )
            raise GateRefused(made.item, told, "C2PA takes no such ingredient", remedy)
        out = io.BytesIO()
        try:
            with self._lock:
                builder = self._library.Builder(_definition(made), self._context)
                builder.add_ingredient(_ingredient(made), taken, io.BytesIO(made.photo))
                builder.sign(self._signer, f"image/{kind}", io.BytesIO(data), out)
                state = self._library.Reader(
                    f"image/{kind}", out, context=self._context
                ).get_validation_state()
        except self._library.C2paError as error:
            limit, remedy = (
                "every file carries a C2PA manifest",
                "look at the photo, or leave night.signing out",
            )
            raise GateRefused(made.item, f"cannot be signed: {_words(error)}", limit, remedy) from error
        if state not in ("Valid", "Trusted"):
            told = f"has a C2PA manifest that reads back as {state}"
            raise GateRefused(
                made.item, told, "a valid signature", "look at the certificate's dates and uses"
            )
        return out.getvalue()


def _definition(made: Made) -> dict[str, Any]:
    """The manifest: a drawn picture was created from its photo, any other is the photo, opened and edited."""
    source = {"digitalSourceType": made.source_type} if made.source_type else {}
    used = {"parameters": {"ingredientIds": [PHOTO]}}
    actions: list[dict[str, Any]] = [{"action": "c2pa.opened", **used}, {"action": "c2pa.edited", **source}]
    if made.lane == "draw":
        actions = [{"action": "c2pa.created", **source, **used}]
    return {
        "claim_generator_info": [{"name": "productshot", "version": __version__}],
        "title": made.title,
        "assertions": [{"label": "c2pa.actions.v2", "data": {"actions": actions}}],
    }


def _ingredient(made: Made) -> dict[str, str]:
    relationship = "inputTo" if made.lane == "draw" else "parentOf"
    return {"title": made.photo_name, "relationship": relationship, "label": PHOTO}


def read_manifest(data: bytes, kind: str) -> dict[str, Any] | None:
    """The active C2PA manifest of a file productshot signed, its state under "state"; None when it has none."""
    library = _library()
    reader = library.Reader.try_create(f"image/{kind}", io.BytesIO(data))
    if reader is None:
        return None
    told: dict[str, Any] = json.loads(reader.json())
    return {**told["manifests"][told["active_manifest"]], "state": told["validation_state"]}


def _library() -> Any:
    try:
        import c2pa
    except ImportError as error:
        raise DependencyMissing(
            "night.signing",
            "needs c2pa-python",
            "",
            "pip install 'productshot[c2pa]', or leave night.signing out",
        ) from error
    return c2pa


def _read(path: str, name: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        told = f"cannot be read: {error.strerror}"
        raise ConfigInvalid(f"night.signing.{name} {path}", told, "", "check the path") from error


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:160]
