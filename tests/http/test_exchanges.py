"""What becomes of plain requests: order, clients, deadlines, limits, errors, and what is recorded of them."""

import asyncio
import gc
import json
import re
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from service.http import plain_requests
from service.pipelines.run import TURN_SECONDS, advance
from service.text.interruptible import Interruptible
from tests.fakes import failing
from tests.http.running import Service, running
from tests.http.scene import SequenceModelDevice
from tests.http.wire import GET, application, post
from tests.waiting import iterations, until

FINE = b'{"text": "fine"}'
SMALL_QUEUE: dict[str, Any] = {"max_items": 4, "max_queue_tokens": 256}
Way = Callable[[bytes], bytes]
BOTH_WAYS: list[Way] = [bytes, application]
both_ways = pytest.mark.parametrize("way", BOTH_WAYS, ids=["plain", "application"])


KINDS: dict[str, tuple[bytes, int]] = {  # requests and the statuses of their answers
    "plain": (post("/classify", FINE), 200),
    "application": (application(post("/tag", FINE)), 200),
    "invalid": (post("/tag", b"{"), 400),
    "large": (post("/tag", b'{"text": "%b"}' % (b"a " * 1000)), 200),
    "get": (GET, 200),
}


@pytest.mark.parametrize("size", [100_000, 500, 7], ids=["at once", "in chunks", "in small chunks"])
@pytest.mark.parametrize(
    "kinds",
    [
        ["plain", "plain"],
        ["plain", "application"],
        ["application", "plain"],
        ["plain", "get", "plain", "plain", "application", "plain"],
        ["plain", "invalid", "plain"],
        ["invalid", "plain", "get"],
        ["large", "plain", "large", "get"],
        ["plain"] * 16,
    ],
    ids=" ".join,
)
async def test_requests_that_do_not_wait_for_answers_are_answered_in_order(kinds, size):
    async with running() as service:
        requests = [KINDS[kind][0] for kind in kinds]
        data = b"".join(r.replace(b"Host: x", b"Host: x\r\nX-Request-ID: %d" % i) for i, r in enumerate(requests))
        connection, wire = service.send(*(data[start : start + size] for start in range(0, len(data), size)))
        await until(lambda: len(wire.answers()) == len(kinds))
        found = [(answer.header("x-request-id"), answer.status) for answer in wire.answers()]
        assert found == [(str(number), KINDS[kind][1]) for number, kind in enumerate(kinds)]
        assert service.through_application == sum(kind not in ("plain", "large") for kind in kinds)
        assert not connection.in_exchange
        assert wire.reading


@both_ways
@pytest.mark.parametrize("error", [None, ConnectionResetError()], ids=["closed", "reset"])
async def test_a_client_that_goes_while_its_request_waits_leaves_the_queue_and_its_key_free(narrow, way, error):
    authenticator, one, other = narrow
    async with running(authenticator) as service:
        await service.hold(other)
        request = way(post("/classify", FINE, one))
        connection, _ = await service.wait(request)
        assert (await service.answer(application(post("/classify", FINE, one)))).status == 429
        connection.connection_lost(error)
        await iterations()
        assert service.queued == 0
        assert not connection.in_exchange
        assert service.metric("cancelled_total") == 1
        assert service.metric("requests_total", route="/classify", status="499") == 1
        service.device.go.set()
        assert (await service.answer(request)).status == 200


@both_ways
async def test_a_request_whose_deadline_passes_in_the_queue_is_answered_504_with_its_times(narrow, way):
    authenticator, one, other = narrow
    async with running(authenticator) as service:
        await service.hold(other)
        _, wire = await service.wait(way(post("/classify", FINE, one, "X-Request-Timeout-Ms: 100")))
        await until(wire.answers)
        (answer,) = wire.answers()
        document = answer.document
        assert document["status"] == answer.status == 504
        assert document["type"] == "urn:tagwerk:problem:deadline-exceeded"
        assert list(document["timing_ms"]) == ["tokenize", "queue", "inference"]
        assert answer.header("server-timing") == "tokenize;dur=, queue;dur=, inference;dur=, total;dur="
        assert service.queued == 0
        assert service.metric("expired_total") == 1
        service.device.go.set()
        assert (await service.answer(way(post("/classify", FINE, one)))).status == 200, "its key is free"


