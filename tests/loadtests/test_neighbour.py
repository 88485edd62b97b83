"""The well-behaved client beside an attack."""

import asyncio
import socket
from threading import Thread

from loadtests.neighbour import Neighbour, Sample, summarize

ANSWER = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\n\r\n{}"


def test_a_summary_has_the_worst_wait_without_stolen_time():
    waits = summarize([Sample(0, 2.0, 200, 1.8), Sample(2, 0.5, 200), Sample(3, 0.1, 200, 0.3)])
    assert (waits.worst_seconds, waits.worst_undisturbed_seconds) == (2.0, 0.5)


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
