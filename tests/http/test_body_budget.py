"""The bytes of large bodies that a process holds are bounded; the slowest of those that arrive are refused."""

import asyncio
import gzip
import json

import pytest

from service.http.body_budget import SMALL_BYTES, HeldBody, may_be_large
from service.http.context import HELD_BODIES, Context
from service.types import State
from tests.http.scene import made_context
from tests.http.wire import GET, connect, post, turns

MOST = 100_000  # bytes of a body


def made() -> Context:
    context = made_context(max_body_bytes=MOST, cors_origins=("*",))
    context.engine.state = State.READY
    return context


def begun(context: Context, size: int):
    """Returns a connection on which a large body has come in part."""
    connection, wire = connect(context)
    connection.data_received(post("/classify", bytes(size), "Origin: https://a.org", length=MOST))
    return connection, wire


def test_above_the_total_the_slowest_body_is_refused_and_the_others_go_on(monkeypatch):
    async def test() -> None:
        now = [1000.0]
        monkeypatch.setattr("service.http.body_budget.time.monotonic", lambda: now[0])
        context = made()
        budget = context.body_budget
        assert budget.total == HELD_BODIES * MOST
        stalled = begun(context, MOST - 1)
        await turns()
        now[0] += 10
        others = [begun(context, MOST - 1) for _ in range(HELD_BODIES - 1)]
        await turns()
        now[0] += 1
        assert budget.held == HELD_BODIES * (MOST - 1)
        late = begun(context, MOST - 1)
        await turns()
        ((status, headers, document),) = stalled[1].answers()
        assert (status, headers["retry-after"], headers["connection"]) == (429, "1", "close")
        assert document["type"] == "urn:tagwerk:problem:overloaded"
        assert f"{HELD_BODIES} times TAGWERK_MAX_BODY_BYTES" in document["detail"]
        assert headers["access-control-allow-origin"] == "*"
        assert stalled[1].closed
        assert all(not wire.written for _, wire in (*others, late))
        assert budget.held == HELD_BODIES * (MOST - 1)
        for connection, wire in (*others, late):
            connection.data_received(b"x")
            await turns(50)
            assert wire.statuses() == [400], "read whole, and no JSON"
        assert budget.held == 0

    asyncio.run(test())


def test_a_body_is_refused_where_the_others_are_whole_and_wait_for_their_answers():
    async def test() -> None:
        context = made()
        context.body_budget.held = context.body_budget.total - 10
        _, wire = begun(context, MOST)
        await turns(50)
        assert wire.statuses() == [429]
        assert context.body_budget.held == context.body_budget.total - 10
        small, answer = connect(context)
        small.data_received(GET)
        small.data_received(post("/nothing", b"{}"))
        await turns(50)
        assert answer.statuses() == [200, 404], "what is small is not counted"

    asyncio.run(test())


def test_what_is_zipped_counts_as_large_as_it_is():
    async def test() -> None:
        context, most = made(), 0
        body = json.dumps({"text": " " * (MOST - 100)}).encode()
        held = context.body_budget
        add = held.add

        def watched(body: HeldBody, size: int) -> None:
            nonlocal most
            add(body, size)
            most = max(most, held.held)

        held.add = watched  # type: ignore[method-assign]
        connection, _ = connect(context)
        connection.data_received(post("/classify", gzip.compress(body), "Content-Encoding: gzip"))
        for _ in range(100):
            await turns()
        assert most == len(body)
        connection.connection_lost(None)
        await turns()
        assert held.held == 0

    asyncio.run(test())


def test_lines_are_not_held_so_they_are_not_counted():
    async def test() -> None:
        context = made()
        connection, _ = connect(context)
        connection.data_received(
            b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        for _ in range(5):
            connection.data_received(b"8000\r\n" + bytes(0x8000) + b"\r\n")
            await turns()
            assert context.body_budget.held == 0
        connection.connection_lost(None)
        await turns()

    asyncio.run(test())


def test_a_client_that_goes_while_its_body_comes_holds_nothing():
    async def test() -> None:
        context = made()
        connection, _ = begun(context, MOST // 2)
        await turns()
        assert context.body_budget.held == MOST // 2
        connection.connection_lost(None)
        await turns()
        assert context.body_budget.held == 0
        assert not context.body_budget._arriving

    asyncio.run(test())


@pytest.mark.parametrize(
    ("headers", "large"),
    [
        ({}, False),
        ({b"content-length": b"0"}, False),
        ({b"content-length": str(SMALL_BYTES).encode()}, False),
        ({b"content-length": str(SMALL_BYTES + 1).encode()}, True),
        ({b"content-length": b"1000000"}, True),
        ({b"content-length": b"5", b"content-encoding": b"gzip"}, True),
        ({b"transfer-encoding": b"chunked"}, True),
    ],
)
def test_most_bodies_announce_that_they_are_small(headers, large):
    assert may_be_large(headers) is large
