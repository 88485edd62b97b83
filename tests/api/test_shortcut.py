"""Most requests take a shortcut round FastAPI; nobody can tell from the answers."""

import pytest

from tests.e2e.test_server import metric

PLAIN = "application/json"
ROUND = "application/json; charset=utf-8"  # goes the whole way

BODIES = {
    "/tag": [{"text": "Time flies."}, {"tokens": [["Time", "flies"]]}, {"text": ["One.", "Two."], "offsets": "utf8"}],
    "/classify": [{"text": "A fine film."}],
    "/generate": [{"prompt": "ROMEO:", "max_tokens": 5, "seed": 1}],
}
REFUSED = {
    "/tag": [{}, {"text": 1}, {"text": "a", "tokens": [["a"]]}, {"text": "a", "model": "none"}, {"txt": "a"}],
    "/classify": [{"text": None}, []],
    "/generate": [{"prompt": "a", "max_tokens": 10**9}, {"prompt": "a", "temperature": -1}],
}


def asked(client, path: str, body: object, media_type: str):
    return client.post(path, json=body, headers={"Content-Type": media_type})


@pytest.mark.parametrize(("path", "body"), [(path, body) for path, bodies in BODIES.items() for body in bodies])
def test_both_ways_answer_alike(client, path, body):
    short, whole = (asked(client, path, body, media_type) for media_type in (PLAIN, ROUND))
    assert short.status_code == whole.status_code == 200
    assert short.json() == whole.json()
    assert short.headers.keys() == whole.headers.keys()


@pytest.mark.parametrize(("path", "body"), [(path, body) for path, bodies in REFUSED.items() for body in bodies])
def test_both_ways_refuse_alike(client, path, body):
    short, whole = (asked(client, path, body, media_type) for media_type in (PLAIN, ROUND))
    assert short.status_code == whole.status_code >= 400
    assert short.json() == whole.json()


@pytest.mark.parametrize("content", [b"", b"{", b'{"text": "\xff"}', b"null", b'{"text": "a"} x', b"[" * 100_000])
def test_both_ways_refuse_what_is_no_json_alike(client, content):
    answers = [
        client.post("/tag", content=content, headers={"Content-Type": media_type}) for media_type in (PLAIN, ROUND)
    ]
    assert {answer.status_code for answer in answers} <= {400, 422}
    assert answers[0].json() == answers[1].json()


def test_requests_are_counted_by_their_route_either_way(client):
    def count() -> float:
        lines = client.get("/metrics").text.splitlines()
        name = 'tagwerk_requests_total{route="/classify",status="200"}'
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))

    before = count()
    for media_type in (PLAIN, ROUND):
        asked(client, "/classify", {"text": "Fine."}, media_type)
    assert count() == before + 2


def test_both_ways_count_a_body_that_is_too_large_under_its_route(client):
    counted = 'tagwerk_requests_total{route="/tag",status="413"}'
    for media_type in (PLAIN, ROUND):
        before = metric(str(client.base_url).rstrip("/"), counted)
        content = b" " * 5_000_000
        assert client.post("/tag", content=content, headers={"Content-Type": media_type}).status_code == 413
        assert metric(str(client.base_url).rstrip("/"), counted) == before + 1
