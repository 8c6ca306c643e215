"""`productshot up`: a Prefect server, both deployments and the gallery on this machine, until Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from http.client import HTTPException
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from flows.gallery import open_gallery
from productshot.errors import StorageUnavailable
from productshot.store import open_store

START_SECONDS = 120
STOP_SECONDS = 15


def bring_up(catalog: Path, store: str, port: int, cron: str) -> None:
    """Start everything, say where the UI is, and end it all on SIGINT or SIGTERM.

    StorageUnavailable (exit code 3) when the server does not come up or a part of it dies.
    """
    place = store if "://" in store else str(Path(store).resolve())
    environment = prefect_environment(port)
    stopped = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, frame: stopped.set())
    with ExitStack() as stack:
        gallery = open_gallery(open_store(place, probe=False))
        threading.Thread(target=gallery.serve_forever, daemon=True).start()
        stack.callback(gallery.shutdown)
        address = f"http://127.0.0.1:{gallery.server_address[1]}"
        server = _start(["-m", "prefect", "server", "start", "--port", str(port)], environment, stack)
        wait_healthy(environment["PREFECT_API_URL"], server, stopped)
        deployments = _start(["-m", "flows.serve", str(catalog), place, cron, address], environment, stack)
        print(f"Prefect UI: http://127.0.0.1:{port}/v2/  gallery: {address}/  Ctrl-C stops both", flush=True)
        while not stopped.wait(0.5):
            for what, process in (("Prefect server", server), ("deployments' process", deployments)):
                if process.poll() is not None:
                    raise StorageUnavailable(
                        what, f"ended with code {process.returncode}", "", "see its output above"
                    )


def prefect_environment(port: int) -> dict[str, str]:
    """This process's environment, pointed at the local server, telemetry off."""
    return {
        **os.environ,
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "productshot",
    }


def _start(arguments: list[str], environment: dict[str, str], stack: ExitStack) -> subprocess.Popen[bytes]:
    """A child of this interpreter in a session of its own, ended with the stack."""
    process = subprocess.Popen([sys.executable, *arguments], env=environment, start_new_session=True)
    stack.callback(_end, process)
    return process


def _end(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to the whole session, SIGKILL to what is left after a while."""
    for name in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, name)
        except ProcessLookupError:
            break
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            continue


def wait_healthy(api: str, server: subprocess.Popen[bytes], stopped: threading.Event) -> None:
    """Return when the server answers; StorageUnavailable when it ends or stays silent."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not stopped.is_set():
        if server.poll() is not None:
            break
        try:
            with urlopen(f"{api}/health", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (URLError, HTTPException, OSError):
            stopped.wait(0.5)
    if not stopped.is_set():
        raise StorageUnavailable(
            "Prefect server", f"did not come up at {api}", f"within {START_SECONDS} s", "is the port free?"
        )
