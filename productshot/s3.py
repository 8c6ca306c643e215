"""The S3 store, and the only door to boto3.

A bucket (AWS or any compatible server) keeps the promises of `productshot.store` when it honours
`If-None-Match: *`; some servers ignore that header without a word, so `open_bucket` asks for proof before
anyone relies on it. Endpoint, region and credentials are boto3's usual settings. Its errors are translated
once, here, the original kept as the cause.
"""

from __future__ import annotations

import io
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ResponseStreamingError,
)
from botocore.exceptions import ConnectionError as NoConnection
from botocore.parsers import ResponseParserError

from productshot.errors import (
    ConfigInvalid,
    InputRefused,
    ProductshotError,
    StorageMissing,
    StorageRefused,
    StorageUnavailable,
)
from productshot.store import Listed, check_folder_prefix, check_key, check_prefix, is_reserved, shown

MULTIPART_ABOVE_BYTES = 16 * 1024 * 1024
FULL_KEY_LIMIT_BYTES = 1024
DELETED_AT_ONCE = 1_000
"""Keys that one DeleteObjects request takes."""
EXPIRES_LIMIT_S = 7 * 24 * 3600

SETTINGS = Config(
    signature_version="s3v4",
    connect_timeout=5,
    read_timeout=50,
    max_pool_connections=32,
    retries={"mode": "standard", "total_max_attempts": 5},
    # Older servers refuse the checksum trailers that newer clients add by default, or store them as data.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)
_MULTIPART = TransferConfig(
    multipart_threshold=MULTIPART_ABOVE_BYTES, multipart_chunksize=MULTIPART_ABOVE_BYTES, max_concurrency=4
)

QUEUE_BATCH = 10
"""Messages of one SQS request, the most it allows."""
POLL_SECONDS = 20
"""How long SQS keeps a request open while no message is there, the most it allows."""
QUEUE_SETTINGS = Config(
    connect_timeout=5, read_timeout=50, retries={"mode": "standard", "total_max_attempts": 5}
)

_CONFLICT_TRIES = 8
_NO_ANSWER = (NoConnection, HTTPClientError, ResponseStreamingError, IncompleteReadError, ResponseParserError)
_NO_CREDENTIALS = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
_NO_ROOM = {"QuotaExceeded", "XMinioStorageFull"}
_NOT_NOW = {"RequestTimeout", "SlowDown", "Throttling", "ThrottlingException", "TooManyRequests"}
_REMEDIES = {
    "AccessDenied": "give this user the permission",
    "InvalidAccessKeyId": "correct AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "correct AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "renew the credentials",
    "RequestTimeTooSkewed": "set this machine's clock",
    "UserSuspended": "have the account enabled",
    "PermanentRedirect": "set AWS_DEFAULT_REGION to the bucket's region",
    "AuthorizationHeaderMalformed": "set AWS_DEFAULT_REGION to the bucket's region",
}


def open_bucket(bucket: str, prefix: str = "", probe: bool = True) -> S3Store:
    """The store in `bucket` under `prefix` ("" or "shop/"), its server asked to prove conditional writes.

    StorageMissing when there is no such bucket. With `probe`, StorageRefused when a conditional write is not
    refused as it must be. Without, one request, and nothing is written.
    """
    try:
        client = boto3.Session().client("s3", config=SETTINGS)
    except (BotoCoreError, ValueError) as cause:
        limit = type(cause).__name__ if "@" in str(cause) else str(cause)
        remedy = "correct the AWS_... settings"
        raise ConfigInvalid(f"store s3://{bucket}/{prefix}", "cannot be opened", limit, remedy) from cause
    store = S3Store(client, bucket, prefix)
    if probe:
        store.prove_conditional_writes()
    else:
        store.find_bucket()
    return store


def open_queue(url: str) -> SqsQueue:
    """The queue at an SQS address, asked whether it is there.

    ConfigInvalid: the address or the AWS_... settings cannot be used. StorageMissing: there is no such queue.
    """
    if not url.startswith(("https://", "http://")):
        raise ConfigInvalid(
            f"queue {shown(url)}", "is no address", "SQS names a queue by its URL", "copy that"
        )
    try:
        client = boto3.Session().client("sqs", config=QUEUE_SETTINGS)
    except (BotoCoreError, ValueError) as cause:
        limit, remedy = type(cause).__name__, "correct the AWS_... settings"
        raise ConfigInvalid(f"queue {shown(url)}", "cannot be opened", limit, remedy) from cause
    queue = SqsQueue(client, url)
    queue.find()
    return queue


class SqsQueue:
    """An SQS queue; `client` is a boto3 SQS client."""

    def __init__(self, client: Any, url: str) -> None:
        self._client, self._url = client, url

    def find(self) -> None:
        """StorageMissing when there is no such queue."""
        with self._translated("look at"):
            self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])

    def receive(self) -> list[tuple[str, str]]:
        """(body, receipt) of at most ten messages; waits up to `POLL_SECONDS` for the first."""
        with self._translated("read"):
            answer = self._client.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=QUEUE_BATCH, WaitTimeSeconds=POLL_SECONDS
            )
        return [(one["Body"], one["ReceiptHandle"]) for one in answer.get("Messages", [])]

    def delete(self, receipts: list[str]) -> None:
        """Delete these messages, at most ten; one that stays for now comes again, which is harmless."""
        if not receipts:
            return
        entries = [{"Id": str(n), "ReceiptHandle": receipt} for n, receipt in enumerate(receipts)]
        with self._translated("delete from"):
            self._client.delete_message_batch(QueueUrl=self._url, Entries=entries)

    @contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        """Turn what boto3 raises into our errors; of an answer only its code is told."""
        item, told = f"queue {shown(self._url)}", f"could not {action} it"
        try:
            yield
        except ClientError as cause:
            code, status = cause.response["Error"].get("Code", ""), _status(cause)
            said = f"the server answered {status} {code}"
            if "NonExistentQueue" in code or "QueueDoesNotExist" in code:
                raise StorageMissing(item, "does not exist", said, "make it, or correct --queue") from cause
            if status >= 500 or status == 429 or code in _NOT_NOW:
                raise StorageUnavailable(item, told, said, "run it again") from cause
            remedy = _REMEDIES.get(code, "give this user the permission")
            raise StorageRefused(item, told, said, remedy) from cause
        except _NO_ANSWER as cause:
            limit = f"no answer ({type(cause).__name__})"
            raise StorageUnavailable(item, told, limit, "run it again") from cause
        except BotoCoreError as cause:
            remedy = "correct the AWS_... settings"
            raise StorageRefused(item, told, type(cause).__name__, remedy) from cause


