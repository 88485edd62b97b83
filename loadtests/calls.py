"""Counts the Python calls in files of `service/` that a warm request causes.

    python -m loadtests.calls
    python -m loadtests.calls --list        and the functions, by how often each is called

The event loop of a server process runs in this process, so that `sys.setprofile` sees it; the load client loads it over
TCP from another, alone and with 64 connections. All requests were sent before, so nothing is new to the service. Each
resumption of a generator or coroutine counts as a call, as for `sys.setprofile`.
"""

import argparse
import contextlib
import os
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType

import service
from loadtests.aims import CALLS, Figure
from loadtests.figures.base import answered
from loadtests.rounds import say
from loadtests.servers import free_port
from service.settings import load_settings
from service.types import State

STANDARD_ERROR = 2  # file descriptor
FOLDER = str(Path(service.__file__).parent)
SWITCH = signal.SIGUSR1  # switches the counting on and off, in the thread of the event loop
ROUNDS = {1: 1000, 64: 6400}  # clients: requests
SEED = "1"  # of the spelling of rare words: the same in all rounds
START_SECONDS = 300.0
ROUND_SECONDS = 120.0


def serve(port: int, folder: Path) -> None:
    """Runs the only server process of a service in this thread, on a port, until SIGTERM.

    It gets what the supervisor would give it. Its log and its metrics are in a folder.
    """
    (folder / "metrics").mkdir()
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(
        folder / "metrics"
    )  # which the service's metrics read as they are imported
    from service.process.acceptor import open_socket
    from service.process.board import SPARE_SLOTS, Board, ServiceStatus
    from service.process.fork_server import Inherited
    from service.process.server_process import run_server
    from service.process.store_watch import StoreWatch
    from service.security.rate_limiter import make_file
    from service.telemetry import logs

    settings = load_settings().model_copy(update={"processes": 1})
    serving = StoreWatch(settings).found
    shares = tuple(serving.shares.items())
    board = Board(settings.processes + SPARE_SLOTS)
    board.service.write(
        ServiceStatus(
            load=shares,
            shares=shares,
            defaults=tuple(serving.defaults.values()),
            about={str(key): about for key, about in serving.about.items()},
        )
    )
    board.slots[0].reset()
    board.slots[0].state = State.STARTING
    lifeline, _ = os.pipe()  # which stays open until this process ends
    logs.set_up(settings)
    with standard_error_in(folder / "log"):
        listening = open_socket("127.0.0.1", port).detach()
        run_server(settings, 0, Inherited(board.file, listening, make_file(), lifeline))


@contextlib.contextmanager
def standard_error_in(path: Path) -> Iterator[None]:
    """Writes what goes to the descriptor of standard error to a file throughout the block, but not progress."""
    with path.open("w") as file, os.fdopen(os.dup(STANDARD_ERROR), "w", buffering=1) as terminal:
        os.dup2(file.fileno(), STANDARD_ERROR)
        try:
            with contextlib.redirect_stderr(terminal):
                yield
        finally:
            os.dup2(terminal.fileno(), STANDARD_ERROR)


class Profile:
    """Counts the calls in the main thread."""

    def __init__(self) -> None:
        self._counts: Counter[CodeType] = Counter()
        self._counting = False
        signal.signal(SWITCH, self._switch)

    @contextlib.contextmanager
    def counted(self) -> Iterator[Counter[CodeType]]:
        """Counts, throughout the block, the calls of each function of the service; used in another thread."""
        self._counts = counts = Counter[CodeType]()
        self._let_switch()
        try:
            yield counts
        finally:
            self._let_switch()
            for code in [code for code in counts if not code.co_filename.startswith(FOLDER)]:
                del counts[code]

    def _let_switch(self) -> None:
        wanted = not self._counting
        signal.pthread_kill(threading.main_thread().ident or 0, SWITCH)
        while self._counting is not wanted:
            time.sleep(0.01)

    def _switch(self, number: int, frame: FrameType | None) -> None:
        self._counting = not self._counting
        sys.setprofile(self._note if self._counting else None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            self._counts[frame.f_code] += 1


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a round."""

    endpoint: str
    clients: int
    counts: Counter[CodeType]

    @property
    def requests(self) -> int:
        """How many were sent."""
        return ROUNDS[self.clients]

    def figure(self) -> Figure:
        """Returns the calls of a request."""
        files = len({code.co_filename for code in self.counts})
        what = f"Python calls of a request to /{self.endpoint}, clients: {self.clients}"
        details = f"in {files} files; {self.requests} requests"
        return Figure(what, self.counts.total() / self.requests, CALLS[self.endpoint, self.clients], details)

    def listed(self) -> Iterator[str]:
        """Yields a line for each function: its calls of a request, most first."""
        for code, count in self.counts.most_common():
            place = f"{code.co_filename.removeprefix(FOLDER + os.sep)}:{code.co_firstlineno}"
            yield f"{count / self.requests:9.3f}  {place}  {code.co_qualname}"


def measure(address: str, profile: Profile) -> Iterator[Calls]:
    """Loads a server until it is warm, then counts; yields each round."""
    for endpoint, clients in CALLS:
        for warm in (False, True):
            options = ("--requests", str(ROUNDS[clients]), "--seed", SEED)
            target = f"{address}/{endpoint}"
            if not warm:
                answered(target, clients, ROUND_SECONDS, *options)
                continue
            with profile.counted() as counts:
                answered(target, clients, ROUND_SECONDS, *options)
            yield Calls(endpoint, clients, counts)
            say(f"/{endpoint}, clients: {clients}, calls: {counts.total()}")


def wait_until_ready(address: str) -> None:
    """Waits for the server in this process. Raises RuntimeError where it is not ready in time."""
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server is not ready in time")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the figures; returns 1 where one is missed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.calls", description="Python calls of a request.")
    parser.add_argument("--list", action="store_true", help="print the functions, too")
    options = parser.parse_args(arguments)
    port, profile = free_port(), Profile()
    found: list[Calls] = []
    failures: list[Exception] = []

    def control() -> None:
        try:
            wait_until_ready(f"127.0.0.1:{port}")
            found.extend(measure(f"127.0.0.1:{port}", profile))
        except Exception as error:
            failures.append(error)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    with tempfile.TemporaryDirectory() as folder:
        controlling = threading.Thread(target=control, daemon=True)
        controlling.start()
        serve(port, Path(folder))
        controlling.join()
    if failures:
        raise failures[0]
    figures = [calls.figure() for calls in found]
    print(*figures, sep="\n")
    for calls, figure in zip(found, figures, strict=True) if options.list else ():
        print(f"\n{figure.what}:", *calls.listed(), sep="\n")
    return int(not all(figure.met for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