BROKEN = {
    "encode": "service.pipelines.classification.encode",
    "decode": "service.pipelines.classification.decode",
    "write": "service.pipelines.formats.write_classified",
    "make": "service.pipelines.classification.check_explains",
}


@pytest.mark.parametrize("stage", BROKEN)
async def test_an_error_in_a_handler_is_answered_500_for_its_requests_alone(narrow, stage, monkeypatch, caplog):
    authenticator, one, other = narrow
    async with running(authenticator) as service:
        monkeypatch.setattr(BROKEN[stage], lambda *arguments: 1 / 0)
        wrong = [service.send(post("/classify", FINE, key))[1] for key in (one, other)]
        _, right = service.send(post("/tag", FINE, other))
        await until(lambda: all(wire.answers() for wire in (*wrong, right)))
        assert [wire.answers()[0].status for wire in (*wrong, right)] == [500, 500, 200]
        assert wrong[0].answers()[0].document["type"] == "urn:tagwerk:problem:internal"
        assert "ZeroDivisionError" in caplog.text
        monkeypatch.undo()
        assert (await service.answer(post("/classify", FINE, one))).status == 200, "its key is free"
        assert not service.context.engine.failed.is_set()


LONG = post("/tag", json.dumps({"text": "a cat isn't 1 dog! " * 800}).encode())


@pytest.mark.parametrize("overlaps", [False, True])
async def test_a_long_text_delays_a_short_one_by_a_turn_of_each_iteration_in_which_that_is_in_progress(
    overlaps, monkeypatch
):
    turns: list[float] = []

    def noting(work: Interruptible[None], seconds: float) -> tuple[None] | None:
        turns.append(seconds)
        return advance(work, 0.0)

    monkeypatch.setattr(plain_requests, "advance", noting)
    device = SequenceModelDevice()
    device.overlaps = overlaps
    async with running(device=device) as service:
        _, long = service.send(LONG)
        most = count = 0
        while not long.answers():
            turns.clear()
            _, short = service.send(post("/classify", FINE))
            while not short.answers():
                await asyncio.sleep(0)
            of_long = turns.count(TURN_SECONDS)
            most, count = max(most, of_long), count + of_long
        assert most == (2 if overlaps else 1)
        assert count > 100
        assert not service.through_application


async def test_of_many_long_texts_few_are_begun_in_an_iteration_and_short_ones_come_first(monkeypatch):
    clock = SimpleNamespace(offset=0.0)
    begun: list[float] = []
    monotonic = time.monotonic

    def taking(work: Interruptible[None], seconds: float) -> tuple[None] | None:
        """Advances the clock by as long as the work may take."""
        clock.offset += seconds
        begun.append(seconds)
        return advance(work, 0.0)

    monkeypatch.setattr(plain_requests, "advance", taking)
    monkeypatch.setattr(plain_requests, "time", SimpleNamespace(monotonic=lambda: monotonic() + clock.offset))
    async with running(request_timeout_seconds=1000.0, max_queue_tokens=6_400_000) as service:
        long = [service.send(LONG)[1] for _ in range(8)]
        _, short = service.send(post("/tag", FINE))
        service.context.plain.run()
        assert service.queued == 1, "the short one"
        assert begun.count(plain_requests.FIRST_TURNS * TURN_SECONDS) <= 4
        await until(lambda: all(wire.answers() for wire in long))
        assert {wire.answers()[0].status for wire in (*long, short)} == {200}


def counts(service: Service) -> dict[str, float]:
    """Returns the metrics that count something, besides batches."""
    metrics = service.context.metrics
    metrics.flush()
    return {
        f"{sample.name} {sorted(sample.labels.items())}": sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name.startswith("tagwerk_") and sample.name.endswith(("_total", "_count"))
        if not re.search("batch|padding|inference", sample.name)
    }


