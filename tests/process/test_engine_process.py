"""An engine process and its supervisor's end."""

import asyncio
import logging
import socket
import sys

import pytest

from service.engine.local import LocalEngine
from service.engine.tensorflow_engine import make_engine
from service.errors import ConfigurationError
from service.process.control_channel import Loaded, Retire, SetShares, encode, open_channel
from service.process.engine_process import EngineProcess
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.transport.server import EngineServer
from tests.fakes import Device


async def handle_messages(said: bytes, local: LocalEngine | None = None) -> asyncio.Event:
    """Lets an engine hear something before its supervisor dies; returns what is set once it is to end."""
    local, stop = local or LocalEngine(Settings(), [], Device, Metrics()), asyncio.Event()
    ours, theirs = socket.socketpair()
    reader, writer = await open_channel(ours)
    with socket.socket() as listening:
        process = EngineProcess(local, EngineServer(local), listening, stop)
        writer.write(encode(Loaded(())))
        await writer.drain()
        theirs.setblocking(False)
        await asyncio.get_running_loop().sock_sendall(theirs, said)
        following = asyncio.create_task(process.handle_messages(reader))
        for _ in range(10):
            await asyncio.sleep(0)
        theirs.close()  # what was not read makes it a reset
        await asyncio.wait_for(following, 10)
    writer.close()
    return stop


@pytest.mark.parametrize(
    "said",
    [b"", encode(SetShares((), ())), encode(Retire()), b"nonsense\n", b"{half a li", b"x" * 2**17 + b"\n"],
    ids=["nothing", "something", "retiring", "nonsense", "half a line", "a long line of nonsense"],
)
def test_it_ends_when_the_supervisor_has_died_or_cannot_be_followed(said):
    assert asyncio.run(handle_messages(said)).is_set()


def test_ends_when_a_message_fails(monkeypatch, caplog):
    monkeypatch.setattr(LocalEngine, "set_shares", lambda *_: 1 / 0)
    with caplog.at_level(logging.ERROR):
        assert asyncio.run(handle_messages(encode(SetShares((), ())))).is_set()
    assert "cannot follow its supervisor" in caplog.text


def test_tensorflow_that_is_missing_is_told_with_its_extra(monkeypatch):
    """Nor is the engine started again and again."""
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    for name in [name for name in sys.modules if name.startswith("service.backend.")]:
        monkeypatch.delitem(sys.modules, name)

    async def start() -> None:
        await make_engine(Settings(), [], Metrics()).start(lambda: None)

    with pytest.raises(ConfigurationError, match=r"TensorFlow is not installed: pip install 'tagwerk\[cpu\]'"):
        asyncio.run(start())


def test_it_notices_the_death_while_it_waits_for_its_callers_to_leave():
    class Crowded(EngineServer):
        workers = 1

    async def test() -> asyncio.Event:
        local, stop = LocalEngine(Settings(), [], Device, Metrics()), asyncio.Event()
        ours, theirs = socket.socketpair()
        reader, writer = await open_channel(ours)
        with socket.socket() as listening:
            process = EngineProcess(local, Crowded(local), listening, stop)
            theirs.sendall(encode(Retire()))
            theirs.close()
            await asyncio.wait_for(process.handle_messages(reader), 10)
        writer.close()
        return stop

    assert asyncio.run(test()).is_set()
