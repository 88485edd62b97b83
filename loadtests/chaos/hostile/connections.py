"""Connections that are answered before their bodies have come, trailers, streams that stay open, upgrades."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack

from loadtests.chaos.connections import RECEIVE_SECONDS
from loadtests.chaos.hostile.attack import (
    ANSWER_SECONDS,
    BODY_BYTES,
    Attack,
    Statuses,
    Target,
    head,
    request,
    statuses,
    together,
)
from loadtests.chaos.hostile.keys import (
    KEY,
    LIMITED_KEY,
    LIMITED_PER_SECOND,
    ORIGIN,
    TOKENS_ID,
    TOKENS_KEY,
    TOKENS_PER_SECOND,
)
from loadtests.chaos.scenario import check
from loadtests.fuzz.message import chunk
from loadtests.metrics import samples
from loadtests.rounds import say
from loadtests.wire import Exchange, Wire, exchange

NDJSON = "application/x-ndjson"
EARLY = 400  # connections whose answer comes before their body
HEAD_SECONDS = 0.5  # for an answer that may come before the body
BODY_SECONDS = 1.0  # that their bodies take
SINGLE_CLIENT_SECONDS = 0.5
GENERATING_SECONDS = 0.5
SLOTS = 16  # texts that the service generates at the same time
TRAILER_ID = b"from-a-trailer"
STREAMS = 500
CLOSE_SECONDS = RECEIVE_SECONDS + 3.0  # for the service to close a stream on which nothing comes
LINES_SECONDS = 4.0
LEAVING_SECONDS = 30.0  # long beside the debt of one round of requests: four times STAY_SECONDS of steps
STAY_SECONDS = 0.2  # for which a client waits for its answer before it leaves
LONG_STREAM = "Transfer-Encoding: chunked\r\n"
JSON = b'{"text": "Dogs bark."}'


async def answers_first(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends heads, reads the answers, then sends the bodies, and keeps the connections open.

    A single well-behaved client must not be refused then: no request is under way.
    """
    async with AsyncExitStack() as stack:
        wires = [await stack.enter_async_context(Wire(target.port)) for _ in requests]

        async def send(wire: Wire, content: bytes) -> Exchange:
            end = content.index(b"\r\n\r\n") + 4
            await wire.send(content[:end])
            seen = await wire.receive(1, HEAD_SECONDS)
            for place in range(end, len(content)):
                await asyncio.sleep(BODY_SECONDS / (len(content) - end))
                if not await wire.send(content[place : place + 1]):
                    break
            return seen if seen.complete else await wire.receive(1, ANSWER_SECONDS)

        seen = await asyncio.gather(*map(send, wires, requests))
        moment = time.monotonic()
        await asyncio.sleep(SINGLE_CLIENT_SECONDS)
        later = Counter(sample.status for sample in target.neighbour.samples(moment))
    check(set(later) == {200}, f"with no other request, a single client was answered {dict(later)}")
    return statuses(seen)


