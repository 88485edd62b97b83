"""The private interfaces of uvicorn that the service uses: a new version that changes one fails here, by its name."""

import inspect
from typing import Any

import pytest

from service.http.connection.bounded_protocol import BoundedProtocol
from service.http.connection.connection import Connection
from service.http.connection.uvicorn_private import STATUS_LINE, FlowControl, HttpToolsProtocol, RequestResponseCycle
from tests.http.scene import made_context
from tests.http.wire import connect

PROTOCOL = (
    "cycle expect_100_continue flow headers loop parser scope server_state timeout_keep_alive transport url"
).split()
CYCLE = (
    "body more_body keep_alive message_event chunked_encoding expected_content_length response_complete"
    " response_started"
).split()
OVERRIDDEN = (
    "connection_made connection_lost data_received on_message_begin on_header on_headers_complete on_body"
    " on_message_complete on_response_complete pause_writing resume_writing shutdown _start_asgi_task"
    " eof_received"
).split()


def test_the_cycle_of_a_request_has_the_same_state():
    arguments: dict[str, Any] = dict.fromkeys(inspect.signature(RequestResponseCycle).parameters)
    cycle = RequestResponseCycle(**arguments)
    for name in CYCLE:
        assert hasattr(cycle, name), name


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_what_connections_override_is_there_and_takes_the_same(name):
    base = inspect.signature(getattr(HttpToolsProtocol, name))
    for cls in (BoundedProtocol, Connection):
        assert len(inspect.signature(getattr(cls, name)).parameters) == len(base.parameters), name


async def test_what_connections_use_is_there():
    connection, _ = connect(made_context())
    connection.on_message_begin()
    for name in PROTOCOL:
        assert hasattr(connection, name), name
    for name in ("read_paused", "write_paused", "drain", "pause_reading", "resume_reading"):
        assert hasattr(FlowControl(connection.transport), name), name
    connection.connection_lost(None)
    assert STATUS_LINE[404] == b"HTTP/1.1 404 Not Found\r\n"
