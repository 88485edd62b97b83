"""The process that runs the models, for a supervisor that names them and workers that ask."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from importlib import import_module
from pathlib import Path

import uvloop

from service.artifact.version import ModelVersion
from service.backend.base import Backend
from service.backend.cache import compiling_alone, keep_executables
from service.engine.local import LocalEngine
from service.engine.priority import Call, call_at_low_priority, call_directly
from service.errors import ArtifactError, ConfigurationError
from service.process import allocator, garbage_collection
from service.process.control_channel import Direct, Load, Loaded, Loading, Retire, line, open_channel, word
from service.settings import Settings
from service.store.loading import load_version
from service.telemetry.metrics import Metrics
from service.transport.server import EngineServer
from service.types import ModelKey, ModelState, State

log = logging.getLogger("tagwerk")

EXIT_FAILED = 70  # EX_SOFTWARE of sysexits.h
POLL_SECONDS = 0.1  # between two looks whether the callers of an engine that ends have gone


def run_engine(settings: Settings, listening: socket.socket, channel: socket.socket) -> int:
    """Runs the models that the supervisor at the channel names, for the workers that come to a socket.

    Returns the exit status. Raises ConfigurationError.
    """
    allocator.limit_arenas()
    return uvloop.run(_run_engine(settings, listening, channel))


async def _run_engine(settings: Settings, listening: socket.socket, channel: socket.socket) -> int:
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    reader, writer = await open_channel(channel)
    load = word(await reader.readline())
    assert isinstance(load, Load)  # noqa: S101 (the first word)
    versions, unread = read_versions(settings, load.versions)
    call = call_at_low_priority if load.beside_another else call_directly

    def announce(key: ModelKey) -> None:
        with suppress(OSError):  # at once: what follows may end this process
            os.write(channel.fileno(), line(Loading(key)))

    local = make_engine(settings, versions, Metrics(), call, announce)
    server = EngineServer(local)
    process = EngineProcess(local, server, listening, stop)
    tasks = [
        asyncio.create_task(end_if_the_device_hangs(local, settings.device_timeout_seconds)),
        asyncio.create_task(end_if_the_engine_fails(local, stop)),
        asyncio.create_task(process.follow_supervisor(reader)),
    ]
    if not load.beside_another:
        await process.open()
    gc.disable()  # while little is thrown away; it would look at all that is there again and again
    starting = asyncio.create_task(local.start(server.report))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        garbage_collection.tune()
        allocator.return_free_memory()
        await process.open()
        states = [state for state in local.models() if state.key in load.versions]
        writer.write(line(Loaded(tuple(states), tuple(unread))))
    await stopping
    if not local.failed.is_set():
        await process.drain(settings.drain_timeout_seconds)
    await local.close()
    for task in (*tasks, starting):
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    server.report()
    await asyncio.sleep(0)
    return EXIT_FAILED if local.failed.is_set() else 0


class EngineProcess:
    """What the supervisor can tell an engine while it runs."""

    def __init__(self, local: LocalEngine, server: EngineServer, listening: socket.socket, stop: asyncio.Event) -> None:
        self._local = local
        self._server = server
        self._listening = listening
        self._stop = stop
        self._door: asyncio.Server | None = None
        self._retiring: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Lets workers in, if they are not yet."""
        if self._door is None:
            self._door = await self._server.listen(self._listening)

    async def follow_supervisor(self, reader: asyncio.StreamReader) -> None:
        """Does what the supervisor says. Where that has died, or cannot be followed any more, the engine ends."""
        try:
            while said := await reader.readline():
                match word(said):
                    case Direct(shares, refused, defaults):
                        self._local.direct(dict(shares), refused, defaults)
                        self._server.report()
                    case Retire():
                        self._retiring = asyncio.create_task(self._retire())
        except ConnectionError:
            pass  # it died before it had read what this one said
        except Exception:
            log.exception("the engine cannot follow its supervisor any more, and ends")
        finally:
            self._stop.set()

    async def drain(self, seconds: float) -> None:
        """Tells workers that the engine ends, and lets them leave for that long; it still takes what they have sent."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._let_go(State.DRAINING)

    async def _retire(self) -> None:
        await self._let_go(State.SUPERSEDED)
        self._stop.set()

    async def _let_go(self, state: State) -> None:
        """Takes no more workers, tells those that there are a state, and waits until all have left."""
        if self._door is not None:
            self._door.close()
        self._server.announce(state)
        while self._server.workers:  # noqa: ASYNC110 (seldom, and in no hurry)
            await asyncio.sleep(POLL_SECONDS)


def read_versions(settings: Settings, keys: Iterable[ModelKey]) -> tuple[list[ModelVersion], list[ModelState]]:
    """Reads the versions that are to be loaded; returns them, and those that could not be read.

    Their SavedModels are verified when they are loaded.
    """
    versions, unread = [], []
    for key in keys:
        folder = settings.model_store / key.name / key.version
        try:
            versions.append(load_version(folder, settings.model_signers, whole=False))
        except (ArtifactError, ConfigurationError) as error:  # of signers that were there when the service started
            unread.append(ModelState(key, State.REFUSED, str(error)))
    return versions, unread


async def end_if_the_device_hangs(engine: LocalEngine, seconds: float) -> None:
    """Ends this process, whose supervisor starts it again, where a step takes longer than that."""
    while engine.step_seconds() <= seconds:  # noqa: ASYNC110 (a device that hangs sets no event)
        await asyncio.sleep(min(1.0, seconds / 2))
    log.critical("the device has been at one step for more than %g s: the engine ends", seconds)
    os._exit(EXIT_FAILED)  # the thread that waits for the device cannot be ended in order


async def end_if_the_engine_fails(engine: LocalEngine, stop: asyncio.Event) -> None:
    """Ends this process, whose supervisor starts it again, where the thread that drives the device has ended."""
    await engine.failed.wait()
    stop.set()


def make_engine(
    settings: Settings,
    versions: Sequence[ModelVersion],
    metrics: Metrics,
    call: Call = call_directly,
    on_load: Callable[[ModelKey], None] = lambda key: None,
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

    return LocalEngine(settings, versions, make_backend, metrics, loading=loading, call=call, on_load=on_load)
