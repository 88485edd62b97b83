"""Requests that are refused unread: which, how, in which order, and what they count."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from functools import partial

import pytest
from fastapi.routing import APIRoute
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Receive, Scope, Send

from service.engine.protocol import ANONYMOUS
from service.errors import Overloaded
from service.http import infer, pacing
from service.http.context import Context
from service.http.load_shedding import QUEUED_ROUTES, LoadShedder, engine_route
from service.http.middleware import RequestContextMiddleware
from service.http.pacing import LATEST_SLICES, SLICE_REFUSALS, PacedRefusals
from service.http.protocols import open_inference, openai
from service.security.authenticator import Authenticator
from service.security.keys import add_key, client_of
from service.security.rate_limiter import RateLimiter
from service.types import State
from tests.http.scene import made_context
from tests.http.wire import GET, connect, post, turns

PAGE = "https://example.org"


@pytest.fixture(autouse=True)
def no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has slices end when a test says so, and never by themselves."""
    monkeypatch.setattr(pacing, "SLICE_SECONDS", 3600.0)


def run(test: Callable[[], Coroutine[None, None, None]]) -> None:
    asyncio.run(test())


def full(context: Context) -> None:
    """Has the engine reject a small request of each client while many are admitted."""
    context.shedder = LoadShedder(context.settings, context.metrics, lambda: State.READY)
    keys = context.authenticator._keys if context.authenticator is not None else ()
    for client in (ANONYMOUS, *map(client_of, keys)):
        limit = context.shedder.limit_of(client)
        limit.admitted = 1000
        with limit.sending() as snapshot:
            limit.note_rejection(Overloaded("the queue is full", 2.5), 1, 1, snapshot)


def away(context: Context) -> None:
    """Has the engine take no requests."""
    context.shedder = LoadShedder(context.settings, context.metrics, lambda: State.STARTING)


EVENTS = st.lists(st.sampled_from(["head", "body", "answer", "turn"]), max_size=30)


@settings(max_examples=200, deadline=None)
@given(EVENTS, st.booleans())
def test_a_request_is_counted_in_once_and_out_once_whatever_the_order(events, lost_at_the_end):
    async def test() -> None:
        context = made_context()
        context.shedder = LoadShedder(context.settings, context.metrics, lambda: State.READY)
        go = asyncio.Semaphore(0)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go.acquire()
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body", "body": b""})

        connection, wire = connect(context, RequestContextMiddleware(app, context))
        heads = bodies = 0
        for event in events:
            match event:
                case "head" if heads == bodies:
                    connection.data_received(post("/classify", b"", length=3))
                    heads += 1
                case "body" if heads > bodies:
                    connection.data_received(b"abc")
                    bodies += 1
                case "answer":
                    go.release()
                case "turn":
                    await turns(3)
            assert 0 <= context.shedder.limit_of(ANONYMOUS).admitted <= heads
        if lost_at_the_end:
            connection.connection_lost(None)
        elif heads > bodies:
            connection.data_received(b"abc")
        for _ in range(heads + 1):
            go.release()
            await turns(5)
        assert context.shedder.limit_of(ANONYMOUS).admitted == 0
        if not lost_at_the_end:
            assert wire.statuses() == [401] * heads

    run(test)


def test_a_request_that_has_arrived_and_is_not_answered_counts():
    async def test() -> None:
        context = made_context()
        context.shedder = LoadShedder(context.settings, context.metrics, lambda: State.READY)
        go = asyncio.Event()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await go.wait()

        connections = [connect(context, RequestContextMiddleware(app, context))[0] for _ in range(3)]
        for connection in connections:
            connection.data_received(post("/classify"))
        assert context.shedder.limit_of(ANONYMOUS).admitted == 3
        connections[0].data_received(post("/tag?a=b"))  # pipelined
        assert context.shedder.limit_of(ANONYMOUS).admitted == 4
        connections[0].connection_lost(None)
        assert context.shedder.limit_of(ANONYMOUS).admitted == 3, "the one that had not begun"
        go.set()
        await turns()
        assert context.shedder.limit_of(ANONYMOUS).admitted == 0

    run(test)


def test_the_routes_that_need_the_engine_are_known():
    routers = (infer.router, openai.router, open_inference.router)
    routes = [
        r for router in routers for r in router.routes if isinstance(r, APIRoute) and r.methods and "POST" in r.methods
    ]
    for route in routes:
        assert engine_route(route.path.format(name="tagger-en", version="1")) == route.path
    assert {route.path for route in routes} >= QUEUED_ROUTES
    for path in ("/", "/nothing", "/admin/models/x", "/v2/models/x", "/v2/models/x/infer/", "/tag/"):
        assert engine_route(path) is None


