"""The load client, in a process of its own.

    python -m loadtests.client 127.0.0.1:8000/tag --clients 64 --seconds 5
    python -m loadtests.client 127.0.0.1:8000/tag --clients 256 --seconds 5 --rate 500
    python -m loadtests.client 127.0.0.1:8000/tag --clients 256 --seconds 5 --rate 500 --burst 20

Closed loop: each client sends its next request when it has its answer. With `--rate`, open loop: requests
are due at random moments, as from many independent users, and a latency counts from the moment at
which the request was due, also where all clients were waiting then. With `--burst`, that many are due at once.

The client shares the machine with the server that it measures, so it does little: requests are bytes made beforehand,
but for the spelling of rare words (`loadtests.text`), and answers are parsed by httptools and not read. Two runs
with the same `--seed` send the same requests.
"""

import argparse
import asyncio
import json
import math
import random
import selectors
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice

import uvloop

from loadtests.connection import Connection, Encoded, encode, repeated
from loadtests.traffic import KINDS, requests

MOST_PRECISE = 256  # connections: beyond that, what precise timers cost is taken from the server
MILLISECOND = 0.001


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one round saw. Answers that came after the time was up count in the latencies alone."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int  # answers with another status than 200, and connections that were lost
    refused: int  # of these, the answers 429


class Answers:
    """The outcomes of the requests of a round."""

    def __init__(self, encoded: Iterator[Encoded], seconds: float, settling: float = 0.0) -> None:
        self._encoded = encoded
        self._began = time.perf_counter()
        self._counts = self._began + settling
        self._ends = self._counts + seconds
        self._in_time = 0
        self._errors = 0
        self._refused = 0
        self._latencies: list[float] = []  # seconds

    def answered(self, request: Encoded, status: int, seconds: float, now: float) -> None:
        """Counts an answer, unless it comes while the service still settles under the load."""
        if now < self._counts:
            return
        if status != 200:
            self._errors += 1
            self._refused += status == 429
            return
        self._in_time += now < self._ends
        if request.timed:
            self._latencies.append(seconds)

    def lost(self, connection: Connection) -> None:
        """Counts a connection that was lost."""
        self._errors += 1

    def left(self, connection: Connection) -> None:
        """Ignores a connection that was idle: no request was lost."""

    def measurement(self) -> Measurement:
        """Returns the figures."""
        ordered = sorted(self._latencies)
        return Measurement(
            requests_per_second=self._in_time / (min(self._ends, time.perf_counter()) - self._counts),
            p50_ms=percentile(ordered, 0.50) * 1000,
            p99_ms=percentile(ordered, 0.99) * 1000,
            errors=self._errors,
            refused=self._refused,
        )


class ClosedLoop(Answers):
    """Sends a request on each connection once the last is answered, for some seconds or until none is left."""

    def free(self, connection: Connection) -> None:
        """Gives a connection its next request."""
        now = time.perf_counter()
        request = next(self._encoded, None) if now < self._ends else None
        if request is None:
            connection.close()
        else:
            connection.send(request, due=now)


class OpenLoop(Answers):
    """Requests fall due by a Poisson process, `rate` a second, whether or not a connection is free for them then.

    With a `burst`, that many are due at once, and the moments are so much fewer. `tick` is the shortest time, in
    seconds, of the event loop's timers.
    """

    def __init__(
        self,
        encoded: Iterator[Encoded],
        seconds: float,
        rate: float,
        burst: int = 1,
        tick: float = 0.0,
        settling: float = 0.0,
    ) -> None:
        super().__init__(encoded, seconds, settling)
        self._rate = rate / burst
        self._burst = burst
        self._tick = tick
        self._gaps = random.Random()
        self._next_due = self._began
        self._due: deque[float] = deque()
        self._free: list[Connection] = []  # the one that was used last is used next, so that few are busy
        self._let_fall_due()

    def free(self, connection: Connection) -> None:
        """Takes a connection, for a request that waits or for a later one."""
        self._free.append(connection)
        self._send()

    def left(self, connection: Connection) -> None:
        """Removes a connection that was idle."""
        self._free.remove(connection)

    def _let_fall_due(self) -> None:
        now = time.perf_counter()
        while self._next_due < min(now, self._ends):  # several, where this process was kept from running
            self._due.extend([self._next_due] * self._burst)
            self._next_due += self._gaps.expovariate(self._rate)
        self._send()
        if self._next_due < self._ends:
            asyncio.get_running_loop().call_later(max(self._tick, self._next_due - now), self._let_fall_due)

    def _send(self) -> None:
        while self._due and self._free:
            self._free.pop().send(next(self._encoded), due=self._due.popleft())
        if not self._due and self._next_due >= self._ends:
            for connection in self._free:
                connection.close()


def percentile(ordered: Sequence[float], share: float) -> float:
    """Returns the smallest value that at least that share of all values does not exceed; NaN where there is none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


async def measure(host: str, port: int, clients: int, make_load: Callable[[], ClosedLoop | OpenLoop]) -> Measurement:
    """Connects the clients, then loads the server."""
    connections = [Connection(host, port) for _ in range(clients)]
    for connection in connections:
        await connection.open()
    load = make_load()
    for connection in connections:
        connection.start(load)
    await asyncio.gather(*(connection.finished for connection in connections))
    return load.measurement()


def precise_loop() -> asyncio.AbstractEventLoop:
    """Returns an event loop with timers of microseconds; uvloop's and epoll's have milliseconds.

    It checks each connection in turn, so it takes several times as much of the processor.
    """
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def main() -> None:
    """Runs one round and prints its measurement as JSON."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.client", description="Loads one endpoint of a server.")
    parser.add_argument("target", help="HOST:PORT/PATH; the path's last part is the traffic, " + ", ".join(KINDS))
    parser.add_argument("--clients", type=int, default=1, help="connections, each with one request at a time")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the round")
    parser.add_argument("--rate", type=float, help="requests a second, at random moments; without it, a closed loop")
    parser.add_argument("--burst", type=int, default=1, help="with --rate, so many requests are due at once")
    parser.add_argument("--settling", type=float, default=0.0, help="seconds of the load before it counts")
    parser.add_argument("--seed", type=int, help="of the spelling of rare words; without it, another each time")
    parser.add_argument("--requests", type=int, help="how many requests, where the time does not end the round first")
    parser.add_argument("--key", help="API key")
    options = parser.parse_args()
    address, _, path = options.target.partition("/")
    host, _, port = address.partition(":")
    prefix, slash, traffic = path.rpartition("/")
    chosen = requests(traffic)
    wire = (encode(address, prefix + slash, request, options.key) for request in chosen)
    encoded = repeated(list(wire), random.Random(options.seed)) if isinstance(chosen, Sequence) else wire

    precise = options.rate is not None and options.clients <= MOST_PRECISE

    def make_load() -> ClosedLoop | OpenLoop:
        if options.rate:
            tick = 0.0 if precise else MILLISECOND
            return OpenLoop(encoded, options.seconds, options.rate, options.burst, tick, options.settling)
        return ClosedLoop(islice(encoded, options.requests), options.seconds, options.settling)

    factory = precise_loop if precise else uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        measurement = runner.run(measure(host, int(port), options.clients, make_load))
    print(json.dumps(asdict(measurement)))


if __name__ == "__main__":
    main()
