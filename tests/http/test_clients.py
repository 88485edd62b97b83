"""Whose a request is: the engine knows it by the number of its API key."""

from collections.abc import Sequence

import pytest

from service.engine.requests import ANONYMOUS, Generation
from service.security.keys import client_of, read_keys
from tests.http.running import running
from tests.http.wire import application, post
from tests.waiting import until

FINE, PROMPT = b'{"text": "fine"}', b'{"model": "lm", "prompt": "a", "max_tokens": 2}'
BODIES = {"/tag": FINE, "/classify": FINE, "/generate": PROMPT, "/v1/completions": PROMPT}


@pytest.mark.parametrize("with_keys", [True, False])
async def test_the_engine_works_for_the_client_whose_key_a_request_has(narrow, tmp_path, with_keys):
    seen = list[int]()
    authenticator, *headers = narrow
    clients = dict(zip(headers, map(client_of, read_keys(tmp_path / "keys.json")), strict=True))
    assert len({ANONYMOUS, *clients.values()}) == 3
    async with running(authenticator if with_keys else None) as service:
        submit, generate = service.context.engine.submit, service.context.engine.generate

        def note_submit(requests, on_done):
            seen.extend(requests.clients)
            return submit(requests, on_done)

        def note_generate(requests: Sequence[Generation]):
            seen.extend(request.client for request in requests)
            return generate(requests)

        service.context.engine.submit, service.context.engine.generate = note_submit, note_generate  # type: ignore[method-assign]
        for header, client in clients.items():
            for route, body in BODIES.items():
                whole = post(route, body, header)
                lines = [whole.replace(b"/json", b"/x-ndjson")] * (route[:3] != "/v1")
                for request in (whole, application(whole), *lines):
                    seen.clear()
                    _, wire = service.send(request)
                    await until(lambda: b"".join(wire.written).rstrip().endswith((b"}", b"\n0")))  # noqa: B023
                    assert wire.written[0].startswith(b"HTTP/1.1 200 "), request
                    assert seen == [client if with_keys else ANONYMOUS], request
