"""What runs in each kind of process: api worker, engine, or both in one."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import uvloop

from service.api.context import Context
from service.api.server import Server
from service.backend.base import Backend
from service.backend.cache import compiling_alone, keep_executables
from service.engine.local import LocalEngine
from service.engine.pool import EnginePool
from service.engine.protocol import Engine, ModelState
from service.engine.remote import RemoteEngine
from service.engine.server import EngineServer
from service.engine.sharing import SharingEngine
from service.metrics import Metrics
from service.registry import ModelVersion, scan
from service.settings import Settings
from service.tasks.catalog import Catalog
from service.text.spacy_tokenizer import SpacyTokenizer

log = logging.getLogger("tagwerk")

EXIT_HUNG = 70  # EX_SOFTWARE of sysexits.h


def run_everything(settings: Settings, listening: socket.socket) -> int:
    """Serves HTTP and runs the models in this process, until told to stop; returns the exit status."""
    versions, refused = scan_store(settings)
    metrics = Metrics()
    engine = sharing(settings, make_engine(settings, versions, metrics))
    return _serve(settings, listening, engine, versions, refused, metrics)


def run_worker(settings: Settings, listening: socket.socket) -> int:
    """Serves HTTP for the engine at the address in the settings, until told to stop; returns the exit status."""
    versions, refused = scan_store(settings)
    engines = [RemoteEngine(address) for address in settings.engine_address]
    engine = EnginePool(engines) if len(engines) > 1 else engines[0]
    return _serve(settings, listening, engine, versions, refused, Metrics())


def run_engine(settings: Settings) -> int:
    """Runs the models for the workers that come to the address in the settings; returns the exit status."""
    versions, _ = scan_store(settings)
    metrics = Metrics()
    if settings.engine_metrics_port:
        metrics.listen(settings.host, settings.engine_metrics_port)
    return uvloop.run(_run_engine(settings, make_engine(settings, versions, metrics)))


async def _run_engine(settings: Settings, local: LocalEngine) -> int:
    engine = sharing(settings, local)
    watching = asyncio.create_task(end_if_the_device_hangs(local, settings.device_timeout_seconds))
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)
    server = EngineServer(engine)
    async with await server.listen(settings.engine_address[0]):
        starting = asyncio.create_task(engine.start(server.report))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            gc.freeze()  # what is loaded stays: the collector need not look at it, which takes a tenth of a second
        await stopping
        await engine.close()
        watching.cancel()
        starting.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await starting
        server.report()
        await asyncio.sleep(0)
    return 0


async def end_if_the_device_hangs(engine: LocalEngine, seconds: float) -> None:
    """Ends this process, whose supervisor starts it again, where a step takes longer than that."""
    while engine.step_seconds() <= seconds:  # noqa: ASYNC110 (a device that hangs sets no event)
        await asyncio.sleep(min(1.0, seconds / 2))
    log.critical("the device has been at one step for more than %g s: the engine ends", seconds)
    os._exit(EXIT_HUNG)  # the thread that waits for the device cannot be ended in order


def sharing(settings: Settings, engine: Engine) -> Engine:
    """Returns the engine, behind one that computes identical requests once where the settings want that."""
    return SharingEngine(engine) if settings.share_identical else engine


def scan_store(settings: Settings) -> tuple[list[ModelVersion], list[ModelState]]:
    """Finds the models, and logs which are refused."""
    versions, refused = scan(settings.model_store)
    for state in refused:
        log.error("refused %s: %s", state.key, state.reason)
    return versions, refused


def make_engine(settings: Settings, versions: Sequence[ModelVersion], metrics: Metrics) -> LocalEngine:
    """Returns an engine on TensorFlow, not started."""

    def make_backend() -> Backend:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        if settings.xla_cache:
            keep_executables(Path(settings.xla_cache))
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # XLA does not use it, and it says so at every start
        from service.backend.saved_model import TensorFlowBackend  # seconds, in the device thread

        return TensorFlowBackend(settings.device, settings.device_threads)

    def loading(stopped: Callable[[], bool]) -> AbstractContextManager[None]:
        return compiling_alone(Path(settings.xla_cache), stopped) if settings.xla_cache else nullcontext()

    return LocalEngine(settings, versions, make_backend, metrics, loading=loading)


def _serve(
    settings: Settings,
    listening: socket.socket,
    engine: Engine,
    versions: Sequence[ModelVersion],
    refused: Sequence[ModelState],
    metrics: Metrics,
) -> int:
    catalog = Catalog(versions, refused, settings.length_buckets)
    gc.freeze()
    return Server(Context(settings, metrics, engine, catalog, SpacyTokenizer())).serve_until_stopped(listening)


def end_with(lifeline: int) -> None:
    """Sends this process SIGTERM when the other end of a pipe closes: when its supervisor has died, however it did."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
