"""Texts that an engine generates: their tokens, their deadlines, and their slots."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from service.errors import DeadlineExceeded, DeviceFailed
from tests.engine.running import hold, prompt, request, text, tokens
from tests.fakes import failing
from tests.waiting import iterations, until


async def test_texts_are_generated_side_by_side_and_beside_batches(made):
    texts = [text(made, prompt(*ids, max_tokens=5)) for ids in ((1, 2, 3, 4, 5, 6), (10,), (20,))]
    *ids, outcome = await asyncio.gather(*texts, made.infer(request([7])))
    assert ids == [[7, 8, 9, 10, 11], [11, 12, 13, 14, 15], [21, 22, 23, 24, 25]]
    assert int(outcome.outputs["sum"][0]) == 7
    assert not made._streams.texts, "nothing is kept of texts that have ended"


async def test_only_texts_that_request_logprobs_have_them(device, made):
    asks, plain = (tokens(made, prompt(4, max_tokens=2, logprobs=wish)) for wish in (True, False))
    held = await hold(device, made)
    waiting = asyncio.gather(anext(asks), anext(plain))
    await iterations()
    device.go.set()
    first, second = await waiting
    assert first[:3] == (5, -1.0, ((5, -1.25), (4, -1.0)))
    assert second[:3] == (5, None, ())
    assert first.queue_seconds > 0
    assert first.batch_size == second.batch_size == 2
    await held
    assert [token[:3] async for token in asks] == [(6, -1.25, ((6, -1.5), (5, -1.25)))]
    await plain.aclose()
    await iterations()
    device.fetched.clear()
    assert await text(made, prompt(7)) == [8, 9, 10]
    assert set(device.fetched) == {frozenset()}, "nobody of the step asked"


async def test_texts_that_leave_the_queue_make_room_at_once(device, made):
    held = await hold(device, made)  # no stream has a slot any more
    for seconds in (60.0, 0.02):  # the first ones are cancelled, the next ones expire
        waiting = [asyncio.create_task(anext(tokens(made, prompt(1, seconds=seconds)))) for _ in range(256)]
        await iterations()
        for task in waiting if seconds == 60.0 else ():
            task.cancel()
        errors = await asyncio.gather(*waiting, return_exceptions=True)
        wanted = asyncio.CancelledError if seconds == 60.0 else DeadlineExceeded
        assert {type(error) for error in errors} == {wanted}
    last = asyncio.create_task(anext(tokens(made, prompt(5))))
    await iterations()
    device.go.set()
    assert (await last).id == 6
    await held


async def test_texts_that_nobody_reads_end_with_the_block_of_their_request(made):
    with made.generate([prompt(1, max_tokens=10**6) for _ in range(4)]):
        await iterations()
        assert made._streams.busy
    assert not made._streams.texts
    assert not any(generator.slots.busy for generator in made._streams.models.values())


async def test_a_text_whose_deadline_passes_says_where_the_time_went(made):
    with pytest.raises(DeadlineExceeded) as late:
        await text(made, prompt(1, max_tokens=10**6, seconds=0.05))
    assert 0 <= late.value.stages["queue"] < late.value.stages["inference"]


async def test_a_step_that_fails_does_not_repeat_another_that_has_run_beside_it(device, made, monkeypatch):
    def finish() -> None:
        real()
        if (error := next(errors, None)) is not None:
            raise error

    real, errors = device.finish_step, iter([None, failing()])
    held = await hold(device, made)
    texts = [asyncio.create_task(text(made, prompt(*ids))) for ids in ([1, 2, 3], [4])]
    await iterations()
    monkeypatch.setattr(device, "finish_step", finish)
    device.go.set()
    await held
    with pytest.raises(DeviceFailed):
        await texts[0]
    assert await texts[1] == [5, 6, 7]
    assert len(device.steps) == 1 + 3


async def test_texts_are_cut_where_they_are_when_the_service_stops(made):
    texts = [asyncio.create_task(text(made, prompt(i, max_tokens=10**6))) for i in (1, 5)]
    await iterations(10)
    assert not any(task.done() for task in texts)
    made.cut_texts()
    for task, first in zip(texts, (2, 6), strict=True):
        ids = await task
        assert ids == list(range(first, first + len(ids)))
        assert ids


async def test_the_tokens_of_a_text_are_reported_as_they_are_computed_also_if_they_are_not_read(made):
    reported = Counter[int]()

    def report(client: int, tokens: int) -> None:
        reported[client] += tokens

    made.on_computed = report
    assert len(await text(made, replace(prompt(1, max_tokens=50), client=7))) == 50
    left = tokens(made, replace(prompt(1, max_tokens=10**6), client=8))
    await anext(left)
    await until(lambda: reported[8] >= 20)
    await left.aclose()
    await iterations()
    stopped = reported[8]
    await made.infer(replace(request([7, 8, 9], [1]), clients=[9]))
    assert reported == {7: 50, 8: stopped, 9: 4}
