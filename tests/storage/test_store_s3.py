"""What only S3 can do wrong: unfinished uploads, wrong answers, none, and servers that ignore a condition."""

from __future__ import annotations

import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from s3_servers import JSON, Answer, Server, reply, settings, store_at

from productshot.errors import (
    ConfigInvalid,
    InputRefused,
    ProductshotError,
    StorageMissing,
    StorageRefused,
    StorageUnavailable,
)
from productshot.s3 import S3Store
from productshot.store import open_store

DIE_IN_MID_UPLOAD = """
import os, signal, sys
import boto3
from productshot.s3 import S3Store

def die(params, **_):
    if params["query_string"]["partNumber"] == 3:
        os.kill(os.getpid(), signal.SIGKILL)

client = boto3.client("s3")
client.meta.events.register("before-call.s3.UploadPart", die)
S3Store(client, sys.argv[1], sys.argv[2]).put("large", b"0" * 64_000_000, "x")
"""
Fake = Callable[[Answer], str]


def test_opening_proves_conditional_writes_and_cleans_up(url: str, server: Server) -> None:
    """The probe passes on a server that keeps conditions, and leaves nothing."""
    store = open_store(url)
    prefix = url.removeprefix(f"s3://{server.bucket}/")
    assert "Contents" not in server.client().list_objects_v2(Bucket=server.bucket, Prefix=prefix)
    assert store.location == url


@pytest.mark.parametrize("probe", [True, False])
def test_a_missing_bucket(server: Server, probe: bool) -> None:
    """A bucket that is not there is told at opening, with the remedy."""
    told = "bucket no-such-bucket does not exist at .*; make it, or correct the address"
    with pytest.raises(StorageMissing, match=told):
        open_store("s3://no-such-bucket/x", probe=probe)


def test_stores_of_one_bucket_are_apart(url: str) -> None:
    """A prefix is a store of its own, also where one begins like the other."""
    one, two = open_store(f"{url}/a", probe=False), open_store(f"{url}/a2", probe=False)
    one.put("k", b"1", JSON)
    two.put("k", b"2", JSON)
    assert (one.get("k"), [found.key for found in one.list("")]) == (b"1", ["k"])
    assert list(open_store(url, probe=False).list_prefixes("")) == ["a/", "a2/"]


def test_markers_and_probes_are_not_listed(url: str, server: Server) -> None:
    """A console's folder object and a killed probe's object are no photos."""
    store, prefix = open_store(url, probe=False), url.removeprefix(f"s3://{server.bucket}/")
    for key in ("photos/", ".probe/dead", "photos/a"):
        server.client().put_object(Bucket=server.bucket, Key=f"{prefix}/{key}", Body=b"")
    assert [found.key for found in store.list("")] == ["photos/a"]
    assert list(store.list_prefixes("")) == ["photos/"]


def test_an_unfinished_upload_is_invisible(url: str, server: Server) -> None:
    """Parts that were never joined are no object."""
    store, client = open_store(url, probe=False), server.client()
    where = {"Bucket": server.bucket, "Key": url.removeprefix(f"s3://{server.bucket}/") + "/torn"}
    upload = client.create_multipart_upload(**where)["UploadId"]
    client.upload_part(**where, UploadId=upload, PartNumber=1, Body=b"0" * 6_000_000)
    assert store.head("torn") is None and list(store.list("")) == []
    assert store.create("torn", b"whole", JSON) and store.get("torn") == b"whole"


def test_a_killed_upload_keeps_the_old_object(url: str, server: Server) -> None:
    """kill -9 in the middle of a large put leaves the object that was there; the next put replaces it."""
    store, prefix = open_store(url, probe=False), url.removeprefix(f"s3://{server.bucket}/")
    store.put("large", b"old", JSON)
    writer = [sys.executable, "-c", DIE_IN_MID_UPLOAD, server.bucket, f"{prefix}/"]
    assert subprocess.run(writer, check=False).returncode == -signal.SIGKILL
    assert store.get("large") == b"old"
    store.put("large", b"new", JSON)
    assert [(found.key, found.size) for found in store.list("")] == [("large", 3)]


def test_a_key_too_long_with_its_prefix(url: str) -> None:
    """The limit of 1024 bytes counts the store's prefix, and the message says so."""
    store = open_store(f"{url}/{'p' * 50}", probe=False)
    with pytest.raises(InputRefused, match="is 10.. bytes long with the store's prefix; S3 allows 1024"):
        store.put("k" * 1000, b"", JSON)


def test_an_address_expires_within_seven_days(url: str) -> None:
    """A longer life than S3 can sign is refused instead of failing later in a browser."""
    store = open_store(url, probe=False)
    with pytest.raises(
        ConfigInvalid, match="address of a is to be valid for 604801 s; 1 to 604800 s are possible"
    ):
        store.url("a", 604801)


def test_a_server_that_ignores_conditions_is_refused(fake: Fake) -> None:
    """Opening a store on a server that overwrites in spite of If-None-Match stops with what to do."""
    seen: list[str] = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append(handler.command)
        reply(handler, 204 if handler.command == "DELETE" else 200)

    with pytest.raises(StorageRefused) as refusal:
        store_at(fake(answer)).prove_conditional_writes()
    assert "store s3://shop/here overwrites an object in spite of If-None-Match; 127.0.0.1:" in str(
        refusal.value
    )
    assert str(refusal.value).endswith("use an unversioned bucket or a server that keeps them")
    assert seen == ["PUT", "PUT", "DELETE"]