@pytest.mark.parametrize(
    "path", ["/tag", "/classify?x=1", "/%74ag", "http://x/generate", "/v1/completions", "/v2/models/x/infer"]
)
def test_while_the_engine_is_away_a_request_is_refused_before_its_body_has_come(path):
    async def test() -> None:
        context = made_context()
        away(context)
        connection, wire = connect(context)
        connection.data_received(post(path, b"", "Content-Type: application/json; charset=utf-8", length=16))
        await turns()
        assert wire.written == [], "not before the next slice"
        context.refusals.send_due()
        ((status, headers, document),) = wire.answers()
        assert (status, headers["retry-after"], headers["x-content-type-options"]) == (503, "1", "nosniff")
        assert len(headers["x-request-id"]) == 32
        assert document["type"] == "urn:tagwerk:problem:engine-unavailable"
        assert ("error" in document) == path.startswith("/v")
        connection.data_received(b'{"text": "fine"}')
        connection.data_received(GET)
        await turns()
        assert wire.statuses() == [503, 200]
        assert connection.cycle.scope["path"] == "/livez", "of the other, no task began"

    run(test)


def test_what_needs_no_engine_is_answered_while_it_is_away():
    async def test() -> None:
        context = made_context()
        away(context)
        connection, wire = connect(context)
        for request in (GET, post("/nothing"), GET.replace(b"/livez", b"/tag"), GET):
            connection.data_received(request)
            await turns()
        assert wire.statuses() == [200, 404, 405, 200]

    run(test)


@pytest.mark.parametrize("refuse", [full, away])
def test_a_request_with_a_wrong_key_is_told_so_and_one_with_a_right_key_is_refused(tmp_path, refuse):
    async def test() -> None:
        key = add_key(tmp_path / "keys.json", "web", ["infer"], 1.0, 1)
        context = made_context(authenticator=Authenticator(tmp_path / "keys.json", RateLimiter()), cors_origins=(PAGE,))
        refuse(context)
        expected = 429 if refuse is full else 503
        connection, wire = connect(context)
        for authorization in ("Authorization: Bearer x", "X-No: key", *[f"Authorization: Bearer {key}"] * 3):
            connection.data_received(post("/classify", b"", authorization, f"Origin: {PAGE}", length=3) + b"abc")
            context.refusals.send_due()
        assert wire.statuses() == [401, 401, expected, expected, expected], "nor does it use up the key's rate"
        first, *_ = wire.answers()
        assert first[1]["www-authenticate"] == "Bearer"
        assert all(headers["access-control-allow-origin"] == PAGE for _, headers, _ in wire.answers())

    run(test)


@pytest.mark.parametrize("origins", [(PAGE,), ("*",), (PAGE, "https://a.org"), ()])
@pytest.mark.parametrize("origin", [PAGE, "https://example.com", None])
def test_a_refusal_has_the_headers_for_pages_of_other_origins_that_every_answer_has(origins, origin):
    async def test() -> None:
        context = made_context(cors_origins=origins)
        away(context)
        connection, wire = connect(context)
        headers = [f"Origin: {origin}"] if origin else []
        for path in ("/classify", "/nothing"):
            connection.data_received(post(path, b"{}", *headers))
            await turns()
            context.refusals.send_due()

        def of_origins(headers: dict[str, str]) -> dict[str, str]:
            return {name: value for name, value in headers.items() if name == "vary" or name.startswith("access-")}

        (refused, own, _), (missing, usual, _) = wire.answers()
        assert (refused, missing) == (503, 404)
        assert of_origins(own) == of_origins(usual)

    run(test)


def test_answers_keep_the_order_of_their_requests():
    async def test() -> None:
        context = made_context()
        away(context)
        connection, wire = connect(context)
        connection.data_received(post("/tag") + post("/tag") + GET + post("/tag") + GET + post("/nothing"))
        await turns()
        assert wire.written == []
        for sent in (1, 2):
            context.refusals.send_due()
            assert wire.statuses() == [503] * sent
        await turns()
        assert wire.statuses() == [503, 503, 200]
        context.refusals.send_due()
        while len(wire.statuses()) < 6:
            await turns()
        assert wire.statuses() == [503, 503, 200, 503, 200, 404]
        assert not wire.closed

    run(test)


