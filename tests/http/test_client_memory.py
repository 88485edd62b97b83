"""What is held for clients in both directions is bounded together; above that, the slowest is dropped."""

import asyncio
import gzip
import json
from typing import Any, cast

import pytest

from service.http.client_memory import MOST_BYTES, ClientMemory
from service.http.context import Context
from service.types import State
from tests.http.running import running
from tests.http.scene import made_context
from tests.http.wire import GET, connect, post
from tests.waiting import iterations

MOST = 1_000_000  # bytes of a body
LEFT = 4  # bodies of that size that fit


def made() -> Context:
    context = made_context(max_body_bytes=MOST, cors_origins=("*",))
    context.engine.state = State.READY
    context.client_memory.most = LEFT * MOST
    context.client_memory.clock = lambda: 1000.0
    return context


def begun(context: Context, size: int):
    """Returns a connection on which a large body has come in part."""
    connection, wire = connect(context)
    connection.data_received(post("/classify", b" " * size, "Origin: https://a.org", length=MOST))
    return connection, wire


class Client:
    """A client that holds as many bytes as it says."""

    def __init__(self, held: int, moved: int = 0, waits: bool = False) -> None:
        self.held, self.moved, self.waiting, self.dropped = held, moved, waits, False

    def held_bytes(self) -> int:
        return self.held

    def moved_bytes(self) -> int:
        return self.moved

    def waits(self) -> bool:
        return self.waiting

    def drop(self, most: int) -> None:
        self.dropped = True


def memory(*clients: Client, most: int = 100) -> ClientMemory:
    made = ClientMemory(1)
    made.most = most
    made.clients = dict.fromkeys(cast(Any, clients))
    return made


def check(held: ClientMemory, seconds: float) -> None:
    """Has the sum taken at a time of the clock."""
    held.clock = lambda: seconds
    held.check()


def test_the_total_has_room_for_every_body():
    assert ClientMemory(1).most == MOST_BYTES
    assert ClientMemory(MOST_BYTES).most == 4 * MOST_BYTES


def test_the_clients_with_the_least_average_rate_are_dropped_until_the_others_fit():
    slow, slower, fast = clients = Client(40), Client(40), Client(40)
    held = memory(fast, slower, slow, most=120)
    check(held, 1000)
    assert not any(client.dropped for client in clients)
    slower.moved, slow.moved, fast.moved = 100, 200, 1000
    fast.held = 80
    check(held, 1010)
    assert [client.dropped for client in clients] == [False, True, False]
    fast.held = 100
    check(held, 1011)
    assert [client.dropped for client in clients] == [True, True, False]


def test_the_rate_counts_from_when_bytes_are_held():
    old, new = Client(60, moved=10**9), Client(0)
    held = memory(old, new)
    check(held, 1000)
    new.held = 40
    check(held, 1050)
    old.moved, new.moved, new.held = 10**9 + 100, 100, 60
    check(held, 1100)
    assert (old.dropped, new.dropped) == (True, False), "one byte a second since it holds some, and two"
    new.held = 0
    check(held, 1200)
    assert held.clients[cast(Any, new)] is None


def test_clients_that_wait_for_the_service_are_dropped_last():
    waiting, reading = Client(60, waits=True), Client(50)
    held = memory(waiting, reading)
    held.check()
    assert (waiting.dropped, reading.dropped) == (False, True)
    waiting.held = 101
    held.check()
    assert waiting.dropped


async def test_a_client_waits_once_its_request_has_arrived_while_no_answer_is_unread():
    async with running() as service:
        await service.hold()
        connection, wire = service.send()
        request, found = post("/classify"), [connection.waits()]
        for chunk, unsent in ((request[:-1], 0), (request[-1:], 0), (b"", 1)):
            connection.data_received(chunk)
            wire.unsent = unsent
            found.append(connection.waits())
        assert found == [False, False, True, False]
        service.device.go.set()


