"""Lines as they arrive: whatever the chunks, gzipped or not, slowly or never."""

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import chain, count, repeat
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api import line_input, lines
from service.api.line_input import read_lines
from service.api.lines import MEDIA_TYPE
from service.errors import NotReceived, TooLarge
from service.http.body import CHUNK_BYTES, MOST_RATIO, Body
from service.security.keys import Authenticator, Key, add_key, remove_key
from service.security.rate_limiter import RateLimiter
from tests.fakes import Clock
from tests.http.running import scene
from tests.http.scene import header_of, keyed
from tests.http.test_problems import check
from tests.http.wire import body_part, no_hold, receiving

HEADERS = {"content-type": MEDIA_TYPE}
LINE = b'{"text": "fine"}\n'


async def read(
    receive: Any, limit: int = 100, timeout_seconds: float = 10, idle_seconds: Callable[[], float] = lambda: 1.0
) -> list[bytes]:
    """Returns the lines of a body."""
    return [line async for line in read_lines(receive, limit, timeout_seconds, idle_seconds, no_hold)]


async def split(chunks: Iterable[bytes], limit: int) -> list[bytes]:
    """Returns the lines of a body that arrives in chunks."""
    return await read(receiving(*(body_part(chunk, more=True) for chunk in chunks), body_part(b"")), limit)


@given(st.lists(st.sampled_from([b"a", b"bc", b"\n", b"\r\n", b" ", b"\n\n\n"]), max_size=30).map(b"".join), st.data())
def test_lines_are_split_whatever_the_chunks(data, draw):
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    chunks = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    expected = [line.strip() for line in data.split(b"\n") if line.strip()]
    assert [line.strip() for line in asyncio.run(split(chunks, 100))] == expected


async def test_a_line_over_the_limit_ends_the_stream_and_blank_bytes_are_none():
    with pytest.raises(TooLarge, match="a line too long; allowed: at most 1000 bytes"):
        await split([b"one\n"] + [b"x" * 101] * 10, 1000)
    assert await split([b"\n" * 65_536, b" " * 65_536] * 10 + [LINE], 1000) == [LINE[:-1]]


async def test_a_gzipped_stream_unzips_to_no_more_than_a_documented_ratio():
    zipped = gzip.compress(LINE * 300_000)  # 5 MB in 18 kB
    received = iterations = 0

    async def unzip(limit: int) -> None:
        nonlocal received
        body = Body({b"content-encoding": b"gzip"}, receiving(body_part(zipped)), limit, no_hold)
        body.limit = None
        received, more = 0, True
        while more:
            message = await body.receive()
            received += len(message["body"])
            more = message["more_body"]

    with pytest.raises(TooLarge, match=f"unzips to more than {MOST_RATIO} times its size"):
        await unzip(100_000)
    assert 100_000 < received <= 100_000 + MOST_RATIO * len(zipped) + CHUNK_BYTES
    reading = asyncio.create_task(unzip(4_194_304))
    while not reading.done():
        iterations += 1
        await asyncio.sleep(0)
    await reading
    assert received == len(LINE) * 300_000
    assert iterations >= received // CHUNK_BYTES, "others have their turn after each chunk"


