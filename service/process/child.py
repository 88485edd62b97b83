"""A child process of the supervisor."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

SHORTEST_LIFE_SECONDS = 1.0  # least time between two starts of a process


class Child:
    """A restartable process that runs a `tagwerk` command."""

    def __init__(self, kind: str, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.kind = kind
        self.name = name
        self._command = [sys.executable, "-m", "service", *arguments]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def start(self, files: Sequence[int], *arguments: str) -> None:
        """Starts the process with further arguments; it inherits `files`."""
        self._started = time.monotonic()
        # A new process group: otherwise Ctrl-C in a terminal reaches the child directly, besides the supervisor's own
        # signal. Not a new session: Linux may share processors equally between sessions (sched_autogroup_enabled),
        # whatever the niceness of their threads, see `service.engine.priority`.
        self._process = subprocess.Popen(
            [*self._command, *arguments], env=dict(self._environment), pass_fds=files, process_group=0
        )

    def take_over(self, other: "Child") -> None:
        """Makes another child's running process this one's."""
        self._started = time.monotonic()
        self._process, other._process = other._process, None

    @property
    def pid(self) -> int | None:
        """The process id; None before the first start."""
        return self._process.pid if self._process is not None else None

    @property
    def status(self) -> int | None:
        """The exit status; None while the process runs."""
        return self._process.poll() if self._process is not None else 0

    @property
    def may_start_again(self) -> bool:
        """True from one second after the last start."""
        return time.monotonic() - self._started >= SHORTEST_LIFE_SECONDS

    def send(self, sig: int) -> None:
        """Sends a signal if the process runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(sig)

    def kill(self) -> None:
        """Sends SIGKILL if the process runs."""
        self.send(signal.SIGKILL)