def early() -> list[bytes]:
    """Returns requests that are refused by their heads: 401, 413, 415 and 429, with and without an Origin."""
    origin = f"Origin: {ORIGIN}\r\n"
    length = f"Content-Length: {len(JSON)}\r\n"
    known, limited = (f"Authorization: Bearer {key}\r\n" for key in (KEY, LIMITED_KEY))
    kinds = [
        head("/tag", length) + JSON,
        head("/tag", f"{length}Authorization: Bearer wrong\r\n{origin}") + JSON,
        head("/classify", length + known + origin, "text/plain") + JSON,
        head("/classify", f"Content-Length: {2 * BODY_BYTES}\r\n{known}") + JSON,
        head("/classify", length + limited, "application/json; charset=utf-8") + JSON,
    ]
    return kinds * (EARLY // len(kinds))


def overload() -> list[bytes]:
    """Returns more texts than the queue takes."""
    key = f"Authorization: Bearer {KEY}\r\n"
    return [request("/tag", {"text": ["One more short sentence."] * 20}, headers=key)] * 400


def trailers(*fields: bytes) -> list[bytes]:
    """Returns requests with trailers."""
    start = head("/tag", "Transfer-Encoding: chunked\r\n")
    return [start + chunk(JSON) + b"0\r\n" + field + b"\r\n" for field in fields]


async def large_trailers(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends trailers that no header may have as many of; they must be refused."""
    seen = await together(target, requests)
    check(200 not in seen, "they were read, and the request answered 200")
    return seen


async def setting_trailers(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends trailers with the names of headers; they must not have the effect of those."""
    seen = [await exchange(target.port, [content], seconds=ANSWER_SECONDS) for content in requests]
    taken = sum((b"x-request-id", TRAILER_ID) in one.headers for one in seen)
    check(not taken, f"{taken} answers have the X-Request-ID of a trailer")
    return statuses(seen)


async def idle_streams(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Opens streams on which nothing comes; the service must close them."""
    sent = [exchange(target.port, [start], seconds=CLOSE_SECONDS) for start in requests]
    return closed(await asyncio.gather(*sent))


async def slow_streams(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends a byte a second of a line that never ends; the service must close these streams, too."""

    async def send(start: bytes) -> Exchange:
        async with Wire(target.port) as wire:
            answer = asyncio.create_task(wire.receive(1, CLOSE_SECONDS))
            sends = await wire.send(start)
            while sends and not answer.done():
                sends = await wire.send(chunk(b" "))
                await asyncio.wait({answer}, timeout=1)
            return await answer

    return closed(await asyncio.gather(*map(send, requests)))


def closed(streams: Sequence[Exchange]) -> Statuses:
    """Returns the statuses of streams that the service has ended. Raises AssertionError where it has not."""
    left = sum(not (stream.closed or stream.complete) for stream in streams)
    check(not left, f"{left} of {len(streams)} streams were open after {CLOSE_SECONDS:g} s")
    return statuses(streams)


async def limited_stream(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Sends lines without end with a key that has a rate; they must not be answered faster than that."""
    (start,) = requests
    line = b'{"text": "Good."}\n'
    async with Wire(target.port) as wire:
        await wire.send(start)
        sending = asyncio.create_task(wire.send(chunk(line * 10_000)))
        content = bytearray()
        loop, until = asyncio.get_running_loop(), time.monotonic() + LINES_SECONDS
        while (left := until - time.monotonic()) > 0:
            try:
                content += await asyncio.wait_for(loop.sock_recv(wire.socket, 1 << 16), left)
            except TimeoutError:
                break
        sending.cancel()
        await asyncio.wait([sending])
    answered, most = content.count(b'"label"'), LIMITED_PER_SECOND * (LINES_SECONDS + 2)
    check(
        answered <= most, f"{answered} lines were answered in {LINES_SECONDS:g} s, at {LIMITED_PER_SECOND:g} a second"
    )
    check(content, "no line was answered")
    return Counter({int(content.split(maxsplit=2)[1]): 1})


async def left_generations(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Leaves generations of a key with a token limit before their answers; what they have computed must count."""

    async def leave(content: bytes) -> Statuses:
        seen: Statuses = Counter()
        while time.monotonic() < until:
            seen += statuses([await exchange(target.port, [content], seconds=STAY_SECONDS)])
        return seen

    def computed() -> float:
        found = [s for s in samples(target.service.server.address) if s.name == "tagwerk_key_tokens_total"]
        return sum(sample.value for sample in found if sample.labels["key"] == TOKENS_ID)

    before, until = computed(), time.monotonic() + LEAVING_SECONDS
    seen: Statuses = sum(await asyncio.gather(*map(leave, requests)), Counter())
    await asyncio.sleep(STAY_SECONDS)
    rate = (await asyncio.to_thread(computed) - before) / LEAVING_SECONDS
    say(found := f"{rate:.0f} tokens a second, with a key for {TOKENS_PER_SECOND:g}")
    check(0 < rate < 2 * TOKENS_PER_SECOND, found)  # a key begins with the credit of a second, and may end in debt
    return seen


def upgrades() -> list[bytes]:
    """Returns requests to upgrade to another protocol."""
    websocket = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    h2c = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
    return [
        f"GET {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n".encode()
        for path in ("/", "/tag", "/livez", "/v2/models/tagger-en", "/nothing")
        for fields in (websocket, h2c)
    ] * 5


async def cancelled_generations(target: Target, requests: Sequence[bytes]) -> Statuses:
    """Cancels generations that wait while others take all slots; then a further one must be accepted."""
    async with AsyncExitStack() as running, Wire(target.port) as further:
        for content in requests[:SLOTS]:
            await (await running.enter_async_context(Wire(target.port))).send(content)
        await asyncio.sleep(GENERATING_SECONDS)
        async with AsyncExitStack() as waiting:
            for content in requests[SLOTS:-1]:
                await (await waiting.enter_async_context(Wire(target.port))).send(content)
            await asyncio.sleep(GENERATING_SECONDS)
        await asyncio.sleep(GENERATING_SECONDS)
        await further.send(requests[-1])
        seen = await further.receive(1, GENERATING_SECONDS)
        check(seen.statuses in ([], [200]), f"after the others had left, one was answered {seen.statuses}")
        await running.aclose()
        seen = await further.receive(1, ANSWER_SECONDS)
    check(seen.statuses == [200], f"with no other generation, one was answered {seen.statuses}")
    return statuses([seen])


def generations() -> list[bytes]:
    """Returns long generations for all slots, 300 more, and a short one."""
    long = [request("/generate", {"prompt": "Where", "max_tokens": 4000, "seed": n}) for n in range(SLOTS + 300)]
    return [*long, request("/generate", {"prompt": "Where", "max_tokens": 5})]


def half_begun() -> list[bytes]:
    """Returns the beginnings of streams; half of them end within a line."""
    start = head("/tag", LONG_STREAM, NDJSON)
    return [start, start + chunk(b"{")] * 25


def silent() -> list[bytes]:
    """Returns the beginnings of streams in which no line has begun."""
    return [head("/tag", LONG_STREAM, NDJSON)] * STREAMS


def limited_lines() -> list[bytes]:
    """Returns the beginning of a stream with a key that has a rate limit."""
    return [head("/classify", f"{LONG_STREAM}Authorization: Bearer {LIMITED_KEY}\r\n", NDJSON)]


def limited_generations() -> list[bytes]:
    """Returns long generations with a key that has a token limit."""
    headers = f"Authorization: Bearer {TOKENS_KEY}\r\n"
    return [request("/generate", {"prompt": "Where", "max_tokens": 4000, "seed": n}, headers=headers) for n in range(4)]


HUGE = (b"X: y\r\n" * 700_000, b"X: " + b"y" * BODY_BYTES + b"\r\n")
NAMED = (b"Content-Length: 3\r\n", b"X-Request-ID: " + TRAILER_ID + b"\r\n", b"Transfer-Encoding: chunked\r\n")
SHED = frozenset({200, 429})
ATTACKS = [
    Attack("megabytes of trailers", lambda: trailers(*HUGE), large_trailers),
    Attack("trailers that set headers", lambda: trailers(*NAMED) * 10, setting_trailers),
    Attack(f"{STREAMS} streams on which nothing comes", silent, idle_streams),
    Attack("50 streams of a byte a second", half_begun, slow_streams),
    Attack("upgrades to WebSocket and h2c", upgrades, together),
    Attack("300 cancelled generations", generations, cancelled_generations),
    Attack("more texts than the queue takes", overload, together, neighbour_may_get=SHED, with_keys=True),
    Attack("answers before the body has come", early, answers_first, with_keys=True),
    Attack("lines without end, with a rate limit", limited_lines, limited_stream, with_keys=True),
    Attack(
        "generations left, with a token limit",
        limited_generations,
        left_generations,
        may_lack_answers=True,
        with_keys=True,
    ),
]
