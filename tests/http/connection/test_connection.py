"""Clients that send too much or too slowly, on the real socket."""

import asyncio
import gc
import gzip
import itertools
import json
import socket
import threading
import time
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO

import pytest
import uvloop
from fastapi import Request
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client.parser import text_string_to_metric_families

from service.errors import ClientGone
from service.http.body import Body
from service.http.connection.coalescing import FLUSH_BYTES, CoalescingTransport
from service.http.connection.connection import Connection
from service.http.context import Context
from service.http.disconnect import while_client_waits
from service.http.problem import MAX_HEAD_BYTES
from service.process.board import Board
from service.process.listening import BACKLOG
from service.process.server import Server
from service.telemetry.request_record import FLUSH_SECONDS
from service.telemetry.spans import Spans
from tests.e2e.test_server import wait_until
from tests.http import test_refusing
from tests.http.scene import made_context
from tests.http.wire import no_hold
from tests.telemetry.test_request_log import TRACE

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
        (b"GET /livez HTTP/1.1\r\nHost x\r\n\r\n", "unmatched"),
        (CLASSIFY + b"Content-Length: five\r\n\r\n", "unmatched"),
        (CLASSIFY + b"Transfer-Encoding: chunked\r\n\r\nfive\r\n", "/classify"),
    ],
)
def test_what_is_no_http_is_refused(context, address, nonsense, route):
    before = answered(context)
    refused(talk(address, nonsense), 400, "invalid-http")
    wait_until(lambda: answered(context) - before == {(route, "400"): 1})


@contextmanager
def full(context: Context) -> Iterator[None]:
    """Has the engine reject each request."""
    test_refusing.full(context)
    try:
        yield
    finally:
        del context.engine.full


def test_a_request_over_the_limit_is_refused_and_the_connection_goes_on(context, address):
    body = b'{"text": "fine"}'
    asked = CLASSIFY + b"X-Request-ID: mine\r\nContent-Length: %d\r\n\r\n" % len(body)
    before = answered(context)
    with socket.create_connection(address, timeout=20) as connection, connection.makefile("rb") as answers:
        with full(context):
            for pieces in ([asked + body], [asked, body[:5], body[5:]], [asked + body + asked + body]):
                for piece in pieces:
                    connection.sendall(piece)
                for _ in range(b"".join(pieces).count(body)):
                    status, headers, document = read(answers)
                    assert (status, headers["x-request-id"], headers["retry-after"]) == (429, "mine", "3")
                    assert {"date", "server-timing", "x-content-type-options"} <= headers.keys()
                    assert json.loads(document)["type"] == "urn:tagwerk:problem:overloaded"
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read(answers)[0] == 200
        connection.sendall(asked + body + asked + body)
        assert [read(answers)[0] for _ in range(2)] == [200, 200]
    wait_until(
        lambda: answered(context) - before == {("/classify", "429"): 4, ("/classify", "200"): 2, ("/livez", "200"): 1}
    )


def test_a_request_over_the_limit_is_logged_and_a_span_too(context, address, monkeypatch):
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(context.recorder, "_spans", Spans(provider))
    lines = []
    monkeypatch.setattr(context.recorder._log, "note", lambda ids, *rest: lines.append((ids.trace, *rest[:3])))
    with full(context):
        parent = f"traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n".encode()
        for head in (CLASSIFY, CHARSET):
            body = b'{"text": "fine"}'
            head += parent + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
            assert b" 429 " in talk(address, head + body)
    spans = exporter.get_finished_spans()
    assert len(spans) == len(lines) == 2
    for span in spans:
        assert (span.name, span.attributes["http.response.status_code"]) == ("POST /classify", 429)
        assert format(span.context.trace_id, "032x") == TRACE
    assert lines == [(TRACE, "POST", "/classify", 429)] * 2