def test_the_sum_is_taken_after_a_part_of_the_total_has_come():
    client = Client(200)
    held = memory(client)
    held.grow(100)
    assert not client.dropped, "all of it fits"
    held.grow(1)
    assert client.dropped
    full, other = Client(100), Client(20)
    held = memory(full)
    held.check()
    held.clients[cast(Any, other)] = None
    held.grow(12)
    assert not other.dropped
    held.grow(1)
    assert other.dropped or full.dropped


async def test_a_body_that_arrives_too_slowly_is_answered_and_the_others_go_on():
    context = made()
    stalled = begun(context, MOST // 2)
    await iterations()
    context.client_memory.check()
    context.client_memory.clock = lambda: 1010.0
    others = [begun(context, MOST - 1) for _ in range(LEFT)]
    await iterations()
    context.client_memory.check()
    (answer,) = stalled[1].answers()
    assert (answer.status, answer.header("retry-after"), answer.header("connection")) == (429, "1", "close")
    assert answer.document["type"] == "urn:tagwerk:problem:overloaded"
    assert answer.closes
    for connection, wire in others:
        assert not wire.written
        connection.data_received(b"x")
        await iterations(50)
        assert wire.statuses() == [400], "read whole, and no JSON"
    stalled[0].connection_lost(None)
    await iterations()
    assert sum(client.held_bytes() for client in context.client_memory.clients) == 0


async def test_what_is_sent_ahead_and_what_is_not_read_count_together():
    context = made()
    memory = context.client_memory
    reader, answer = connect(context)
    answer.unsent = 2 * MOST
    ahead, wire = connect(context)
    ahead.data_received(GET + post("/nothing", b" " * (MOST - 1)))
    assert ahead.held_bytes() > MOST // 2
    memory.most = ahead.held_bytes() + reader.held_bytes()
    memory.check()
    assert (answer.aborted, wire.aborted) == (False, False)
    memory.most -= 1
    memory.check()
    assert answer.aborted or wire.aborted
    for connection in (reader, ahead):
        connection.connection_lost(None)
    assert not memory.clients
    await iterations()


async def test_answers_are_written_at_once_whether_they_are_read_or_not():
    context = made()
    connection, wire = connect(context)
    wire.unsent = 10**6
    connection.pause_writing()
    cycle_waits = asyncio.create_task(connection.flow.drain())
    lines_wait = asyncio.create_task(connection.flow.drained())
    await iterations(3)
    assert cycle_waits.done()
    assert not lines_wait.done()
    connection.resume_writing()
    await iterations(3)
    assert lines_wait.done()


@pytest.mark.parametrize("zipped", [False, True])
async def test_a_body_counts_as_large_as_it_is_until_its_request_is_answered(zipped):
    context, most = made(), 0
    body = json.dumps({"text": " " * (MOST - 100)}).encode()
    grow = context.client_memory.grow

    def watched(size: int) -> None:
        nonlocal most
        grow(size)
        most = max(most, connection._requests_bytes)

    context.client_memory.grow = watched  # type: ignore[method-assign]
    connection, wire = connect(context)
    coding = ("Content-Encoding: gzip",) if zipped else ()
    connection.data_received(post("/classify", gzip.compress(body) if zipped else body, *coding))
    while not wire.written:
        await iterations()
    await iterations()
    assert most == len(body)
    assert connection._requests_bytes == 0


async def test_an_unfinished_line_counts():
    context = made()
    connection, _ = connect(context)
    connection.data_received(
        b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n"
    )
    for number in range(1, 6):
        connection.data_received(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        await iterations()
        assert connection._requests_bytes == number * 0x8000
    connection.connection_lost(None)
    await iterations()
    assert connection._requests_bytes == 0


async def test_answers_to_lines_count_until_they_are_read():
    async with running() as service:
        connection, wire = service.send()
        body = b'{"text": 1}\n' * 3
        request = post("/generate", body, length=len(body) + 1).replace(b"application/json", b"application/x-ndjson")
        connection.data_received(request)
        connection.pause_writing()
        await iterations(50)
        assert not b"".join(wire.written).partition(b"\r\n\r\n")[2]
        assert connection._requests_bytes > 300
        connection.resume_writing()
        await iterations(50)
        assert b"".join(wire.written).count(b'"error"') == 3
        assert connection._requests_bytes == 0, "before the stream ends"
