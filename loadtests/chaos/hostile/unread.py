"""Connections that are reset, answers that are not read, requests that are sent ahead, paths that need no key."""

import asyncio
import json
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack

from loadtests.chaos.hostile.attack import Attack, Statuses, Target, lines, request, tensors, together
from loadtests.chaos.hostile.texts import BEST, longest, tag
from loadtests.wire import Wire

RESETS = 20_000
PIPELINES = 2000
READERS = 15
SLOW_BYTES = 16_384  # in a quarter of a second
PAUSE_SECONDS = 0.25
UNREAD_SECONDS = 20.0
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset
HEAD = b"Host: x\r\n\r\n"
Send = Callable[[Target, Sequence[bytes]], Awaitable[Statuses]]


async def resets(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends each request on a connection of its own, and resets the connection, every other time after the answer."""
    for number, content in enumerate(requests):
        async with Wire(target.port) as wire:
            await wire.send(content)
            if number % 2:
                await wire.receive(1, PAUSE_SECONDS)
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    return Counter()


def unread(bytes_at_once: int = 0) -> Send:
    """Returns an attack that sends each request on a connection of its own, and reads little or nothing."""

    async def send(target: Target, requests: Sequence[bytes]) -> Statuses:
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            wires = [await stack.enter_async_context(Wire(target.port)) for _ in requests]
            for wire in wires:
                wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sending = [asyncio.create_task(wire.send(content)) for wire, content in zip(wires, requests, strict=True)]
            for _ in range(int(UNREAD_SECONDS / PAUSE_SECONDS)):
                await asyncio.sleep(PAUSE_SECONDS)
                if bytes_at_once:
                    reading = [asyncio.create_task(read(loop, wire, bytes_at_once)) for wire in wires]
                    await asyncio.wait(reading)
            for task in sending:
                task.cancel()
            await asyncio.wait(sending)
        return Counter()

    return send


async def read(loop: asyncio.AbstractEventLoop, wire: Wire, size: int) -> None:
    """Reads some bytes, if any come within a moment."""
    try:
        async with asyncio.timeout(PAUSE_SECONDS):
            await loop.sock_recv(wire.socket, size)
    except (TimeoutError, ConnectionError):
        pass


def ahead() -> list[bytes]:
    """Returns documents, and 256 KiB of requests behind each."""
    behind = b"GET /livez HTTP/1.1\r\n" + HEAD
    return [(b"GET /openapi.json HTTP/1.1\r\n" + HEAD) * 8 + behind * (262_144 // len(behind))] * PIPELINES


def events() -> list[bytes]:
    """Returns requests for streams of long texts with what was probable in the place of each character."""
    body = {"prompt": "Where", "max_tokens": 4000, "n": 64, "stream": True, "logprobs": 5}
    return [request("/generate", body | {"seed": seed}) for seed in range(16)]


def short_texts() -> list[bytes]:
    """Returns requests of 15 kB whose answers have a hundred times as much."""
    return [request("/tag", {"text": "a. " * 5000, **BEST})] * 500


def many_lines() -> list[bytes]:
    """Returns streams of lines whose answers have a hundred times as much."""
    return [lines("/tag", b'{"text": "%b", "n_best": 5}\n' % (b"a. " * 150) * 1200)] * 16


def long_lines() -> list[bytes]:
    """Returns streams of a line each, of as many tokens as fit."""
    line = json.dumps({"text": ("I," * 100_000)[:200_000], **BEST}).encode()
    return [lines("/tag", line + b"\n")] * 16


def twice() -> list[bytes]:
    """Returns requests that name an output 64 times."""
    body = {**tensors(data=[longest()]), "outputs": [{"name": "sentences"}] * 64}
    return [request("/v2/models/tagger-en/infer", body)]


def expensive() -> list[bytes]:
    """Returns, for each route, the request with the largest answer within its limits."""
    punctuated = ("I," * 100_000)[:200_000]
    texts = {"prompt": ["a"] * 2, "n": 128, "max_tokens": 400, "logprobs": 5}  # as long as they are in time
    ids = {"binary_data_output": False}
    return [
        *tag(punctuated, **BEST),
        request("/tag", {"tokens": [["I"] * 100_000], **BEST}),
        request("/classify", {"text": longest("A."), "contributions": True, "sentences": True}),
        request("/generate", texts),
        request("/v1/completions", {"model": "lm-shakespeare", **texts}),
        request("/v2/models/tagger-en/infer", {**tensors(data=[punctuated]), "parameters": ids}),
    ]


OVER = frozenset({200, 429})
ATTACKS = [
    Attack(
        f"{RESETS} resets after heads of 30 kB",
        lambda: [b"GET /livez HTTP/1.1\r\nX: " + b"a" * 30_000 + b"\r\n" + HEAD] * RESETS,
        resets,
        may_lack_answers=True,
    ),
    Attack("256 KiB behind a document that is unread", ahead, unread(), OVER, True),
    Attack(f"{READERS} readers of 64 KB/s", lambda: tag(longest(), **BEST) * READERS, unread(SLOW_BYTES), OVER, True),
    Attack("16 streams of events that are unread", events, unread(), OVER, True),
    Attack("500 answers that are unread", short_texts, unread(), OVER, True),
    Attack("16 streams of lines that are unread", many_lines, unread(), OVER, True),
    Attack("16 lines of 200 000 characters", long_lines, unread(), OVER, True),
    Attack("an output 64 times", twice, together),
    Attack("the largest answer of each route", expensive, neighbour_may_get=OVER),
    Attack("400 times /openapi.json", lambda: [b"GET /openapi.json HTTP/1.1\r\n" + HEAD] * 400, together),
    Attack(
        "6000 abandoned /metrics", lambda: [b"GET /metrics HTTP/1.1\r\n" + HEAD] * 6000, resets, may_lack_answers=True
    ),
]
