"""What is known of a request, its ids and its times by stage, and the record of it: metrics, spans, a line of the log.

The log of requests bypasses `logging`, which would take 5% of a short request's time: lines are formatted directly,
some at a time, and written together, by a thread. Spans, where OpenTelemetry is enabled, are created when the request
has completed, from the times measured anyway; the stages are placed one after another from the start of the first.
"""

import asyncio
import logging
import os
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from service.errors import install
from service.paths import PROBES
from service.settings import Settings
from service.telemetry.logs import LogOutput, moment
from service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = logging.getLogger("tagwerk.server")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
CHUNK_BYTES = 4096  # written atomically to a pipe (PIPE_BUF), so that lines of several processes do not mix
LINES_AT_ONCE = 64  # that are formatted in an iteration of the event loop; those of a tenth of a second would take 3 ms
LOGGER = "tagwerk.request"
_ID = re.compile(rb"[!-+\--:<-~]{1,128}")  # visible ASCII; a comma or semicolon would look like a field of the log
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")
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
    """A request's id, and its trace's id if it has a `traceparent` header."""

    request: str
    trace: str | None = None

    def __str__(self) -> str:
        return f"request {self.request}" + (f", trace {self.trace}" if self.trace else "")


def ids_from(headers: Mapping[bytes, bytes]) -> RequestIds:
    """Returns the request's id, and its trace's id by `traceparent` (W3C Trace Context) unless that is malformed.

    Generates a request id if the request has none.
    """
    given = headers.get(b"x-request-id")
    request = given.decode() if given is not None and _ID.fullmatch(given) else os.urandom(16).hex()
    if (traceparent := headers.get(b"traceparent")) is None:
        return RequestIds(request)
    found = _TRACEPARENT.fullmatch(traceparent.decode("latin-1").strip())
    if found is None or (traceparent.startswith(b"00") and found[2]):
        return RequestIds(request)
    return RequestIds(request, found[1])


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
        self._chunks: list[bytearray] = []  # whole lines
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
            if len(self._waiting) == LINES_AT_ONCE:
                self._format()

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
        words = f"{moment(ended)} INFO {LOGGER}: {method} {route} {status} {seconds * 1000:.3f} ms; "
        for name, stage in timing.stages.items():
            words += f"{name} {stage * 1000:.3f}; "
        if "model" in notes:
            number, tokens = notes.get("sequences", 0), notes.get("tokens", 0)
            words += f"{notes['model']}, {number} sequence{'s' * (number != 1)}, {tokens} token{'s' * (tokens != 1)}; "
        if "key" in notes:
            words += f"key {notes['key']}; "
        trace = f", trace {ids.trace}" if ids.trace else ""
        return f"{words}request {ids.request}{trace}".encode(errors="replace")

    def _format(self) -> None:
        """Formats the lines of the requests that wait."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            line = self._line(one)
            if not self._chunks or len(self._chunks[-1]) + len(line) >= CHUNK_BYTES:
                self._chunks.append(bytearray())
            self._chunks[-1] += line + b"\n"

    def _write(self) -> None:
        """Writes all lines soon."""
        self._format()
        chunks, self._chunks = self._chunks, []
        for chunk in chunks:
            self._output.write(bytes(chunk))


def make_spans() -> "Spans | None":
    """Returns a span recorder if OpenTelemetry's environment variables name a collector."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        log.warning("no spans are sent to the collector without the extra `otel`: %s", install("otel"))
        return None
    os.environ.setdefault("OTEL_SERVICE_NAME", "tagwerk")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Spans(provider)


class Spans:
    """Records requests as spans (W3C Trace Context: the caller's span is the parent, if there is one)."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = provider.get_tracer("tagwerk")
        self._propagator = TraceContextTextMapPropagator()
        self.close = provider.shutdown  # sends the remaining spans

    def record(
        self, ids: RequestIds, headers: Mapping[bytes, bytes], method: str, route: str, status: int, timing: Timing
    ) -> RequestIds:
        """Records a completed request; returns its ids with those of its trace."""
        from opentelemetry import trace

        carrier = {name: headers.get(name.encode(), b"").decode("latin-1") for name in ("traceparent", "tracestate")}
        zero = time.time_ns() - round(time.monotonic() * 1e9)  # Unix time of the monotonic clock's zero

        def at(moment: float) -> int:
            return zero + round(moment * 1e9)

        span = self._tracer.start_span(
            f"{method} {route}",
            self._propagator.extract(carrier),
            trace.SpanKind.SERVER,
            {"http.request.method": method, "http.route": route, "http.response.status_code": status},
            start_time=at(timing.started),
        )
        if span.is_recording():
            span.set_attribute("tagwerk.request", ids.request)
            for name in ("model", "sequences", "tokens"):
                if name in timing.notes:
                    span.set_attribute(f"tagwerk.{name}", timing.notes[name])
            if status >= 500:
                span.set_status(trace.StatusCode.ERROR)
            below, moment = trace.set_span_in_context(span), timing.began or timing.started
            for name, seconds in timing.stages.items():
                stage = self._tracer.start_span(name, below, start_time=at(moment))
                moment += seconds
                stage.end(at(moment))
        span.end()
        return ids._replace(trace=trace.format_trace_id(span.get_span_context().trace_id))
