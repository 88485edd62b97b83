"""The lines of the log: one format of time in all processes, plain or as JSON."""

import io
import json
import logging
import re
from typing import Any

import pytest

from service.settings import Settings
from service.telemetry import logs

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"


class Terminal(io.StringIO):
    """A terminal that keeps what is written."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def logged(monkeypatch):
    """Returns the output of a record of uvicorn's, by settings and standard error."""

    def log(stderr: io.StringIO, **settings: Any) -> str:
        root = logging.RootLogger(logging.WARNING)
        monkeypatch.setattr(logging, "root", root)
        monkeypatch.setattr(logging.getLogger("tagwerk"), "level", logging.NOTSET)
        monkeypatch.setattr("sys.stderr", stderr)
        logs.set_up(Settings(**settings))
        root.handle(logging.LogRecord("uvicorn.error", logging.WARNING, "", 0, "%d connections", (2,), None))
        return stderr.getvalue()

    return log


def test_a_plain_line_begins_with_the_time_in_utc(logged):
    assert re.fullmatch(rf"{TIME} WARNING uvicorn\.error: 2 connections\n", logged(io.StringIO()))


def test_a_line_of_json_has_the_same_time(logged):
    content = json.loads(logged(io.StringIO(), log_format="json"))
    assert re.fullmatch(TIME, content.pop("time"))
    assert content == {"level": "warning", "logger": "uvicorn.error", "message": "2 connections"}


def test_a_line_replaces_the_status_that_a_terminal_shows(logged):
    assert logged(Terminal()).startswith(f"{logs.ERASE_LINE}20")
    assert logged(Terminal(), log_format="json").startswith("{")


@pytest.mark.parametrize(("level", "own"), [("info", logging.INFO), ("error", logging.ERROR)])
def test_libraries_log_warnings_and_errors_alone(logged, level, own):
    logged(io.StringIO(), log_level=level)
    assert logging.root.level == max(own, logging.WARNING)
    assert logging.getLogger("tagwerk").level == own
