"""Clients that are slow, disconnect, send bytes that are no HTTP, or send bodies that are too large."""

import asyncio
import gzip
import json
import random
import socket
import struct
import time
from contextlib import suppress

from loadtests.chaos.clients import BOUND_SECONDS, Wire, endless, post
from loadtests.chaos.memory import grown_most, peaks, reset_peaks, wait_until_settled
from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.scenario import Scenario, check
from loadtests.chaos.service_under_test import ServiceUnderTest
from loadtests.chaos.words import fill_word_tables
from loadtests.processes import SERVER
from loadtests.traffic import bodies, sentences
from service.settings import Settings
from service.telemetry.metrics import UNMATCHED

SLOW, READERS = 20, 5  # clients of each kind
RECEIVE_SECONDS = 5.0  # that the service gives a request to arrive
SLOW_SECONDS = 8.0
DROPPED, AT_A_TIME = 1000, 50
LARGE_BYTES = 100_000_000
PIECE_BYTES = 1 << 16
MOST_GROWTH_BYTES = Settings.model_fields["max_body_bytes"].default + 2e6  # the largest body, and buffers
NESTED = 100_000
TEXT = json.dumps(bodies("tag")[0]).encode()


async def slow(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Sends or reads a byte a second: some requests end in time, others never."""

    async def send(content: bytes, quick: int, path: str) -> int | None:
        async with Wire(service.port, counts) as wire:
            answer = asyncio.create_task(wire.answer(path, RECEIVE_SECONDS + 20))
            await wire.send(content[:quick])
            for place in range(quick, len(content)):
                await asyncio.wait({answer}, timeout=1)
                if answer.done():
                    break
                await wire.send(content[place : place + 1])
            return await answer

    async def read() -> None:
        async with Wire(service.port, counts) as wire:
            wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await wire.send(post("/tag", json.dumps({"text": list(sentences())[:300]}).encode()))
            began = time.monotonic()
            while time.monotonic() - began < SLOW_SECONDS:
                check(await wire.reader.read(1), "the service closed the connection of a client that read slowly")
                await asyncio.sleep(1)
            counts.dropped += 1

    whole = post("/tag", TEXT)
    in_time = [send(whole, len(whole) - 2, "/tag") for _ in range(SLOW)]
    in_head = [send(whole, 10, UNMATCHED) for _ in range(SLOW)]
    in_body = [send(whole, len(whole) - len(TEXT) + 1, "/tag") for _ in range(SLOW)]
    statuses = await asyncio.gather(*in_time, *in_head, *in_body)
    await asyncio.gather(*(read() for _ in range(READERS)))
    check(set(statuses[:SLOW]) == {200}, f"slow requests that ended in time got {set(statuses[:SLOW])}")
    check(set(statuses[SLOW:]) == {408}, f"requests that never ended got {set(statuses[SLOW:])}")
    return f"{SLOW} that took two seconds answered, {2 * SLOW} that never ended refused, {READERS} read slowly"


async def drop(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Disconnects at any moment of a request, by closing the connection or by a reset."""
    whole = [post("/tag", TEXT), post("/generate", endless()), post("/classify", TEXT)]
    chance = random.Random(1)

    async def disconnect() -> None:
        content = chance.choice(whole)
        async with Wire(service.port, counts) as wire:
            counts.dropped += 1
            await wire.send(content if chance.random() < 0.5 else content[: chance.randrange(1, len(content))])
            await asyncio.sleep(chance.random() * 0.1)
            if chance.random() < 0.5:  # closing then sends a reset
                off = struct.pack("ii", 1, 0)
                wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, off)

    for _ in range(DROPPED // AT_A_TIME):
        await asyncio.gather(*(disconnect() for _ in range(AT_A_TIME)))
    return f"{DROPPED} connections dropped"


MALFORMED = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),  # TLS to a port that speaks none
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"nonsense\r\n\r\n",
    b"\r\n" * 1000 + b"\0" * 1000,
    b"POST /tag HTTP/9.9\r\nHost: x\r\n\r\n",
    b"POST /tag HTTP/1.1\r\nHost x\r\n\r\n",
    b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: five\r\n\r\n",
    b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /tag HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello",
    b"POST /tag HTTP/1.1\r\nHost: x\r\nX: \0\x01\r\n\r\n",
    bytes(random.Random(1).randbytes(4000)),
]