async def all_kinds(service: Service, way: Way, one: str, other: str) -> None:
    """Sends plain requests that have all kinds of ends, besides unexpected errors."""

    async def ask(expected: int, body: bytes = FINE, *headers: str, path: str = "/classify") -> None:
        assert (await service.answer(way(post(path, body, *(headers or (one,)))))).status == expected

    trace = "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await ask(200, b'{"text": ["fine", "It is. Is it?"], "sentences": true}', one, trace)
    await ask(200, b'{"text": ["fine", "It is. Is it?"]}', path="/tag")
    await ask(200, b'{"text": " "}', path="/tag")
    await ask(200, b'{"text": ["%b", " "], "n_best": 5}' % (b"a " * 200), one, "Accept-Encoding: gzip", path="/tag")
    await ask(401, FINE, "X-Request-ID: mine")
    await ask(404, b'{"text": "fine", "model": "nobody"}')
    await ask(422, b'{"text": "fine", "contributions": true}')
    service.device.failure = failing()
    await ask(500)
    service.device.failure = None
    await service.hold(other)
    gone, _ = await service.wait(way(post("/classify", FINE, one)))
    gone.connection_lost(None)
    await iterations()
    _, late = await service.wait(way(post("/classify", FINE, one, "X-Request-Timeout-Ms: 100")))
    await until(late.answers)
    await service.wait(way(post("/classify", b'{"text": ["a", "b", "c", "d"]}', other)))
    _, full = service.send(way(post("/tag", FINE, one)))
    service.context.plain.run()
    await until(full.answers)
    service.device.go.set()
    await until(lambda: not service.context.engine._waiting)


async def test_what_a_request_leaves_behind_needs_no_search_for_garbage(narrow):
    authenticator, *keys = narrow
    async with running(authenticator, log_level="warning", **SMALL_QUEUE) as service:

        async def requests() -> None:
            await all_kinds(service, bytes, *keys)
            while service.sent:
                service.sent.pop().connection_lost(None)
            await asyncio.sleep(0.1)  # until the metrics are written

        await requests()
        gc.collect()
        gc.disable()
        try:
            await requests()
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            assert [type(one) for one in gc.garbage] == []
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()


async def test_the_same_is_counted_and_logged_on_both_ways(narrow, monkeypatch, capfd):
    def lines() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        for fields in found:
            if len(fields.get("request", "")) == 32:
                fields["request"] = "generated"
            fields["stages"] = list(fields.get("stages", ()))
        differ = ("time", "ms", "batch")
        return [
            {name: value for name, value in fields.items() if name not in differ}
            for fields in found
            if fields["logger"] == "tagwerk.request"
        ]

    async def found(way: Way) -> tuple[dict[str, float], list[dict[str, Any]]]:
        authenticator, one, other = narrow
        async with running(authenticator, log_format="json", **SMALL_QUEUE) as service:
            await all_kinds(service, way, one, other)
            monkeypatch.setattr(BROKEN["encode"], lambda *arguments: 1 / 0)
            assert (await service.answer(way(post("/classify", FINE, one)))).status == 500
            monkeypatch.undo()
            assert (await service.answer(way(post("/classify", b'{"text": 7}', one)))).status == 422
            await iterations()
            seen = counts(service)
        return seen, lines()

    plain, through_application = await found(bytes), await found(application)
    assert plain == through_application
    assert len(plain[1]) == 15


async def test_while_the_service_drains_answers_close_their_connections():
    async with running() as service:
        await service.hold()
        waits, wire = await service.wait(post("/classify", FINE))
        idle, closed = service.send()
        for connection in (waits, idle):
            connection.shutdown()
        assert closed.closed
        assert not wire.closed
        service.device.go.set()
        await until(wire.answers)
        assert wire.answers()[0].closes
        assert wire.answers()[0].header("connection") == "close"
        service.context.draining = True
        before = service.through_application
        assert (await service.answer(post("/classify", FINE))).closes
        assert service.through_application == before


async def test_the_bound_on_bodies_holds_for_those_that_are_small_enough_to_be_plain():
    async with running(max_body_bytes=len(FINE)) as service:
        for body, status in ((FINE, 200), (FINE + b" ", 413)):
            assert (await service.answer(post("/classify", body))).status == status


async def test_a_stream_in_http_1_0_ends_with_its_connection_and_has_no_chunks():
    async with running() as service:
        events = b'{"prompt": "a", "max_tokens": 3, "seed": 1, "stream": true}'
        _, wire = service.send(post("/generate", events).replace(b"HTTP/1.1", b"HTTP/1.0"))
        await until(lambda: wire.closed)
        head, _, body = b"".join(wire.written).partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head
        assert b"content-length" not in head
        assert b"connection: close" in head
        assert body.startswith(b"event: ") or body.startswith(b"data: ")
        assert body.endswith(b"\n\n")
        _, wire = service.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
        await until(lambda: wire.closed)
        assert wire.answers()[0].document == {"status": "alive"}
