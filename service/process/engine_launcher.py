"""Starts engine processes, one of them in advance."""

import socket
import time
from collections.abc import Callable, Sequence

from service.process.child import Child
from service.process.control_channel import Channel, Prepared

STANDBY_DELAY_SECONDS = 30.0  # without a start before the standby is started, so that it delays none


class EngineLauncher:
    """Starts engine processes, and keeps one in standby: it has imported TensorFlow, and waits for what to load.

    The next engine, in place of one that has died or for new versions, becomes ready by these seconds sooner.
    """

    def __init__(self, make_child: Callable[[], Child], sockets: Sequence[socket.socket]) -> None:
        """`sockets` are those on which the engines accept workers; each process inherits all of them."""
        self._make_child = make_child
        self._sockets = sockets
        self._standby: tuple[Child, Channel] | None = None
        self._started = time.monotonic()

    @property
    def standby(self) -> Child | None:
        """The process in standby."""
        return self._standby[0] if self._standby is not None else None

    def launch(self, child: Child) -> Channel:
        """Makes the standby a child's process, or starts one if there is none yet; returns its control channel."""
        self._started = time.monotonic()
        if self._standby is not None:
            standby, channel = self._standby
            if standby.status is None and Prepared() in channel.receive():
                self._standby = None
                child.take_over(standby)
                return channel
            self.close()  # it has died, or would need longer than a new one, since its import gives way to others
        return self._start(child)

    def keep_standby(self) -> None:
        """Starts a standby if there is none, some time after the last start. Call it regularly while nothing loads."""
        if self._standby is not None and self._standby[0].status is not None:
            self.close()
            self._started = time.monotonic()
        if self._standby is None and time.monotonic() - self._started >= STANDBY_DELAY_SECONDS:
            child = self._make_child()
            self._standby = child, self._start(child, "--standby")

    def close(self) -> None:
        """Kills the standby, which has nothing to lose."""
        if self._standby is not None:
            child, channel = self._standby
            child.kill()
            channel.close()
            self._standby = None

    def _start(self, child: Child, *arguments: str) -> Channel:
        channel = Channel()
        files = (channel.other_end.fileno(), *(listening.fileno() for listening in self._sockets))
        child.start(files, "--channel", str(files[0]), *arguments)
        channel.other_end.close()
        return channel
