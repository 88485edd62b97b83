"""Clients that send too much or too slowly, on the real socket."""

import asyncio
import gzip
import json
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, BinaryIO

import pytest
import uvloop
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Receive, Scope, Send

from service.api.app import create_app
from service.http.connection.starts import MOST_AT_ONCE, MOST_FIRST
from service.http.context import Context
from service.http.problem import MAX_HEAD_BYTES
from service.process.acceptor import BACKLOG
from service.process.board import Board
from service.process.server import Server
from service.telemetry.metrics import FLUSH_SECONDS
from tests.e2e.test_server import wait_until
from tests.http.scene import made_context
from tests.http.wire import configuration, connect, turns

LIMITS: dict[str, Any] = {"receive_timeout_seconds": 0.3, "keep_alive_seconds": 1}


@pytest.fixture(scope="module")
def context() -> Context:
    return made_context()


@pytest.fixture(scope="module")
def strict_context() -> Context:
    return made_context(**LIMITS)


LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
Served = tuple[tuple[str, int], asyncio.AbstractEventLoop]


@contextmanager
def serving(context: Context) -> Iterator[Served]:
    """Serves an application from a thread; yields its address and its event loop."""
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
    yield listening.getsockname(), loops[0]
    server.should_exit = True
    thread.join()
    listening.close()


@pytest.fixture(scope="module")
def address(context: Context) -> Iterator[tuple[str, int]]:
    """Serves an application; yields its address."""
    with serving(context) as (address, _):
        yield address


@pytest.fixture(scope="module")
def strict(strict_context: Context) -> Iterator[Served]:
    """Serves an application with short timeouts; yields its address and its event loop."""
    with serving(strict_context) as made:
        yield made


@pytest.fixture(scope="module")
def strict_address(strict: Served) -> tuple[str, int]:
    return strict[0]


def talk(address: tuple[str, int], *pieces: bytes) -> bytes:
    """Sends pieces and returns all that comes until the service closes the connection."""
    with socket.create_connection(address, timeout=20) as connection:
        for piece in pieces:
            connection.sendall(piece)
        received = b""
        try:
            while more := connection.recv(65536):
                received += more
        except ConnectionResetError:
            pass
        return received


def refused(answer: bytes, status: int, slug: str) -> None:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(f"HTTP/1.1 {status} ".encode()), answer
    assert json.loads(body)["type"] == f"urn:tagwerk:problem:{slug}"


def test_headers_over_the_limit_are_refused_whole_or_without_an_end(address):
    long = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * MAX_HEAD_BYTES
    refused(talk(address, long + b"\r\nConnection: close\r\n\r\n"), 431, "headers-too-large")
    refused(
        talk(address, b"GET /livez HTTP/1.1\r\nHost: x\r\n", b"X-Long: " + b"a" * 200_000), 431, "headers-too-large"
    )
    refused(
        talk(address, b"GET /" + b"a" * MAX_HEAD_BYTES + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
        431,
        "headers-too-large",
    )


def test_headers_within_the_limit_before_a_large_body_are_not(address):
    body = json.dumps({"text": "fine " * 20_000}).encode()
    head = f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    once = head.encode() + b"\r\n" + body
    answer = talk(address, once, once, head.encode() + b"Connection: close\r\n\r\n" + body)
    assert answer.count(b"HTTP/1.1 200 ") == 3


CLASSIFY = b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHARSET = CLASSIFY.replace(b"json", b"json; charset=utf-8")  # is not plain: the application handles it
COMPLETE = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("beginning", "route"),
    [
        (b"GET /livez HTT", "unmatched"),
        (b"GET /livez HTTP/1.1\r\nHost:", "unmatched"),
        (CLASSIFY + b"Content-Length: 9\r\n\r\n", "/classify"),
        (CLASSIFY + b"Content-Length: 9\r\n\r\n{", "/classify"),
        (COMPLETE + b"Content-Length: 9\r\n\r\n{", "/v1/completions"),
    ],
)
def test_a_request_that_does_not_arrive_is_not_waited_for(strict_context, strict_address, beginning, route):
    before = answered(strict_context)
    refused(talk(strict_address, beginning), 408, "request-timeout")
    wait_until(lambda: answered(strict_context) - before == {(route, "408"): 1})


@pytest.mark.parametrize(
    ("nonsense", "route"),
    [
        (bytes(100), "unmatched"),
        (b"GET / HTTP/1.1\r\n\r\n", "unmatched"),
        (b"GET /livez HTTP/1.1\r\nHost x\r\n\r\n", "unmatched"),
        (CLASSIFY + b"Content-Length: five\r\n\r\n", "unmatched"),
        (CLASSIFY + b"Transfer-Encoding: chunked\r\n\r\nfive\r\n", "/classify"),
    ],
)
def test_what_is_no_http_is_refused(context, address, nonsense, route):
    before = answered(context)
    refused(talk(address, nonsense), 400, "invalid-http")
    wait_until(lambda: answered(context) - before == {(route, "400"): 1})


