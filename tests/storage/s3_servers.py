"""What the storage tests share: where a server is, how writers start together, what a fake server answers."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from typing import Any

import boto3
from botocore.config import Config

from productshot.s3 import S3Store

JSON = "application/json"


@dataclass(frozen=True)
class Server:
    """An S3 server and one bucket of it; `environment` is what boto3 reads."""

    bucket: str
    environment: dict[str, str]

    def client(self) -> Any:
        """A client beside the store, for what the store cannot do."""
        return boto3.client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            region_name="us-east-1",
        )


def settings(endpoint: str, access: str = "demokey", secret: str = "demosecret") -> dict[str, str]:
    """The AWS settings of one user at one server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": access,
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def with_bucket(environment: dict[str, str]) -> Server:
    """A server with a new bucket."""
    server = Server(f"productshot-test-{secrets.token_hex(6)}", environment)
    server.client().create_bucket(Bucket=server.bucket)
    return server


def at_once(writers: int, action: Callable[[int], Any]) -> list[Any]:
    """What `action(0)`, `action(1)`, ... return when threads begin them in the same moment."""
    gate = threading.Barrier(writers)

    def begin(number: int) -> Any:
        gate.wait()
        return action(number)

    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(begin, range(writers)))


Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def reply(handler: BaseHTTPRequestHandler, status: int, code: str = "", body: bytes = b"") -> None:
    """One HTTP answer; `code` makes it an S3 error."""
    if code:
        body = f"<Error><Code>{code}</Code><Message>secret words</Message></Error>".encode()
    handler.send_response(status)
    handler.send_header("ETag", '"e"')
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)


def store_at(endpoint: str, attempts: int = 1) -> S3Store:
    """A store at a fake server whose client gives up after `attempts`."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="demokey",
        aws_secret_access_key="demosecret",
        region_name="us-east-1",
        config=Config(retries={"mode": "standard", "total_max_attempts": attempts}, read_timeout=5),
    )
    return S3Store(client, "shop", "here/")
