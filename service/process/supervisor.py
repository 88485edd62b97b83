"""Starts the engines and the api workers, and restarts those that die."""

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

from rich.console import Console

from service.artifact.files import copies_of
from service.errors import ConfigurationError
from service.process.child import Child
from service.process.listening import log_address, open_engine_socket
from service.security.rate_limiter import make_file
from service.settings import Settings

log = logging.getLogger("tagwerk.supervisor")

TICK_SECONDS = 0.05
# For workers. Python's allocator keeps 1 MB for each small object in it that outlives a large request; the C library
# keeps a page. A single heap for all threads keeps least. It costs time: see docs/operations.md.
ALLOCATOR = {"PYTHONMALLOC": "malloc", "MALLOC_ARENA_MAX": "1"}


class Supervisor:
    """Runs the engines and the workers, which share the listening socket. They end with it, even if it is killed."""

    def __init__(self, settings: Settings, listening: socket.socket | None) -> None:
        """Runs engines only if there is no HTTP socket. Raises ConfigurationError."""
        self._settings = settings
        self._listening = listening
        self._signals = 0
        before = {name: signal.signal(name, self._on_signal) for name in (signal.SIGTERM, signal.SIGINT)}
        # The children inherit this. Otherwise a terminal with `stty tostop` stops them at their first log line, since
        # each has a process group of its own.
        before[signal.SIGTTOU] = signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        self._folder = Path(tempfile.mkdtemp(prefix="tagwerk-"))  # readable by the service's user only
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
        metrics_folder = self._folder / "metrics"
        metrics_folder.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_folder)
        from service.process.rollout import Rollout
        from service.telemetry.metric_files import EndedProcesses  # prometheus_client reads the folder at import
        from service.telemetry.metrics import Metrics

        metrics = Metrics("supervisor")
        self._ended = EndedProcesses(metrics_folder)
        self._restarts = metrics.restarts
        addresses = settings.engine_address or tuple(str(self._folder / f"engine-{i}") for i in range(settings.engines))
        # Engines share their compiled executables, also after a restart. Their temporary copies are in this folder.
        cache = settings.xla_cache or str(self._folder / "xla")
        environment = os.environ | {"TAGWERK_XLA_CACHE": cache, "TMPDIR": str(self._folder)}

        def make_engine(number: int) -> Child:
            name = "engine" if len(addresses) == 1 else f"engine {number + 1}"
            return Child("engine", name, ["engine"], environment)

        if self._listening is None and settings.engine_metrics_port:
            metrics.listen(settings.host, settings.engine_metrics_port)

        sockets = [open_engine_socket(address) for address in addresses]
        self._engines = Rollout(settings, sockets, make_engine, self._clean_up, metrics)
        environment = ALLOCATOR | os.environ | {"TAGWERK_ENGINE_ADDRESS": ",".join(addresses)}
        workers = settings.workers if self._listening is not None else 0
        self._workers = [
            Child("worker", f"worker {n}", ["api", "--number", str(n)], environment) for n in range(1, workers + 1)
        ]

    def run(self) -> int:
        """Runs until SIGTERM or SIGINT; returns the exit status. Raises ConfigurationError."""
        for kind in ("engine", "worker"):
            self._restarts.labels(kind).inc(0)  # exports the metric before the first restart
        try:
            if self._listening is not None:
                log_address(self._listening)
            self._engines.start()
            for worker in self._workers:
                self._start_worker(worker)
            while not self._signals:
                self._engines.tick(self._keep_alive)
                for worker in self._workers:
                    self._keep_alive(worker, partial(self._start_worker, worker))
                self._ended.merge()
                time.sleep(TICK_SECONDS)
            return self._stop()
        finally:
            for child in (*self._workers, *self._engines.children):
                child.kill()
            shutil.rmtree(self._folder, ignore_errors=True)
            Console(stderr=True).show_cursor()  # an engine that is killed while it shows its progress has hidden it

    def _start_worker(self, worker: Child) -> None:
        assert self._listening is not None  # noqa: S101 (workers exist only with it)
        files = (self._lifeline, self._listening.fileno(), self._rate_limiter)
        lifeline, listening, rate_limiter = map(str, files)
        worker.start(files, "--lifeline", lifeline, "--socket", listening, "--rate-limiter", rate_limiter)

    def _on_signal(self, sig: int, frame: FrameType | None) -> None:
        self._signals += 1
        self._signal = signal.Signals(sig)

    def _keep_alive(self, child: Child, start: Callable[[], None]) -> None:
        status = child.status
        if status is None:
            return
        if status == ConfigurationError.EXIT_STATUS:
            raise ConfigurationError(f"the {child.name} cannot start; its reason is above")
        if child.may_start_again:
            log.error("the %s ended with status %d; starting it again", child.name, status)
            self._clean_up(child)
            self._restarts.labels(child.kind).inc()
            start()

    def _clean_up(self, child: Child) -> None:
        """Collects the metrics of a process that has ended, and removes the model copy that it was loading."""
        if child.pid is not None:
            self._ended.add(child.pid)
            for copy in self._folder.glob(f"{copies_of(child.pid)}*"):
                shutil.rmtree(copy, ignore_errors=True)

    def _stop(self) -> int:
        """Stops the workers, which drain while the engines still serve them, then the engines."""
        log.info("%s: stopping; the workers drain first, then the engines", self._signal.name)
        if self._listening is not None:
            self._listening.close()  # the workers hold duplicates; the last of them closes it
        timeout = self._settings.drain_delay_seconds + self._settings.drain_timeout_seconds + 5
        status = self._end(self._workers, timeout)
        self._engines.close()
        status = max(status, self._end(self._engines.children, timeout))
        log.info("stopped, with status %d", status)
        return status

    def _end(self, children: Sequence[Child], timeout: float) -> int:
        seen = self._signals
        end = time.monotonic() + timeout
        for child in children:
            child.send(signal.SIGTERM)
        while any(child.status is None for child in children) and time.monotonic() < end:
            if self._signals > seen:  # a second signal: stop immediately
                break
            time.sleep(TICK_SECONDS)
        slow = [child.name for child in children if child.status is None]
        for child in children:
            child.kill()
        if slow:
            log.error("killed the %s, which did not end", ", ".join(slow))
        return 1 if slow or any(child.status not in (0, -signal.SIGTERM) for child in children) else 0


def supervise(settings: Settings, listening: socket.socket | None = None) -> int:
    """Runs the engines, and the workers if there is an HTTP socket; returns the exit status.

    Raises ConfigurationError.
    """
    return Supervisor(settings, listening).run()