@pytest.mark.parametrize(
    ("status", "code", "error", "remedy"),
    [
        (403, "AccessDenied", StorageRefused, "give this user the permission"),
        (403, "UserSuspended", StorageRefused, "have the account enabled"),
        (403, "SignatureDoesNotMatch", StorageRefused, "correct AWS_SECRET_ACCESS_KEY"),
        (400, "ExpiredToken", StorageRefused, "renew the credentials"),
        (501, "NotImplemented", StorageRefused, "use another server"),
        (403, "QuotaExceeded", StorageUnavailable, "raise the quota and run it again"),
        (503, "SlowDown", StorageUnavailable, "run it again"),
        (500, "InternalError", StorageUnavailable, "run it again"),
        (404, "NoSuchBucket", StorageMissing, "make it, or correct the address"),
        (404, "NoSuchKey", StorageMissing, "check the key"),
    ],
)
def test_answers_become_errors(
    fake: Fake, status: int, code: str, error: type[ProductshotError], remedy: str
) -> None:
    """Each kind of refusal is told by what a person does next; the server's own words are not repeated."""
    store = store_at(fake(lambda handler, body: reply(handler, status, code)))
    with pytest.raises(error) as refusal:
        store.get("a/b")
    assert str(refusal.value).endswith(remedy) and "secret" not in str(refusal.value)
    assert refusal.value.__cause__ is not None


def test_a_refusal_names_action_key_and_answer(fake: Fake) -> None:
    """The line is enough to look it up in the server's log."""
    store = store_at(fake(lambda handler, body: reply(handler, 403, "AccessDenied")))
    told = (
        r"^store s3://shop/here could not write a/b; 127.0.0.1:\d+ answered 403 AccessDenied; give this user"
    )
    with pytest.raises(StorageRefused, match=told):
        store.put("a/b", b"", JSON)


def test_nobody_listens() -> None:
    """A closed port is a reason to run it again."""
    with pytest.raises(
        StorageUnavailable, match=r"127.0.0.1:9 gave no answer \(EndpointConnectionError\); run it again"
    ):
        store_at("http://127.0.0.1:9").get("a")


def test_a_short_answer_is_not_data(fake: Fake) -> None:
    """A connection that breaks in mid-object gives an error, never the first half."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"half")
        handler.close_connection = True

    with pytest.raises(StorageUnavailable, match="could not read a; .* gave no answer"):
        store_at(fake(answer)).get("a")


def test_a_lost_answer_is_adopted(fake: Fake) -> None:
    """When the answer to our write gets lost, the retry finds our own bytes and says "it exists"."""
    kept: list[bytes] = []

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        if handler.command == "GET":
            reply(handler, 200, body=kept[0])
        elif kept:
            reply(handler, 412, "PreconditionFailed")
        else:
            kept.append(body)
            handler.close_connection = True

    store = store_at(fake(answer), attempts=3)
    assert not store.create("a", b"ours", JSON)
    assert store.get("a") == b"ours"


def test_a_conflict_is_asked_again(fake: Fake) -> None:
    """409 means that another writer is under way: the next try finds out who won."""
    statuses = [
        (409, "ConditionalRequestConflict"),
        (409, "ConditionalRequestConflict"),
        (412, "PreconditionFailed"),
    ]
    store = store_at(fake(lambda handler, body: reply(handler, *statuses.pop(0))))
    assert not store.create("a", b"ours", JSON)
    assert statuses == []


def test_without_credentials(
    monkeypatch: pytest.MonkeyPatch,
    fake: Fake,
    enter: Callable[[dict[str, str]], None],
) -> None:
    """Nothing to sign with is told with the two settings that are missing."""
    enter(settings(fake(lambda handler, body: reply(handler, 200))))
    enter({"AWS_SHARED_CREDENTIALS_FILE": "/nowhere", "AWS_CONFIG_FILE": "/nowhere"})
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(
        StorageRefused, match="no credentials were found; set AWS_ACCESS_KEY_ID and AWS_SECRET"
    ):
        open_store("s3://shop/x")


@pytest.mark.s3
def test_a_tampered_address_is_refused(rgw: Server, enter: Callable[[dict[str, str]], None]) -> None:
    """A signed address opens its own object only."""
    enter(rgw.environment)
    store = open_store(f"s3://{rgw.bucket}/signed")
    store.put("a", b"1", JSON)
    store.put("b", b"2", JSON)
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(store.url("a", 60).replace("/signed/a", "/signed/b"))


@pytest.mark.parametrize(
    ("code", "error", "told"),
    [
        ("AccessDenied", StorageRefused, "answered AccessDenied; give this user the permission"),
        ("InternalError", StorageUnavailable, "answered InternalError; run it again"),
    ],
)
def test_a_batch_that_deletes_some_is_no_success(
    fake: Callable[[Answer], str], code: str, error: type[Exception], told: str
) -> None:
    """The answer is 200, and inside it says which key stayed: that is an error, by the key's own name."""
    body = (
        "<DeleteResult><Error><Key>here/work/a</Key>"
        f"<Code>{code}</Code><Message>secret words</Message></Error></DeleteResult>"
    )
    store = store_at(fake(lambda handler, _: reply(handler, 200, body=body.encode())))
    with pytest.raises(error, match=rf"could not delete work/a; 127.0.0.1:\d+ {told}") as refusal:
        store.delete_all(["work/a", "work/b"])
    assert "secret" not in str(refusal.value)


class Batches:
    """A client that remembers how many keys each request deleted."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def delete_objects(self, Bucket: str, Delete: dict[str, Any]) -> dict[str, Any]:
        self.sizes.append(len(Delete["Objects"]))
        return {}


def test_a_request_deletes_a_thousand_keys_at_most() -> None:
    """S3 refuses more."""
    client = Batches()
    S3Store(client, "shop", "here/").delete_all([f"a/{number}" for number in range(2_500)])
    assert client.sizes == [1_000, 1_000, 500]
