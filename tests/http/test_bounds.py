"""What bounds a connection: trailers, pipelined requests, clients that take no answers; and requests that are odd."""

import asyncio
import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from service.api.app import create_app
from service.http.connection.bounded_protocol import LEAST_BYTES_PER_SECOND, MOST_CHUNKS
from service.http.middleware import Dispatcher, RequestContextMiddleware
from service.types import State
from tests.http.scene import made_context
from tests.http.wire import GET, Wire, connect, post, receiving, requests_counted
from tests.waiting import iterations, until

CHUNKED = b"POST /nothing HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def test_trailers_do_not_become_headers():
    seen: list[dict[bytes, bytes]] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive()).get("more_body"):
            pass
        seen.append(dict(scope["headers"]))
        await Response()(scope, receive, send)

    connection, wire = connect(made_context(), app)
    trailers = b"Authorization: Bearer x\r\nX-Request-ID: other\r\nHost: evil\r\n"
    connection.data_received(CHUNKED + b"1\r\nx\r\n0\r\n" + trailers + b"\r\n" + GET)
    await iterations()
    assert wire.statuses() == [200, 200]
    assert seen[0] == {b"host": b"x", b"transfer-encoding": b"chunked"}


@pytest.mark.parametrize(
    "endless",
    [
        b"\r\nX-Long: " + b"a" * 40_000,
        b"\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(4000)),
        b"\r\n1;" + b"e" * 40_000,
    ],
    ids=["long", "many", "extension"],
)
async def test_trailers_and_chunk_extensions_are_bounded(endless):
    connection, wire = connect(made_context())
    connection.data_received(CHUNKED + b"1\r\nx\r\n0")
    for start in range(0, len(endless), 500):
        if not wire.closed:
            connection.data_received(endless[start : start + 500])
    assert wire.closed
    assert wire.statuses() in ([431], [400])


async def test_a_body_in_many_small_chunks_is_none_of_that():
    connection, wire = connect(made_context())
    connection.data_received(CHUNKED)
    for part in (b"1\r\n", b"x\r\n") * 12_000:
        connection.data_received(part)
    connection.data_received(b"0\r\n\r\n")
    await iterations()
    assert wire.statuses() == [404]


