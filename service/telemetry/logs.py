"""Configures logging: one line per record, plain or as JSON."""

import logging
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from service.settings import Settings

CONSOLE = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class JsonFormatter(logging.Formatter):
    """Formats a record as a line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line, without a newline."""
        content: dict[str, Any] = {
            "time": moment(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
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


def set_up(settings: Settings) -> None:
    """Configures the process's logging by the settings."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if settings.log_format == "json" else logging.Formatter(CONSOLE))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler])
