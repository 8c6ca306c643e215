"""Content Credentials: signed with a certificate made here, read back by the library, the photo as ingredient."""

from __future__ import annotations

import io
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from PIL import Image

from catalog_schemas import AssetRecipe, Signing
from productshot.assets import read_source_type
from productshot.assets.credentials import Credentials, Made, read_manifest
from productshot.assets.marking import COMPOSITE_WITH_AI, DRAWN_BY_AI
from productshot.decode import AI_URI, ai_source_of
from productshot.errors import ConfigInvalid, GateRefused
from productshot.folder import FolderStore
from productshot.keys import digest_bytes
from productshot.ledger import Ledger
from productshot.progress import silent
from productshot.records import Asset
from productshot.stages.assets import asset_task, make_assets
from tests.unit.assets_builders import a_channel, a_disc, a_scene_slot, a_slot
from tests.unit.test_assets_stage import ANY_FORMAT, FORMATS, a_cutout, a_keep, jobs_of

PEM = serialization.Encoding.PEM


def a_certificate(
    name: str, issuer: str, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey
) -> bytes:
    """A certificate that may sign documents, or, when it is its own issuer, certificates."""
    ca = name == issuer
    names = [x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, each)]) for each in (name, issuer)]
    uses = dict.fromkeys(
        ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign",
         "encipher_only", "decipher_only"), False,
    )  # fmt: skip
    builder = (
        x509.CertificateBuilder(names[1], names[0], key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2026, 1, 1))
        .not_valid_after(datetime(2046, 1, 1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, **uses), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(signer, hashes.SHA256()).public_bytes(PEM)


@pytest.fixture(scope="module")
def signing(tmp_path_factory: pytest.TempPathFactory) -> Signing:
    """A chain of two and the key of the first, as files outside any store."""
    folder = tmp_path_factory.mktemp("certificate")
    root, leaf = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    chain = a_certificate("Shop", "Test root", leaf, root) + a_certificate(
        "Test root", "Test root", root, root
    )
    (folder / "chain.pem").write_bytes(chain)
    plain = serialization.NoEncryption()
    (folder / "key.pem").write_bytes(leaf.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain))
    return Signing(certificate=str(folder / "chain.pem"), key=str(folder / "key.pem"))


def a_file(kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(buffer, kind)
    return buffer.getvalue()


def with_photo(root: Path, kind: str) -> tuple[Ledger, list]:  # type: ignore[type-arg]
    """A store with a photo, and the job of a keep picture of it for a slot of that format."""
    ledger = Ledger(FolderStore(root))
    data = a_file()
    ledger.store.put("photos/mug-1/a.jpg", data, "image/jpeg")
    cutout = a_cutout(ledger, a_disc(120))
    photo = cutout.photo.model_copy(update={"digest": digest_bytes(data)})
    slot = a_scene_slot(format=kind, rules=[ANY_FORMAT], preferred_width=160)
    return ledger, jobs_of(a_channel(slot), a_keep(ledger, cutout.model_copy(update={"photo": photo})))


@pytest.mark.parametrize("kind", FORMATS)
def test_a_signed_asset_names_its_photo_and_what_ai_did(kind: str, signing: Signing, tmp_path: Path) -> None:
    """Valid when read back, the photo is the parent, and the XMP marking is still there behind the signature."""
    ledger, jobs = with_photo(tmp_path, kind)
    (asset,) = make_assets(jobs, AssetRecipe(), ledger, silent, 1, Credentials(signing))
    assert isinstance(asset, Asset), asset
    data = (tmp_path / asset.key).read_bytes()
    told = read_manifest(data, kind)

    assert told is not None and told["state"] == "Valid"
    assert [(one["title"], one["relationship"]) for one in told["ingredients"]] == [("a.jpg", "parentOf")]
    actions = [
        one for each in told["assertions"] if "actions" in each["label"] for one in each["data"]["actions"]
    ]
    assert [one["action"] for one in actions] == ["c2pa.opened", "c2pa.edited"]
    assert actions[1]["digitalSourceType"] == COMPOSITE_WITH_AI == read_source_type(data)


def test_neither_key_nor_certificate_enters_the_store(signing: Signing, tmp_path: Path) -> None:
    """What lies in the bucket names the certificate by its digest alone; another certificate is another output."""
    ledger, jobs = with_photo(tmp_path, "jpeg")
    credentials = Credentials(signing)
    list(make_assets(jobs, AssetRecipe(), ledger, silent, 1, credentials))
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())

    assert Path(signing.key).read_bytes()[30:90] not in stored and b"chain.pem" not in stored
    assert credentials.digest.encode() in stored
    assert (
        asset_task(jobs[0], AssetRecipe()).key != asset_task(jobs[0], AssetRecipe(), credentials.digest).key
    )


