"""Configures logging: one line per record, plain or as JSON."""

import atexit
import logging
import os
import sys
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from queue import Full, Queue
from threading import Thread
from typing import Any

import msgspec

from service.settings import Settings

log = logging.getLogger("tagwerk")

CONSOLE = "%(asctime)s %(levelname)s %(name)s{number}: %(message)s"
ERASE_LINE = "\r\x1b[K"  # for a terminal: to the start of the line, and removes what is there
STANDARD_ERROR = 2  # file descriptor
MOST_CHUNKS = 1000  # that wait for the reader; a line of the log, or some lines of requests, 4 KiB
CLOSE_SECONDS = 1.0  # longest wait for the reader at the end


class ConsoleFormatter(logging.Formatter):
    """Formats a record as plain text, with its time in UTC as in the request log."""

    def __init__(self, terminal: bool, process: int | None) -> None:
        """On a terminal, a line replaces the status that another process may show there."""
        number = "" if process is None else f"[{process}]"
        super().__init__((ERASE_LINE if terminal else "") + CONSOLE.format(number=number))

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 (of logging)
        """Returns the time of a record as RFC 3339."""
        return moment(record.created)


class JsonFormatter(logging.Formatter):
    """Formats a record as a line of JSON."""

    def __init__(self, process: int | None) -> None:
        super().__init__()
        self._process: dict[str, Any] = {} if process is None else {"process": process}

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without a newline."""
        content: dict[str, Any] = {
            "time": moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            **self._process,
            "message": record.getMessage(),
        }
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(content).decode()


def moment(seconds: float) -> str:
    """Formats a Unix time as RFC 3339."""
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03d}Z"


@lru_cache(1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


class LogOutput:
    """A stream for `logging` that writes to standard error in a thread.

    So a reader of the log that stops does not stop the program. Chunks that it is too slow for are dropped, and their
    lines counted.
    """

    def __init__(self) -> None:
        self._waiting: Queue[bytes | None] = Queue(MOST_CHUNKS)
        self._lost = 0  # lines
        self._thread = Thread(target=self._write, name="log", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def write(self, chunk: str | bytes) -> None:
        """Writes whole lines soon. Does not wait."""
        chunk = chunk.encode(errors="replace") if isinstance(chunk, str) else chunk
        try:
            self._waiting.put_nowait(chunk)
        except Full:
            self._lost += chunk.count(b"\n")

    def flush(self) -> None:
        """Does nothing: the thread writes by itself."""

    def close(self) -> None:
        """Waits until all is written, for a second at most. What is written later is lost."""
        with suppress(Full):
            self._waiting.put_nowait(None)
            self._thread.join(CLOSE_SECONDS)

    def _write(self) -> None:
        while (chunk := self._waiting.get()) is not None:
            with suppress(OSError):  # the reader is gone
                while chunk:
                    chunk = chunk[os.write(STANDARD_ERROR, chunk) :]
            if self._lost and self._waiting.empty():
                lost, self._lost = self._lost, 0
                log.warning("lines of the log that are lost, since its reader has not kept up: %d", lost)


def set_up(settings: Settings, process: int | None = None, *, waits: bool = True) -> None:
    """Configures the process's logging by the settings; `process` is the number of a server process, from 1.

    Unless it `waits` for the reader of the log, a thread writes it.
    """
    handler: logging.Handler = logging.StreamHandler() if waits else logging.StreamHandler(LogOutput())
    plain = settings.log_format == "console"
    terminal = sys.stderr.isatty()
    handler.setFormatter(ConsoleFormatter(terminal, process) if plain else JsonFormatter(process))
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler])  # libraries report each file they open
    logging.getLogger("tagwerk").setLevel(level)