async def test_requests_that_do_not_wait_for_answers_are_answered_in_order_one_in_an_iteration():
    connection, wire = connect(made_context())
    many = 40
    connection.data_received((GET + b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n") * many)
    while len(wire.statuses()) < 2 * many - 1:
        assert not wire.reading, "no more is read before they are answered"
        assert len(connection.tasks) <= 1
        await asyncio.sleep(0)
    await iterations(1)
    assert wire.reading
    assert len(wire.statuses()) == 2 * many - 1, "whether the client goes is seen while the last one is in progress"
    await until(lambda: len(wire.statuses()) == 2 * many)
    assert wire.statuses() == [200, 404] * many
    connection.data_received(GET + GET[:9])
    await until(lambda: len(wire.statuses()) == 2 * many + 1)
    await iterations()
    assert wire.reading, "the rest of the next one is waited for"
    connection.data_received(GET[9:])
    await until(lambda: len(wire.statuses()) == 2 * many + 2)


async def test_requests_behind_an_answer_that_is_not_read_wait():
    connection, wire = connect(made_context())
    connection.data_received(post("/nothing", b" " * 1000) + GET)
    assert connection.held_bytes() == 1000 + len(GET), "a request that is parsed is not kept twice"
    await until(lambda: wire.statuses() == [404, 200])
    wire.written.clear()
    connection.pause_writing()
    connection.data_received(GET * 3)
    await iterations()
    assert (wire.written, wire.reading) == ([], False)
    assert connection.held_bytes() == 3 * len(GET)
    assert connection.idle_since() is None
    connection.resume_writing()
    await until(lambda: wire.statuses() == [200, 200, 200])
    assert wire.reading
    assert connection.held_bytes() == 0


async def test_a_body_of_empty_lines_is_parsed_in_several_iterations():
    lines = MOST_CHUNKS * 3
    connection, wire = connect(made_context())
    connection.data_received(CHUNKED + b"%x\r\n" % (4 * lines) + b"\r\n\r\n" * lines + b"\r\n0\r\n\r\n" + GET)
    for _ in range(2):
        assert not connection._unanswered
        assert not wire.reading
        await asyncio.sleep(0)
    await until(lambda: wire.statuses() == [404, 200])
    assert wire.reading


async def test_a_request_that_was_answered_before_it_has_arrived_gets_no_second_answer():
    connection, wire = connect(made_context())
    connection.data_received(post("/nothing", b"x", length=9))
    await until(wire.statuses)
    connection._give_up()
    assert (wire.statuses(), wire.closed) == ([404], True)


async def test_a_body_that_a_client_offers_is_asked_for():
    context = made_context()
    context.engine.state = State.READY
    connection, wire = connect(context)
    connection.data_received(post("/tag", b"{}", "Expect: 100-continue")[:-2])
    await until(lambda: wire.written)
    assert wire.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]


@pytest.mark.parametrize(("draining", "last"), [(False, GET.replace(b"x", b"x\r\nConnection: close")), (True, GET)])
async def test_what_arrives_after_the_last_answer_is_not_handled(draining, last):
    context = made_context()
    context.draining = draining
    connection, wire = connect(context)
    connection.data_received(last)
    await until(lambda: wire.closed)
    connection.data_received(GET)
    assert connection.cycle.response_complete, "no other request has begun"


async def test_a_client_that_takes_its_answers_too_slowly_is_closed(monkeypatch):
    seconds = made_context().settings.receive_timeout_seconds
    least = int(LEAST_BYTES_PER_SECOND * seconds)
    for closes, steps in itertools.product((False, True), ([least, least - 1], [0])):
        connection, wire = connect(made_context())
        now = connection.loop.time()
        monkeypatch.setattr(connection.loop, "time", lambda: now)  # noqa: B023 (called in the same iteration)
        connection.data_received(GET)
        wire.unsent = 2 * least
        connection.pause_writing()
        await iterations()
        assert not wire.reading, "the client is to take its answers first"
        assert connection.idle_since() is None
        wire.closing = closes
        for taken in steps:
            now += seconds / 2
            connection._check_times()
            assert not wire.aborted
            now += seconds / 2
            wire.unsent -= taken
            connection._check_times()
            assert wire.aborted is (taken < least)
        connection.connection_lost(None)
    connection, wire = connect(made_context())
    for closes, aborted in (
        (False, False),
        (True, False),
        (True, True),
    ):  # the time of the end of an answer begins then
        now, wire.unsent, wire.closing = now + seconds, 10, closes
        connection.streams_body = True
        connection._check_times()
        assert wire.aborted is aborted


UPGRADE = "Host: x\nConnection: Upgrade, HTTP2-Settings\nHTTP2-Settings: x\n"
LIVEZ, TAG, NEXT = "GET /livez HTTP/1.1\n", "POST /tag HTTP/1.1\nHost: x\n", "GET /livez HTTP/1.1\nHost: x\n\n"
ODD: dict[
    str, tuple[str, *tuple[int, ...]]
] = {  # the statuses of the answers; the empty line at the end may be left out
    "WebSocket": (LIVEZ + UPGRADE + "Upgrade: websocket\nSec-WebSocket-Key: x\n\n" + NEXT, 400, 200),
    "WebSocket in capitals": (LIVEZ + UPGRADE + "Upgrade: WebSocket\n\n" + NEXT, 400, 200),
    "h2c": (LIVEZ + UPGRADE + "Upgrade: h2c\n\n" + NEXT, 200, 200),
    "a body behind h2c": ("POST /x HTTP/1.1\n" + UPGRADE + "Upgrade: h2c\nContent-Length: 3\n\nabc", 400),
    "no HTTP behind a request": (NEXT + "no HTTP\n\n" + NEXT, 200, 400),
    "no HTTP behind three requests": (NEXT * 3 + "no HTTP\n\n" + NEXT, 200, 200, 200, 400),
    "length and chunks behind requests": (
        NEXT * 2 + TAG + "Content-Length: 9\nTransfer-Encoding: chunked\n\n" + NEXT,
        200,
        200,
        400,
    ),
    "no chunk behind a request": (NEXT + TAG + "Transfer-Encoding: chunked\n\nzz\n" + NEXT, 200, 400),
    "HTTP/2": ("PRI * HTTP/2.0\n\nSM", 400),
    "CONNECT": ("CONNECT example.org:443 HTTP/1.1\nHost: x", 400),
    "OPTIONS *": ("OPTIONS * HTTP/1.1\nHost: x", 404),
    "zeros": ("\0" * 100, 400),
    "a header without a colon": (LIVEZ + "Host x", 400),
    "a length in words": (TAG + "Content-Length: five", 400),
    "a length of a chunk in words": (TAG + "Transfer-Encoding: chunked\n\nfive", 400),
    "absolute form": ("GET http://x/livez HTTP/1.1\nHost: x", 200),
    "absolute form without a path": ("GET http://x HTTP/1.1\nHost: x", 400),
    "HTTP/1.0": ("GET /livez HTTP/1.0", 200),
    "HTTP/0.9": ("GET /livez", 200),
    "HTTP/3.7": ("GET /livez HTTP/3.7", 400),
    "bytes in the path": ("GET /\xff\xfe HTTP/1.1\nHost: x", 400),
    "a path that is not UTF-8": ("GET /%ff%fe HTTP/1.1\nHost: x", 404),
    "a path with a zero": ("GET /models/%00 HTTP/1.1\nHost: x", 404),
    "a path with a surrogate": ("GET /models/%ed%a0%80 HTTP/1.1\nHost: x", 404),
    "no Host": ("GET /livez HTTP/1.1", 400),
    "no Host, plain": ("POST /tag HTTP/1.1\nContent-Type: application/json\nContent-Length: 2\n\n{}", 400),
    "two Hosts": (LIVEZ + "Host: x\nhost: y", 400),
    "two Hosts in HTTP/1.0": ("GET /livez HTTP/1.0\nHost: x\nHost: x", 400),
    "no Host in what says HTTP/2": ("GET /livez HTTP/2.0", 400),
    "two names in Host": (LIVEZ + "Host: x, y", 400),
    "a path in Host": (LIVEZ + "Host: x/y", 400),
    "an address in Host": (LIVEZ + "Host: [::1]:8000", 200),
    "an empty Host": (LIVEZ + "Host:", 200),
    "a coding beside chunked": (TAG + "Transfer-Encoding: gzip, chunked\n\n0", 501),
    "two codings": (TAG + "Transfer-Encoding: gzip\nTransfer-Encoding: chunked\n\n0", 501),
    "chunks in capitals": (TAG + "Transfer-Encoding: Chunked\n\n2\n{}\n0", 415),
    "chunks in HTTP/1.0": ("POST /tag HTTP/1.0\nTransfer-Encoding: chunked\n\n0", 400),
    "a thousand headers": (LIVEZ + "Host: x" + "\nX-A: b" * 1000, 200),
    "an empty header name": (LIVEZ + "Host: x\n: x", 400),
    "bytes in a header": (LIVEZ + "Host: x\nX-Request-ID: \xff\x80\nOrigin: \xff", 200),
    "two lengths": (TAG + "Content-Length: 1\nContent-Length: 2\n\nab", 400),
    "length and chunks": (TAG + "Content-Length: 1\nTransfer-Encoding: chunked\n\na", 400),
    "a long length": (TAG + "Content-Length: " + "9" * 30 + "\n\na", 400),
    "an unknown method": ("BREW /coffee HTTP/1.1\nHost: x", 400),
    "TRACE": ("TRACE /livez HTTP/1.1\nHost: x", 405),
    "HEAD": ("HEAD /livez HTTP/1.1\nHost: x", 200),
}


def sent(name: str) -> bytes:
    """Returns an odd request as it is sent."""
    return f"{ODD[name][0]}\n\n".replace("\n", "\r\n").encode("latin-1")


@pytest.mark.parametrize("name", ODD)
async def test_what_is_odd_has_an_answer_that_is_no_error_of_the_service(name, caplog):
    request, (_, *expected) = sent(name), ODD[name]
    for size in (len(request), 1, 7):
        context = made_context(cors_origins=("*",))
        connection, wire = connect(context)
        for start in range(0, len(request), size):
            if not wire.closed:
                connection.data_received(request[start : start + size])
        for _ in range(200):
            await iterations()
            if len(heads := heads_of(wire)) == len(expected):
                break
        assert [int(head.split()[1]) for head in heads] == expected
        assert all(b"x-request-id: " in head for head in heads)
        assert all(b"x-content-type-options: nosniff" in head for head in heads)
        problems = b"".join(wire.written).count(b'{"type": "urn:tagwerk:problem:')
        assert problems == sum(status >= 400 for status in expected)
        context.metrics.flush()
        counted = sorted(int(status) for _, status in requests_counted(context).elements())
        assert counted == sorted(expected)
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


def heads_of(wire: Wire) -> list[bytes]:
    """Returns the heads of the answers that were written, also without their bodies."""
    data = b"".join(wire.written)
    return [part for part in re.split(rb"(?=HTTP/1\.1 \d+ )|\r\n\r\n", data) if part.startswith(b"HTTP/1.1 ")]


CHUNKS = [
    GET,
    post("/tag"),
    post("/nothing", b"x" * 5000),
    post("/nothing", b"\r\n\r\n" + GET),
    CHUNKED + b"3;a=b\r\nabc\r\n0\r\nX-Trailer: x\r\n\r\n",
    CHUNKED + b"b\r\n\r\n\r\n0\r\n\r\nab\r\n0\r\n\r\n",
    sent("h2c").partition(GET)[0],
    sent("WebSocket").partition(GET)[0],
    sent("a path that is not UTF-8"),
    post("/classify", b"{}", "Connection: close"),
    post("/classify", b"{}", "Expect: 100-continue"),
    b"nonsense",
]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(CHUNKS), max_size=6), st.lists(st.integers(1, 3000), min_size=1, max_size=20))
def test_answers_do_not_depend_on_how_the_bytes_come(requests, sizes):
    async def answers(chunks: list[bytes]) -> list[int]:
        context = made_context(log_level="warning")
        errors: list[dict[str, object]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, error: errors.append(error))
        connection, wire = connect(context)
        waiting = list(chunks)
        further = 100  # steps, after all has come
        while further:
            if waiting and wire.reading and not wire.closed:
                connection.data_received(waiting.pop(0))
            elif not waiting or wire.closed:
                further -= 1
            await iterations(3)
        assert not errors
        assert not wire.closed or not connection.tasks
        connection.connection_lost(None)
        await iterations()
        assert not connection.in_exchange
        return [int(head.split()[1]) for head in heads_of(wire)]

    async def test() -> None:
        data = rest = b"".join(requests)
        chunks: list[bytes] = []
        for size in itertools.cycle(sizes):
            if not rest:
                break
            chunks.append(rest[:size])
            rest = rest[size:]
        whole, split = await answers([data]), await answers(chunks)
        if b"nonsense" not in requests:
            assert whole == split
        assert all(status < 500 or status == 503 for status in (*whole, *split))

    asyncio.run(test())


