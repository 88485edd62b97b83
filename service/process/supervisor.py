"""Starts the engines and the api workers, and starts them again when they die."""

import logging
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import FrameType

from service.artifact.files import copies_of
from service.errors import ConfigurationError
from service.process.child import Child
from service.process.listening import open_engine_socket
from service.security.rate_limiter import make_file
from service.settings import Settings

log = logging.getLogger("tagwerk.supervisor")

TICK_SECONDS = 0.05
# Of workers. Python's allocator keeps a megabyte for each small object in it that outlives a large request, the C
# library's a page, see `FullSearches`; least where all threads share a heap. It costs time, see docs/operations.md.
ALLOCATOR = {"PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": "1"}


class Supervisor:
    """Engines, and workers who share the listening socket. All of them end with it, however it ends."""

    def __init__(self, settings: Settings, listening: socket.socket | None) -> None:
        """Without a socket for HTTP there are engines alone. Raises ConfigurationError."""
        self._settings = settings
        self._listening = listening
        self._signals = 0
        before = {name: signal.signal(name, self._on_signal) for name in (signal.SIGTERM, signal.SIGINT)}
        self._folder = Path(tempfile.mkdtemp(prefix="tagwerk-"))  # readable by its own user alone
        try:
            self._prepare()
        except BaseException:
            os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)
            shutil.rmtree(self._folder, ignore_errors=True)
            for name, handler in before.items():
                signal.signal(name, handler)
            raise

    def _prepare(self) -> None:
        settings = self._settings
        self._lifeline, self._held = os.pipe()
        self._rate_limiter = make_file()
        metrics = self._folder / "metrics"
        metrics.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        from service.process.rollout import Rollout
        from service.telemetry.metric_files import EndedProcesses  # they look for the folder when they are imported
        from service.telemetry.metrics import Metrics

        figures = Metrics()
        self._ended = EndedProcesses(metrics)
        self._restarts = figures.restarts
        addresses = settings.engine_address or tuple(str(self._folder / f"engine-{i}") for i in range(settings.engines))
        # Engines share their executables, and one that is started again finds them. What they copy lies in this folder.
        cache = settings.xla_cache or str(self._folder / "xla")
        environment = os.environ | {"TAGWERK_XLA_CACHE": cache, "TMPDIR": str(self._folder)}

        def make_engine(number: int) -> Child:
            name = "engine" if len(addresses) == 1 else f"engine {number + 1}"
            return Child("engine", name, ["engine"], environment)

        if self._listening is None and settings.engine_metrics_port:
            figures.listen(settings.host, settings.engine_metrics_port)

        sockets = [open_engine_socket(address) for address in addresses]
        self._engines = Rollout(settings, sockets, make_engine, self._forget, figures)
        environment = ALLOCATOR | os.environ | {"TAGWERK_ENGINE_ADDRESS": ",".join(addresses)}
        workers = settings.workers if self._listening is not None else 0
        self._workers = [
            Child("worker", f"worker {n}", ["api", "--number", str(n)], environment) for n in range(1, workers + 1)
        ]

    def run(self) -> int:
        """Supervises until SIGTERM or SIGINT; returns the exit status. Raises ConfigurationError."""
        for kind in ("engine", "worker"):
            self._restarts.labels(kind).inc(0)  # so that it is there before the first
        try:
            self._engines.start()
            for worker in self._workers:
                self._start_worker(worker)
            while not self._signals:
                self._engines.tick(self._keep_alive)
                for worker in self._workers:
                    self._keep_alive(worker, partial(self._start_worker, worker))
                self._ended.add_up()
                time.sleep(TICK_SECONDS)
            return self._stop()
        finally:
            for child in (*self._workers, *self._engines.children):
                child.kill()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _start_worker(self, worker: Child) -> None:
        assert self._listening is not None  # noqa: S101 (there are no workers without it)
        files = (self._lifeline, self._listening.fileno(), self._rate_limiter)
        lifeline, listening, rate_limiter = map(str, files)
        worker.start(files, "--lifeline", lifeline, "--socket", listening, "--rate-limiter", rate_limiter)

    def _on_signal(self, sig: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _keep_alive(self, child: Child, start: Callable[[], None]) -> None:
        status = child.status
        if status is None:
            return
        if status == ConfigurationError.EXIT_STATUS:
            raise ConfigurationError(f"the {child.name} cannot start; its reason is above")
        if child.may_start_again:
            log.error("the %s ended with status %d; starting it again", child.name, status)
            self._forget(child)
            self._restarts.labels(child.kind).inc()
            start()

    def _forget(self, child: Child) -> None:
        """Removes what a process that has ended leaves behind: its metrics, the copy of a model that it was loading."""
        if child.pid is not None:
            self._ended.add(child.pid)
            for copy in self._folder.glob(f"{copies_of(child.pid)}*"):
                shutil.rmtree(copy, ignore_errors=True)

    def _stop(self) -> int:
        """Workers drain first, while the engine still answers them."""
        if self._listening is not None:
            self._listening.close()  # the workers have it too; the last of them closes it for good
        patience = self._settings.drain_delay_seconds + self._settings.drain_timeout_seconds + 5
        status = self._end(self._workers, patience)
        self._engines.close()
        return max(status, self._end(self._engines.children, patience))

    def _end(self, children: Sequence[Child], patience: float) -> int:
        seen = self._signals
        end = time.monotonic() + patience
        for child in children:
            child.send(signal.SIGTERM)
        while any(child.status is None for child in children) and time.monotonic() < end:
            if self._signals > seen:  # a second signal: at once
                break
            time.sleep(TICK_SECONDS)
        slow = [child.name for child in children if child.status is None]
        for child in children:
            child.kill()
        if slow:
            log.error("killed the %s, which did not end", ", ".join(slow))
        return 1 if slow or any(child.status not in (0, -signal.SIGTERM) for child in children) else 0


def supervise(settings: Settings, listening: socket.socket | None = None) -> int:
    """Runs the engines of the settings, and the workers where there is a socket for HTTP; returns the exit status.

    Raises ConfigurationError.
    """
    return Supervisor(settings, listening).run()
