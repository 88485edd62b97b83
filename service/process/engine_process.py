"""The engine process: loads the models that the supervisor names and serves them to the api workers."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path

import uvloop

from service.artifact.version import ModelVersion
from service.engine.loader import LoadProgress
from service.engine.local import LocalEngine
from service.engine.priority import call_at_low_priority, call_directly
from service.engine.tensorflow_engine import import_tensorflow, make_engine
from service.errors import ArtifactError, ConfigurationError
from service.process import allocator, garbage_collection
from service.process.control_channel import (
    Load,
    Loaded,
    Loading,
    Prepared,
    Retire,
    SetShares,
    decode,
    encode,
    open_channel,
)
from service.process.load_display import LoadDisplay, shows_progress
from service.settings import Settings
from service.store.loading import load_version
from service.telemetry.metrics import Metrics
from service.transport.server import EngineServer
from service.types import ModelKey, ModelState, State

log = logging.getLogger("tagwerk")

EXIT_FAILED = 70  # EX_SOFTWARE of sysexits.h
POLL_SECONDS = 0.1  # interval between checks whether all workers have disconnected
LONGEST_STEP_SECONDS = 60.0  # a device that takes longer hangs
STEP_POLL_SECONDS = 1.0


def run_engine(settings: Settings, channel: socket.socket, standby: bool) -> int:
    """Runs an engine until the supervisor or a signal stops it.

    `channel` is its end of the control channel. In standby, it imports TensorFlow before it receives `Load`.
    Returns the exit status. Raises ConfigurationError.
    """
    allocator.limit_arenas()
    if standby:
        call_at_low_priority(partial(import_tensorflow, settings))
        with suppress(OSError):  # the supervisor has ended
            channel.sendall(encode(Prepared()))
        set_process_name("tagwerk-standby")
    return uvloop.run(_run_engine(settings, channel))


async def _run_engine(settings: Settings, channel: socket.socket) -> int:
    reader, writer = await open_channel(channel)
    if not (line := await reader.readline()):
        return 0  # the supervisor has ended, and never needed this process
    load = decode(line)
    assert isinstance(load, Load)  # noqa: S101 (always the first message)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    set_process_name("tagwerk-engine")
    listening = socket.socket(fileno=load.listening)
    versions, unread = read_versions(settings, load.versions)
    call = call_at_low_priority if load.beside_another else call_directly

    display = LoadDisplay(on_terminal=shows_progress(settings) and not load.beside_another)

    def report(progress: LoadProgress) -> None:
        display.show(progress)
        if not progress.compiled:
            with suppress(OSError):  # written synchronously: the load that follows may kill this process
                os.write(channel.fileno(), encode(Loading(progress.key)))

    local = make_engine(settings, versions, Metrics("engine"), call, report)
    server = EngineServer(local)
    process = EngineProcess(local, server, listening, stop)
    tasks = [
        asyncio.create_task(end_if_the_device_hangs(local)),
        asyncio.create_task(end_if_the_engine_fails(local, stop)),
        asyncio.create_task(process.handle_messages(reader)),
    ]
    if not load.beside_another:
        await process.open()
    gc.disable()  # loading frees little, and each collection would traverse everything that is loaded
    starting = asyncio.create_task(local.start(server.report))
    stopping = asyncio.create_task(stop.wait())
    with display:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        garbage_collection.tune()
        allocator.return_free_memory()
        await process.open()
        states = [state for state in local.models() if state.key in load.versions]
        writer.write(encode(Loaded(tuple(states), tuple(unread))))
    await stopping
    if not local.failed.is_set():
        log.info("draining; workers connected: %d", server.workers)
        await process.drain(settings.drain_timeout_seconds)
    await local.close()
    for task in (*tasks, starting):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    server.report()
    await asyncio.sleep(0)
    log.info("the engine has stopped")
    return EXIT_FAILED if local.failed.is_set() else 0


def set_process_name(name: str) -> None:
    """Sets the name that `ps` and `top` show for this process; up to 15 characters, on Linux alone."""
    with suppress(OSError):
        Path("/proc/self/comm").write_text(name)


class EngineProcess:
    """Executes the supervisor's messages in a running engine."""

    def __init__(self, local: LocalEngine, server: EngineServer, listening: socket.socket, stop: asyncio.Event) -> None:
        self._local = local
        self._server = server
        self._listening = listening
        self._stop = stop
        self._accepting: asyncio.Server | None = None
        self._retiring: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Starts accepting workers, unless it already does."""
        if self._accepting is None:
            self._accepting = await self._server.listen(self._listening)

    async def handle_messages(self, reader: asyncio.StreamReader) -> None:
        """Executes messages from the supervisor. Stops the engine when the channel closes or a message fails."""
        try:
            while line := await reader.readline():
                match decode(line):
                    case SetShares(shares, refused, defaults):
                        self._local.set_shares(dict(shares), refused, defaults)
                        self._server.report()
                    case Retire():
                        self._retiring = asyncio.create_task(self._retire())
        except ConnectionError:
            pass  # the supervisor died before it had read this engine's messages
        except Exception:
            log.exception("the engine cannot follow its supervisor any more, and ends")
        finally:
            self._stop.set()

    async def drain(self, seconds: float) -> None:
        """Announces DRAINING and waits until all workers have disconnected, for `seconds` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._disconnect_workers(State.DRAINING)

    async def _retire(self) -> None:
        await self._disconnect_workers(State.SUPERSEDED)
        self._stop.set()

    async def _disconnect_workers(self, state: State) -> None:
        """Stops accepting workers, announces a state, and waits until all workers have disconnected."""
        if self._accepting is not None:
            self._accepting.close()
        self._server.announce(state)
        while self._server.workers:  # noqa: ASYNC110 (rare, and not urgent)
            await asyncio.sleep(POLL_SECONDS)


def read_versions(settings: Settings, keys: Iterable[ModelKey]) -> tuple[list[ModelVersion], list[ModelState]]:
    """Reads the versions to load; returns them, and the state of those that cannot be read.

    Verifies everything but the SavedModels, which are verified when they are loaded.
    """
    versions, unread = [], []
    for key in keys:
        folder = settings.model_store / key.name / key.version
        try:
            versions.append(load_version(folder, settings.model_signers, whole=False))
        except (ArtifactError, ConfigurationError) as error:  # the latter: signers' keys removed since the start
            unread.append(ModelState(key, State.REFUSED, str(error)))
    return versions, unread


async def end_if_the_device_hangs(engine: LocalEngine) -> None:
    """Exits when a device step takes longer than LONGEST_STEP_SECONDS; the supervisor restarts the process."""
    while engine.step_seconds() <= LONGEST_STEP_SECONDS:  # noqa: ASYNC110 (a device that hangs sets no event)
        await asyncio.sleep(STEP_POLL_SECONDS)
    log.critical("the device has been at one step for more than %g s: the engine ends", LONGEST_STEP_SECONDS)
    os._exit(EXIT_FAILED)  # the thread that waits for the device cannot be stopped


async def end_if_the_engine_fails(engine: LocalEngine, stop: asyncio.Event) -> None:
    """Sets `stop` when the device thread fails; the supervisor restarts the process."""
    await engine.failed.wait()
    stop.set()
