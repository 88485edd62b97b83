"""Clients that send too much or too slowly, on the real socket."""

import asyncio
import gzip
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any, BinaryIO, NamedTuple

import pytest
import uvloop
from starlette.types import Receive, Scope, Send

from service.api.app import create_app
from service.http.connection.starts import MOST_AT_ONCE, MOST_FIRST
from service.http.context import Context
from service.http.problem import MAX_HEAD_BYTES
from service.process.acceptor import BACKLOG
from service.process.board import Board
from service.process.server import Server
from service.telemetry.metrics import FLUSH_SECONDS
from tests.http.scene import made_context
from tests.http.wire import GET, configuration, connect, post, requests_counted
from tests.waiting import iterations, wait_until

LINES = (
    b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
)


class Served(NamedTuple):
    """A service in a thread."""

    context: Context
    address: tuple[str, int]
    loop: asyncio.AbstractEventLoop


@contextmanager
def serving(**settings: Any) -> Iterator[Served]:
    """Serves an application from a thread."""
    context = made_context(**settings)
    listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    board = Board(1)
    server = Server(context, board, board.slots[0])
    loops = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await server.serve([listening])

    thread = threading.Thread(target=lambda: uvloop.run(serve()))  # as the service does
    thread.start()
    wait_until(lambda: context.ready())
    yield Served(context, listening.getsockname(), loops[0])
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture(scope="module")
def usual() -> Iterator[Served]:
    with serving() as made:
        yield made


@pytest.fixture(scope="module")
def strict() -> Iterator[Served]:
    """A service with short timeouts."""
    with serving(receive_timeout_seconds=0.3, keep_alive_seconds=1) as made:
        yield made


def talk(served: Served, *chunks: bytes) -> bytes:
    """Sends chunks and returns all that comes until the service closes the connection."""
    with socket.create_connection(served.address, timeout=20) as connection:
        for chunk in chunks:
            connection.sendall(chunk)
        received = b""
        with suppress(ConnectionResetError):
            while more := connection.recv(65536):
                received += more
        return received


