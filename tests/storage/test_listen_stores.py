"""Notifications of real servers: moto's through SQS, Ceph's pushed over HTTP; one start for each real change."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from s3_servers import Server, with_bucket

from productshot.errors import ConfigInvalid, StorageMissing
from productshot.listen import KnownSkus, Receiver, open_door, receive_from
from productshot.s3 import open_queue
from productshot.store import Store, open_store
from tests.conftest import write_catalog

SECRET = "0123456789abcdef"
PHOTOS_ONLY = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "here/photos/"}]}}
"""Without it the receiver's own small puts in state/ would be told too, and passed over."""
NAMES = ["a b.jpg", "a+b.jpg", "100%.jpg", "ü.jpg"]


class Listening:
    """A receiver over a bucket, what it started, and a clock that runs when it is told."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.started: list[tuple[str, str]] = []
        self.now = 0.0
        known = KnownSkus(write_catalog(folder / "catalog.yaml"))
        self.receiver = Receiver(known, store, lambda *told: self.started.append(told), lambda: self.now)

    def settle(self) -> None:
        self.now += 21
        self.receiver.act()


def upload(store: Store, *names: str, data: bytes = b"red") -> None:
    for name in names:
        store.put(f"photos/mug-1/{name}", data, "image/jpeg")


def client_of(server: Server, service: str) -> Any:
    return boto3.client(service, endpoint_url=server.environment["AWS_ENDPOINT_URL"])


@pytest.fixture
def own(moto: Server, enter: Callable[[dict[str, str]], None]) -> Server:
    """A bucket of moto's for this test alone."""
    enter(moto.environment)
    return with_bucket(moto.environment)


def test_notifications_through_sqs(own: Server, tmp_path: Path) -> None:
    """AWS's test event, URL-encoded keys, a change, the same bytes again, and back to the first bytes."""
    sqs = client_of(own, "sqs")
    url = sqs.create_queue(QueueName=f"photos-{secrets.token_hex(4)}")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    told = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"], "Filter": PHOTOS_ONLY}
    own.client().put_bucket_notification_configuration(
        Bucket=own.bucket, NotificationConfiguration={"QueueConfigurations": [told]}
    )
    store, queue = open_store(f"s3://{own.bucket}/here"), open_queue(url)
    shop = Listening(store, tmp_path)
    sqs.send_message(QueueUrl=url, MessageBody="no json")
    counts = []
    for names, data in ((NAMES, b"red"), (NAMES[:1], b"blue"), (NAMES[:1], b"blue"), (NAMES[:1], b"red")):
        upload(store, *names, data=data)
        while receive_from(queue, shop.receiver) == 10:
            pass
        shop.settle()
        counts.append(len(shop.started))
    assert counts == [1, 2, 2, 3]
    assert len(set(shop.started)) == 3 and {sku for sku, _ in shop.started} == {"mug-1"}
    left = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0"


def test_a_queue_that_is_not_there(own: Server) -> None:
    """One line with the address and the remedy."""
    with pytest.raises(
        StorageMissing, match=r"queue http.*/none does not exist; .*; make it, or correct --queue"
    ):
        open_queue(f"{own.environment['AWS_ENDPOINT_URL']}/123456789012/none")
    with pytest.raises(ConfigInvalid, match="queue photos is no address; SQS names a queue by its URL"):
        open_queue("photos")


@pytest.mark.s3
@pytest.mark.parametrize("persistent", ["false", "true"])
def test_ceph_pushes_to_us(
    rgw: Server, enter: Callable[[dict[str, str]], None], tmp_path: Path, persistent: str
) -> None:
    """A topic with the secret in its address; plain keys; a burst twice told is one start, a new photo another."""
    enter(rgw.environment)
    own = with_bucket(rgw.environment)
    store = open_store(f"s3://{own.bucket}/here")
    shop = Listening(store, tmp_path)
    with open_door(shop.receiver, SECRET, "127.0.0.1", 0) as address:
        wanted = {"push-endpoint": f"{address}/{SECRET}", "persistent": persistent}
        topic = client_of(own, "sns").create_topic(Name=f"t{secrets.token_hex(4)}", Attributes=wanted)
        told: dict[str, Any] = {
            "Id": "photos",
            "TopicArn": topic["TopicArn"],
            "Events": ["s3:ObjectCreated:*"],
        }
        told["Filter"] = PHOTOS_ONLY
        own.client().put_bucket_notification_configuration(
            Bucket=own.bucket, NotificationConfiguration={"TopicConfigurations": [told]}
        )
        upload(store, *NAMES)
        wait_until(lambda: any(store.list("state/waiting/")))
        wait_until(lambda: quiet(shop))
        shop.settle()
        assert [sku for sku, _ in shop.started] == ["mug-1"]
        upload(store, "new.jpg")
        wait_until(lambda: any(store.list("state/waiting/")))
        shop.settle()
    assert len(set(shop.started)) == 2
    assert json.loads(store.get("state/started/mug-1.json"))["number"] == 2


def quiet(shop: Listening) -> bool:
    """Nothing came for a second."""
    before = shop.receiver.taken
    time.sleep(1)
    return shop.receiver.taken == before


def wait_until(told: Callable[[], bool], seconds: float = 60) -> None:
    """Return once it is so; Ceph looks for new topics every half minute."""
    deadline = time.monotonic() + seconds
    while not told():
        assert time.monotonic() < deadline, "no notification came"
        time.sleep(0.1)
