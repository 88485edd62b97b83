"""A well-behaved client: it sends a short /classify every 20 ms over a kept connection, and times the answers.

    python -m loadtests.neighbour 127.0.0.1:8000

It runs in a process of its own, so that what else a load test does cannot delay its measurement. Until its standard
input is closed it prints a line for each request, `SENT SECONDS STATUS WITHOUT_PROCESSOR`: the moment of the monotonic
clock at which it was sent, how long the answer took, the status, 0 where the connection broke, and for how long it had
no processor meanwhile. A wait for a processor is not the service's: what the host of a virtual machine gave to others
("steal" in proc(5)), or the time in which this client could run, and Linux ran others, which can be seconds: it shares
processors between sessions (sched_autogroup_enabled in sched(7)), and this client runs beside what attacks the service.

While a request waits for its answer, no other is sent. So a long stall is one slow request, not a backlog of them.
"""

import argparse
import asyncio
import http.client
import os
import select
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import NamedTuple

from loadtests.client import percentile

INTERVAL_SECONDS = 0.02
TIMEOUT_SECONDS = 120.0
STOP_SECONDS = 2.0
BODY = b'{"text": "A warm, funny film."}'
TICKS = os.sysconf("SC_CLK_TCK")


class Sample(NamedTuple):
    """One request: when it was sent, by the monotonic clock, and its outcome."""

    sent: float
    seconds: float
    status: int  # 0 where the connection broke
    without_processor: float = 0.0  # seconds in which the client, or all of the machine, had none

    @property
    def undisturbed_seconds(self) -> float:
        """How long it took at least without the waits for a processor."""
        return max(0.0, self.seconds - self.without_processor)


class Waits(NamedTuple):
    """What the neighbour saw in a stretch of time."""

    worst_seconds: float
    worst_undisturbed_seconds: float
    p99_seconds: float
    statuses: Counter[int]


def summarize(samples: Sequence[Sample]) -> Waits:
    """Returns the worst and the 99th percentile of the waits, NaN where there are none, and the statuses."""
    ordered = sorted(sample.seconds for sample in samples)
    undisturbed = sorted(sample.undisturbed_seconds for sample in samples)
    statuses = Counter(sample.status for sample in samples)
    return Waits(percentile(ordered, 1.0), percentile(undisturbed, 1.0), percentile(ordered, 0.99), statuses)


def stolen_seconds() -> float:
    """Returns the processor time that the host has given to others since the system started, of all processors."""
    with Path("/proc/stat").open(encoding="ascii") as file:
        return int(file.readline().split()[8]) / TICKS


class Neighbour:
    """The client in its process. Used as a context manager, which stops it at the end of the block."""

    def __init__(self, address: str, key: str | None = None) -> None:
        """Starts to send to `address`, "127.0.0.1:8000", with an API key where one is given."""
        command = [sys.executable, "-m", "loadtests.neighbour", address, *([key] if key else [])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._samples: list[Sample] = []
        self._began = time.monotonic()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> "Neighbour":
        return self

    def __exit__(self, *error: object) -> None:
        assert self._process.stdin is not None  # noqa: S101 (it is a pipe)
        self._process.stdin.close()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:  # it waits for an answer
            self._process.kill()
        with self._process:  # closes the other pipe, once it is read
            self._reader.join()

    def samples(self, since: float, until: float = float("inf")) -> list[Sample]:
        """Returns the requests that were under way at any moment from `since` to `until`."""
        return [s for s in list(self._samples) if s.sent + s.seconds >= since and s.sent <= until]

    def silent_seconds(self) -> float:
        """Returns how long ago the last answer came, of whatever status."""
        for sample in reversed(self._samples):
            if sample.status:
                return time.monotonic() - sample.sent - sample.seconds
        return time.monotonic() - self._began

    async def settle(self, moment: float, seconds: float) -> bool:
        """Waits for the answer to a request sent after that moment; returns whether one came.

        It gives up where no answer came for so many seconds.
        """
        while not (self._samples and self._samples[-1].sent > moment) and self.silent_seconds() < seconds:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
        return bool(self._samples) and self._samples[-1].sent > moment

    def _read(self) -> None:
        assert self._process.stdout is not None  # noqa: S101 (it is a pipe)
        for line in self._process.stdout:
            sent, seconds, status, without = line.split()
            self._samples.append(Sample(float(sent), float(seconds), int(status), float(without)))


def waited_seconds() -> float:
    """Returns for how long this process could run, and waited for a processor; 0 where Linux does not count that."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except FileNotFoundError:
        return 0.0


def main() -> None:
    """Sends requests until standard input is closed."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.neighbour", description="A well-behaved client.")
    parser.add_argument("address", help="HOST:PORT of the service")
    parser.add_argument("key", nargs="?", help="API key to send")
    options = parser.parse_args()
    host, _, port = options.address.partition(":")
    authorization = f"Authorization: Bearer {options.key}\r\n" if options.key else ""
    fields = (
        f"Host: {options.address}\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n{authorization}"
    )
    request = f"POST /classify HTTP/1.1\r\n{fields}\r\n".encode() + BODY
    connection: socket.socket | None = None
    pause = 0.0
    while not select.select([sys.stdin], [], [], pause)[0]:
        stolen, waited, sent = stolen_seconds(), waited_seconds(), time.monotonic()
        try:
            connection = connection or socket.create_connection((host, int(port)), TIMEOUT_SECONDS)
            connection.sendall(request)
            status, closes = read_answer(connection)
            if closes:
                connection.close()
                connection = None
        except (OSError, http.client.HTTPException):
            if connection is not None:
                connection.close()
            connection, status = None, 0  # the next request opens another
        answered = time.monotonic()
        # The two overlap: a client that waits, waits for what is stolen, too.
        without = max(stolen_seconds() - stolen, waited_seconds() - waited)
        print(f"{sent:.6f} {answered - sent:.6f} {status} {without:.3f}", flush=True)
        pause = max(0.0, sent + INTERVAL_SECONDS - answered)


def read_answer(connection: socket.socket) -> tuple[int, bool]:
    """Reads an answer; returns its status, and whether the server closes the connection after it."""
    with http.client.HTTPResponse(connection) as response:
        response.begin()
        response.read()
        return response.status, bool(response.will_close)


if __name__ == "__main__":
    main()