@pytest.mark.parametrize("header", ["Connection: close", "Expect: 100-continue"])
def test_a_refused_client_that_will_not_go_on_is_told_that_the_connection_closes(header):
    async def test() -> None:
        context = made_context()
        away(context)
        connection, wire = connect(context)
        connection.data_received(post("/classify", b"", header, length=3))
        context.refusals.send_due()
        ((status, headers, _),) = wire.answers()
        assert (status, headers["connection"]) == (503, "close")
        if header.startswith("Connection"):
            assert not wire.closed, "the client may still be sending"
            connection.data_received(b"abc")
        assert wire.closed
        connection.data_received(GET)
        await turns()
        assert len(wire.answers()) == 1

    run(test)


def test_a_client_that_is_refused_while_the_service_drains_is_told_that_the_connection_closes():
    async def test() -> None:
        context = made_context()
        away(context)
        connection, wire = connect(context)
        connection.data_received(post("/classify"))
        context.refusals.send_due()
        context.draining = True
        connection.data_received(post("/classify"))
        context.refusals.send_due()
        assert ["connection" in headers for _, headers, _ in wire.answers()] == [False, True]
        assert wire.answers()[1][1]["connection"] == "close"
        assert wire.closed

    run(test)


def test_of_a_refused_body_no_more_is_read_than_the_largest_body_has():
    async def test() -> None:
        context = made_context(max_body_bytes=10_000)
        away(context)
        connection, wire = connect(context)
        connection.data_received(post("/classify", bytes(100_000), length=10**9))
        assert not wire.reading, "no more is read before the refusal is sent"
        context.refusals.send_due()
        assert wire.statuses() == [503]
        connection.data_received(bytes(10_000))
        assert not wire.closed
        connection.data_received(bytes(1))
        assert wire.closed

    run(test)


def test_a_refusal_that_waits_is_sent_when_the_server_stops():
    async def test() -> None:
        context = made_context()
        away(context)
        connection, wire = connect(context)
        connection.data_received(post("/classify"))
        connection.shutdown()
        assert not wire.closed
        context.refusals.send_due()
        assert wire.answers()[0][1]["connection"] == "close"
        assert wire.closed

    run(test)


def test_a_client_that_does_not_wait_for_its_refusals_gets_one_a_slice():
    async def test() -> None:
        context = made_context()
        away(context)
        connection, wire = connect(context)
        request = post("/classify", b"")
        connection.data_received(request * 1000)
        assert not wire.reading
        for sent in range(1, 10):
            context.refusals.send_due()
            assert len(wire.statuses()) == sent
        assert not wire.reading, "what was read is not yet parsed"
        assert len(connection.pipeline) <= 4096 // len(request)
        connection.connection_lost(None)

    run(test)


def test_a_client_that_takes_no_answers_is_not_read_any_more():
    async def test() -> None:
        context = made_context()
        away(context)
        connection, wire = connect(context)
        connection.pause_writing()
        connection.data_received(post("/classify"))
        await turns()
        context.refusals.send_due()
        assert wire.statuses() == []
        assert not wire.reading
        connection.resume_writing()
        await turns()
        context.refusals.send_due()
        assert wire.statuses() == [503]
        assert wire.reading

    run(test)


def test_a_slice_sends_a_bounded_number_of_refusals_and_none_waits_for_more_than_five():
    async def test() -> None:
        paced = PacedRefusals()
        sent: list[int] = []
        for number in range(10 * SLICE_REFUSALS):
            paced.add(partial(sent.append, number))
        for slice in range(1, LATEST_SLICES):
            paced.send_due()
            assert len(sent) == slice * SLICE_REFUSALS
        paced.add(lambda: sent.append(-1))
        paced.send_due()
        assert len(sent) == 10 * SLICE_REFUSALS, "those that have waited for so long, however many"
        paced.send_due()
        assert sent == [*range(10 * SLICE_REFUSALS), -1]

    run(test)


def test_what_is_added_while_a_slice_sends_is_for_the_next():
    async def test() -> None:
        paced = PacedRefusals()
        sent: list[int] = []

        def send() -> None:
            sent.append(len(sent))
            paced.add(send)

        paced.add(send)
        for slice in range(1, 10):
            paced.send_due()
            assert len(sent) == slice

    run(test)


def test_a_refusal_that_fails_does_not_keep_the_others():
    async def test() -> None:
        paced, sent = PacedRefusals(), []
        paced.add(lambda: json.loads("broken"))
        paced.add(lambda: sent.append(1))
        with pytest.raises(json.JSONDecodeError):
            paced.send_due()
        assert paced._timer is not None
        paced.send_due()
        assert sent == [1]

    run(test)
