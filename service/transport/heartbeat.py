"""Notices that a peer has fallen silent while it is expected to work."""

import asyncio
from collections.abc import Callable

BEAT_SECONDS = 0.5
SILENT_BEATS = 4  # after a ping, without anything from the peer: it counts as silent


class Heartbeat:
    """Pings a peer while there is work with it, and reports its silence.

    Beats are counted instead of seconds: a process that stands still itself misses beats too, and does not take its own
    pause for the peer's.
    """

    def __init__(
        self,
        busy: Callable[[], bool],
        reads: Callable[[], int],
        ping: Callable[[], None],
        on_silence: Callable[[], None],
    ) -> None:
        """`busy` says whether work is with the peer, `reads` how often something came from it."""
        self._busy = busy
        self._reads = reads
        self._ping = ping
        self._on_silence = on_silence
        self._timer: asyncio.TimerHandle | None = None
        self._heard = 0  # reads at the last ping
        self._beats: int | None = None  # since the last ping, if it has none after it

    def watch(self) -> None:
        """Begins to listen, unless it does already. To be called when work begins."""
        if self._timer is None:
            self._beats = None
            self._schedule()

    def stop(self) -> None:
        """Listens no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def beat(self) -> None:
        """Pings the peer, or looks for how long the last ping has had no answer. Called by the timer."""
        self._timer = None
        if not self._busy():
            return
        if self._beats is None or self._reads() != self._heard:
            self._beats, self._heard = 0, self._reads()
            self._ping()
        else:
            self._beats += 1
        if self._beats < SILENT_BEATS:
            self._schedule()
        else:
            self._on_silence()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(BEAT_SECONDS, self.beat)
