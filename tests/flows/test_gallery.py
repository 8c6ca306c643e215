"""The gallery: reports and published pictures over http on this machine, and nothing else."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flows.gallery import open_gallery
from productshot.errors import ConfigInvalid, StorageUnavailable
from productshot.folder import FolderStore
from productshot.store import open_store

REPORT = "nights/20261122T020000Z-ab12/report.html"
ASSET = "catalog/google/mug 1/main-1-0123456789ab.jpg"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A gallery over a folder with one object of each kind."""
    store = open_store(str(tmp_path))
    for key in (REPORT, ASSET, "photos/mug/a.jpg", "work/mug/a.png", "state/00.jsonl.zst"):
        store.put(key, key.encode(), "text/plain")
    with open_gallery(store) as found:
        yield found


def ask(address: str, path: str, method: str = "GET", host: str | None = None) -> http.client.HTTPResponse:
    """One answer, the path sent as it is; its body is read later."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request(method, path, headers={"Host": host} if host else {})
    return connection.getresponse()


def test_serves_report_and_asset(address: str) -> None:
    """A report comes as a page, an asset as a picture; both cannot run or load anything foreign."""
    report, asset = ask(address, f"/{REPORT}"), ask(address, f"/{ASSET.replace(' ', '%20')}?x=1")
    assert (report.read(), asset.read()) == (REPORT.encode(), ASSET.encode())
    assert report.headers["Content-Type"] == "text/html; charset=utf-8"
    assert asset.headers["Content-Type"] == "image/jpeg"
    for answer in (report, asset):
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith(
            "default-src 'none'; img-src 'self' data:"
        )
        assert answer.headers["Content-Security-Policy"].endswith("sandbox")


@pytest.mark.parametrize(
    "path",
    [
        "/photos/mug/a.jpg",
        "/work/mug/a.png",
        "/state/00.jsonl.zst",
        "/nights/../photos/mug/a.jpg",
        "/nights/%2e%2e/photos/mug/a.jpg",
        "/nights%2f..%2fphotos%2fmug%2fa.jpg",
        "/nights//etc/passwd",
        "//photos/mug/a.jpg",
        "/nights/none",
        "/nights/",
        "/nights/%00",
    ],
)
def test_shows_nothing_else(address: str, path: str) -> None:
    """Photos, work, state, paths that climb and objects that are not there are all the same 404."""
    assert ask(address, path).status == 404


def test_first_page_lists_nights(address: str) -> None:
    """The address itself leads to the reports."""
    assert f'<a href="/{REPORT}">' in ask(address, "/").read().decode()


def test_head_has_no_body(address: str) -> None:
    """HEAD tells the size and sends nothing."""
    answer = ask(address, f"/{REPORT}", "HEAD")
    assert (answer.status, answer.headers["Content-Length"], answer.read()) == (200, str(len(REPORT)), b"")


def test_foreign_name_gets_nothing(address: str) -> None:
    """A page that rebinds its own host name to this machine reads no report."""
    assert ask(address, f"/{REPORT}", host="evil.example:4201").status == 421


def test_read_only(address: str) -> None:
    """There is no way to write."""
    assert ask(address, f"/{REPORT}", "DELETE").status == 501


class Broken(FolderStore):
    """A store that does not answer."""

    def get(self, key: str) -> bytes:
        raise StorageUnavailable("store", "does not answer")


def test_store_down_is_503(tmp_path: Path) -> None:
    """A store that does not answer is told apart from an object that is not there."""
    with open_gallery(Broken(tmp_path)) as address:
        assert ask(address, f"/{REPORT}").status == 503


def test_taken_port_is_refused(address: str, tmp_path: Path) -> None:
    """A second gallery on the same port says which port, and what to do."""
    port = urlsplit(address).port
    assert port
    with pytest.raises(ConfigInvalid) as caught, open_gallery(open_store(str(tmp_path)), port):
        pass
    told = f"port {port} is taken; end what listens there, or choose another --port"
    assert str(caught.value) == told