def read(answers: BinaryIO) -> tuple[int, dict[str, str], bytes]:
    """Reads an answer: its status, headers and body."""
    status = int(answers.readline().split()[1])
    headers = {}
    while line := answers.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return status, headers, answers.read(int(headers["content-length"]))


def answered(context: Context) -> Counter[tuple[str, str]]:
    """Returns how many requests the metrics count, by route and status."""
    time.sleep(2 * FLUSH_SECONDS)  # until those that have been answered are counted
    metrics = text_string_to_metric_families(context.metrics.exposition().decode())
    samples = [sample for family in metrics for sample in family.samples if sample.name == "tagwerk_requests_total"]
    return Counter({(s.labels["route"], s.labels["status"]): int(s.value) for s in samples})


def test_requests_that_come_together_begin_in_order_a_few_in_each_turn_of_the_loop(context):
    """So what others send is read between them."""

    async def test() -> list[int]:
        app, begun = create_app(context), list[int]()

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            begun.append(scope["state"]["number"])
            await app(scope, receive, send)

        config = configuration(counted)
        wires = []
        for number in range(8 * MOST_AT_ONCE):
            connection, wire = connect(context, config=config)
            connection.app_state["number"] = number
            wires.append((connection, wire))
        for connection, _ in wires:
            connection.data_received(LIVEZ)
        counts = [0]
        while counts[-1] < len(wires):
            await asyncio.sleep(0)
            counts.append(len(begun))
        await turns()
        assert begun == sorted(begun)
        assert all(wire.statuses() == [200] for _, wire in wires)
        for connection, _ in wires:
            connection.connection_lost(None)
        return [after - before for before, after in pairwise(counts)]

    assert [count for count in asyncio.run(test()) if count] == [MOST_AT_ONCE] * 8


def test_first_requests_that_come_together_are_parsed_some_in_each_turn_and_others_at_once(context):
    """So what known clients send is answered between those of new ones."""

    async def test() -> list[int]:
        config = configuration(create_app(context))
        known, answer = connect(context, config=config)
        known.data_received(LIVEZ)
        await turns()
        new = [connect(context, config=config) for _ in range(3 * MOST_FIRST)]
        for connection, _ in new:
            connection.data_received(LIVEZ)
        known.data_received(LIVEZ)
        assert known.cycle is not None
        assert not known.cycle.response_complete, "its second request is parsed"
        counts = [sum(connection.answered for connection, _ in new)]
        while counts[-1] < len(new):
            await asyncio.sleep(0)
            counts.append(sum(connection.answered for connection, _ in new))
        await turns()
        assert answer.statuses() == [200, 200]
        assert all(wire.statuses() == [200] for _, wire in new)
        for connection, _ in (*new, (known, answer)):
            connection.connection_lost(None)
        return [counts[0], *(after - before for before, after in pairwise(counts) if after > before)]

    assert asyncio.run(test()) == [MOST_FIRST] * 3


def test_a_connection_on_which_nothing_comes_is_closed(strict_address):
    assert talk(strict_address) == b""


def test_a_connection_without_a_request_is_closed_after_a_while(strict_address):
    assert talk(strict_address, LIVEZ).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("earlier_requests", [0, 1])
def test_a_request_that_came_while_the_service_was_too_busy_to_read_is_answered(strict, earlier_requests):
    address, loop = strict
    bell, button = socket.socketpair()
    busy, sent = threading.Event(), threading.Event()

    def be_busy() -> None:
        loop.remove_reader(bell)
        busy.set()
        sent.wait()
        time.sleep(1.5)  # beyond the time for which an idle connection is kept, and that for a request to arrive

    with (
        bell,
        button,
        socket.create_connection(address, timeout=20) as connection,
        connection.makefile("rb") as answers,
    ):
        for _ in range(earlier_requests):
            connection.sendall(LIVEZ)
            assert read(answers)[0] == 200
        loop.call_soon_threadsafe(loop.add_reader, bell, be_busy)  # among other connections that are read
        button.send(b".")
        busy.wait()
        connection.sendall(LIVEZ)
        sent.set()
        assert read(answers)[0] == 200


LINES = (
    b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def test_the_connection_goes_on_after_a_stream_of_lines_that_ended_with_an_error(address):
    """Its client may send the next request as soon as it has read the response, which announces no close."""
    body = gzip.compress(b'{"text": "fine"}\n' + b"\n" * 200_000)[:-8]  # more than one piece
    asked = LINES.removesuffix(b"\r\n") + b"Content-Encoding: gzip\r\n\r\n"
    with socket.create_connection(address, timeout=20) as connection, connection.makefile("rb") as answers:
        for rest in (b"0\r\n\r\n", b"5\r\ntail!\r\n0\r\n\r\n"):
            connection.sendall(asked + b"%x\r\n%s\r\n" % (len(body), body) + rest)
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            while (line := answers.readline()) != b"0\r\n":
                assert line
            assert answers.readline() == b"\r\n"
            time.sleep(0.05)
            connection.sendall(LIVEZ)
            assert read(answers)[0] == 200
