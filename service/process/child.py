"""A child process of the supervisor."""

import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence


class Child:
    """A process that runs a `tagwerk` command."""

    def __init__(self, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._command = [sys.executable, "-m", "service", *arguments]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, files: Sequence[int], *arguments: str) -> None:
        """Starts the process with further arguments; it inherits `files`."""
        # A new process group: otherwise Ctrl-C in a terminal reaches the child directly, besides the supervisor's own
        # signal. Not a new session: Linux may share processors equally between sessions (sched_autogroup_enabled),
        # whatever the niceness of their threads, see `service.engine.priority`.
        self._process = subprocess.Popen(
            [*self._command, *arguments], env=dict(self._environment), pass_fds=files, process_group=0
        )

    @property
    def pid(self) -> int | None:
        """The process id; None before the first start."""
        return self._process.pid if self._process is not None else None

    @property
    def status(self) -> int | None:
        """The exit status; None while the process runs."""
        return self._process.poll() if self._process is not None else 0

    def terminate(self) -> None:
        """Sends SIGTERM if the process runs."""
        self.send(signal.SIGTERM)

    def send(self, sig: int) -> None:
        """Sends a signal if the process runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(sig)

    def kill(self) -> None:
        """Sends SIGKILL if the process runs."""
        self.send(signal.SIGKILL)
