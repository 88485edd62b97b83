"""The well-behaved client beside an attack."""

import asyncio
import socket
from collections import Counter
from threading import Thread

from loadtests.neighbour import Neighbour, Sample, stolen_seconds, summarize

ANSWER = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}"


def test_a_summary_has_the_worst_wait():
    waits = summarize([Sample(0, 0.01, 200)] * 200 + [Sample(1, 2.0, 503)])
    assert (waits.worst_seconds, waits.p99_seconds) == (2.0, 0.01)
    assert waits.statuses == Counter({200: 200, 503: 1})


def test_a_summary_has_the_worst_wait_without_stolen_time():
    waits = summarize([Sample(0, 2.0, 200, 1.8), Sample(2, 0.5, 200), Sample(3, 0.1, 200, 0.3)])
    assert (waits.worst_seconds, waits.worst_undisturbed_seconds) == (2.0, 0.5)


def test_stolen_time_is_read_from_the_kernel_and_never_falls():
    first = stolen_seconds()
    assert 0 <= first <= stolen_seconds()


def test_a_summary_of_nothing_is_no_number():
    assert summarize([]).worst_seconds != summarize([]).worst_seconds


def test_it_sends_the_key_on_one_connection_and_tells_each_status():
    heads = []

    def serve(listening: socket.socket) -> None:
        with listening, listening.accept()[0] as connection:
            for status in (200, 503, 429):
                heads.append(connection.recv(65_536))
                connection.sendall(ANSWER % status)
            connection.recv(65_536)  # which gets no answer, nor do those to come

    async def scenario(port: int) -> list[Sample]:
        with Neighbour(f"127.0.0.1:{port}", "secret") as neighbour:
            while len(neighbour.samples(0)) < 4:
                await asyncio.sleep(0.01)
            return neighbour.samples(0)

    listening = socket.create_server(("127.0.0.1", 0))
    server = Thread(target=serve, args=[listening])
    port = listening.getsockname()[1]
    server.start()
    samples = asyncio.run(scenario(port))
    server.join()
    assert [sample.status for sample in samples[:4]] == [200, 503, 429, 0]
    assert all(b"Authorization: Bearer secret" in head for head in heads)


def test_requests_count_from_when_they_were_sent_to_when_they_were_answered():
    neighbour = Neighbour.__new__(Neighbour)
    neighbour._samples = [Sample(1.0, 0.5, 200), Sample(2.0, 0.5, 200), Sample(3.0, 0.5, 200)]
    assert neighbour.samples(1.2, 2.5) == [Sample(1.0, 0.5, 200), Sample(2.0, 0.5, 200)]
