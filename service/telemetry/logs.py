"""Configures logging: one line per record, plain or as JSON."""

import logging
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from service.settings import Settings
from service.telemetry.log_output import LogOutput

CONSOLE = "%(asctime)s %(levelname)s %(name)s{number}: %(message)s"
ERASE_LINE = "\r\x1b[K"  # for a terminal: to the start of the line, and removes what is there


class ConsoleFormatter(logging.Formatter):
    """Formats a record as plain text. Its times are those of the request log, in UTC."""

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
