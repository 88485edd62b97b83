"""Newline-delimited JSON, from the real server."""

import gzip
import json
import select
import socket
import threading
from collections.abc import Iterable
from typing import Any

import httpx
import psutil
import pytest

from loadtests.processes import server_processes
from service.api.lines import LARGEST_ID, LONGEST_ID, MEDIA_TYPE
from service.http.problem import Problem
from tests.conftest import Server
from tests.http.test_problems import check
from tests.http.test_tag import tag
from tests.waiting import wait_until

HEADERS = {"content-type": MEDIA_TYPE}


def ask(client: httpx.Client, path: str, lines: Iterable[object], **headers: str) -> list[dict[str, Any]]:
    """Returns the answers to lines, which are sent as JSON, or as they are if they are strings."""
    content = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    response = client.post(path, content=content, headers={**HEADERS, **headers})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == MEDIA_TYPE
    return [json.loads(line) for line in response.text.splitlines()]


def test_lines_are_answered_in_order_and_as_each_alone(client):
    bodies = [{"text": f"Dog {i} {'barks loudly ' * (i % 7)}."} for i in range(40)]
    assert ask(client, "/tag", bodies) == [tag(client, **body) for body in bodies]
    assert ask(client, "/tag", []) == []


def test_a_bad_line_has_an_error_in_its_place(client):
    bad = ['{"id": 1, "text"', {"text": [7]}, '"Good."', "7", "null"]
    good = {"text": "Good.", "id": None}
    first, *errors, last = ask(client, "/classify", [good, *bad[:1], "\n \r", *bad[1:], good])
    assert first == last
    assert not any("id" in answer for answer in (first, *errors)), "no line has one"
    problems = [Problem.model_validate(line["error"], extra="forbid") for line in errors]
    found = [(problem.status, [place.pointer for place in problem.errors]) for problem in problems]
    assert found == [(400, []), (422, ["/text/0"]), (422, [""]), (422, [""]), (422, [""])]


@pytest.mark.parametrize("id", ["a", "", "é\n\"'{}", "x" * LONGEST_ID, 0, -1, LARGEST_ID, -LARGEST_ID])
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/tag", {"text": "fine"}),
        ("/classify", {"text": "fine"}),
        ("/generate", {"prompt": "a", "max_tokens": 3, "seed": 1}),
    ],
)
def test_an_id_comes_back_first_in_the_answer_of_its_line(client, path, body, id):
    (answer,) = ask(client, path, [{**body, "id": id}])
    assert next(iter(answer)) == "id"
    assert answer == {"id": id, **client.post(path, json=body).json()}


@pytest.mark.parametrize(
    ("line", "status"), [({"text": 7}, 422), ({"text": "fine", "model": "none"}, 404), ({"text": ["a"] * 1025}, 413)]
)
def test_an_id_comes_back_in_the_error_of_its_line(client, line, status):
    first, failed = ask(client, "/classify", [{"text": "fine", "id": 1}, {**line, "id": "b"}])
    assert list(failed) == ["id", "error"]
    assert (first["id"], failed["id"], Problem.model_validate(failed["error"]).status) == (1, "b", status)


@pytest.mark.parametrize("id", [True, 1.5, [1], {"a": 1}, "x" * (LONGEST_ID + 1), LARGEST_ID + 1, -LARGEST_ID - 1])
def test_an_id_that_is_not_valid_is_refused_and_not_returned(client, id):
    (failed,) = ask(client, "/classify", [{"text": "fine", "id": id}])
    assert list(failed) == ["error"]
    (place,) = failed["error"]["errors"]
    allowed = f"an integer from -{LARGEST_ID} to {LARGEST_ID}, or a string of at most {LONGEST_ID} characters"
    assert (place["pointer"], place["allowed"]) == ("/id", allowed)


def test_other_requests_have_no_id(client):
    assert check(client.post("/classify", json={"text": "fine", "id": 1}), 422).errors[0].pointer == "/id"


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [("/tag", {"text": "a", "format": "conllu"}, "/format"), ("/generate", {"prompt": "a", "stream": True}, "/stream")],
)
def test_a_line_is_answered_in_json_alone(client, path, body, pointer):
    (refused,) = ask(client, path, [body])
    assert refused["error"]["errors"][0]["pointer"] == pointer


