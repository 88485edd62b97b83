"""The log: its lines, plain or as JSON, and its output while the reader is slow, stopped or gone."""

import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from service.settings import Settings
from service.telemetry import logs
from service.telemetry.logs import MOST_CHUNKS, LogOutput

PIPE_BYTES = 65_536
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


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Returns the end of a pipe that is read in place of standard error."""
    reader, writer = os.pipe()
    monkeypatch.setattr(logs, "STANDARD_ERROR", writer)
    yield reader
    os.close(writer)


def read_all(reader: int, end: bytes) -> bytes:
    content = b""
    while not content.endswith(end):
        content += os.read(reader, PIPE_BYTES)
    return content


def test_a_reader_that_stops_stops_nothing_and_is_told_how_much_it_has_missed(reader, caplog):
    output = LogOutput()
    line = "x" * 1023 + "\n"
    count = PIPE_BYTES // 1024 + MOST_CHUNKS + 500
    for _ in range(count):
        output.write(line)
    assert output._waiting.full()
    output.close()  # which does not wait, since nothing is read
    lost = output._lost
    assert count - MOST_CHUNKS - 65 <= lost <= count - MOST_CHUNKS
    reading = threading.Thread(target=read_all, args=(reader, b"last\n"))
    reading.start()
    while not caplog.messages:
        time.sleep(0.01)
    assert caplog.messages == [f"lines of the log that are lost, since its reader has not kept up: {lost}"]
    output.write(b"last\n")
    reading.join(10)
    assert not reading.is_alive()
    os.close(reader)
    output.write("nobody reads this\n")
    output.close()
    assert not output._thread.is_alive()


def test_what_is_written_last_is_read(reader):
    output = LogOutput()
    output.write("one\n")
    output.write("two \ud800\n")
    output.close()
    assert os.read(reader, 100) == b"one\ntwo ?\n"
    os.close(reader)


def test_a_program_whose_log_nobody_reads_ends():
    program = """
from service.settings import Settings
from service.telemetry import logs
import logging
logs.set_up(Settings(), waits=False)
for number in range(5000):
    logging.getLogger("tagwerk").info("line %d of many", number)
"""
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) as ended:
        assert ended.wait(30) == 0
