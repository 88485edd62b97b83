"""Runs an API worker: HTTP here, the models in engine processes."""

import contextlib
import logging
import os
import signal
import socket
import threading
from functools import partial
from pathlib import Path

from service.http.context import Context
from service.pipelines.catalog import Catalog
from service.process import garbage_collection
from service.process.api_server import Server
from service.security.authenticator import Authenticator
from service.security.rate_limiter import RateLimiter
from service.settings import Settings
from service.store.loading import load_version
from service.telemetry.metrics import Metrics
from service.text.languages import ENGLISH, named_tokenizer
from service.transport.pool import EnginePool
from service.transport.remote import RemoteEngine

log = logging.getLogger("tagwerk")


def run_worker(settings: Settings, listening: socket.socket, rate_limiter: RateLimiter) -> int:
    """Serves HTTP with the engines at the addresses in the settings; returns the exit status."""
    engines = [RemoteEngine(address) for address in settings.engine_address]
    engine = EnginePool(engines) if len(engines) > 1 else engines[0]
    authenticator = Authenticator(Path(settings.api_keys_file), rate_limiter) if settings.api_keys_file else None
    read = partial(load_version, signers=settings.model_signers, whole=False)
    catalog = Catalog(settings.model_store, read=read)
    named_tokenizer(ENGLISH)  # most models share it; created before the garbage collector is tuned
    garbage_collection.tune()
    return Server(Context(settings, Metrics("worker"), engine, catalog, authenticator)).serve_until_stopped(listening)


def terminate_with(lifeline: int) -> None:
    """Sends this process SIGTERM when the other end of a pipe closes, that is, when the supervisor has died."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
