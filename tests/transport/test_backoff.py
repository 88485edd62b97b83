"""How often an engine that cannot be reached is looked for."""

import asyncio
import tempfile

from service.process.listening import open_engine_socket
from service.transport.backoff import Backoff
from service.transport.remote import RemoteEngine
from service.types import State
from tests.engine.test_engines import run
from tests.fakes import Clock

PAUSES = [0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_pauses_double_and_begin_anew_after_something_that_lasted():
    clock = Clock()
    backoff = Backoff(clock)
    for expected in PAUSES:
        backoff.attempt()
        clock.now += 0.9
        assert backoff.pause_seconds() == expected
    backoff.attempt()
    clock.now += 1.1
    assert backoff.pause_seconds() == 0.05


def test_an_engine_that_drops_every_connection_is_asked_ever_more_seldom(caplog):
    """And no line is logged for each attempt."""

    class Rude(asyncio.Protocol):
        def connection_made(self, transport) -> None:
            transport.close()

    async def test():
        pauses, done = [], asyncio.Event()

        async def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == len(PAUSES):
                done.set()
                await asyncio.Event().wait()

        with tempfile.TemporaryDirectory() as folder:
            address = f"{folder}/engine"
            made = RemoteEngine(address, sleep)
            server = await asyncio.get_running_loop().create_unix_server(Rude, sock=open_engine_socket(address))
            await made.start(lambda: None)
            await done.wait()
            assert pauses == PAUSES
            assert made.state() is State.STARTING
            assert not caplog.records
            await made.close()
            server.close()

    run(test())
