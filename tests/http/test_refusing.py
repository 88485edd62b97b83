"""Requests that are refused because the engine does not take them: which, how, and in which order."""

import pytest

from service.errors import Overloaded
from service.http.context import Context
from service.types import State
from tests.engine.running import until
from tests.http.scene import made_context
from tests.http.wire import connect, post, turns

FINE = b'{"text": "fine"}'


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
    ((status, headers, document),) = wire.answers()
    assert (status, headers["retry-after"]) == (503, "1")
    assert document["type"] == "urn:tagwerk:problem:engine-unavailable"
    assert ("error" in document) == path.startswith("/v")


async def test_of_a_refused_body_no_more_is_read_than_the_largest_body_has():
    context = made_context(max_body_bytes=10_000)
    away(context)
    connection, wire = connect(context)
    connection.data_received(post("/nothing", b"", length=9_999_999))
    await turns()
    assert wire.statuses() == [404]
    connection.data_received(bytes(10_000))
    assert not wire.closed
    connection.data_received(bytes(1))
    assert wire.closed