def refused(answer: bytes, status: int, slug: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert json.loads(body)["type"] == f"urn:tagwerk:problem:{slug}"


@pytest.mark.parametrize(
    "chunks",
    [
        (GET[:-2] + b"X-Long: " + b"a" * MAX_HEAD_BYTES + b"\r\nConnection: close\r\n\r\n",),
        (GET[:-2], b"X-Long: " + b"a" * 200_000),
        (b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",),
    ],
    ids=["whole", "without an end", "a path"],
)
def test_headers_over_the_limit_are_refused_whole_or_without_an_end(usual, chunks):
    refused(talk(usual, *chunks), 431, "headers-too-large")


def test_headers_within_the_limit_before_a_large_body_are_not(usual):
    body = json.dumps({"text": "fine " * 20_000}).encode()
    closing = post("/classify", body, "Connection: close")
    assert talk(usual, post("/classify", body), post("/classify", body), closing).count(b"HTTP/1.1 200 ") == 3


@pytest.mark.parametrize(
    ("beginning", "route"),
    [
        (b"GET /livez HTT", "unmatched"),
        (b"GET /livez HTTP/1.1\r\nHost:", "unmatched"),
        (post("/classify", b"", length=9), "/classify"),
        (post("/classify", b"{", length=9), "/classify"),
        (post("/v1/completions", b"{", length=9), "/v1/completions"),
    ],
)
def test_a_request_that_does_not_arrive_is_not_waited_for(strict, beginning, route):
    before = answered(strict.context)
    refused(talk(strict, beginning), 408, "request-timeout")
    wait_until(lambda: answered(strict.context) - before == {(route, "408"): 1})


def read(answers: BinaryIO) -> int:
    """Reads an answer; returns its status."""
    status = int(answers.readline().split()[1])
    headers = dict(line.split(b": ") for line in iter(answers.readline, b"\r\n"))
    answers.read(int(headers[b"content-length"]))
    return status


def answered(context: Context) -> Counter[tuple[str, str]]:
    """Returns how many requests the metrics count, by route and status, also those just answered."""
    time.sleep(2 * FLUSH_SECONDS)
    return requests_counted(context)


async def turns_of(done: Callable[[], int], count: int) -> list[int]:
    """Returns how much is done at once, and in each iteration of the event loop in which something is, until all is."""
    counts = [0, done()]
    while counts[-1] < count:
        await asyncio.sleep(0)
        counts.append(done())
    await iterations()
    return [after - before for before, after in pairwise(counts) if after > before]


async def test_requests_that_come_together_begin_in_order_a_few_in_each_iteration_of_the_loop():
    """So what others send is read between them."""
    context, begun = made_context(), list[int]()
    app = create_app(context)

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        begun.append(scope["state"]["number"])
        await app(scope, receive, send)

    config, number = configuration(counted), 8 * MOST_AT_ONCE
    made = [connect(context, config=config) for _ in range(number)]
    for i, (connection, _) in enumerate(made):
        connection.app_state["number"] = i
        connection.data_received(GET)
    assert await turns_of(lambda: len(begun), number) == [MOST_AT_ONCE] * 8
    assert begun == sorted(begun)
    assert all(wire.statuses() == [200] for _, wire in made)


async def test_first_requests_that_come_together_are_parsed_some_in_each_iteration_and_others_at_once():
    """So what known clients send is answered between those of new ones."""
    context = made_context()
    config = configuration(create_app(context))
    known, answer = connect(context, config=config)
    known.data_received(GET)
    await iterations()
    new = [connect(context, config=config) for _ in range(3 * MOST_FIRST)]
    for connection, _ in (*new, (known, answer)):
        connection.data_received(GET)
    assert known.cycle is not None
    assert not known.cycle.response_complete, "its second request is parsed"
    assert await turns_of(lambda: sum(one.answered for one, _ in new), len(new)) == [MOST_FIRST] * 3
    assert answer.statuses() == [200, 200]
    assert all(wire.statuses() == [200] for _, wire in new)


@pytest.mark.parametrize(("chunks", "answer"), [((), b""), ((GET,), b"HTTP/1.1 200 ")], ids=["nothing", "an answer"])
def test_a_connection_without_a_request_is_closed_after_a_while(strict, chunks, answer):
    assert talk(strict, *chunks)[:13] == answer


@pytest.mark.parametrize("earlier_requests", [0, 1])
def test_a_request_that_came_while_the_service_was_too_busy_to_read_is_answered(strict, earlier_requests):
    bell, button = socket.socketpair()
    busy, sent = threading.Event(), threading.Event()

    def be_busy() -> None:
        strict.loop.remove_reader(bell)
        busy.set()
        sent.wait()
        time.sleep(1.5)  # beyond the time for which an idle connection is kept, and that for a request to arrive

    with bell, button, exchanging(strict) as (connection, answers):
        for _ in range(earlier_requests):
            connection.sendall(GET)
            assert read(answers) == 200
        strict.loop.call_soon_threadsafe(strict.loop.add_reader, bell, be_busy)  # among other connections that are read
        button.send(b".")
        busy.wait()
        connection.sendall(GET)
        sent.set()
        assert read(answers) == 200


@contextmanager
def exchanging(served: Served) -> Iterator[tuple[socket.socket, BinaryIO]]:
    """Yields a connection, and what reads its answers."""
    with socket.create_connection(served.address, timeout=20) as connection, connection.makefile("rb") as answers:
        yield connection, answers


def test_the_connection_goes_on_after_a_stream_of_lines_that_ended_with_an_error(usual):
    """Its client may send the next request as soon as it has read the response, which announces no close."""
    body = gzip.compress(b'{"text": "fine"}\n' + b"\n" * 200_000)[:-8]  # more than one chunk
    asked = LINES.removesuffix(b"\r\n") + b"Content-Encoding: gzip\r\n\r\n"
    with exchanging(usual) as (connection, answers):
        for rest in (b"0\r\n\r\n", b"5\r\ntail!\r\n0\r\n\r\n"):
            connection.sendall(asked + b"%x\r\n%s\r\n" % (len(body), body) + rest)
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            while (line := answers.readline()) != b"0\r\n":
                assert line
            assert answers.readline() == b"\r\n"
            time.sleep(0.05)
            connection.sendall(GET)
            assert read(answers) == 200
