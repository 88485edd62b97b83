"""The client against a server that fails as told: retries, their budget, pauses, deadlines, streams that break."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tagwerk.client import AsyncClient, DeadlineExceeded, Refused, Unavailable, retries
from tagwerk.client.retries import FULL
from tests.conftest import free_port

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
GOOD = {"results": [{"label": "positive", "scores": {"positive": 1.0}}]}
SECONDS = 20.0


@asynccontextmanager
async def serving(
    handler: Handler, timeout_seconds: float = SECONDS, connections: int = 64
) -> AsyncIterator[AsyncClient]:
    """Serves /classify and /generate by a function; returns a client of it."""
    app = web.Application()

    async def handle(request: web.Request) -> web.StreamResponse:
        return await handler(request)

    for path in ("/classify", "/generate"):
        app.router.add_post(path, handle)
    async with (
        TestServer(app) as server,
        AsyncClient(str(server.make_url("")), timeout_seconds=timeout_seconds, connections=connections) as client,
    ):
        yield client


def problem(status: int, retry_after: int | None = None) -> web.Response:
    document = {"type": "urn:tagwerk:problem:test", "title": "A test", "status": status, "detail": "as told"}
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return web.json_response(document, status=status, headers=headers)


class Script:
    """Answers requests in turn; the last answer is given for ever."""

    def __init__(self, *answers: Callable[[], web.Response]) -> None:
        self._answers = list(answers)
        self.times: list[float] = []
        self.timeouts: list[int] = []

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.times.append(time.monotonic())
        self.timeouts.append(int(request.headers["X-Request-Timeout-Ms"]))
        return (self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])()


def good() -> web.Response:
    return web.json_response(GOOD)


async def test_refused_requests_are_sent_again_after_retry_after_at_different_moments() -> None:
    script = Script(*[lambda: problem(429, 1)] * 6, good)
    async with serving(script) as client:
        await asyncio.gather(*(client.classify("a") for _ in range(6)))
    refused, answered = script.times[:6], script.times[6:]
    assert len(answered) == 6
    assert min(answered) >= min(refused) + 1
    assert len({round(moment, 2) for moment in answered}) > 1, "not all at the same moment"
    assert min(script.timeouts) < SECONDS * 1000 - 900, "the service hears how much time is left"


async def test_refusals_lower_the_number_of_requests_under_way() -> None:
    """The service takes four at a time; of a client with 32 connections it gets few more, and refuses few."""
    under_way = most = refused = 0

    async def four(request: web.Request) -> web.StreamResponse:
        nonlocal under_way, most, refused
        if under_way == 4:
            refused += 1
            return problem(429, 0)
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.002)
        under_way -= 1
        return good()

    async with serving(four, connections=32) as client:
        for _ in range(5):
            await asyncio.gather(*(client.classify("a") for _ in range(100)))
        before = refused
        await asyncio.gather(*(client.classify("a") for _ in range(400)))
        assert refused - before < 200
    assert most == 4
    assert refused > 10


async def test_a_service_without_capacity_is_asked_until_the_deadline() -> None:
    script = Script(lambda: problem(503, 1))
    async with serving(script, timeout_seconds=2.5) as client:
        for text in "ab":
            with pytest.raises((Unavailable, DeadlineExceeded), match="503 A test: as told"):
                await client.classify(text)
    assert 2 <= len(script.times) <= 6


@pytest.mark.parametrize("failure", [lambda: problem(500), lambda: problem(502), lambda: web.Response(status=502)])
async def test_other_failures_are_tried_again_while_the_budget_lasts(failure: Callable[[], web.Response]) -> None:
    script = Script(failure, failure, good)
    async with serving(script) as client:
        assert (await client.classify("a"))[0].label == "positive"
    assert len(script.times) == 3
    assert script.times[2] - script.times[1] > script.times[1] - script.times[0] - 0.02, "each waits longer"


async def test_a_service_that_fails_gets_few_more_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "LONGEST_SECONDS", 0.1)
    script = Script(lambda: problem(500))
    async with serving(script) as client:
        for _ in range(40):
            with pytest.raises((Unavailable, DeadlineExceeded)):
                await client.classify("a")
    assert 40 + FULL <= len(script.times) <= 40 + FULL + 40 * 0.2


@pytest.mark.parametrize(
    ("status", "error"), [(422, Refused), (504, DeadlineExceeded)], ids=["an invalid request", "a deadline missed"]
)
async def test_what_no_repetition_would_help_is_sent_once(status: int, error: type[Exception]) -> None:
    script = Script(lambda: problem(status))
    async with serving(script) as client:
        with pytest.raises(error, match=f"{status} A test: as told"):
            await client.classify("a")
    assert len(script.times) == 1


async def test_an_answer_that_never_comes_is_given_up_at_the_deadline() -> None:
    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(1.0)
        return good()

    async with serving(never, timeout_seconds=0.3) as client:
        with pytest.raises(DeadlineExceeded, match=r"no answer within 0\.3 s"):
            await client.classify("a")


@pytest.mark.parametrize("content", [b"<html>Welcome</html>", b'{"results": 7}', b""])
async def test_an_answer_of_something_else_than_the_service_is_shown(content: bytes) -> None:
    script = Script(lambda: web.Response(body=content))
    async with serving(script) as client:
        with pytest.raises(Unavailable, match="this is not an answer of tagwerk") as failed:
            await client.classify("a")
        assert content.decode() in str(failed.value)


async def test_a_server_without_http_is_unavailable() -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"220 mail.example.org ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", port := free_port())
    async with server, AsyncClient(f"http://127.0.0.1:{port}", timeout_seconds=1) as client:
        with pytest.raises((Unavailable, DeadlineExceeded), match="cannot be reached"):
            await client.classify("a")


async def test_the_error_names_the_address_where_no_service_listens() -> None:
    async with AsyncClient(f"http://127.0.0.1:{free_port()}", timeout_seconds=0.5) as client:
        with pytest.raises((Unavailable, DeadlineExceeded)) as failed:
            await client.classify("a")
        assert "http://127.0.0.1" in str(failed.value) + str(failed.value.__cause__)
        with pytest.raises((Unavailable, DeadlineExceeded)):
            _ = [one async for one in client.classify_lines(["a"])]


class LineScript:
    """Answers lines by what a function says of each; keeps which it got.

    The stream is broken if it says None, and ended with an answer that has no id.
    """

    def __init__(self, answer: Callable[["LineScript", dict[str, object]], list[dict[str, object]] | None]) -> None:
        self._answer = answer
        self.lines: list[int] = []
        self.connections = 0

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.connections += 1
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        await response.prepare(request)
        while line := await request.content.readline():
            body = json.loads(line)
            self.lines.append(body["id"])
            answers = self._answer(self, body)
            assert request.transport
            if answers is None:
                request.transport.abort()
                return response
            for answer in answers:
                await response.write(json.dumps(answer).encode() + b"\n")
                if "id" not in answer:
                    await response.write_eof()
                    request.transport.close()
                    return response
        return response


def labelled(body: dict[str, object]) -> dict[str, object]:
    return {"id": body["id"], "results": [{"label": str(body["text"]), "scores": {}}]}


def failed(body: dict[str, object], status: int) -> dict[str, object]:
    return {"id": body["id"], "error": {"type": "t", "title": "A test", "status": status, "detail": "as told"}}


async def labels(client: AsyncClient, count: int) -> list[str]:
    texts = (str(i) for i in range(count))
    return [one.label async for one in client.classify_lines(texts) if not isinstance(one, Refused)]


async def test_a_stream_goes_on_over_a_new_connection_and_repeats_only_what_is_unanswered() -> None:
    breaks = [40, 90, 91]

    def answer(script: LineScript, body: dict[str, object]) -> list[dict[str, object]] | None:
        if breaks and body["id"] == breaks[0]:
            breaks.pop(0)
            return None
        return [labelled(body)]

    script = LineScript(answer)
    async with serving(script) as client:
        assert await labels(client, 200) == [str(i) for i in range(200)]
    assert script.connections == 4
    assert script.lines.count(5) <= 2


async def test_lines_that_find_no_capacity_are_sent_again_and_keep_their_place() -> None:
    def answer(script: LineScript, body: dict[str, object]) -> list[dict[str, object]]:
        again = script.lines.count(int(str(body["id"]))) > 1
        return [labelled(body) if again or body["id"] not in (3, 7) else failed(body, 503)]

    script = LineScript(answer)
    async with serving(script) as client:
        assert await labels(client, 20) == [str(i) for i in range(20)]
    assert sorted(script.lines) == sorted([*range(20), 3, 7])
    assert script.connections == 1


async def test_a_stream_that_the_service_ends_for_its_silence_is_opened_again() -> None:
    silence: dict[str, object] = {"error": {"type": "t", "title": "Too slow", "status": 408, "detail": "silence"}}

    def answer(script: LineScript, body: dict[str, object]) -> list[dict[str, object]]:
        return [labelled(body), silence] if script.connections == 1 else [labelled(body)]

    async def texts() -> AsyncIterator[str]:
        yield "first"
        await asyncio.sleep(0.3)
        yield "second"

    async with serving(LineScript(answer)) as client:
        found = [one async for one in client.classify_lines(texts())]
        assert [one.label for one in found if not isinstance(one, Refused)] == ["first", "second"]


@pytest.mark.parametrize(("answers", "seconds"), [([], 0.3), (None, 5)], ids=["nothing comes", "it always breaks"])
async def test_a_stream_that_brings_no_answers_ends(answers: list[dict[str, object]] | None, seconds: float) -> None:
    script = LineScript(lambda script, body: answers)
    async with serving(script, timeout_seconds=seconds) as client:
        with pytest.raises(Unavailable, match="the stream failed"):
            await labels(client, 3)
    assert script.connections <= FULL + 3


async def test_a_line_that_ends_the_stream_is_raised() -> None:
    error = {"type": "t", "title": "Too large", "status": 413, "detail": "a line without an end"}
    async with serving(LineScript(lambda script, body: [{"error": error}])) as client:
        with pytest.raises(Refused, match="a line without an end"):
            await labels(client, 3)


EVENTS = """
data: {"index":0,"text":"a"}

data: {"index":1,"text":"b"}

: comment

event: finish
data: {"index":0,"finish_reason":"length","tokens":1,"seed":7}

data: {"index":1,"text":"c"}

event: finish
data: {"index":1,"finish_reason":"length","tokens":2,"seed":8}

data: {"index":2,"text":"d"}

event: error
data: {"type":"urn:tagwerk:problem:deadline-exceeded","title":"Late","status":504,"detail":"too late"}

"""


async def test_a_stream_of_several_texts_has_the_pieces_of_each_until_the_last_or_an_error() -> None:
    async def streaming(request: web.Request) -> web.StreamResponse:
        return web.Response(text=EVENTS.lstrip(), content_type="text/event-stream")

    pieces: list[tuple[int, str]] = []

    async def read(client: AsyncClient) -> None:
        async for piece in client.generate_stream("A", n=3):
            pieces.append((piece.number, piece))

    async with serving(streaming) as client:
        with pytest.raises((Unavailable, DeadlineExceeded), match=r"^504 Late: too late$"):
            await read(client)
    assert pieces == [(0, "a"), (1, "b"), (1, "c"), (2, "d")]
