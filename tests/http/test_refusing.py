"""Requests that are refused: where the engine takes none, or they do not fit the queue; and counted once."""

import json

import pytest

from service.errors import Overloaded
from service.http.context import Context
from service.types import State
from tests.http.running import Service, running
from tests.http.scene import made_context
from tests.http.test_exchanges import FINE, SMALL_QUEUE, both_ways
from tests.http.wire import Answer, application, connect, post
from tests.waiting import iterations, until


def full(context: Context) -> None:
    """Has the engine reject each request that needs its queue."""

    def check_room(client: int) -> None:
        raise Overloaded("the queue is full", 2.5)

    context.engine.state = State.READY
    context.engine.check_room = check_room  # type: ignore[method-assign]


def away(context: Context) -> None:
    """Has the engine take no requests, also where its start ends only now, which makes STARTING READY."""
    context.engine.state = State.DRAINING


TENSOR = b'{"name": "text", "shape": [1], "datatype": "BYTES", "data": ["a"]}'


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tag", FINE),
        ("/classify", FINE),
        ("/generate", b'{"prompt": "a"}'),
        ("/v1/completions", b'{"model": "lm", "prompt": "a"}'),
        ("/v2/models/classifier/infer", b'{"inputs": [%b]}' % TENSOR),
    ],
)
async def test_every_way_to_the_engine_answers_503_while_it_is_away(path, body):
    context = made_context()
    away(context)
    connection, wire = connect(context)
    connection.data_received(post(path, body))
    await until(wire.statuses)
    (answer,) = wire.answers()
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert answer.document["type"] == "urn:tagwerk:problem:engine-unavailable"
    assert ("error" in answer.document) == path.startswith("/v")


async def test_of_a_refused_body_no_more_is_read_than_the_largest_body_has():
    context = made_context(max_body_bytes=10_000)
    away(context)
    connection, wire = connect(context)
    connection.data_received(post("/nothing", b"", length=9_999_999))
    await iterations()
    assert wire.statuses() == [404]
    connection.data_received(bytes(10_000))
    assert not wire.closed
    connection.data_received(bytes(1))
    assert wire.closed


async def rejected(service: Service, waiting: int, *texts: str, key: str = "X-No: key", said: str) -> Answer:
    """Has requests wait in the queue; returns the answer to one that does not fit, the same on both ways."""
    await service.hold(key)
    for _ in range(waiting):
        await service.wait(post("/classify", FINE, key))
    request = post("/classify", json.dumps({"text": texts}).encode(), key)
    _, wire = service.send(request)
    service.context.plain.run()
    (plain,) = wire.answers()
    assert plain == await service.answer(application(request))
    assert (plain.status, plain.document["detail"].startswith(said)) == (429, True), plain.body
    assert int(plain.header("retry-after") or "") >= 1
    assert service.metric("rejected_total", reason="overloaded") == 2
    assert service.metric("requests_total", route="/classify", status="429") == 2
    return plain


async def test_a_request_that_finds_the_queue_full_is_refused_before_its_text_is_split_and_counted_once():
    async with running(**SMALL_QUEUE) as service:
        said = "the queue is full: 4 of at most 4 sequences (TAGWERK_MAX_QUEUE_TOKENS)"
        answer = await rejected(service, 4, "fine", said=said)
        assert "tokenize" not in (answer.header("server-timing") or "")


async def test_a_request_larger_than_the_room_that_is_left_is_refused_by_the_engine_and_counted_once():
    async with running(**SMALL_QUEUE) as service:
        answer = await rejected(service, 3, *["fine"] * 3, said="the queue is full: 3 of at most 4 sequences")
        assert "tokenize" in (answer.header("server-timing") or "")


async def test_a_client_that_fills_its_share_of_the_queue_leaves_the_others_their_room(narrow):
    authenticator, other, floods = narrow
    said = "the client's share of the queue is full: it has 2 of 2"
    async with running(authenticator, **SMALL_QUEUE) as service:
        answer = await rejected(service, 2, "fine", key=floods, said=said)
        assert "tokenize" not in (answer.header("server-timing") or ""), "its text is not split, either"
        await service.wait(post("/classify", FINE, other))
        assert (await service.answer(application(post("/classify", FINE, "Authorization: Bearer x")))).status == 401


@pytest.mark.parametrize(("refuse", "status"), [(full, 429), (away, 503)])
@both_ways
async def test_a_key_is_free_again_after_each_refusal(narrow, refuse, status, way):
    authenticator, key, _ = narrow
    async with running(authenticator) as service:
        refuse(service.context)
        for _ in range(3):
            answer = await service.answer(way(post("/classify", FINE, key)))
            assert answer.status == status
            assert b":rate-limited" not in answer.body
        assert (await service.answer(way(post("/classify", FINE, "Authorization: Bearer x")))).status == 401


@both_ways
async def test_requests_in_progress_are_bounded_in_bytes(way):
    async with running(max_body_bytes=40_000) as service:
        context = service.context
        service.device.go.clear()
        large = way(post("/classify", json.dumps({"text": "fine " * 2000}).encode()))
        sent = [service.send(large) for _ in range(4)]
        await until(lambda: sum(bool(wire.answers()) for _, wire in sent) == 2)
        assert context.bytes_in_progress > 20_000
        refused, _ = [answer for _, wire in sent for answer in wire.answers()]
        assert refused.status == 429
        assert refused.header("retry-after") == "1"
        assert b"the requests in progress have more than 20000 bytes" in refused.body
        small = service.send(way(post("/classify")))
        service.device.go.set()
        await until(lambda: small[1].answers() and all(wire.answers() for _, wire in sent))
        assert small[1].answers()[0].status == 200, "a small one is taken"
        await until(lambda: context.bytes_in_progress == 0)
        gone, _ = service.send(large)
        await iterations(3)
        gone.connection_lost(None)
        await until(lambda: context.bytes_in_progress == 0)
