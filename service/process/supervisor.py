"""Starts the server processes, and replaces dead ones."""

import logging
import os
import shutil
import signal
import socket
import tempfile
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import FrameType

from service.errors import ConfigurationError
from service.process.acceptor import address_of
from service.process.board import SPARE_SLOTS, TICK_SECONDS, Board
from service.process.fork_server import ForkServer, Inherited
from service.process.process_count import process_count
from service.process.rollout import PAUSE_SECONDS, Rollout
from service.process.supervised import GRACE_SECONDS, Child
from service.security.rate_limiter import make_file
from service.settings import Settings, variable
from service.telemetry.metric_files import remove_gauges
from service.telemetry.metrics import SHARED_FOLDER, Metrics

log = logging.getLogger("tagwerk.supervisor")


class Supervisor:
    """Runs the server processes, which share the listening socket. They end with it, even if it is killed."""

    def __init__(self, settings: Settings, listening: socket.socket) -> None:
        """Raises ConfigurationError."""
        number, reason = process_count(settings)
        log.info("processes: %d, %s", number, reason)
        self._settings = settings.model_copy(update={"processes": number})
        self._listening = listening
        self._signals = 0
        self._ready = False
        stops = [signal.SIGTERM, signal.SIGINT]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # ignored under nohup
            stops.append(signal.SIGHUP)
        for name in stops:
            signal.signal(name, self._on_signal)
        # The children inherit this. Otherwise a terminal with `stty tostop` stops them at their first log line, since
        # each has its own process group.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="tagwerk-"))  # readable by the service's user only
        except OSError as error:
            raise ConfigurationError(f"no temporary folder can be made (TMPDIR): {error}") from error
        try:
            self._prepare()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def _prepare(self) -> None:
        settings = self._settings
        self._lifeline, self._held = os.pipe()
        self._board = Board(settings.processes + SPARE_SLOTS)
        self._metrics_folder = self._folder / "metrics"
        self._metrics_folder.mkdir()
        os.environ[SHARED_FOLDER] = str(self._metrics_folder)
        metrics = Metrics("supervisor", record="supervisor")
        metrics.restarts.labels("server").inc(0)  # exports the metric before the first restart
        # Processes share their compiled executables, also after a restart. The folder has temporary copies of models.
        environment = os.environ | {
            variable("xla_cache"): settings.xla_cache or str(self._folder / "xla"),
            variable("processes"): str(settings.processes),
            "TMPDIR": str(self._folder),
        }
        files = Inherited(self._board.file, self._listening.fileno(), make_file(), self._lifeline)
        self._fork_server = ForkServer(files, environment)
        with suppress(OSError):  # it is tried again when a process is forked
            self._fork_server.start()  # it imports while the store is read
        clean_up = partial(remove_gauges, self._metrics_folder)  # the next process of the slot goes on with its counts
        self._rollout = Rollout(settings, self._board, self._fork_server.fork, clean_up, metrics)

    def run(self) -> int:
        """Runs until SIGTERM, SIGINT or SIGHUP; returns the exit status. Raises ConfigurationError."""
        try:
            log.info("listening at %s, not ready yet", address_of(self._listening))
            while not self._signals:
                self._tick()
                time.sleep(TICK_SECONDS)
            return self._stop()
        finally:
            self._fork_server.close()
            for child in self._children():
                child.kill()
            shutil.rmtree(self._folder, ignore_errors=True)

    def _tick(self) -> None:
        """Checks processes and store once. Waits a second after an error of the machine: the processes serve on."""
        try:
            self._fork_server.poll()
            self._rollout.tick()
            if not self._ready and self._rollout.ready:
                self._ready = True
                log.info("ready: %s, documentation at /docs", address_of(self._listening))
        except OSError:
            log.exception("the supervisor continues after an error")
            time.sleep(PAUSE_SECONDS)

    def _children(self) -> list[Child]:
        return [process.child for process in (*self._rollout.processes, *self._rollout.ending)]

    def _on_signal(self, sig: int, frame: FrameType | None) -> None:
        self._signals += 1
        self._signal = signal.Signals(sig)

    def _stop(self) -> int:
        """Stops the server processes, which drain, and kills processes that do not end; returns the exit status."""
        log.info("%s: stopping; the processes drain", self._signal.name)
        self._listening.close()  # the processes hold duplicates; the last of them closes it
        self._fork_server.close()
        timeout = self._settings.drain_delay_seconds + self._settings.drain_timeout_seconds + GRACE_SECONDS
        children, seen, end = self._children(), self._signals, time.monotonic() + timeout
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
        status = 1 if slow or any(child.status not in (0, -signal.SIGTERM) for child in children) else 0
        log.info("stopped, with status %d", status)
        return status
