"""An unexpected error is answered with a problem document on every route, logged once, and harms no connection."""

import pytest

from service.http.context import Context
from tests.http.scene import made_context
from tests.http.wire import GET, connect, turns


@pytest.mark.parametrize("path", ["/models", "/v1/models", "/v2/models/classifier", "/readyz"])
async def test_it_is_a_problem_document(path, monkeypatch, caplog):
    context = made_context()

    def fail(self: object) -> None:
        raise RuntimeError("unforeseen")

    monkeypatch.setattr(Context, "model_states", fail)
    monkeypatch.setattr(context.catalog, "all", fail)
    connection, wire = connect(context)
    connection.data_received(GET.replace(b"/livez", path.encode()))
    connection.data_received(GET)
    for _ in range(50):
        await turns()
    (status, headers, document), (next_status, _, _) = wire.answers()
    assert (status, headers["content-type"]) == (500, "application/problem+json")
    assert document["type"] == "urn:tagwerk:problem:internal"
    assert ("error" in document) == path.startswith("/v")
    assert "unforeseen" not in str(document)
    assert next_status == 200
    assert not wire.closed
    assert len([record for record in caplog.records if record.exc_info]) == 1
