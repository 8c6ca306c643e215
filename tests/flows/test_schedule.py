"""What `productshot up` refuses before it starts anything."""

from __future__ import annotations

import pytest

from flows.up import refuse_schedule
from productshot.errors import ConfigInvalid


def test_schedule_that_exists_is_taken() -> None:
    """A five-field cron in a zone of the tz database."""
    refuse_schedule("30 1 * * 1-5", "Europe/Berlin")


@pytest.mark.parametrize(
    ("cron", "timezone", "told"),
    [
        ("0 99 * * *", "UTC", "--cron '0 99 * * *' is no cron; write it as 0 2 * * *"),
        ("nightly", "UTC", "--cron 'nightly' is no cron; write it as 0 2 * * *"),
        ("0 2 * * *", "Mars/Base", "--timezone 'Mars/Base' is no timezone; name one as Europe/Berlin"),
    ],
)
def test_schedule_that_does_not_exist_is_refused(cron: str, timezone: str, told: str) -> None:
    """One line says which of both is wrong."""
    with pytest.raises(ConfigInvalid) as caught:
        refuse_schedule(cron, timezone)
    assert str(caught.value) == told
