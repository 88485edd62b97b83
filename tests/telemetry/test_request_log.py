"""What is logged of requests."""

import json
import logging
import re
import sys
import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from service.settings import Settings
from service.telemetry.logs import JsonFormatter
from service.telemetry.metrics import Metrics
from service.telemetry.request import LINES_AT_ONCE, RequestIds, RequestRecorder, Timing, ids_from
from tests.http.running import scene
from tests.telemetry.test_logs import TIME

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"X-Request-ID": "mine-7", "traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
SECRET = "a fine secret"


async def logged(capfd: pytest.CaptureFixture[str], **settings: Any) -> list[str]:
    """Returns the lines of three requests: a judgement, a generation, a path that is not there; and of a probe."""
    async with scene(**settings) as client:
        await client.post("/classify", json={"text": [SECRET, "fine"]}, headers=HEADERS)
        await client.post("/generate", json={"prompt": "a", "max_tokens": 5, "n": 2})
        await client.get(f"/{SECRET}")
        await client.get("/livez")
    return capfd.readouterr().err.splitlines()


async def test_json_has_a_line_for_each_request_with_its_ids_and_times_and_without_its_text(capfd):
    lines = await logged(capfd, log_format="json")
    assert SECRET not in "".join(lines)
    judged, generated, unknown = (json.loads(line) for line in lines)
    assert re.fullmatch(TIME, judged.pop("time"))
    stages = judged.pop("stages")
    assert set(stages) == {"tokenize", "queue", "inference"}
    assert judged.pop("ms") >= sum(stages.values())
    assert judged.pop("batch") in (1, 2), "how sequences are cut into batches depends on the times of steps"
    assert judged == {
        "level": "info",
        "logger": "tagwerk.request",
        "request": "mine-7",
        "trace": TRACE,
        "method": "POST",
        "route": "/classify",
        "status": 200,
        "model": "classifier/1",
        "sequences": 2,
        "tokens": 4,
    }
    assert (generated["model"], generated["sequences"], generated["tokens"]) == ("lm/1", 2, 10)
    assert (unknown["route"], unknown["status"], unknown.get("model")) == ("unmatched", 404, None)


async def test_for_people_it_is_a_line_too(capfd):
    judged, generated, unknown = await logged(capfd)
    assert re.match(r"\S+Z INFO tagwerk.request: POST /classify 200 \d+\.\d{3} ms; tokenize \d+\.\d{3}; queue ", judged)
    assert judged.endswith(f"classifier/1, 2 sequences, 4 tokens; request mine-7, trace {TRACE}")
    assert "POST /generate 200" in generated
    assert "GET unmatched 404" in unknown


@pytest.mark.parametrize("level", ["warning", "error"])
async def test_none_is_logged_where_that_is_asked_for(capfd, level):
    assert await logged(capfd, log_level=level) == []


@pytest.fixture
def chunks() -> list[bytes]:
    return []


@pytest.fixture
def recorder(chunks, monkeypatch) -> RequestRecorder:
    """Returns a recorder that writes its chunks of the log to a list."""
    made = RequestRecorder(Settings(), Metrics())
    monkeypatch.setattr(made, "_output", SimpleNamespace(write=chunks.append))
    return made


def test_lines_that_are_written_together_are_no_longer_than_a_pipe_takes_at_once(recorder, chunks, monkeypatch):
    lines = [f"{number} ".ljust(size, "x").encode() for number, size in enumerate((2047, 2047, 2047, 2048))]
    monkeypatch.setattr(recorder, "_line", lambda line: line)
    recorder._waiting = cast(Any, lines)
    recorder._write()
    assert [len(chunk) for chunk in chunks] == [4096, 2048, 2049]
    assert b"".join(chunks).splitlines() == lines


async def test_lines_are_formatted_as_requests_end_and_written_together(recorder, chunks, monkeypatch):
    formatted: list[bytes] = []

    def line(entry: Any) -> bytes:
        formatted.append(str(entry[5]).encode())
        return formatted[-1]

    monkeypatch.setattr(recorder, "_line", line)
    for number in range(2 * LINES_AT_ONCE + 1):
        recorder.note(RequestIds("mine"), {}, "GET", "/tag", number, Timing(0.0))
    assert len(formatted) == 2 * LINES_AT_ONCE
    assert not chunks
    recorder._write()
    assert list(map(int, b"".join(chunks).split())) == list(range(2 * LINES_AT_ONCE + 1))


async def test_probes_are_logged_only_where_they_fail_and_a_line_names_the_key(recorder, chunks):
    for status in (200, 503, 500):
        timing = Timing(0.0, {"queue": 0.0123456}, notes={"key": "ci"})
        recorder.note(RequestIds("mine"), {}, "GET", "/readyz", status, timing)
    recorder._write()
    (line,) = chunks
    assert re.search(rb"GET /readyz 500 \S+ ms; queue 12\.346; key ci; request mine\n$", line)


def test_server_timing_has_the_stages_the_whole_and_the_batch():
    timing = Timing(time.monotonic() - 0.5, {"queue": 0.25}, batch_size=3)
    found = re.fullmatch(r'queue;dur=250\.000, total;dur=([\d.]+), batch;desc="batch of 3"', timing.header())
    assert found
    assert 500 <= float(found[1]) <= (time.monotonic() - timing.started) * 1000 + 1


def test_what_is_logged_otherwise_is_json_with_its_exception():
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("tagwerk.x", logging.ERROR, "", 1, 'says "%s"', ("so",), sys.exc_info())
    written = json.loads(JsonFormatter(2).format(record))
    assert (written["level"], written["logger"], written["message"]) == ("error", "tagwerk.x", 'says "so"')
    assert written["process"] == 2
    assert written["exception"].endswith("ValueError: broken")


@pytest.mark.parametrize("id", ["order-1042", "a" * 128, "4f2a/9c:1+b=|~!", "Root=1-67891233"])
def test_the_id_of_a_client_is_taken(id):
    assert ids_from({b"x-request-id": id.encode()}).request == id


@pytest.mark.parametrize(
    "id", [b"", b"a" * 129, b"a; key admin", b"a,b", b"a;b", b"a b", b"a\tb", b"a\x7f", b"\xff", b"a\n"]
)
def test_one_that_could_forge_a_field_of_the_log_is_replaced(id):
    made = ids_from({b"x-request-id": id}).request
    assert len(made) == 32
    assert made != ids_from({b"x-request-id": id}).request