def test_a_request_that_has_not_arrived_does_not_count(context, address):
    body = b'{"text": "fine"}'
    with socket.create_connection(address, timeout=20) as connection, connection.makefile("rb") as answers:
        connection.sendall(CLASSIFY + b"Content-Length: %d\r\n\r\n" % len(body))
        connection.sendall(body[:5])
        assert b" 200 " in talk(address, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert not context.engine._waiting
        connection.sendall(body[5:])
        assert read(answers)[0] == 200


def test_one_that_was_refused_and_never_arrives_is_not_waited_for(strict_context, strict_address):
    with full(strict_context):
        answer = talk(strict_address, CHARSET + b"Content-Length: 9\r\n\r\n{")
    assert answer.count(b"HTTP/1.1 ") == 1
    refused(answer, 429, "overloaded")


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


def test_many_who_come_at_once_are_let_in_within_a_few_turns_of_the_loop():
    turns = itertools.count()
    bell, button = socket.socketpair()

    def turn() -> None:  # a slow one
        next(turns)
        time.sleep(0.01)

    async def stop() -> None:
        loop.remove_reader(bell)

    with bell, button, serving(made_context()) as (address, loop), ExitStack() as all_of_them:
        loop.call_soon_threadsafe(loop.add_reader, bell, turn)
        button.send(b".")
        coming = [all_of_them.enter_context(socket.create_connection(address, timeout=20)) for _ in range(200)]
        for connection in coming:
            connection.sendall(LIVEZ)
        for connection in coming:
            assert connection.recv(12) == b"HTTP/1.1 200"
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
    assert next(turns) < 100


def test_what_a_request_leaves_behind_needs_no_search_for_garbage(address, monkeypatch):
    bodies = []

    class Watched(Body):
        def __init__(self, *args) -> None:
            super().__init__(*args)
            bodies.append(weakref.ref(self))

    monkeypatch.setattr("service.http.middleware.Body", Watched)
    body = b'{"text": "fine"}'
    with socket.create_connection(address, timeout=20) as connection, connection.makefile("rb") as answers:
        gc.disable()
        try:
            for _ in range(3):
                connection.sendall(CHARSET + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                assert read(answers)[0] == 200
            wait_until(lambda: not any(made() for made in bodies[:-1]))
        finally:
            gc.enable()
    assert len(bodies) == 3


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


def test_lines_may_take_their_time():
    """The whole body takes longer than the limit, each of its lines much less."""
    seconds, line = 1.5, b'{"text": "fine"}\n'

    async def test(address: tuple[str, int]) -> tuple[bytes, float]:
        """Returns the answers, and the longest pause between two lines: longer than meant where the machine stalls."""
        reader, writer = await asyncio.open_connection(*address)
        writer.write(b"POST /classify HTTP/1.1\r\nHost: x\r\nConnection: close\r\n")
        writer.write(b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n")
        times = [time.monotonic()]
        for _ in range(5):
            await asyncio.sleep(seconds / 4)
            writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
            times.append(time.monotonic())
        writer.write(b"0\r\n\r\n")
        received = await reader.read()
        writer.close()
        return received, max(later - earlier for earlier, later in itertools.pairwise(times))

    with serving(made_context(receive_timeout_seconds=seconds)) as (address, _):
        for _ in range(5):
            received, longest_pause_seconds = asyncio.run(test(address))
            if longest_pause_seconds < seconds / 2:
                break
        assert received.count(b'"label":"good"') == 5


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def get_extra_info(self, name: str, default: object = None) -> object:
        return default

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0


def test_what_is_said_in_one_turn_is_written_at_once_and_in_order():
    async def say() -> None:
        wire = Wire()
        transport = CoalescingTransport(wire, 30, no_hold)
        transport.write(b"head, ")
        transport.write(b"body")
        assert wire.written == []
        await asyncio.sleep(0)
        assert wire.written == [b"head, body"]
        transport.write(b"x" * (FLUSH_BYTES + 1))
        assert len(wire.written) == 2  # so much is not kept
        transport.write(b"end")
        transport.close()
        assert wire.written[2:] == [b"end"]
        assert wire.closed
        await asyncio.sleep(0)

    asyncio.run(say())


def asked(*, gone: bool) -> tuple[Connection, Request]:
    """Returns a connection of which only its client matters, and a request that came over it."""
    connection = Connection.__new__(Connection)
    connection.gone, connection.when_gone = gone, None
    return connection, Request({"type": "http", "state": {"connection": connection}})


def test_a_client_that_has_gone_before_the_work_begins_is_not_worked_for():
    async def work() -> None:
        _, request = asked(gone=True)
        with pytest.raises(ClientGone), while_client_waits(request):
            pytest.fail("it was begun")

    asyncio.run(work())


def test_a_block_that_is_cancelled_by_others_than_the_client_stays_cancelled():
    async def work() -> None:
        connection, request = asked(gone=False)

        async def wait() -> None:
            with while_client_waits(request):
                await asyncio.Event().wait()

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert connection.when_gone is None

    asyncio.run(work())


LINES = (
    b"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"
)


@pytest.mark.parametrize("rest", [b"", b'5\r\n{"tex\r\n', b"2\r\n\n\n\r\n"], ids=["nothing", "a part", "blank lines"])
def test_a_stream_of_lines_on_which_nothing_comes_is_answered_and_closed(strict_address, rest):
    answer = talk(strict_address, LINES, b'11\r\n{"text": "fine"}\n\r\n', rest)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.count(b'"label"') == 1
    assert answer.count(b"urn:tagwerk:problem:request-timeout") == 1
    assert answer.endswith(b"\r\n0\r\n\r\n")
    refused(talk(strict_address, LINES), 408, "request-timeout")


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
