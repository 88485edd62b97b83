"""OpenTelemetry: the spans of a request, sent to a collector by OTLP."""

import builtins
import time
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from requests.adapters import HTTPAdapter

from service.telemetry.request import RequestIds, Spans, Timing, make_spans
from tests.http.running import scene
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


@pytest.fixture
def sent(monkeypatch) -> list[tuple[str, ExportTraceServiceRequest]]:
    """Returns what is sent to a collector, with the addresses."""
    sent: list[tuple[str, ExportTraceServiceRequest]] = []

    def send(self: HTTPAdapter, request: requests.PreparedRequest, **more: object) -> requests.Response:
        sent.append((str(request.url), ExportTraceServiceRequest.FromString(request.body)))
        response = requests.Response()
        response.status_code = 200
        return response

    monkeypatch.setattr(HTTPAdapter, "send", send)
    return sent


@pytest.mark.parametrize("name", [None, "tagwerk-test"])
async def test_spans_reach_a_collector_that_the_environment_names(sent, monkeypatch, name):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector")
    monkeypatch.setenv("OTEL_SERVICE_NAME", name or "removed")
    if name is None:
        monkeypatch.delenv("OTEL_SERVICE_NAME")
    async with scene() as client:
        await client.post("/classify", json={"text": "fine"}, headers=HEADERS)
        await client.post("/generate", json={"prompt": "a", "max_tokens": 3})
    assert {address for address, _ in sent} == {"http://collector/v1/traces"}
    resources = [resource for _, message in sent for resource in message.resource_spans]
    assert f'"{name or "tagwerk"}"' in str(resources[0].resource)
    all_spans = [span for resource in resources for scope in resource.scope_spans for span in scope.spans]
    assert "POST /generate" in {span.name for span in all_spans}
    spans = {span.name: span for span in all_spans if span.trace_id.hex() == TRACE}
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