async def malformed(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Sends what is no HTTP."""
    for content in MALFORMED:
        async with Wire(service.port, counts) as wire:
            await wire.send(content)
            wire.writer.write_eof()
            status = await wire.answer(None)
            check(status is None or 400 <= status < 500, f"{content[:60]!r} was answered {status}")
    return f"{len(MALFORMED)} kinds of malformed bytes: {dict(counts.unanswerable)}, the other connections closed"


async def large(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Sends 100 MB: announced, in chunks without an end, and zipped."""
    pids = await asyncio.to_thread(service.pids, SERVER)
    await fill_word_tables(service.port, counts)
    await asyncio.to_thread(wait_until_settled, pids)
    growths = []
    head = "POST /tag HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    spaces = b" " * PIECE_BYTES
    zipped = gzip.compress(b'{"text": "' + b"a" * LARGE_BYTES + b'"}')
    chunk = f"{PIECE_BYTES:x}\r\n".encode() + spaces + b"\r\n"
    number = LARGE_BYTES // PIECE_BYTES
    ways = [
        (f"{head}Content-Length: {LARGE_BYTES}\r\n\r\n", [spaces] * number),
        (f"{head}Transfer-Encoding: chunked\r\n\r\n", [chunk] * number),
        (f"{head}Content-Encoding: gzip\r\nContent-Length: {len(zipped)}\r\n\r\n", [zipped]),
    ]
    for start, pieces in ways:
        counts.sent += 1
        began, before = time.monotonic(), reset_peaks(pids)
        status = await asyncio.to_thread(send_all, service.port, [start.encode(), *pieces])
        start_bytes, peak = grown_most(before, peaks(pids))
        growths.append(peak - start_bytes)
        if status is None:
            counts.lost += 1
        else:
            counts.answered("/tag", status, time.monotonic() - began)
        check(status == 413, f"{start.splitlines()[3]} was answered {status}")
    check(max(growths) < MOST_GROWTH_BYTES, f"the memory of a process grew by {max(growths) / 1e6:.1f} MB")
    return f"413 three times; a process's memory peaked {max(growths) / 1e6:.1f} MB above that before"


def send_all(port: int, pieces: list[bytes]) -> int | None:
    """Sends as much as the service takes, then reads its answer; returns the status, if any.

    Over a plain socket: asyncio drops what has arrived once it cannot send any more.
    """
    with socket.create_connection(("127.0.0.1", port), timeout=BOUND_SECONDS) as connection:
        with suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
        with suppress(ConnectionError):
            words = connection.recv(PIECE_BYTES).split(maxsplit=2)
            return int(words[1]) if len(words) > 2 else None
    return None


async def nested(service: ServiceUnderTest, counts: RequestCounts) -> str:
    """Sends JSON in which a hundred thousand brackets open."""
    array, thing = b"[" * NESTED, b'{"text":' * NESTED
    contents = [
        array,
        array + b"]" * NESTED,
        b'{"text":' + array + b"]" * NESTED + b"}",
        thing,
        thing + b"1" + b"}" * NESTED,
    ]
    for path in ("/tag", "/classify", "/generate"):
        for content in contents:
            async with Wire(service.port, counts) as wire:
                await wire.send(post(path, content))
                status = await wire.answer(path)
                check(status in (400, 413, 422), f"{content[:20]!r}... to {path} was answered {status}")
    return f"{3 * len(contents)} such bodies refused"


SCENARIOS = [
    Scenario(
        "clients that send or read a byte a second",
        f"200 in time, 408 after {RECEIVE_SECONDS:g} s; the other clients get 200",
        slow,
        frozenset({200, 408}),
    ),
    Scenario("a thousand connections dropped", "the other clients get 200", drop),
    Scenario(
        "malformed HTTP",
        "400, or the connection is closed; the other clients get 200",
        malformed,
        frozenset({200, 400, 405, 408, 413, 422, 431, 505}),
        may_lose=len(MALFORMED),
    ),
    Scenario(
        "bodies of 100 MB",
        "413, each with at most 2 MB of memory beyond the largest body",
        large,
        frozenset({200, 413}),
    ),
    Scenario("JSON nested 100 000 deep", "400, 413 or 422", nested, frozenset({200, 400, 413, 422})),
]
