"""Stores to test: a folder, moto in this process, and under `-m s3` the server at PRODUCTSHOT_S3_ENDPOINT."""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from moto.server import ThreadedMotoServer
from s3_servers import Answer, Server, settings, with_bucket

from productshot.store import Store, open_store

REAL = pytest.param("rgw", marks=pytest.mark.s3)


@pytest.fixture(scope="session")
def moto() -> Iterator[Server]:
    """moto in this process."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield with_bucket(settings(f"http://{host}:{port}"))
    server.stop()


@pytest.fixture(scope="session")
def rgw() -> Server:
    """The real server, with the credentials of the environment."""
    endpoint = os.environ.get("PRODUCTSHOT_S3_ENDPOINT")
    if not endpoint:
        pytest.skip("no real S3 server: PRODUCTSHOT_S3_ENDPOINT is not set; run `make test-s3`")
    user = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
    return with_bucket(settings(endpoint, *user))


@pytest.fixture
def enter(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """Set the AWS settings for one test."""

    def set_all(environment: dict[str, str]) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture(params=["moto", REAL])
def server(request: pytest.FixtureRequest, enter: Callable[[dict[str, str]], None]) -> Server:
    """An S3 server whose settings are in the environment."""
    found: Server = request.getfixturevalue(request.param)
    enter(found.environment)
    return found


@pytest.fixture
def url(server: Server) -> str:
    """An empty place in the server's bucket."""
    return f"s3://{server.bucket}/{secrets.token_hex(4)}"


@pytest.fixture(params=["folder", "moto", REAL])
def store(request: pytest.FixtureRequest, tmp_path: Path, enter: Callable[[dict[str, str]], None]) -> Store:
    """An empty store of each kind."""
    if request.param == "folder":
        return open_store(str(tmp_path / "store"))
    server: Server = request.getfixturevalue(request.param)
    enter(server.environment)
    return open_store(f"s3://{server.bucket}/{secrets.token_hex(4)}")


@pytest.fixture
def fake() -> Iterator[Callable[[Answer], str]]:
    """Start a plain HTTP server that answers each request by the given function; returns its address."""
    running: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> str:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if not self.raw_requestline or not self.parse_request():
                    self.close_connection = True
                    return
                if self.headers.get("Expect") == "100-continue":
                    self.send_response_only(100)
                    self.end_headers()
                answer(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))
                self.wfile.flush()

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        running.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()
