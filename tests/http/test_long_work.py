"""Long work leaves the event loop to others: it runs in turns, one in each iteration of the loop."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from service.api import lines
from service.errors import DeadlineExceeded
from service.http import body as http_body
from service.pipelines import formats
from service.pipelines import run as run_module
from service.pipelines.run import PipelineRun, advance
from service.telemetry.request import Timing
from service.text.interruptible import Interruptible
from tests.http.running import running, scene
from tests.http.scene import made_context
from tests.http.wire import post
from tests.waiting import iterations as loop_iterations
from tests.waiting import until

CHARACTERS = 20_000
UNBROKEN = ("a.,b!(" * CHARACTERS)[:CHARACTERS]
WORDS = ("A cat isn't 1 dog! " * CHARACTERS)[:CHARACTERS]
LINES = ("a\n\n" * CHARACTERS)[:CHARACTERS]


@pytest.fixture
def short_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes each turn as short as the work can be cut, whatever the speed of the machine."""
    monkeypatch.setattr(run_module, "TURN_SECONDS", 0.0)


@asynccontextmanager
async def counted_iterations() -> AsyncIterator[list[int]]:
    """Yields a list with the number of iterations of the event loop."""
    iterations = [0]

    async def count() -> None:
        while True:
            iterations[0] += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    yield iterations
    counting.cancel()


@pytest.fixture
def turns(short_turns: None, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Returns a list that gets the seconds of each turn, as short as the work can be cut."""
    seen: list[float] = []

    def counting(work: Interruptible[Any], seconds: float) -> tuple[Any] | None:
        seen.append(seconds)
        return advance(work, seconds)

    monkeypatch.setattr(run_module, "advance", counting)
    return seen


MANY = {"text": ["A cat."] * 1000}
TENSOR = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [WORDS]}
ONE_SENTENCE = {"tokens": [["a"] * (CHARACTERS // 2)]}


@pytest.mark.parametrize(
    ("path", "body", "at_least"),
    [
        ("/tag", {"text": UNBROKEN}, 5_000),
        ("/tag", {"text": WORDS}, 400),
        ("/tag", {"text": LINES}, 1_500),
        ("/tag", {"text": WORDS, "format": "conllu"}, 1_000),
        ("/tag", {"text": WORDS, "n_best": 5, "offsets": "utf16"}, 500),
        ("/tag", ONE_SENTENCE, 2_500),
        ("/tag", ONE_SENTENCE | {"n_best": 5}, 2_500),
        ("/tag", ONE_SENTENCE | {"format": "conllu"}, 2_500),
        ("/tag", MANY, 450),
        ("/classify", {"text": WORDS}, 45),
        ("/classify", {"text": LINES, "sentences": True}, 1_500),
        ("/classify", MANY, 400),
        ("/v2/models/tagger/infer", {"inputs": [TENSOR]}, 400),
    ],
)
async def test_a_large_request_is_worked_on_in_many_turns(
    path: str, body: dict[str, Any], at_least: int, turns: list[float]
) -> None:
    async with scene(request_timeout_seconds=600.0) as client:
        response = await client.post(path, json=body)
    assert response.status_code == 200, response.text[:500]
    assert len(turns) >= at_least


@pytest.mark.parametrize(("path", "at_least"), [("/generate", 20), ("/v1/completions", 80)])
async def test_the_logprobs_of_a_text_are_written_in_turns(
    path: str, at_least: int, turns: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "ITEMS_AT_ONCE", 1)
    async with scene() as client:
        response = await client.post(path, json={"model": "lm", "prompt": "a", "max_tokens": 20, "logprobs": 2})
    assert response.status_code == 200, response.text
    assert len(turns) >= at_least


async def test_a_short_request_is_worked_on_at_once() -> None:
    def work() -> Interruptible[str]:
        return "done"
        yield

    run = PipelineRun(made_context(), Timing(0.0), deadline=0.0)  # which is not looked at
    async with run.resources.long_work:  # nor is it waited for others
        assert await run.do(work()) == "done"


def steps(seen: list[int], iterations: list[int], count: int) -> Interruptible[int]:
    """Notes the iteration of the event loop in which each of its steps is done."""
    for _ in range(count):
        seen.append(iterations[0])
        yield
    return count


@pytest.mark.usefixtures("short_turns")
async def test_an_iteration_has_one_turn_of_all_long_work() -> None:
    here, seen = made_context(), list[int]()
    async with counted_iterations() as iterations:
        runs = [PipelineRun(here, Timing(0.0), time.monotonic() + 600) for _ in range(5)]
        assert await asyncio.gather(*(run.do(steps(seen, iterations, 50)) for run in runs)) == [50] * 5
    later = seen[5:]  # the first step of each, on arrival, shows that it is long
    assert len(set(later)) == len(later)


@pytest.mark.usefixtures("short_turns")
async def test_work_stops_when_its_deadline_passes_or_its_client_goes() -> None:
    closed: list[str] = []

    def endless(name: str) -> Interruptible[None]:
        try:
            while True:
                yield
        finally:
            closed.append(name)

    here = made_context()
    with pytest.raises(DeadlineExceeded):
        await PipelineRun(here, Timing(time.monotonic()), time.monotonic() - 1).do(endless("late"))
    gone = asyncio.create_task(PipelineRun(here, Timing(0.0), time.monotonic() + 600).do(endless("gone")))
    await loop_iterations()
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    assert closed == ["late", "gone"]
    assert not here.long_work.locked()
    exposition = here.metrics.exposition().decode()
    assert "tagwerk_cancelled_total 1.0" in exposition


async def test_a_large_answer_is_sent_in_chunks_of_its_announced_length() -> None:
    async with running() as service:
        _, wire = service.send(post("/tag", json.dumps({"text": WORDS}).encode()))
        await until(lambda: len(wire.written) > 5 and wire.answers())
        assert max(map(len, wire.written)) <= 2 * 65_536
        (answer,) = wire.answers()  # whose body is as long as announced
    sentences = answer.document["results"][0]["sentences"]
    assert [sentence["text"] for sentence in sentences][:2] == ["A cat isn't 1 dog!"] * 2


async def test_lines_of_one_chunk_are_begun_a_few_in_an_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[int] = []
    in_turn = http_body.in_turn
    async with counted_iterations() as iterations, scene() as client:

        async def noted(*arguments: Any) -> Any:
            began.append(iterations[0])
            return await in_turn(*arguments)

        monkeypatch.setattr(lines, "in_turn", noted)
        content = b'{"text": "A cat."}\n' * 100
        response = await client.post("/tag", content=content, headers={"content-type": lines.MEDIA_TYPE})
    assert len(response.text.splitlines()) == len(began) == 100
    assert max(Counter(began).values()) <= lines.ITERATION_BYTES // lines.LEAST_BYTES
