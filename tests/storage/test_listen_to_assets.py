"""From a bucket's notification to published assets: Ceph, the receiver, a Prefect server and its worker, all real."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from s3_servers import Server, with_bucket

from productshot.store import Store, open_store
from tests.conftest import put_photo, write_catalog
from tests.ui.started import RUN_S, START_S, Running, brought_up, patiently

pytestmark = pytest.mark.s3
SETTLE_S = 3
SECRET = "0123456789abcdef"


@contextmanager
def listening(up: Running, catalog: Path, store: str, log: Path) -> Iterator[str]:
    """`productshot listen` for a started server; yields its address."""
    productshot = Path(sys.executable).with_name("productshot")
    environment = {"PREFECT_API_URL": f"{up.ui}/api", "PRODUCTSHOT_LISTEN_SECRET": SECRET}
    with log.open("w") as output:
        process = subprocess.Popen(
            [productshot, "listen", catalog, "--store", store, "--port", "0"],
            env={**os.environ, **environment},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            said = patiently(lambda: re.search(r"http://\S+/(?=<secret>)", log.read_text()), START_S)
            yield f"{said[0]}{SECRET}"
        finally:
            process.terminate()
            process.wait(60)
            print(log.read_text())


def push_to(server: Server, endpoint: str, prefix: str) -> None:
    """Have the bucket push what happens under a prefix to an address."""
    topics = boto3.client("sns", endpoint_url=server.environment["AWS_ENDPOINT_URL"])
    topic = topics.create_topic(Name=f"t{secrets.token_hex(4)}", Attributes={"push-endpoint": endpoint})
    told: dict[str, Any] = {"Id": "photos", "TopicArn": topic["TopicArn"], "Events": ["s3:ObjectCreated:*"]}
    told["Filter"] = {"Key": {"FilterRules": [{"Name": "prefix", "Value": prefix}]}}
    server.client().put_bucket_notification_configuration(
        Bucket=server.bucket, NotificationConfiguration={"TopicConfigurations": [told]}
    )


def upload(store: Store, drawn: Path, sku: str) -> float:
    """Photos of a SKU, one after another; returns when the last one was about to be put."""
    put_photo(drawn, sku, "front")
    put_photo(drawn, sku, "side", shift=60)
    for path in sorted((drawn / "photos" / sku).iterdir(), reverse=True):  # masks first
        last = time.time()
        kind = "image/png" if path.suffix == ".png" else "image/jpeg"
        store.put(f"photos/{sku}/{path.name}", path.read_bytes(), kind)
    return last


def runs_of_skus(up: Running) -> list[dict[str, Any]]:
    """All runs of flow single-sku so far."""
    found: list[dict[str, Any]] = up.api("flow_runs/filter", {"flows": {"name": {"any_": ["single-sku"]}}})
    return found


def test_uploaded_photos_become_assets(
    rgw: Server, enter: Callable[[dict[str, str]], None], tmp_path: Path
) -> None:
    """Photos of a SKU that is new to the catalog: one run, made once they have settled, and the SKU is published."""
    enter(rgw.environment)
    bucket, night = with_bucket(rgw.environment), {"settle_seconds": SETTLE_S}
    address, catalog = f"s3://{bucket.bucket}/here", write_catalog(tmp_path / "catalog.yaml", night=night)
    store = open_store(address)
    with (
        brought_up(tmp_path, catalog, address) as up,
        listening(up, catalog, address, tmp_path / "listen.log") as endpoint,
    ):
        push_to(bucket, endpoint, "here/photos/")
        write_catalog(catalog, skus=[{"sku": "new-3", "noun": "mug"}], night=night)
        settled = upload(store, tmp_path / "drawn", "new-3") + SETTLE_S
        (run,) = patiently(lambda: runs_of_skus(up) or None, RUN_S, pause_s=0.2)
        made = datetime.fromisoformat(run["created"]).timestamp()
        print(f"the run was made {made - settled:.2f} s after the photos had settled")
        assert made >= settled
        ended = up.end_of(lambda: up.api(f"flow_runs/{run['id']}"))
        assert ended["state_type"] == "COMPLETED", ended["state"]["message"]
        assert [one["id"] for one in runs_of_skus(up)] == [run["id"]]
    (main,) = json.loads(store.get("catalog/google/new-3/slots.json"))["slots"]["main"]
    assert store.head(main) is not None
