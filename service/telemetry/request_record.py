"""Records each completed request: in the metrics, as a span if enabled, and as a line of the log.

The log of requests bypasses `logging`, which would take 5% of a short request's time: lines are formatted directly and
written together, by a thread.
"""

import asyncio
import time
from collections.abc import Mapping

import msgspec

from service.paths import PROBES
from service.settings import Settings
from service.telemetry.logs import LogOutput, moment
from service.telemetry.metrics import Metrics
from service.telemetry.request import RequestIds, Timing
from service.telemetry.spans import make_spans
from service.types import ModelKey

FLUSH_SECONDS = 0.1  # until requests are in metrics and log; a killed process loses those since the last time
PIECE_BYTES = 4096  # written atomically to a pipe (PIPE_BUF), so that lines of several processes do not mix
LOGGER = "tagwerk.request"
AnsweredRequest = tuple[float, float, RequestIds, str, str, int, Timing]  # Unix time of its end, its seconds, and so on


class RequestLog:
    """Writes the lines to standard error."""

    def __init__(self, settings: Settings) -> None:
        self._json = settings.log_format == "json"
        self._encoder = msgspec.json.Encoder()
        self._waiting: list[AnsweredRequest] = []
        self._output = LogOutput()

    def note(self, ids: RequestIds, method: str, route: str, status: int, timing: Timing) -> None:
        """Adds a completed request to what the next `write` writes, unless it is a probe."""
        if route in PROBES and status in (200, 503):
            return
        self._waiting.append((time.time(), time.monotonic() - timing.started, ids, method, route, status, timing))

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

    def close(self) -> None:
        """Writes the buffered lines, and waits until that is done, for a second at most."""
        self.write()
        self._output.close()

    def write(self) -> None:
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


class RequestRecorder:
    """Records completed requests in metrics, spans and log."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        quiet = settings.log_level in ("warning", "error")
        self._metrics = metrics
        self._log = None if quiet else RequestLog(settings)
        self._spans = make_spans()
        self._flushes_soon = False

    def note(
        self, ids: RequestIds, headers: Mapping[bytes, bytes], method: str, route: str, status: int, timing: Timing
    ) -> None:
        """Records a completed request."""
        if not self._flushes_soon:
            self._flush_soon()
        self._metrics.answered(route, status, time.monotonic() - timing.started)
        if self._spans is not None:
            ids = self._spans.record(ids, headers, method, route, status, timing)
        if self._log is not None:
            self._log.note(ids, method, route, status, timing)

    def note_tokenized(self, model: ModelKey, seconds: float, requests: int, texts: int, cut: int) -> None:
        """Records tokenizing and encoding of requests for a model, together; see `Metrics.tokenized`."""
        if not self._flushes_soon:
            self._flush_soon()
        self._metrics.tokenized(model, seconds, requests, texts, cut)

    def _flush_soon(self) -> None:
        self._flushes_soon = True
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._flush)

    def _flush(self) -> None:
        self._flushes_soon = False
        self._metrics.flush()
        if self._log is not None:
            self._log.write()

    async def close(self) -> None:
        """Flushes metrics, log and spans."""
        self._metrics.flush()
        if self._log is not None:
            await asyncio.to_thread(self._log.close)
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)