def test_a_changed_pixel_breaks_the_signature(signing: Signing) -> None:
    """The manifest covers the picture's bytes."""
    made = Made("mug-1, table", "keep", COMPOSITE_WITH_AI, "a.jpg", a_file(), "mug-1")
    data = Credentials(signing).signed(a_file(), "jpeg", made)
    spoiled = data[:-40] + bytes([data[-40] ^ 1]) + data[-39:]

    assert [(read_manifest(one, "jpeg") or {})["state"] for one in (data, spoiled)] == ["Valid", "Invalid"]
    assert read_manifest(a_file(), "jpeg") is None


def test_a_drawn_picture_was_created(signing: Signing) -> None:
    """Its photo went in, it was not edited; and our own photo reader finds that AI made it."""
    made = Made("mug-1, table", "draw", DRAWN_BY_AI, "a.png", a_file("PNG"), "mug-1")
    data = Credentials(signing).signed(a_file(), "jpeg", made)
    told = read_manifest(data, "jpeg")

    assert told is not None and [one["relationship"] for one in told["ingredients"]] == ["inputTo"]
    assert ai_source_of(data, None) == AI_URI + "trainedAlgorithmicMedia"


def test_a_photo_that_c2pa_does_not_take_is_a_stated_refusal(signing: Signing) -> None:
    """A BMP cannot be an ingredient, and no manifest is signed that leaves it out."""
    made = Made("mug-1, table", "keep", COMPOSITE_WITH_AI, "a.bmp", a_file("BMP"), "product of mug-1")
    with pytest.raises(
        GateRefused, match="^product of mug-1 comes from a BMP photo; C2PA takes no such ingredient"
    ):
        Credentials(signing).signed(a_file(), "jpeg", made)


def test_a_certificate_that_cannot_sign_stops_the_night(signing: Signing, tmp_path: Path) -> None:
    """A missing file and a key that is none are told with their path."""
    with pytest.raises(ConfigInvalid, match=r"^night.signing.key .*none.pem cannot be read: No such file"):
        Credentials(signing.model_copy(update={"key": str(tmp_path / "none.pem")}))
    (tmp_path / "bad.pem").write_bytes(b"no key")
    with pytest.raises(ConfigInvalid, match=r"^night.signing.certificate .*chain.pem does not sign: "):
        Credentials(signing.model_copy(update={"key": str(tmp_path / "bad.pem")}))


def test_a_signed_file_stays_under_its_limit(signing: Signing, tmp_path: Path) -> None:
    """The manifest's bytes are left free before the quality is chosen."""
    ledger, jobs = with_photo(tmp_path, "jpeg")
    small = a_slot(**{**jobs[0].slot.model_dump(), "max_bytes": 24_000})
    job = jobs[0]._replace(slot=small)
    (asset,) = make_assets([job], AssetRecipe(min_quality=30), ledger, silent, 1, Credentials(signing))
    assert isinstance(asset, Asset) and asset.bytes <= 24_000, asset
