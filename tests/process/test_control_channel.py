"""The channel between supervisor and engine, with more data than its socket buffers."""

import asyncio
import socket

import pytest

from service.process import control_channel
from service.process.control_channel import Channel, Load, Loaded, SetShares, decode, encode, open_channel
from service.types import ModelKey, ModelState, State

MANY = Load(tuple(ModelKey(f"model-{i}", "1") for i in range(50_000)), beside_another=False, listening=0)
REASONS = SetShares((), (ModelState(ModelKey("model", "1"), State.REFUSED, "a long reason " * 100_000, 0.0),))


def test_what_does_not_fit_into_the_socket_is_sent_whole_as_the_engine_reads():
    supervisor = Channel()
    supervisor.send(MANY)
    supervisor.send(REASONS)
    read = b""
    with supervisor.other_end as end:
        end.setblocking(False)
        while read.count(b"\n") < 2:
            supervisor.receive()
            read += end.recv(2**20)
    supervisor.close()
    assert [decode(line) for line in read.splitlines()] == [MANY, REASONS]


def test_the_engine_reads_lines_of_any_length():
    async def test():
        supervisor = Channel()
        reader, writer = await open_channel(supervisor.other_end)
        supervisor.send(MANY)

        async def keep_sending() -> None:
            while True:
                supervisor.receive()
                await asyncio.sleep(0)

        sending = asyncio.create_task(keep_sending())
        assert decode(await reader.readline()) == MANY
        sending.cancel()
        writer.close()
        supervisor.close()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_closes_the_channel_to_an_engine_that_never_reads(monkeypatch):
    monkeypatch.setattr(control_channel, "LONGEST_LINE", 10_000)
    supervisor = Channel()
    supervisor.send(MANY)
    with supervisor.other_end as end:
        while end.recv(2**20):
            pass
    supervisor.send(MANY)
    assert supervisor.receive() == []


@pytest.mark.parametrize("said", [b"nonsense\n", b'{"type":"Unknown"}\n', b"\xff\n"])
def test_nonsense_does_not_end_the_supervisor(said):
    supervisor = Channel()
    supervisor.other_end.sendall(said + encode(Loaded(())))
    assert supervisor.receive() == [Loaded(())]
    supervisor.other_end.close()
    supervisor.close()


def test_sends_nothing_to_an_engine_that_has_died():
    supervisor = Channel()
    supervisor.other_end.close()
    supervisor.send(MANY)
    assert supervisor.receive() == []
    assert isinstance(supervisor._socket, socket.socket)
    supervisor.close()