class Arriving(httpx.AsyncByteStream):
    """A body whose chunks come as given, and then no end. Unlike a generator it goes on after a cancelled wait."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            await asyncio.sleep(0)
            return chunk
        return await never()


async def post(
    content: Any, authenticator: Authenticator | None = None, key: dict[str, str] | None = None, **settings: Any
) -> httpx.Response:
    async with scene(authenticator=authenticator, **settings) as client:
        request = client.build_request("POST", "/classify", headers=HEADERS | (key or {}))
        request.stream = httpx.ByteStream(content) if isinstance(content, bytes) else content
        return await client.send(request)


async def never() -> NoReturn:
    await asyncio.get_running_loop().create_future()
    raise AssertionError("it never comes")


def answers(response: httpx.Response) -> list[int]:
    """Returns the status of each line."""
    assert response.status_code == 200, response.text
    return [line.get("error", {}).get("status", 200) for line in map(json.loads, response.text.splitlines())]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ([LINE], [200, 408]),
        ([LINE, LINE, LINE[:5]], [200, 200, 408]),
        ([LINE, b"\n\n"], [200, 408]),
        (chain([LINE], repeat(b"{")), [200, 408]),
    ],
)
async def test_a_stream_on_which_nothing_comes_is_ended(content, expected):
    response = await post(Arriving(content), receive_timeout_seconds=0.2)
    assert answers(response) == expected
    error = json.loads(response.text.splitlines()[-1])["error"]
    assert error["type"].endswith(":request-timeout")
    assert "TAGWERK_RECEIVE_TIMEOUT_SECONDS" in error["detail"]


async def test_a_stream_that_never_begins_is_refused_with_a_status():
    response = await post(Arriving([]), receive_timeout_seconds=0.05)
    assert check(response, 408).type.endswith(":request-timeout")
    assert response.headers["connection"] == "close"


async def test_a_stream_may_wait_for_its_answers_but_not_in_the_middle_of_a_line():
    looks: list[float] = []

    def idle_seconds() -> float:
        looks.append(0.0 if len(looks) < 3 else 1.0)
        return looks[-1]

    messages: list[dict[str, Any]] = []

    async def receive() -> Any:
        return messages.pop() if messages else await never()

    with pytest.raises(NotReceived):
        await read(receive, 100, 0.01, idle_seconds)
    assert looks == [0.0, 0.0, 0.0, 1.0]
    looks.clear()
    messages.append(body_part(b'{"te', more=True))
    with pytest.raises(NotReceived):
        await read(receive, 100, 0.01, idle_seconds)
    assert len(looks) == 1


@pytest.mark.parametrize("chunk", [LINE, b"\n", b"{"], ids=["a line", "a blank line", "a part"])
async def test_what_arrives_while_the_event_loop_stands_still_is_read_before_a_timeout(chunk):
    timeout_seconds = 0.2
    messages = [body_part(LINE, more=True)]
    changed = asyncio.Event()

    def arrive() -> None:
        messages.append(body_part(chunk, more=chunk != LINE))
        changed.set()

    async def receive() -> Any:
        if not messages and not changed.is_set():
            loop = asyncio.get_running_loop()
            loop.call_later(timeout_seconds / 2, arrive)
            loop.call_soon(time.sleep, 2 * timeout_seconds)
            await changed.wait()
        return messages.pop() if messages else await never()

    if chunk == LINE:
        assert await read(receive, 100, timeout_seconds) == [LINE[:-1]] * 2
    else:
        with pytest.raises(NotReceived):
            await read(receive, 100, timeout_seconds)


class SteppedRateLimiter(RateLimiter):
    """Its clock moves by a quarter of a second at each look."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self.clock = Clock()
        super().__init__(clock=self.clock)

    def take(self, key: Key) -> float:
        self.clock.now += 0.25
        self.taken.append(super().take(key))
        return self.taken[-1]


async def test_each_line_counts_as_a_request_of_a_key_and_waits_for_its_rate(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(lines, "LONGEST_PAUSE_SECONDS", 0.0)
    secret = add_key(tmp_path / "keys.json", "slow", ["infer"], requests_per_second=1.0, concurrent=1)
    rate_limiter = SteppedRateLimiter()
    authenticator = Authenticator(tmp_path / "keys.json", rate_limiter)
    response = await post(LINE * 4, authenticator, {"authorization": f"Bearer {secret}"})
    assert answers(response) == [200] * 4
    assert rate_limiter.taken == [0.75, 0.5, 0.25, 0.0] * 3


async def test_a_key_that_is_removed_ends_its_stream(tmp_path: Path):
    path = tmp_path / "keys.json"
    authenticator, keys = keyed(path, "web")

    def content() -> Iterator[bytes]:
        yield LINE * 2
        remove_key(path, "web")
        authenticator.reload_if_changed()
        yield LINE * 2

    response = await post(Arriving(content()), authenticator, header_of(keys["web"]))
    assert answers(response) == [200, 200, 401]


@pytest.mark.parametrize("blank", [b" ", b"\n", b" \n "])
async def test_blank_bytes_give_a_stream_no_more_time(blank, monkeypatch):
    moments = count(step=0.5)
    monkeypatch.setattr(line_input, "time", SimpleNamespace(monotonic=lambda: next(moments)))

    async def always_blank() -> Any:
        await asyncio.sleep(0)
        return body_part(blank, more=True)

    with pytest.raises(NotReceived):
        await read(always_blank, 1_000_000, 60.0, lambda: 60.0)
    assert next(moments) < 200, "they ran out with the time that the first had"
