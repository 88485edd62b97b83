"""Detects a peer that stops answering while it should be working."""

import asyncio
from collections.abc import Callable

BEAT_SECONDS = 0.5
SILENT_BEATS = 4  # unanswered beats after a ping before the peer counts as silent


class Heartbeat:
    """Pings a peer while work is in progress there, and reports silence.

    Counts beats instead of seconds: when this process stalls, it misses beats too, and does not report the peer as
    silent.
    """

    def __init__(
        self,
        busy: Callable[[], bool],
        reads: Callable[[], int],
        ping: Callable[[], None],
        on_silence: Callable[[], None],
    ) -> None:
        """`busy` returns whether work is in progress at the peer, `reads` the number of reads from it."""
        self._busy = busy
        self._reads = reads
        self._ping = ping
        self._on_silence = on_silence
        self._timer: asyncio.TimerHandle | None = None
        self._last_reads = 0  # reads at the last ping
        self._beats: int | None = None  # beats since the last unanswered ping

    def watch(self) -> None:
        """Starts the heartbeat unless it runs. Called when work begins."""
        if self._timer is None:
            self._beats = None
            self._schedule()

    def stop(self) -> None:
        """Stops the heartbeat."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def beat(self) -> None:
        """Pings the peer, or counts a beat without an answer. Called by the timer."""
        self._timer = None
        if not self._busy():
            return
        if self._beats is None or self._reads() != self._last_reads:
            self._beats, self._last_reads = 0, self._reads()
            self._ping()
        else:
            self._beats += 1
        if self._beats < SILENT_BEATS:
            self._schedule()
        else:
            self._on_silence()

    def _schedule(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(BEAT_SECONDS, self.beat)
