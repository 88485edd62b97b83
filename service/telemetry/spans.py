"""OpenTelemetry tracing, if enabled: a span per request, with a child span per stage.

Spans are created when the request has completed, from the times measured anyway. The stages are placed one after
another from the start of the first.
"""

import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from service.errors import install

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

    from service.telemetry.request import RequestIds, Timing

log = logging.getLogger("tagwerk.server")
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


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
        self._shutdown = provider.shutdown

    def record(
        self, ids: "RequestIds", headers: Mapping[bytes, bytes], method: str, route: str, status: int, timing: "Timing"
    ) -> "RequestIds":
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

    def close(self) -> None:
        """Sends the remaining spans."""
        self._shutdown()
