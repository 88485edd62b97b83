"""A server process as the supervisor manages it: a child, and its slot of the shared memory."""

import math
import os
import signal
import time
from collections.abc import Collection

from service.process.board import ProcessStatus, Slot
from service.types import ModelKey, State

GRACE_SECONDS = 15.0  # beyond the drain timeout, before a process that was told to end is killed
EXIT_MACHINE = 74  # EX_IOERR of sysexits.h: a fault of the machine, such as a full disk; no version is to blame


class Child:
    """A process that has been, or is being, forked by the fork server."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pid: int | None = None  # None until it is forked
        self._status: int | None = None
        self._signal: signal.Signals | None = None  # to send once it is forked

    def forked(self, pid: int | None, status: int) -> None:
        """Sets the process id; without one, the exit status of what could not be forked."""
        self.pid = pid
        if pid is None:
            self._status = status
        elif self._signal is not None:
            self.send(self._signal)

    @property
    def killed_before_fork(self) -> bool:
        """Whether it was killed, and waits for being forked."""
        return self.pid is None and self._signal is signal.SIGKILL

    @property
    def status(self) -> int | None:
        """The exit status, the negative number of a signal that ended it; None while the process runs."""
        if self._status is None and self.pid is not None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
        return self._status

    def send(self, sig: signal.Signals) -> None:
        """Sends a signal if the process runs, or as soon as it does."""
        if self.pid is None:
            self._signal = sig
        elif self.status is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Sends SIGKILL if the process runs."""
        self.send(signal.SIGKILL)


class SupervisedProcess:
    """Holds one server process, its slot of the shared memory, and for how long it has made no progress.

    Durations are counted in the supervisor's own ticks: a machine that was suspended kills no process.

    Attributes:
        loaded: whether it has loaded all of its versions, as of the last `tick`.
        killed: whether it was killed since it stood still.
        kill_at: when it is killed, once it was told to end.
        ticks_without_beat: for which its event loop has stood still; 0 before it is loaded, since on a machine without
            processor time to spare, loading may keep it from running.
        ticks_without_progress: for which its start has made no progress; 0 once it is loaded.
    """

    def __init__(self, child: Child, slot: Slot, number: int, versions: Collection[ModelKey]) -> None:
        """`number` is the slot's; `versions` are to be loaded."""
        self.child = child
        self.slot = slot
        self.number = number
        self.versions = frozenset(versions)
        self.started = time.monotonic()
        self.loaded = False
        self.killed = False
        self.kill_at = math.inf
        self.ticks_without_beat = self.ticks_without_progress = 0
        self._beats, self._progress = 0, -1

    def tick(self) -> bool:
        """Reads the slot; returns True once, when all versions are loaded or refused."""
        slot = self.slot
        before, self.loaded = self.loaded, self.loaded or slot.loaded or slot.state is State.DRAINING
        stands = self.loaded and slot.beats == self._beats
        self.ticks_without_beat = self.ticks_without_beat + 1 if stands else 0
        still = slot.progress == self._progress and not self.loaded
        self.ticks_without_progress = self.ticks_without_progress + 1 if still else 0
        self._beats, self._progress = slot.beats, slot.progress
        return self.loaded and not before

    def kill(self) -> None:
        """Kills the process, which may take a moment."""
        self.killed = True
        self.child.kill()

    @property
    def status(self) -> ProcessStatus:
        """What it says that it loads and serves."""
        return self.slot.status.read()

    @property
    def serves(self) -> frozenset[ModelKey]:
        """The versions that it serves; before all are loaded, the versions that it is to load."""
        return frozenset(self.status.ready) if self.loaded else self.versions
