"""Answers to clients that speak HTTP/1.0, and to clients that send nothing more after their request."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httptools
import pytest

from service.http.connection.bounded_protocol import INTERIM
from service.http.connection.connection import Connection
from service.http.connection.http_rules import fault_of
from tests.engine.running import until
from tests.http.plain import Service, running
from tests.http.wire import GET, application, connect, post, turns

FINE = post("/classify", b'{"text": "fine"}')
EVENTS = b'{"prompt": "a", "max_tokens": 3, "seed": 1, "stream": true}'
HOST = (b"host", b"x")


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        ([HOST], "1.1", None),
        ([HOST, (b"transfer-encoding", b"Chunked")], "1.1", None),
        ([], "1.0", None),
        ([], "1.1", 400),
        ([HOST, HOST], "1.1", 400),
        ([HOST, HOST], "1.0", 400),
        ([HOST, (b"transfer-encoding", b"gzip, chunked")], "1.1", 501),
        ([HOST, (b"transfer-encoding", b"gzip"), (b"transfer-encoding", b"chunked")], "1.1", 501),
        ([(b"transfer-encoding", b"chunked")], "1.0", 400),
    ],
)
def test_what_the_parser_lets_pass_and_http_does_not(headers, version, status):
    assert (fault_of(headers, version) or (None,))[0] == status


def test_a_stream_in_http_1_0_ends_with_its_connection_and_has_no_chunks():
    async def test() -> None:
        async with running() as service:
            _, wire = service.send(post("/generate", EVENTS).replace(b"HTTP/1.1", b"HTTP/1.0"))
            await until(lambda: wire.closed)
            head, _, body = b"".join(wire.written).partition(b"\r\n\r\n")
            assert b"transfer-encoding" not in head
            assert b"content-length" not in head
            assert b"connection: close" in head
            assert body.startswith(b"event: ") or body.startswith(b"data: ")
            assert body.endswith(b"\n\n")
            _, wire = service.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
            await until(lambda: wire.closed)
            assert wire.answers()[0][2] == {"status": "alive"}

    asyncio.run(test())


@contextmanager
def client_of(server: asyncio.Server) -> Iterator[socket.socket]:
    with socket.create_connection(server.sockets[0].getsockname()) as client:
        client.setblocking(False)
        yield client


async def half_closed(service: Service, request: bytes) -> tuple[list[Connection], asyncio.Server]:
    made: list[Connection] = []

    def protocol() -> Connection:
        made.append(connect(service.context, config=service.configuration)[0])
        return made[-1]

    return made, await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)


@pytest.mark.parametrize("request_", [FINE, application(FINE), FINE + GET], ids=["plain", "application", "two"])
def test_a_client_that_closes_its_side_after_its_request_gets_its_answer(request_):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with running() as service:
            made, server = await half_closed(service, request_)
            service.device.go.clear()
            service.device.busy.clear()
            with client_of(server) as client:
                await loop.sock_sendall(client, request_)
                client.shutdown(socket.SHUT_WR)
                await until(service.device.busy.is_set)
                if not request_.endswith(GET):  # then no more is read for now, and the end is not seen
                    first = await loop.sock_recv(client, len(INTERIM))
                    assert first == INTERIM, "it shows whether the client is still there"
                service.device.go.set()
                received = b""
                while more := await loop.sock_recv(client, 65536):
                    received += more
                received = received.replace(INTERIM, b"")
                assert received.startswith(b"HTTP/1.1 200 ")
                assert received.count(b"HTTP/1.1 200 ") == (2 if request_.endswith(GET) else 1)
            await until(lambda: made[0].gone)
            server.close()

    asyncio.run(test())


@pytest.mark.parametrize("request_", [FINE, application(FINE)], ids=["plain", "application"])
def test_the_work_for_a_client_that_has_gone_is_cancelled(request_):
    async def test() -> None:
        loop = asyncio.get_running_loop()
        async with running() as service:
            made, server = await half_closed(service, request_)
            service.device.go.clear()
            service.device.busy.clear()
            with client_of(server) as client:
                await loop.sock_sendall(client, request_)
                await until(service.device.busy.is_set)
            await until(lambda: made[0].gone)
            service.device.go.set()
            server.close()
            await turns()

    asyncio.run(test())


def test_a_client_that_closes_without_a_request_or_within_one_is_not_waited_for():
    async def test() -> None:
        async with running() as service:
            for sent in (b"", FINE[:-3], application(FINE)[:-3], GET):
                connection, wire = service.send(sent)
                await turns()
                assert connection.eof_received()
                assert wire.closed


def test_an_answer_that_is_not_read_yet_is_sent_whole_to_a_client_that_closes_its_side():
    async def test() -> None:
        async with running() as service:
            connection, wire = service.send()
            connection.pause_writing()
            connection.transport.write(b"first")
            connection.transport.flush()
            connection.eof_received()
            assert not wire.closed
            assert not wire.written
            connection.resume_writing()
            assert wire.closed
            assert wire.written == [b"first"]

    asyncio.run(test())

    asyncio.run(test())


def test_what_answers_to_http_1_0_are_made_of_is_read_by_a_parser():
    async def test() -> None:
        async with running() as service:
            _, wire = service.send(post("/generate", EVENTS).replace(b"HTTP/1.1", b"HTTP/1.0"))
            await until(lambda: wire.closed)
            parser = httptools.HttpResponseParser(object())
            parser.feed_data(b"".join(wire.written))
            assert parser.get_status_code() == 200

    asyncio.run(test())
