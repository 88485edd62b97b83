"""A process of the supervisor's."""

import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

SHORTEST_LIFE_SECONDS = 1.0  # one that dies younger is not started again before that


class Child:
    """A process that can be started again. Its arguments are those of `tagwerk`."""

    def __init__(self, kind: str, name: str, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
        self.kind = kind
        self.name = name
        self._command = [sys.executable, "-m", "service", *arguments]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0

    def start(self, files: Sequence[int], *arguments: str) -> None:
        """Starts it, with further arguments; it inherits the files."""
        self._started = time.monotonic()
        # A session of its own, or Ctrl-C in a terminal would reach it beside the supervisor's own signal.
        self._process = subprocess.Popen(
            [*self._command, *arguments], env=dict(self._environment), pass_fds=files, start_new_session=True
        )

    @property
    def pid(self) -> int | None:
        """Its process id; None before the first start."""
        return self._process.pid if self._process is not None else None

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll() if self._process is not None else 0

    @property
    def may_start_again(self) -> bool:
        """False for one that died in its first moments, for the rest of a second."""
        return time.monotonic() - self._started >= SHORTEST_LIFE_SECONDS

    def send(self, sig: int) -> None:
        """Sends it a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(sig)

    def kill(self) -> None:
        """Ends it at once."""
        self.send(signal.SIGKILL)
