"""The process that runs the models, for a supervisor that names them and workers that ask."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from pathlib import Path

import uvloop

from service import collector
from service.backend.base import Backend
from service.backend.cache import compiling_alone, keep_executables
from service.channel import Direct, Load, Loaded, Retire, line, word
from service.engine.local import LocalEngine
from service.engine.patience import Call, call_here, call_patiently
from service.engine.protocol import Engine, ModelKey, ModelState, State
from service.engine.server import EngineServer
from service.engine.sharing import SharingEngine
from service.errors import ArtifactError
from service.metrics import Metrics
from service.registry import ModelVersion, read_version
from service.settings import Settings

log = logging.getLogger("tagwerk")

EXIT_HUNG = 70  # EX_SOFTWARE of sysexits.h
FAREWELL_SECONDS = 0.1  # between two looks whether the callers of a superseded engine have gone


def run_engine(settings: Settings, listening: socket.socket, channel: socket.socket) -> int:
    """Runs the models that the supervisor at the channel names, for the workers that come to a socket.

    Returns the exit status. Raises ConfigurationError.
    """
    return uvloop.run(_run_engine(settings, listening, channel))


async def _run_engine(settings: Settings, listening: socket.socket, channel: socket.socket) -> int:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    reader, writer = await asyncio.open_connection(sock=channel)
    load = word(await reader.readline())
    assert isinstance(load, Load)  # noqa: S101 (the first word)
    versions, broken = read_versions(settings, load)
    call = call_patiently if load.beside_another else call_here
    local = make_engine(settings, versions, Metrics(), call, load.in_haste)
    server = EngineServer(sharing(settings, local))
    process = EngineProcess(local, server, listening, stop)
    tasks = [
        asyncio.create_task(end_if_the_device_hangs(local, settings.device_timeout_seconds)),
        asyncio.create_task(process.obey(reader)),
    ]
    if not load.beside_another:
        await process.open()
    gc.disable()  # while little is thrown away; it would look at all that is there again and again
    starting = asyncio.create_task(local.start(server.report))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        collector.calm()
        await process.open()
        states = [state for state in local.models() if state.key in load.versions]
        writer.write(line(Loaded((*states, *broken))))
    await stopping
    await local.close()
    for task in (*tasks, starting):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    server.report()
    await asyncio.sleep(0)
    return 0


class EngineProcess:
    """What the supervisor can tell an engine while it runs."""

    def __init__(self, local: LocalEngine, server: EngineServer, listening: socket.socket, stop: asyncio.Event) -> None:
        self._local = local
        self._server = server
        self._listening = listening
        self._stop = stop
        self._door: asyncio.Server | None = None

    async def open(self) -> None:
        """Lets workers in, if they are not yet."""
        if self._door is None:
            self._door = await self._server.listen(self._listening)

    async def obey(self, reader: asyncio.StreamReader) -> None:
        """Does what the supervisor says. Where that has died, however it did, the engine ends."""
        with suppress(ConnectionError):  # it died before it had read what this one said
            while said := await reader.readline():
                match word(said):
                    case Direct(shares, refused):
                        self._local.direct(dict(shares), refused)
                        self._server.report()
                    case Retire():
                        await self._retire()
        self._stop.set()

    async def _retire(self) -> None:
        if self._door is not None:
            self._door.close()
        self._server.superseded = True
        self._server.report()
        while self._server.workers:  # noqa: ASYNC110 (seldom, and in no hurry)
            await asyncio.sleep(FAREWELL_SECONDS)
        self._stop.set()


def read_versions(settings: Settings, load: Load) -> tuple[list[ModelVersion], list[ModelState]]:
    """Reads the versions that are to be loaded; returns them, and those whose files are not what they should be."""
    versions, broken = [], []
    for key in load.versions:
        try:
            versions.append(read_version(settings.model_store / key.name / key.version, settings.model_signers))
        except ArtifactError as error:
            broken.append(ModelState(key, State.REFUSED, str(error)))
    return versions, broken


async def end_if_the_device_hangs(engine: LocalEngine, seconds: float) -> None:
    """Ends this process, whose supervisor starts it again, where a step takes longer than that."""
    while engine.step_seconds() <= seconds:  # noqa: ASYNC110 (a device that hangs sets no event)
        await asyncio.sleep(min(1.0, seconds / 2))
    log.critical("the device has been at one step for more than %g s: the engine ends", seconds)
    os._exit(EXIT_HUNG)  # the thread that waits for the device cannot be ended in order


def sharing(settings: Settings, engine: Engine) -> Engine:
    """Returns the engine, behind one that computes identical requests once where the settings want that."""
    return SharingEngine(engine) if settings.share_identical else engine


def make_engine(
    settings: Settings,
    versions: Sequence[ModelVersion],
    metrics: Metrics,
    call: Call = call_here,
    in_haste: Collection[ModelKey] = (),
) -> LocalEngine:
    """Returns an engine on TensorFlow, not started; `call` says with what patience it loads, see also `Driver.load`."""

    def make_backend() -> Backend:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if settings.xla_cache:
            keep_executables(Path(settings.xla_cache))
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # XLA does not use it, and it says so at every start
        os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")  # which is not there: or TensorFlow imports Keras, a second
        backend = call(lambda: import_module("service.backend.saved_model"))  # TensorFlow: seconds
        made: Backend = backend.TensorFlowBackend(settings.device, settings.device_threads)
        return made

    def loading(stopped: Callable[[], bool]) -> AbstractContextManager[None]:
        return compiling_alone(Path(settings.xla_cache), stopped) if settings.xla_cache else nullcontext()

    return LocalEngine(settings, versions, make_backend, metrics, loading=loading, call=call, in_haste=in_haste)
