"""Starts the servers that are measured as real processes, and stops them whatever happens."""

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TypeVar

from loadtests.metrics import READY_PROCESSES, total
from loadtests.processes import server_processes

START_SECONDS = 600  # the service compiles for a minute, more on a slow machine
STOP_SECONDS = 15
CONFIRM_SECONDS = 0.5
LOG_CHARACTERS = 4000


class Server:
    """A process that serves HTTP. Its log is kept, and shown if it fails."""

    def __init__(
        self,
        command: Sequence[str],
        address: str,
        ready: str,
        body: bytes | None,
        environment: Mapping[str, str],
        log: Path,
    ) -> None:
        """`ready` is a path that answers 200 once the server takes requests: to a POST where there is a body."""
        self.address = address  # "127.0.0.1:8000"
        self._command = " ".join(command)
        self._ready = urllib.request.Request(f"http://{address}{ready}", body, {"Content-Type": "application/json"})
        self._log = log
        self._began = time.monotonic()
        self.ready_after = 0.0  # seconds from its start
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **environment},
                start_new_session=True,  # Ctrl-C is for the bench, which then stops it in order
            )

    def wait_until_ready(self) -> None:
        """Raises RuntimeError with the end of the log where the server ends or takes too long."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            if self.ready():
                self.ready_after = time.monotonic() - self._began
                return
            time.sleep(0.1)
        log = self._log.read_text(encoding="utf-8", errors="replace")[-LOG_CHARACTERS:]
        status = self.process.poll()
        what = "is not ready in time" if status is None else f"ended with status {status}"
        raise RuntimeError(f"{self._command} {what}:\n{log}")

    def ready(self) -> bool:
        """Returns whether the server takes requests."""
        try:
            with urllib.request.urlopen(self._ready, timeout=5):
                return True
        except OSError:  # nothing listens yet, or it says 503
            return False

    def stop(self) -> None:
        """Stops the process; kills it where it does not stop in time, or where this is interrupted.

        What it started is in its session, and is killed in any case: some of the peers leave processes behind.
        """
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Service(Server):
    """This service: a supervisor and its server processes."""

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        """Starts it on the port that `TAGWERK_PORT` names in the environment, or on a free one."""
        port = environment.get("TAGWERK_PORT") or str(free_port())
        own = {"TAGWERK_HOST": "127.0.0.1", **environment, "TAGWERK_PORT": port}
        super().__init__(service_command(), f"127.0.0.1:{port}", "/readyz", None, own, log)

    def wait_until_ready(self) -> None:
        """Waits for all of its processes; `ready_after` is when the first of them was ready.

        Raises RuntimeError where they are not ready in time.
        """
        super().wait_until_ready()
        until = time.monotonic() + START_SECONDS
        while not self.all_ready():
            if time.monotonic() > until:
                raise RuntimeError(f"not all of its processes are ready in time: {self._command}")
            time.sleep(0.1)

    def all_ready(self, count: int | None = None) -> bool:
        """Returns whether all of its server processes are ready, and as many as `count`, where that is given."""
        there = len(server_processes(self.process.pid))
        try:
            return there == (count or there) > 0 and total(self.address, READY_PROCESSES) == there
        except (OSError, http.client.HTTPException):
            return False

    def seconds_until_replaced(self, ended: Collection[int], count: int, most_seconds: float) -> float | None:
        """Waits until so many processes are ready and some others are gone; returns the seconds; None after the most.

        It reads them twice: for a moment, the metrics still have a process that has ended.
        """
        began = time.monotonic()
        while (seconds := time.monotonic() - began) < most_seconds:
            if self._replaced(ended, count):
                time.sleep(CONFIRM_SECONDS)
                if self._replaced(ended, count):
                    return seconds
            time.sleep(0.02)
        return None

    def _replaced(self, ended: Collection[int], count: int) -> bool:
        return not set(ended).intersection(server_processes(self.process.pid)) and self.all_ready(count)


AnyServer = TypeVar("AnyServer", bound=Server)


@contextmanager
def running(start: Callable[[Path], AnyServer]) -> Iterator[AnyServer]:
    """Starts a server, given a folder for its files; yields it when it is ready; stops it at the end of the block."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, stopped_by_signals():
        server = start(Path(folder))
        try:
            server.wait_until_ready()
            yield server
        finally:
            server.stop()


def start_service(folder: Path, **settings: str) -> Service:
    """Starts this service, with the settings of the environment, by default its defaults, but for some."""
    return Service(settings, folder / "log")


def start_service_apart(folder: Path, **settings: str) -> Service:
    """Starts this service on one half of the processor's cores; this process and its clients go to the other half."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    half = len(cores) // 2
    if not half:
        return start_service(folder, **settings)
    os.sched_setaffinity(0, cores[:half])
    try:
        return start_service(folder, **settings)
    finally:
        os.sched_setaffinity(0, cores[half:])


def service_command(name: str = "serve") -> list[str]:
    """Returns one of the program's commands, by default the one that serves."""
    return [sys.executable, "-m", "service", name]


def free_port() -> int:
    """Returns a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP unwind the stack, as Ctrl-C does, so that no server is left behind."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
