"""A server process, as a child of the supervisor."""

import os
import signal


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

    def terminate(self) -> None:
        """Sends SIGTERM if the process runs."""
        self.send(signal.SIGTERM)

    def send(self, sig: signal.Signals) -> None:
        """Sends a signal if the process runs, or as soon as it does."""
        if self.pid is None:
            self._signal = sig
        elif self.status is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Sends SIGKILL if the process runs."""
        self.send(signal.SIGKILL)