class S3Store:
    """A store under `prefix` of `bucket`; `client` is a boto3 S3 client."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client, self._bucket, self._prefix = client, bucket, prefix

    @property
    def location(self) -> str:
        return f"s3://{self._bucket}/{self._prefix}".rstrip("/")

    def get(self, key: str) -> bytes:
        with self._translated("read", key):
            answer = self._client.get_object(**self._address(key))
            data: bytes = answer["Body"].read()
        return data

    def download(self, key: str, path: Path) -> None:
        with self._translated("read", key):
            self._client.download_file(**self._address(key), Filename=str(path))

    def put(self, key: str, data: bytes, content_type: str) -> None:
        """See Store; large objects go in parts, which become visible together."""
        address = self._address(key)
        with self._translated("write", key):
            if len(data) <= MULTIPART_ABOVE_BYTES:
                self._client.put_object(**address, Body=data, ContentType=content_type)
            else:
                extra = {"ContentType": content_type}
                self._client.upload_fileobj(io.BytesIO(data), **address, ExtraArgs=extra, Config=_MULTIPART)

    def create(self, key: str, data: bytes, content_type: str) -> bool:
        """See Store. Never in parts: some servers ignore the condition when the parts are joined.

        False also answers a retry of our own write whose first answer was lost: adopting yields our bytes.
        """
        with self._translated("create", key):
            return self._put_if_absent(self._address(key), data, content_type)

    def head(self, key: str) -> Listed | None:
        with self._translated("look at", key):
            try:
                found = self._client.head_object(**self._address(key))
            except ClientError as cause:
                if _status(cause) == 404:
                    return None
                raise
        return _listed(key, found, found["ContentLength"])

    def list(self, prefix: str) -> Iterator[Listed]:
        check_prefix(prefix)
        return self._objects(prefix)

    def list_prefixes(self, prefix: str) -> Iterator[str]:
        check_folder_prefix(prefix)
        return self._sub_folders(prefix)

    def delete(self, key: str) -> None:
        with self._translated("delete", key):
            self._client.delete_object(**self._address(key))

    def delete_all(self, keys: Sequence[str]) -> None:
        addresses = [self._address(key) for key in keys]
        for first in range(0, len(addresses), DELETED_AT_ONCE):
            batch = [{"Key": address["Key"]} for address in addresses[first : first + DELETED_AT_ONCE]]
            with self._translated("delete", keys[first]):
                asked = {"Objects": batch, "Quiet": True}
                answer = self._client.delete_objects(Bucket=self._bucket, Delete=asked)
            for failed in answer.get("Errors", [])[:1]:
                raise self._not_deleted(failed)

    def url(self, key: str, expires_s: int) -> str:
        """See Store; signed with this process's credentials, for at most seven days (ConfigInvalid)."""
        if not 1 <= expires_s <= EXPIRES_LIMIT_S:
            told, limit = f"is to be valid for {expires_s} s", f"1 to {EXPIRES_LIMIT_S} s are possible"
            raise ConfigInvalid(f"address of {shown(key)}", told, limit, "choose a time between")
        with self._translated("sign", key):
            address: str = self._client.generate_presigned_url(
                "get_object", Params=self._address(key), ExpiresIn=expires_s
            )
        return address

    def find_bucket(self) -> None:
        """StorageMissing when there is no such bucket."""
        with self._translated("look at the bucket for", ""):
            self._client.head_bucket(Bucket=self._bucket)

    def prove_conditional_writes(self) -> None:
        """StorageRefused unless the second of two conditional writes of one key is refused; three requests.

        A server whose check and write are two steps passes this, and yet lets two racing writers win.
        """
        key = f".probe/{secrets.token_hex(8)}"
        address = {"Bucket": self._bucket, "Key": self._prefix + key}
        with self._translated("create", key):
            self._put_if_absent(address, b"first", "text/plain")
            try:
                ignored = self._put_if_absent(address, b"second", "text/plain")
            finally:
                self._client.delete_object(**address)
        if ignored:
            raise StorageRefused(
                f"store {self.location}",
                "overwrites an object in spite of If-None-Match",
                f"{self._host()} ignores conditional writes (Ceph does so on a versioned bucket)",
                "use an unversioned bucket or a server that keeps them",
            )

    def _put_if_absent(self, address: dict[str, str], data: bytes, content_type: str) -> bool:
        """True when this request wrote; a conflict with a writer under way (409) is asked again."""
        for attempt in range(_CONFLICT_TRIES):
            try:
                self._client.put_object(**address, Body=data, ContentType=content_type, IfNoneMatch="*")
                return True
            except ClientError as cause:
                if _status(cause) == 412:
                    return False
                if _status(cause) != 409 or attempt == _CONFLICT_TRIES - 1:
                    raise
            time.sleep(0.05 * 2**attempt)
        raise AssertionError("the last try returns or raises")

    def _objects(self, prefix: str) -> Iterator[Listed]:
        for page in self._pages("list", prefix):
            for found in page.get("Contents", []):
                key = found["Key"].removeprefix(self._prefix)
                # A key that ends with "/" is a console's marker of a folder.
                if not key.endswith("/") and not is_reserved(key):
                    yield _listed(key, found, found["Size"])

    def _sub_folders(self, prefix: str) -> Iterator[str]:
        for page in self._pages("list the folders of", prefix, Delimiter="/"):
            for found in page.get("CommonPrefixes", []):
                key = found["Prefix"].removeprefix(self._prefix)
                if not is_reserved(key):
                    yield key

    def _pages(self, action: str, prefix: str, **options: str) -> Iterator[dict[str, Any]]:
        pages = iter(
            self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._prefix + prefix, **options
            )
        )
        while True:
            with self._translated(action, prefix):
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _address(self, key: str) -> dict[str, str]:
        """Bucket and full key, as boto3 names them."""
        check_key(key)
        full = self._prefix + key
        if len(full.encode()) > FULL_KEY_LIMIT_BYTES:
            told = f"is {len(full.encode())} bytes long with the store's prefix"
            raise InputRefused(
                f"key {shown(key)}", told, f"S3 allows {FULL_KEY_LIMIT_BYTES}", "shorten one of them"
            )
        return {"Bucket": self._bucket, "Key": full}

    def _host(self) -> str:
        """The server's name and port, without credentials."""
        endpoint: str = self._client.meta.endpoint_url
        return urlsplit(endpoint).netloc.rpartition("@")[2]

    @contextmanager
    def _translated(self, action: str, key: str) -> Iterator[None]:
        """Turn what boto3 raises into our errors."""
        try:
            yield
        except ClientError as cause:
            raise self._refusal(cause, action, key) from cause
        except _NO_ANSWER as cause:
            told = f"could not {action} {shown(key)}".rstrip()
            raise StorageUnavailable(
                f"store {self.location}",
                told,
                f"{self._host()} gave no answer ({type(cause).__name__})",
                "run it again",
            ) from cause
        except BotoCoreError as cause:
            told = f"could not {action} {shown(key)}".rstrip()
            if isinstance(cause, _NO_CREDENTIALS):
                limit, remedy = "no credentials were found", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            else:
                limit, remedy = type(cause).__name__, "correct the AWS_... settings"
            raise StorageRefused(f"store {self.location}", told, limit, remedy) from cause

    def _not_deleted(self, failed: dict[str, str]) -> ProductshotError:
        """Our error for a key that a batch could not delete; the answer as a whole was 200."""
        key, code = failed.get("Key", "").removeprefix(self._prefix), failed.get("Code", "")
        item, told = f"store {self.location}", f"could not delete {shown(key)}"
        said = f"{self._host()} answered {code}"
        if code in _REMEDIES:
            return StorageRefused(item, told, said, _REMEDIES[code])
        return StorageUnavailable(item, told, said, "run it again")

    def _refusal(self, cause: ClientError, action: str, key: str) -> ProductshotError:
        """Our error for an answer; only its code is told, its text could hold more than we may show."""
        status, code = _status(cause), cause.response["Error"].get("Code", "")
        item, told = f"store {self.location}", f"could not {action} {shown(key)}".rstrip()
        said = f"{self._host()} answered {status} {code}"
        if code == "NoSuchBucket" or (status == 404 and not key):
            return StorageMissing(
                f"bucket {self._bucket}",
                f"does not exist at {self._host()}",
                "",
                "make it, or correct the address",
            )
        if status == 404:
            return StorageMissing(f"object {shown(key)}", f"is not in {self.location}", "", "check the key")
        if code in _NO_ROOM or status == 507:
            return StorageUnavailable(item, told, f"{said}: it is full", "raise the quota and run it again")
        if status >= 500 and status != 501 or status in (409, 429) or code in _NOT_NOW:
            return StorageUnavailable(item, told, said, "run it again")
        if status in (405, 501):
            return StorageRefused(item, told, f"{said}: it cannot do that", "use another server")
        default = "give this user the permission" if status == 403 else "look at the server's log"
        return StorageRefused(item, told, said, _REMEDIES.get(code, default))


def _listed(key: str, found: dict[str, Any], size: int) -> Listed:
    """What an answer's ETag and LastModified tell of an object."""
    return Listed(key, found["ETag"].strip('"'), size, found["LastModified"].timestamp())


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
