"""The load client: a closed loop over connections that are kept, in a process of its own.

    python -m loadtests.client 127.0.0.1:8000/tag --clients 64 --seconds 5

Each client sends its next request the moment that it has its answer. The client shares the machine with the server that
it measures, so it does little: requests are bytes made beforehand, answers are parsed by httptools and not read.
"""

import argparse
import asyncio
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from typing import cast

import httptools
import uvloop

from loadtests.traffic import Body, bodies


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one round saw. Answers that came after the time was up count in the latencies alone."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    errors: int  # answers with another status than 200, and connections that were lost


class Load:
    """What the connections of a round share: the requests to send, and what came of them."""

    def __init__(self, requests: Iterator[bytes], seconds: float) -> None:
        self.requests = requests
        self.ends = time.perf_counter() + seconds
        self.answered = 0
        self.latencies: list[float] = []  # seconds
        self.errors = 0


class Client(asyncio.Protocol):
    """One client: one connection, one request at a time. `finished` is set once its last answer is there."""

    def __init__(self) -> None:
        self.finished = asyncio.get_running_loop().create_future()
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._load: Load | None = None
        self._sent = 0.0

    def start(self, load: Load) -> None:
        """Sends the first request."""
        self._load = load
        self._send(load)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # as connections over TCP are

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.abort()

    def on_message_complete(self) -> None:
        """Hears from the parser that an answer is complete."""
        load, now = self._load, time.perf_counter()
        assert load is not None  # noqa: S101 (nobody answers before the first request)
        in_time = now < load.ends
        if self._parser.get_status_code() == 200:
            load.latencies.append(now - self._sent)
            load.answered += in_time
        else:
            load.errors += 1
        if in_time:
            self._send(load)
        elif not self.finished.done():
            self.finished.set_result(None)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.finished.done():
            if self._load is not None:
                self._load.errors += 1
            self.finished.set_result(None)

    def _send(self, load: Load) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(load.requests))


def encode(host: str, path: str, body: Body) -> bytes:
    """Returns a request as it goes over the wire."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    return f"{head}\r\n\r\n".encode() + content


def percentile(ordered: Sequence[float], share: float) -> float:
    """Returns the smallest value that at least that share of all values does not exceed; NaN where there is none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


async def measure(host: str, port: int, requests: Sequence[bytes], clients: int, seconds: float) -> Measurement:
    """Loads a server for that many seconds."""
    loop = asyncio.get_running_loop()
    connected = [(await loop.create_connection(Client, host, port))[1] for _ in range(clients)]
    load = Load(cycle(requests), seconds)
    for client in connected:
        client.start(load)
    await asyncio.gather(*(client.finished for client in connected))
    ordered = sorted(load.latencies)
    return Measurement(
        requests_per_second=load.answered / seconds,
        p50_ms=percentile(ordered, 0.50) * 1000,
        p99_ms=percentile(ordered, 0.99) * 1000,
        errors=load.errors,
    )


def main() -> None:
    """Runs one round and prints its measurement as JSON."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.client", description="Loads one endpoint of a server.")
    parser.add_argument("target", help="HOST:PORT/PATH; the path's last part is tag, classify or generate")
    parser.add_argument("--clients", type=int, default=1, help="connections, each with one request at a time")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the round")
    options = parser.parse_args()
    address, _, path = options.target.partition("/")
    host, _, port = address.partition(":")
    requests = [encode(address, f"/{path}", body) for body in bodies(path.rpartition("/")[2])]
    print(json.dumps(asdict(uvloop.run(measure(host, int(port), requests, options.clients, options.seconds)))))


if __name__ == "__main__":
    main()
