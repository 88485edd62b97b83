"""What is known of a request, its ids and its times by stage, and the record of it: metrics, a span, a line of the log.

The log of requests bypasses `logging`, which would take 5% of a short request's time: lines are formatted directly and
written together, by a thread.
"""

import asyncio
import os
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from service.paths import PROBES
from service.settings import Settings
from service.telemetry.logs import LogOutput, moment
from service.telemetry.metrics import Metrics
from service.telemetry.spans import make_spans

PIECE_BYTES = 4096  # written atomically to a pipe (PIPE_BUF), so that lines of several processes do not mix
LOGGER = "tagwerk.request"
_ID = re.compile(rb"[!-+\--:<-~]{1,128}")  # visible ASCII; a comma or semicolon would look like a field of the log
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")
current_ids: ContextVar["RequestIds"] = ContextVar("tagwerk_request_ids")


@dataclass(slots=True)
class Timing:
    """A request's time by stage, in seconds, and its batch size; sent as Server-Timing (W3C)."""

    started: float
    stages: dict[str, float] = field(default_factory=dict)
    began: float | None = None  # start of the first stage
    notes: dict[str, Any] = field(default_factory=dict)  # for the log: key, model, sequences, tokens
    batch_size: int = 0  # sequences in the largest batch, other requests' included; 0 without one

    def header(self) -> str:
        """Returns the header's value, with durations in milliseconds."""
        found = ""
        for name, seconds in self.stages.items():
            found += f"{name};dur={seconds * 1000:.3f}, "
        found += f"total;dur={(time.monotonic() - self.started) * 1000:.3f}"
        return f'{found}, batch;desc="batch of {self.batch_size}"' if self.batch_size else found


class RequestIds(NamedTuple):
    """A request's id, and the ids of its trace and parent span if it has a `traceparent` header."""

    request: str
    trace: str | None = None
    parent: str | None = None

    def __str__(self) -> str:
        return f"request {self.request}" + (f", trace {self.trace}" if self.trace else "")


def ids_from(headers: Mapping[bytes, bytes]) -> RequestIds:
    """Returns the request's ids, and those of its `traceparent` (W3C Trace Context) unless it is malformed.

    Generates a request id if the request has none.
    """
    given = headers.get(b"x-request-id")
    request = given.decode() if given is not None and _ID.fullmatch(given) else os.urandom(16).hex()
    if (traceparent := headers.get(b"traceparent")) is None:
        return RequestIds(request)
    found = _TRACEPARENT.fullmatch(traceparent.decode("latin-1").strip())
    if found is None or (traceparent.startswith(b"00") and found[3]):
        return RequestIds(request)
    return RequestIds(request, found[1], found[2])


AnsweredRequest = tuple[float, float, RequestIds, str, str, int, Timing]  # Unix time of its end, its seconds, and so on


class RequestRecorder:
    """Records completed requests: in the metrics, as spans if enabled, and as lines of the log, on standard error."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._metrics = metrics
        self._spans = make_spans()
        self._is_quiet = settings.log_level in ("warning", "error")
        self._json = settings.log_format == "json"
        self._encoder = msgspec.json.Encoder()
        self._waiting: list[AnsweredRequest] = []
        self._output = LogOutput()
        metrics.on_flush.append(self._write)

    def note(
        self, ids: RequestIds, headers: Mapping[bytes, bytes], method: str, route: str, status: int, timing: Timing
    ) -> None:
        """Records a completed request; its line is written soon, unless it is a probe."""
        seconds = time.monotonic() - timing.started
        self._metrics.answered(route, status, seconds)
        if self._spans is not None:
            ids = self._spans.record(ids, headers, method, route, status, timing)
        if not self._is_quiet and not (route in PROBES and status in (200, 503)):
            self._waiting.append((time.time(), seconds, ids, method, route, status, timing))

    async def close(self) -> None:
        """Flushes metrics, log and spans; waits for the reader of the log for a second at most."""
        self._metrics.flush()
        await asyncio.to_thread(self._output.close)
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)

    def _line(self, entry: AnsweredRequest) -> bytes:
        """Returns the line of a request, without its end."""
        ended, seconds, ids, method, route, status, timing = entry
        if self._json:
            line = {
                "time": moment(ended),
                "level": "info",
                "logger": LOGGER,
                "request": ids.request,
                "method": method,
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 3),
                "trace": ids.trace,
                **timing.notes,
                "batch": timing.batch_size or None,
                "stages": {name: round(stage * 1000, 3) for name, stage in timing.stages.items()} or None,
            }
            return self._encoder.encode({name: value for name, value in line.items() if value is not None})
        notes = timing.notes
        words = f"{moment(ended)} INFO {LOGGER}: {method} {route} {status} {round(seconds * 1000, 3):g} ms; "
        for name, stage in timing.stages.items():
            words += f"{name} {round(stage * 1000, 3):g}; "
        if "model" in notes:
            words += f"{notes['model']}, {notes.get('sequences')} sequences, {notes.get('tokens')} tokens; "
        if "key" in notes:
            words += f"key {notes['key']}; "
        trace = f", trace {ids.trace}" if ids.trace else ""
        return f"{words}request {ids.request}{trace}".encode(errors="replace")

    def _write(self) -> None:
        """Writes the buffered lines soon."""
        waiting, self._waiting = self._waiting, []
        piece = bytearray()
        for one in waiting:
            line = self._line(one)
            if piece and len(piece) + len(line) >= PIECE_BYTES:
                self._output.write(bytes(piece))
                piece = bytearray()
            piece += line
            piece += b"\n"
        if piece:
            self._output.write(bytes(piece))
