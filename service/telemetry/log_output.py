"""Writes the log to standard error in a thread, so that a reader of the log that stops does not stop the program."""

import atexit
import logging
import os
from contextlib import suppress
from queue import Full, Queue
from threading import Thread

log = logging.getLogger("tagwerk")

STANDARD_ERROR = 2  # file descriptor
MOST_PIECES = 1000  # that wait for the reader; a line of the log, or some lines of requests, 4 KiB
CLOSE_SECONDS = 1.0  # longest wait for the reader at the end


class LogOutput:
    """A stream for `logging`. Pieces that the reader is too slow for are dropped, and their lines counted."""

    def __init__(self) -> None:
        self._waiting: Queue[bytes | None] = Queue(MOST_PIECES)
        self._lost = 0  # lines
        self._thread: Thread | None = None  # is started with the first piece

    def write(self, piece: str | bytes) -> None:
        """Writes whole lines soon. Does not wait."""
        piece = piece.encode(errors="replace") if isinstance(piece, str) else piece
        if self._thread is None:
            self._thread = Thread(target=self._write, name="log", daemon=True)
            self._thread.start()
            atexit.register(self.close)
        try:
            self._waiting.put_nowait(piece)
        except Full:
            self._lost += piece.count(b"\n")

    def flush(self) -> None:
        """Does nothing: what is written is on its way."""

    def close(self) -> None:
        """Waits until all is written, for a second at most."""
        if self._thread is not None:
            with suppress(Full):
                self._waiting.put_nowait(None)
                self._thread.join(CLOSE_SECONDS)

    def _write(self) -> None:
        while (piece := self._waiting.get()) is not None:
            with suppress(OSError):  # the reader is gone
                while piece:
                    piece = piece[os.write(STANDARD_ERROR, piece) :]
            if self._lost and self._waiting.empty():
                lost, self._lost = self._lost, 0
                log.warning("lines of the log that are lost, since its reader has not kept up: %d", lost)
