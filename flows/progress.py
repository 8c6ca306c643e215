"""What the Prefect UI shows of a long chunk while it runs: one progress artifact, written now and then."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from uuid import UUID

import httpx
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.exceptions import PrefectHTTPStatusError

from productshot.progress import Progress

FIRST_S = 15.0
"""A chunk that is done sooner has no artifact."""
LONGEST_S = 300.0

log = logging.getLogger("productshot.flows")


class Shown:
    """Takes every report of a chunk's stage and shows few: each wait is twice as long as the one before, to 5 minutes.

    A stage of an hour makes some 15 requests, whatever the number of its SKUs.
    """

    def __init__(self, key: str, told: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._key, self._told, self._clock = key, told, clock
        self._wait, self.due = FIRST_S, clock() + FIRST_S  # s, and when the next one is shown
        self._artifact: UUID | None = None

    def __call__(self, progress: Progress) -> None:
        """Show this one if it is time. A server that does not answer costs the chunk nothing but a line in its log."""
        if self._clock() < self.due:
            return
        percent = 100 * progress.done / max(progress.total, 1)
        words = f"{self._told}: {progress.stage} {progress.done} of {progress.total}, last {progress.item}"
        try:
            if self._artifact is None:
                self._artifact = create_progress_artifact(percent, self._key, words)
            else:
                update_progress_artifact(self._artifact, percent, words)
        except (httpx.HTTPError, PrefectHTTPStatusError) as error:
            log.warning("progress could not be shown: %s", type(error).__name__)
        self._wait = min(2 * self._wait, LONGEST_S)
        self.due = self._clock() + self._wait
