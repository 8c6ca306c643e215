"""`productshot up`: a Prefect server, a worker, all deployments and the gallery on this machine, until Ctrl-C."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import psutil
from pydantic import ValidationError

from flows.gallery import open_gallery, port_taken
from productshot.errors import ConfigInvalid, StorageUnavailable
from productshot.store import open_store

START_SECONDS = 300
HEARTBEAT_S = 30
"""The shortest that Prefect takes; the sweeper waits four of them (flows.deploy)."""
STOP_SECONDS = 15
RESTARTS = 5
"""A part that dies more often is not restarted again: something is wrong that a restart does not cure."""

POOL = "productshot"
"""The work pool; flows.deploy makes it."""

log = logging.getLogger(__name__)


def bring_up(catalog: Path, store: str, port: int, cron: str, timezone: str = "UTC") -> None:
    """Start everything, say where the UI is, restart what dies, and end it all on SIGINT or SIGTERM.

    The gallery listens on `port` + 1, so that the links of older artifacts stay good. ConfigInvalid when a port is
    taken, or for a cron or timezone that there is not; StorageUnavailable (exit code 3) when the server does not come
    up or a part keeps dying.
    """
    place = store if "://" in store else str(Path(store).resolve())
    environment = prefect_environment(port)
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: stopped.set())
    refuse_schedule(cron, timezone)
    refuse_taken_port(port)
    with ExitStack() as stack:
        gallery = stack.enter_context(open_gallery(open_store(place, probe=False), port + 1))
        server = Part(
            "Prefect server", ["-m", "prefect", "server", "start", "--port", str(port)], environment
        )
        stack.callback(server.end)
        wait_healthy(environment["PREFECT_API_URL"], server, stopped)
        if stopped.is_set():
            return
        deploy(["-m", "flows.deploy", str(catalog), place, cron, timezone, gallery], environment, stopped)
        if stopped.is_set():
            return
        start = ["-m", "prefect", "worker", "start", "--pool", POOL, "--type", "process"]
        worker = Part("worker", start, environment, partial(bury_dead, environment["PREFECT_API_URL"]))
        stack.callback(worker.end)
        print(f"Prefect UI: http://127.0.0.1:{port}/v2/  gallery: {gallery}/  Ctrl-C ends both", flush=True)
        while not stopped.wait(0.5):
            for part in (server, worker):
                part.revive()


def refuse_schedule(cron: str, timezone: str) -> None:
    """ConfigInvalid for a cron string or a timezone that there is not."""
    from prefect.client.schemas.schedules import CronSchedule

    for what, value, given in (
        ("cron", cron, {"cron": cron}),
        ("timezone", timezone, {"cron": "0 2 * * *", "timezone": timezone}),
    ):
        try:
            CronSchedule(**given)
        except ValidationError as error:
            remedy = "write it as 0 2 * * *" if what == "cron" else "name one as Europe/Berlin"
            raise ConfigInvalid(f"--{what} {value!r}", f"is no {what}", "", remedy) from error


def deploy(arguments: Sequence[str], environment: Mapping[str, str], stopped: threading.Event) -> None:
    """Write the deployments in a process of its own; a server that has just started may need a second try.

    StorageUnavailable when it fails again and again.
    """
    for attempt in range(1, RESTARTS + 1):
        part = Part("deployments", arguments, environment)
        while part.code is None and not stopped.wait(0.2):
            pass
        if part.code == 0 or stopped.is_set():
            return part.end()
        stopped.wait(attempt)
    told, limit = f"ended with code {part.code}", f"it was tried {RESTARTS} times"
    raise StorageUnavailable("writing the deployments", told, limit, "see its output above")


def prefect_environment(port: int) -> dict[str, str]:
    """This process's environment, pointed at the local server, telemetry off."""
    return {
        **os.environ,
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "productshot",
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
        "PREFECT_WORKER_QUERY_SECONDS": "5",
        # in memory, leases die with the server, and what they held is held for ever:
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "200",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    }


def bury_dead(api: str) -> None:
    """Tell the server which runs have no process any more: they died with a worker, and their work can begin anew.

    A server that does not answer is a line in the log; the sweeper finds them too, later.
    """
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from flows._server import bury, unfinished_runs

    with temporary_settings({PREFECT_API_URL: api}):
        try:
            for run in unfinished_runs(POOL):
                if not is_alive(run["infrastructure_pid"]):
                    bury(run, "its worker died, and it with it")
        except StorageUnavailable as error:
            log.warning("dead runs are left to the sweeper: %s", error)


def is_alive(pid: str | None) -> bool:
    """Whether there is such a process on this machine."""
    try:
        return pid is not None and psutil.Process(int(pid)).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Part:
    """A child of this interpreter in a session of its own, restarted when it dies; `before` is called at each start."""

    def __init__(
        self,
        what: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.what, self._arguments, self._environment, self._before = what, arguments, environment, before
        self._restarts = 0
        self._start()

    def _start(self) -> None:
        self._before()
        command = [sys.executable, *self._arguments]
        self._process = subprocess.Popen(command, env=self._environment, start_new_session=True)

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._process.poll()

    def revive(self) -> None:
        """Start it again when it has died; StorageUnavailable after `RESTARTS` times."""
        if self.code is None:
            return
        if self._restarts == RESTARTS:
            told, limit = f"ended with code {self.code}", f"it was restarted {RESTARTS} times"
            raise StorageUnavailable(self.what, told, limit, "see its output above")
        self._restarts += 1
        log.warning("%s ended with code %s; starting it again", self.what, self.code)
        self.end()  # what it left behind in its session
        time.sleep(self._restarts)
        self._start()

    def end(self) -> None:
        """SIGTERM to the whole session, SIGKILL to what is left after a while."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(STOP_SECONDS)
            except ProcessLookupError:
                return
            except subprocess.TimeoutExpired:
                continue


def refuse_taken_port(port: int) -> None:
    """ConfigInvalid when something listens there already: it would answer in the place of our server."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as cause:
            raise port_taken(port) from cause


def wait_healthy(api: str, server: Part, stopped: threading.Event) -> None:
    """Return when the server answers, or when `stopped`; StorageUnavailable when it ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.code is None:
        try:
            with urlopen(f"{api}/health", timeout=2):
                return
        except (OSError, HTTPException):
            if stopped.wait(0.5):
                return
    told = f"did not come up at {api}" if server.code is None else f"ended with code {server.code}"
    raise StorageUnavailable("Prefect server", told, f"within {START_SECONDS} s", "see its output above")
