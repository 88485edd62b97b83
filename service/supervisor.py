"""Starts the engines and the api workers, and starts them again when they die."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

from service.errors import ConfigurationError, TagwerkError
from service.settings import Settings

log = logging.getLogger("tagwerk.supervisor")

TICK_SECONDS = 0.05
SHORTEST_LIFE_SECONDS = 1.0  # one that dies younger is not started again before that


class Child:
    """A process that is kept alive."""

    def __init__(
        self, kind: str, name: str, command: list[str], environment: dict[str, str], files: tuple[int, ...]
    ) -> None:
        self.kind = kind
        self.name = name
        self._command = command
        self._environment = environment
        self._files = files
        self.started = 0.0
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it."""
        self.started = time.monotonic()
        # A session of its own, or Ctrl-C in a terminal would reach it beside the supervisor's own signal.
        self.process = subprocess.Popen(
            self._command, env=self._environment, pass_fds=self._files, start_new_session=True
        )

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self.process.poll() if self.process is not None else 0

    def send(self, sig: int) -> None:
        """Sends it a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(sig)


class Supervisor:
    """Engines and workers, which share the listening socket. All of them end with it, however it ends."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        self._settings = settings
        self._listening = listening
        self._signals = 0
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, self._on_signal)
        self._folder = Path(tempfile.mkdtemp(prefix="tagwerk-"))  # readable by its own user alone
        lifeline, self._held = os.pipe()
        metrics = self._folder / "metrics"
        metrics.mkdir()
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
        from service.metrics import Metrics  # it looks for the folder when it is imported

        self._restarts = Metrics().restarts
        addresses = settings.engine_address or tuple(str(self._folder / f"engine-{i}") for i in range(settings.engines))
        # Engines share their executables, and one that is started again finds them.
        environment = os.environ | {"TAGWERK_XLA_CACHE": settings.xla_cache or str(self._folder / "xla")}
        common = [sys.executable, "-m", "service"]
        lifelong = ["--lifeline", str(lifeline)]
        self._engines = [
            Child(
                "engine",
                "engine" if len(addresses) == 1 else f"engine {number}",
                [*common, "engine", *lifelong],
                environment | {"TAGWERK_ENGINE_ADDRESS": address, "TAGWERK_ENGINE_METRICS_PORT": "0"},
                (lifeline,),
            )
            for number, address in enumerate(addresses, start=1)
        ]
        self._workers = [
            Child(
                "worker",
                f"worker {number}",
                [*common, "api", *lifelong, "--socket", str(listening.fileno())],
                environment | {"TAGWERK_ENGINE_ADDRESS": ",".join(addresses)},
                (lifeline, listening.fileno()),
            )
            for number in range(1, settings.workers + 1)
        ]

    def run(self) -> int:
        """Supervises until SIGTERM or SIGINT; returns the exit status. Raises ConfigurationError."""
        children = [*self._engines, *self._workers]
        for child in children:
            self._restarts.labels(child.kind).inc(0)  # so that it is there before the first
        try:
            for child in children:
                child.start()
            while not self._signals:
                for child in children:
                    self._keep_alive(child)
                time.sleep(TICK_SECONDS)
            return self._stop()
        finally:
            for child in children:
                child.send(signal.SIGKILL)
            shutil.rmtree(self._folder, ignore_errors=True)

    def _on_signal(self, sig: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _keep_alive(self, child: Child) -> None:
        status = child.status
        if status is None:
            return
        if status == ConfigurationError.EXIT_STATUS:
            raise ConfigurationError(f"the {child.name} cannot start; its reason is above")
        if time.monotonic() - child.started >= SHORTEST_LIFE_SECONDS:
            log.error("the %s ended with status %d; starting it again", child.name, status)
            self._forget_metrics(child)
            self._restarts.labels(child.kind).inc()
            child.start()

    def _forget_metrics(self, child: Child) -> None:
        from prometheus_client.multiprocess import mark_process_dead

        if child.process is not None:
            mark_process_dead(child.process.pid, str(self._folder / "metrics"))  # type: ignore[no-untyped-call]

    def _stop(self) -> int:
        """Workers drain first, while the engine still answers them."""
        self._listening.close()  # the workers have it too; the last of them closes it for good
        patience = self._settings.drain_delay_seconds + self._settings.drain_timeout_seconds + 5
        statuses = [self._end(self._workers, patience), self._end(self._engines, patience)]
        return max(statuses)

    def _end(self, children: list[Child], patience: float) -> int:
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
            child.send(signal.SIGKILL)
        if slow:
            log.error("killed the %s, which did not end", ", ".join(slow))
        return 1 if slow or any(child.status not in (0, -signal.SIGTERM) for child in children) else 0


def supervise(settings: Settings, listening: socket.socket) -> int:
    """Runs the service as the engines and the workers of the settings; returns the exit status."""
    try:
        return Supervisor(settings, listening).run()
    except TagwerkError as error:
        log.error("%s", error)
        return 1
