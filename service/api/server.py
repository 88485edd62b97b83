"""The process that serves: one event loop for HTTP, one thread for the device."""

import asyncio
import logging
import math
import os
import socket
import time
from types import FrameType

import uvicorn

from service.api.app import create_app
from service.api.context import Context
from service.backend.base import Backend
from service.engine.local import LocalEngine
from service.engine.protocol import State
from service.metrics import Metrics
from service.registry import scan
from service.settings import Settings
from service.tasks.catalog import Catalog
from service.text.spacy_tokenizer import SpacyTokenizer

log = logging.getLogger("tagwerk.server")


LINGER_SECONDS = 0.2  # for a request to arrive on a connection that is open


def run_server(settings: Settings) -> int:
    """Serves until SIGTERM or SIGINT; returns the exit status. Raises ConfigurationError."""
    versions, refused = scan(settings.model_store)
    for state in refused:
        log.error("refused %s: %s", state.key, state.reason)
    metrics = Metrics()

    def make_backend() -> Backend:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # XLA does not use it, and it says so at every start
        from service.backend.saved_model import TensorFlowBackend  # seconds: while /livez answers already

        return TensorFlowBackend(settings.device, settings.device_threads)

    engine = LocalEngine(settings, versions, make_backend, metrics)
    catalog = Catalog(versions, refused, settings.length_buckets[-1])
    context = Context(settings, metrics, engine, catalog, SpacyTokenizer())
    return Server(context).serve_until_stopped()


class Server(uvicorn.Server):
    """uvicorn with an orderly end.

    At the first signal the service says that it is not ready, but still answers, and closes each connection with its
    answer, so that clients and proxies move away before the socket closes. Then it finishes what is in flight. A second
    signal stops at once.
    """

    def __init__(self, context: Context) -> None:
        settings = context.settings
        self._context = context
        self._stop_at = math.inf
        super().__init__(
            uvicorn.Config(
                create_app(context),
                host=settings.host,
                port=settings.port,
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=max(1, math.ceil(settings.drain_timeout_seconds)),
            )
        )

    def serve_until_stopped(self) -> int:
        """Returns the exit status. Raises the error that kept the engine from starting."""
        self.run([self.config.bind_socket()])
        if self._context.failure is not None:
            raise self._context.failure
        return 0

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Notes a signal. The base class would raise it again at the end, and the exit status would not be 0."""
        self.force_exit = self._context.draining
        if not self._context.draining:
            self._context.draining = True
            delay = self._context.settings.drain_delay_seconds
            self._stop_at = time.monotonic() + (delay if self._context.engine.state() is State.READY else 0)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Closes the door before it shows anyone out.

        The base class closes connections that have no request in hand, among them those just accepted, whose request
        is on its way. So: let nobody new into the kernel's queue, accept who is in it, and give them time to ask. Their
        answers close their connections.
        """
        for listening in sockets or []:
            listening.listen(0)
        await asyncio.sleep(LINGER_SECONDS)
        for server in self.servers:
            server.close()
        await asyncio.sleep(LINGER_SECONDS)
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        """Says, ten times a second, whether to stop."""
        stop = time.monotonic() >= self._stop_at or self.force_exit or self._context.failure is not None
        return stop or await super().on_tick(counter)
