"""The channel between supervisor and engine, with more to say than its socket holds."""

import asyncio
import socket

import pytest

from service.process import control_channel
from service.process.control_channel import Channel, Direct, Load, Loaded, line, open_channel, word
from service.types import ModelKey, ModelState, State

MANY = Load(tuple(ModelKey(f"model-{i}", "1") for i in range(50_000)), beside_another=False)
REASONS = Direct((), (ModelState(ModelKey("model", "1"), State.REFUSED, "a long reason " * 100_000, 0.0),))


def test_what_does_not_fit_into_the_socket_is_sent_whole_as_the_engine_reads():
    supervisor = Channel()
    supervisor.say(MANY)
    supervisor.say(REASONS)
    read = b""
    with supervisor.other_end as end:
        end.setblocking(False)
        while read.count(b"\n") < 2:
            supervisor.hear()
            read += end.recv(2**20)
    supervisor.close()
    assert [word(said) for said in read.splitlines()] == [MANY, REASONS]


def test_the_engine_reads_lines_of_any_length():
    async def test():
        supervisor = Channel()
        reader, writer = await open_channel(supervisor.other_end)
        supervisor.say(MANY)

        async def keep_sending() -> None:
            while True:
                supervisor.hear()
                await asyncio.sleep(0)

        sending = asyncio.create_task(keep_sending())
        assert word(await reader.readline()) == MANY
        sending.cancel()
        writer.close()
        supervisor.close()

    asyncio.run(asyncio.wait_for(test(), 30))


def test_an_engine_that_never_reads_is_hung_up_on(monkeypatch):
    monkeypatch.setattr(control_channel, "LONGEST_LINE", 10_000)
    supervisor = Channel()
    supervisor.say(MANY)
    with supervisor.other_end as end:
        while end.recv(2**20):
            pass
    supervisor.say(MANY)
    assert supervisor.hear() == []


@pytest.mark.parametrize("said", [b"nonsense\n", b'{"type":"Unknown"}\n', b"\xff\n"])
def test_nonsense_does_not_end_the_supervisor(said):
    supervisor = Channel()
    supervisor.other_end.sendall(said + line(Loaded(())))
    assert supervisor.hear() == [Loaded(())]
    supervisor.other_end.close()
    supervisor.close()


def test_an_engine_that_has_died_is_told_nothing():
    supervisor = Channel()
    supervisor.other_end.close()
    supervisor.say(MANY)
    assert supervisor.hear() == []
    assert isinstance(supervisor._socket, socket.socket)
    supervisor.close()