def test_a_deadline_is_that_of_a_line(client):
    bodies = [{"prompt": "a", "max_tokens": n} for n in (1, 4096, 1)]
    first, second, third = ask(client, "/generate", bodies, **{"X-Request-Timeout-Ms": "400"})
    assert second["error"]["type"].endswith("deadline-exceeded")
    assert first["results"]
    assert third["results"]


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"X-Request-Timeout-Ms": "0"}, 422),
        (b"{}", {"Accept": "text/x-conllu"}, 406),
        (b"not gzip", {"Content-Encoding": "gzip"}, 422),
    ],
)
def test_what_is_wrong_before_the_first_line_has_a_status(client, content, headers, status):
    assert client.post("/tag", content=content, headers=HEADERS | headers).status_code == status


def test_lines_come_and_go_gzipped(client):
    headers = HEADERS | {"content-encoding": "gzip"}
    response = client.post("/classify", content=gzip.compress(b'{"text": "Good."}\n' * 50), headers=headers)
    assert response.headers["content-encoding"] == "gzip"
    assert response.num_bytes_downloaded < len(response.content) / 4
    assert len(response.text.splitlines()) == 50
    cut = gzip.compress(b'{"text": 7}\n' * 20_000)[:-8]  # more than one chunk
    response = client.post("/classify", content=cut, headers=headers)
    *_, last = response.text.splitlines()
    assert response.status_code == 200
    assert "the body is not gzip" in json.loads(last)["error"]["detail"]


def connect(server: Server) -> socket.socket:
    host, port = server.url.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    head = f"POST /classify HTTP/1.1\r\nHost: x\r\nContent-Type: {MEDIA_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head.encode())
    return connection


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_an_answer_comes_before_the_next_line_is_sent(server):
    with connect(server) as connection, connection.makefile("rb") as answers:
        for text in ("Good.", "Bad."):
            connection.sendall(chunk(json.dumps({"text": text}).encode() + b"\n"))
            while b'"label"' not in (line := answers.readline()):
                assert line
        connection.sendall(chunk(b""))
        while line := answers.readline().strip():
            pass
        assert line == b""


def test_a_client_that_reads_nothing_is_made_to_wait_and_memory_stays_flat(server):
    line = b'{"text": 7' + b" " * 4084 + b"}\n"
    block, count = chunk(line * 32), 1500
    # A quarter of what is sent: the server processes, which other tests share, grow by some 40 MB on their own while
    # they load what they have not needed before.
    limit = memory_of_children(server) + len(block) * count // 4
    sent = 0
    with connect(server) as connection:
        connection.setblocking(False)
        data = block * count
        stalled_at = -1
        while sent < len(data) and sent != stalled_at:
            stalled_at = sent
            sent += send_while_possible(connection, memoryview(data)[sent:])
        assert sent < len(data), "the service has read everything though none of its answers was taken"
        assert memory_of_children(server) < limit
        connection.setblocking(True)
        rest = threading.Thread(target=connection.sendall, args=(data[sent:] + chunk(b""),))
        rest.start()
        with connection.makefile("rb") as answers:
            errors = 0
            while (answer := answers.readline()) != b"0\r\n":
                errors += answer.count(b'"error"')
        rest.join()
    assert errors == 32 * count
    assert memory_of_children(server) < limit


def send_while_possible(connection: socket.socket, data: memoryview) -> int:
    """Sends until nothing more is taken for a second; returns the number of bytes."""
    sent = 0
    while sent < len(data) and select.select([], [connection], [], 1.0)[1]:
        sent += connection.send(data[sent : sent + 1_000_000])
    return sent


def memory_of_children(server: Server) -> int:
    """Returns the resident bytes of the server processes."""
    sizes: list[int] = [psutil.Process(pid).memory_info().rss for pid in server_processes(server.process.pid)]
    assert sizes
    return sum(sizes)


def test_a_client_that_goes_away_midway_leaves_no_work_behind(server):
    before = server.metric("tagwerk_cancelled_total")
    with connect(server) as connection:
        connection.sendall(chunk(json.dumps({"text": ["It is good. " * 50] * 20}).encode() + b"\n") * 200)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    wait_until(lambda: server.metric("tagwerk_cancelled_total") > before)
    wait_until(lambda: server.metric("tagwerk_queue_entries") == 0)
