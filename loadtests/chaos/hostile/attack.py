"""The definition of an attack, and the ways to send requests."""

import asyncio
import gzip
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from loadtests.chaos.service_under_test import ServiceUnderTest
from loadtests.neighbour import Neighbour
from loadtests.wire import Exchange, exchange

MOST_SECONDS = 0.25  # that the neighbour may wait
BODY_BYTES = 4_194_304  # the largest body that the service takes
TEXT_CHARACTERS = 200_000  # the longest text that it takes
ANSWER_SECONDS = 40.0  # for an answer; the service's own limit is 30
TASKS = ("/tag", "/classify", "/generate")
NO_ANSWER = 0  # in the place of a status

Statuses = Counter[int]


@dataclass(frozen=True, slots=True)
class Target:
    """The service under attack, and the well-behaved client beside the attack."""

    service: ServiceUnderTest
    neighbour: Neighbour

    @property
    def port(self) -> int:
        """The port of the service."""
        return self.service.port


async def one_by_one(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends each request on a connection of its own when the one before is answered; returns the statuses.

    It ends where no answer comes: otherwise it would wait for each of them.
    """
    seen: list[Exchange] = []
    for content in requests:
        seen.append(await exchange(target.port, [content], seconds=ANSWER_SECONDS))
        if not (seen[-1].statuses or seen[-1].closed):
            break
    return statuses(seen)


async def together(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends all requests at the same time, each on a connection of its own; returns the statuses."""
    sent = [exchange(target.port, [request], seconds=ANSWER_SECONDS) for request in requests]
    return statuses(await asyncio.gather(*sent))


def statuses(exchanges: Iterable[Exchange]) -> Statuses:
    """Returns the statuses of all answers, `NO_ANSWER` where none came."""
    return Counter(status for seen in exchanges for status in (seen.statuses or [NO_ANSWER]))


@dataclass(frozen=True, slots=True)
class Attack:
    """An attack. Its requests are made before the clock starts."""

    name: str
    requests: Callable[[], Sequence[bytes]]
    # Raises AssertionError where the service fails its check; returns the statuses of the answers.
    send: Callable[[Target, Sequence[bytes]], Awaitable[Statuses]] = one_by_one
    neighbour_may_get: frozenset[int] = frozenset({200})
    may_lack_answers: bool = False  # its requests are not whole, or it disconnects before the answers
    with_keys: bool = False  # against the service that requires keys and allows pages of another origin


def request(
    path: str, body: object, *, zipped: bool = False, media_type: str = "application/json", headers: str = ""
) -> bytes:
    """Returns a POST; `headers` are further lines, each with its end."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    if zipped:
        content, headers = gzip.compress(content, mtime=0), headers + "Content-Encoding: gzip\r\n"
    return head(path, f"Content-Length: {len(content)}\r\n{headers}", media_type) + content


def head(path: str, headers: str, media_type: str = "application/json") -> bytes:
    """Returns the head of a POST; `headers` are further lines, each with its end."""
    return f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {media_type}\r\n{headers}\r\n".encode()


def lines(path: str, body: bytes, *, zipped: bool = False) -> bytes:
    """Returns a POST of newline-delimited JSON."""
    return request(path, body, zipped=zipped, media_type="application/x-ndjson")


def field_of(path: str) -> str:
    """Returns the field of a task's request that holds its texts."""
    return "prompt" if path == "/generate" else "text"


def tensors(**tensor: Any) -> dict[str, Any]:
    """Returns a request of the Open Inference Protocol with one tensor of texts."""
    return {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": ["a"]} | tensor]}
