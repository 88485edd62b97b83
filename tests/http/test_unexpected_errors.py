"""An unexpected error is answered with a problem document on every route, logged once, and harms no connection."""

import pytest

from service.http.context import Context
from tests.http.running import running
from tests.http.wire import GET, application, post, requests_counted
from tests.waiting import until

TRACE = "0af7651916cd43dd8448eb211c80319c"
IDS = ("X-Request-ID: mine-7", f"traceparent: 00-{TRACE}-b7ad6b7169203331-01")
GETS = {
    path: GET.replace(b"/livez", path.encode()).replace(b"Host: x", "\r\n".join(("Host: x", *IDS)).encode())
    for path in ("/models", "/v1/models", "/v2/models/classifier", "/readyz")
}
REQUESTS = {**GETS, "/classify": application(post("/classify", b'{"text": "fine"}', *IDS))}


@pytest.mark.parametrize("path", REQUESTS)
async def test_it_is_a_problem_document(path, monkeypatch, caplog):
    def fail(*arguments: object) -> None:
        raise RuntimeError("unforeseen")

    async with running() as service:
        monkeypatch.setattr(Context, "model_states", fail)
        monkeypatch.setattr(service.context.catalog, "all", fail)
        monkeypatch.setattr("service.pipelines.classification.encode", fail)
        _, wire = service.send(REQUESTS[path], GET)
        await until(lambda: len(wire.statuses()) == 2)
        answer, following = wire.answers()
        assert (answer.status, answer.header("content-type")) == (500, "application/problem+json")
        assert answer.header("x-request-id") == "mine-7"
        assert answer.document["type"] == "urn:tagwerk:problem:internal"
        assert ("error" in answer.document) == path.startswith("/v")
        assert b"unforeseen" not in answer.body
        assert following.status == 200
        assert not wire.closed
        (record,) = (record for record in caplog.records if record.exc_info)
        assert (record.name, record.getMessage()) == ("tagwerk.server", f"failed: request mine-7, trace {TRACE}")
        service.context.metrics.flush()
        assert {status for _, status in requests_counted(service.context)} == {"200", "500"}
