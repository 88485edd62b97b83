"""The log while its reader is slow, stopped or gone."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from service.telemetry import logs
from service.telemetry.logs import MOST_PIECES, LogOutput
from tests.e2e.test_server import wait_until

PIPE_BYTES = 65_536


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
    count = PIPE_BYTES // 1024 + MOST_PIECES + 500
    for _ in range(count):
        output.write(line)
    assert output._waiting.full()
    output.close()  # which does not wait, since nothing is read
    lost = output._lost
    assert count - MOST_PIECES - 65 <= lost <= count - MOST_PIECES
    reading = threading.Thread(target=read_all, args=(reader, b"last\n"))
    reading.start()
    wait_until(lambda: bool(caplog.messages))
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
