"""OpenTelemetry: the spans of a request, sent to a collector by OTLP."""

import builtins
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from service.telemetry.request import RequestIds, Spans, Timing, make_spans
from tests.http.scene import scene
from tests.telemetry.test_request_log import HEADERS, TRACE


def test_stages_lie_below_the_request_end_to_end():
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    now = time.monotonic()
    timing = Timing(now - 0.5, {"tokenize": 0.1, "queue": 0.2, "inference": 0.05}, now - 0.4)
    parent = {b"traceparent": HEADERS["traceparent"].encode()}
    ids = Spans(provider).record(RequestIds("mine"), parent, "POST", "/tag", 500, timing)
    *stages, request = exporter.get_finished_spans()
    assert ids.trace == TRACE
    assert (request.name, format(request.parent.span_id, "016x")) == ("POST /tag", "b7ad6b7169203331")
    assert request.end_time - request.start_time == pytest.approx(0.5e9, rel=0.1)
    assert request.attributes["http.response.status_code"] == 500
    assert not request.status.is_ok
    assert [stage.name for stage in stages] == ["tokenize", "queue", "inference"]
    assert {stage.parent.span_id for stage in stages} == {request.context.span_id}
    starts = [(stage.start_time - request.start_time) / 1e9 for stage in stages]
    assert starts == pytest.approx([0.1, 0.2, 0.4], abs=0.01)
    assert [(s.end_time - s.start_time) / 1e9 for s in stages] == pytest.approx([0.1, 0.2, 0.05], abs=0.001)


class Collector(BaseHTTPRequestHandler):
    """Takes spans as a collector does."""

    received: list[tuple[str, ExportTraceServiceRequest]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        self.received.append((self.path, ExportTraceServiceRequest.FromString(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, ExportTraceServiceRequest]]]]:
    """Runs a collector; yields its address and what it received."""
    received: list[tuple[str, ExportTraceServiceRequest]] = []
    server = HTTPServer(("127.0.0.1", 0), type("It", (Collector,), {"received": received}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("name", [None, "tagwerk-test"])
async def test_spans_reach_a_collector_that_the_environment_names(collector, monkeypatch, name):
    address, received = collector
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", address)
    monkeypatch.setenv("OTEL_SERVICE_NAME", name or "removed")
    if name is None:
        monkeypatch.delenv("OTEL_SERVICE_NAME")
    async with scene() as client:
        await client.post("/classify", json={"text": "fine"}, headers=HEADERS)
        await client.post("/generate", json={"prompt": "a", "max_tokens": 3})
    assert {path for path, _ in received} == {"/v1/traces"}
    resources = [resource for _, message in received for resource in message.resource_spans]
    assert f'"{name or "tagwerk"}"' in str(resources[0].resource)
    sent = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert "POST /generate" in {span.name for span in sent}
    spans = {span.name: span for span in sent if span.trace_id.hex() == TRACE}
    assert set(spans) == {"POST /classify", "tokenize", "queue", "inference"}
    assert spans["tokenize"].parent_span_id == spans["POST /classify"].span_id
    assert "classifier/1" in str(spans["POST /classify"].attributes)


def test_a_collector_without_the_packages_is_said(monkeypatch, caplog):
    whole = builtins.__import__

    def without(name: str, *rest: Any) -> object:
        if name.startswith("opentelemetry.exporter"):
            raise ImportError(name)
        return whole(name, *rest)

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setattr(builtins, "__import__", without)
    assert make_spans() is None
    assert "without the extra `otel`: pip install '.[otel]'" in caplog.text
