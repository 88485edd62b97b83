"""An engine process and its supervisor's end."""

import asyncio
import socket

import pytest

from service.channel import Loaded, line
from service.engine.local import LocalEngine
from service.engine.server import EngineServer
from service.engine_process import EngineProcess
from service.metrics import Metrics
from service.settings import Settings
from tests.fakes import Device


@pytest.mark.parametrize("said", [b"", line(Loaded(()))], ids=["in order", "before it had read all"])
def test_it_ends_when_the_supervisor_has_died(said):
    async def test():
        local, stop = LocalEngine(Settings(), [], Device, Metrics()), asyncio.Event()
        ours, theirs = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=ours)
        with socket.socket() as listening:
            process = EngineProcess(local, EngineServer(local), listening, stop)
            writer.write(said)
            await writer.drain()
            theirs.close()  # what was not read makes it a reset
            await asyncio.wait_for(process.obey(reader), 10)
        assert stop.is_set()
        writer.close()

    asyncio.run(test())