async def test_only_the_end_of_the_lifespan_closes_the_record_of_requests(monkeypatch):
    context, closed, sent = made_context(), list[bool](), list[Message]()

    async def close() -> None:
        closed.append(True)

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        pass

    monkeypatch.setattr(context.recorder, "close", close)
    websocket = {"type": "websocket", "path": "/tag", "headers": [], "scheme": "ws", "query_string": b""}
    receive = receiving({"type": "websocket.connect"})
    await create_app(context)(websocket, receive, send)
    assert (closed, [message["type"] for message in sent]) == ([], ["websocket.close"])
    await RequestContextMiddleware(app, context)({"type": "lifespan"}, receive, send)
    assert closed == [True]


async def test_the_drained_service_says_so_to_a_request_that_it_gives_up():
    context = made_context()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    connection, wire = connect(context, RequestContextMiddleware(Dispatcher(app, context, ()), context))
    connection.data_received(post("/nothing"))
    await iterations()
    for task in connection.tasks:
        task.cancel()
    await iterations()
    (answer,) = wire.answers()
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert b"stops" in answer.body


@pytest.mark.parametrize("rest", [b"5\r\nabcde\r\nno chunk\r\n", b"0\r\n: \r\n\r\n"], ids=["a chunk", "a trailer"])
async def test_what_is_no_http_behind_an_answer_that_has_begun_is_not_answered_in_the_middle_of_it(rest):
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a line\n", "more_body": True})
        while (await receive()).get("more_body"):
            pass

    connection, wire = connect(made_context(), app)
    for part in (CHUNKED, rest):
        connection.data_received(part)
        await iterations()
    assert wire.closed
    assert len(heads_of(wire)) == 1
