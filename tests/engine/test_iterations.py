"""Iterations of an engine, each run by the test: the order of their work, what overlaps, and what is measured."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

from service.artifact.manifest import ModelVersion
from service.engine.engine import Engine
from service.engine.loader import ModelLoading
from service.engine.queue import EngineRequest
from service.engine.slots import Slots
from service.errors import DeadlineExceeded
from service.settings import Settings
from service.types import ModelKey
from tests.engine.running import LM, SETTINGS, STEP_SECONDS, Timed, prompt, request, text
from tests.engine.test_engine import Ended
from tests.fakes import version_of
from tests.waiting import iterations

# Requests take their deadlines from the real clock, which starts at 0 with the machine; a bench has its own clock.
NO_DEADLINE = 1e9


class Bench(Timed):
    """An engine whose iterations the test runs, and its device.

    Attributes:
        log: what has happened, in order: "start" and "fetch" of each step, and what the test notes.
        look: called at the end of each step; `seen` has its results.
    """

    def __init__(self, *more: ModelVersion, settings: Settings = SETTINGS) -> None:
        super().__init__()
        self.log: list[str] = []
        self.look: Callable[[], object] = lambda: None
        self.seen: list[object] = []
        self.ended = Ended()
        self._due: list[Callable[[], None]] = []
        self._closed = False
        versions = [version_of("tagger"), version_of("lm", "generate"), *more]
        loading = ModelLoading(settings, versions, lambda: self, self.metrics, self.clock)
        self.engine = Engine(settings, loading, self.metrics, clock=self.clock, schedule=self.schedule)

    def schedule(self, callback: Callable[[], None]) -> None:
        if self._closed:
            super().schedule(callback)
        else:
            assert not self._due, "an iteration was scheduled twice"
            self._due.append(callback)

    def start_step(self) -> None:
        super().start_step()
        self.log.append("start")

    def finish_step(self) -> None:
        super().finish_step()
        self.log.append("fetch")
        self.seen.append(self.look())

    def iterate(self) -> bool:
        """Runs the iteration that is scheduled; returns whether there was one."""
        if not self._due:
            return False
        self._due.pop()()
        return True

    async def finish(self) -> int:
        """Runs iterations until none is scheduled; returns their number."""
        count = 0
        self.seen.clear()
        await iterations()
        while self.iterate():
            count += 1
            await iterations()
        return count

    def submit(self, *rows: list[int]) -> EngineRequest:
        (admitted,) = self.engine.submit(request(*rows, seconds=NO_DEADLINE), self.ended)
        assert isinstance(admitted, EngineRequest)
        return admitted

    def generate(self, *ids: int, max_tokens: int = 3, model: ModelKey = LM) -> "asyncio.Task[list[int]]":
        """Begins a text."""
        wanted = replace(prompt(*ids, max_tokens=max_tokens, seconds=NO_DEADLINE), model=model)
        return asyncio.create_task(text(self.engine, wanted))


@asynccontextmanager
async def started(bench: Bench) -> AsyncIterator[Bench]:
    """Yields a bench whose engine has loaded its models, and closes that at the end."""
    await bench.engine.start(lambda: None)
    bench.log.clear()
    try:
        yield bench
    finally:
        await bench.finish()
        bench._closed = True
        await bench.engine.close()


async def test_a_step_is_started_in_one_iteration_and_fetched_in_the_next():
    async with started(Bench()) as bench:
        first = bench.submit([1])
        bench.iterate()
        assert bench.log == ["start"]
        second, third = bench.submit([2]), bench.submit([3])
        assert bench.ended.groups == []
        bench.iterate()
        assert bench.log == ["start", "fetch", "start"]
        assert bench.ended.groups == [[first]]
        assert bench.iterate()
        assert bench.ended.groups == [[first], [second, third]]
        assert bench.shapes[-2:] == [(1, 1), (2, 1)], "what comes during a step is in the next batch"
        assert not bench.iterate(), "nothing is left to do"


async def test_on_a_device_that_does_not_overlap_an_iteration_starts_a_step_and_fetches_it():
    bench = Bench()
    bench.overlaps = False
    async with started(bench):
        request, generated = bench.submit([1]), bench.generate(5, max_tokens=1)
        await iterations()
        bench.iterate()
        assert bench.log == ["start", "start", "fetch", "fetch"]
        assert bench.ended.groups == [[request]]
        assert await generated == [6]


async def test_texts_are_read_before_each_step_and_what_is_read_is_in_it():
    async with started(Bench()) as bench:
        waiting = [[1], [2], [3]]
        read: list[EngineRequest] = []

        def before_step() -> bool:
            if waiting:
                read.append(bench.submit(waiting.pop(0)))
                bench.log.append("read")
            return bool(waiting)

        bench.engine.before_step = before_step
        assert not bench.iterate(), "nothing happens before it is called"
        bench.engine.wake()
        bench.engine.wake()
        assert await bench.finish() == 4
        assert bench.log == ["read", "start", "read", "fetch", "start", "read", "fetch", "start", "fetch"]
        assert bench.ended.groups == [[one] for one in read]


async def test_neither_batches_nor_generation_steps_wait_for_more_than_one_of_the_other():
    async with started(Bench(settings=SETTINGS.model_copy(update={"batch_sizes": (1,)}))) as bench:
        for i in range(8):
            bench.submit([i])
        texts = [bench.generate(i, max_tokens=4) for i in (1, 2)]
        await iterations()
        counts = []
        bench.shapes.clear()
        while bench.iterate():
            await iterations()
            counts.append((len(bench.shapes), len(bench.steps)))
        assert counts == [(1, 1), (2, 2), (3, 3), (4, 4), *[(batches, 4) for batches in (5, 6, 7, 8)], (8, 4)]
        assert [await one for one in texts] == [[2, 3, 4, 5], [3, 4, 5, 6]]


async def test_a_batch_is_measured_from_its_start_to_its_outputs():
    async with started(Bench()) as bench:
        requests = [bench.submit([1, 2, 3]), bench.submit([5])]
        bench.clock.now += 0.5
        await bench.finish()
        assert bench.ended.groups == [requests[::-1]], "the shorter first"
        assert bench.metric("queue_duration_seconds_sum", model="tagger") == 1.0, "half a second each"
        assert bench.metric("inference_duration_seconds_sum", model="tagger", bucket="4") == STEP_SECONDS
        assert bench.metric("batch_size_sum", model="tagger") == 2
        assert bench.metric("batch_cells_total", model="tagger") == 6
        assert bench.metric("padding_cells_total", model="tagger") == 2
        assert [request.inference_seconds for request in requests] == [STEP_SECONDS] * 2
        assert [request.queue_seconds for request in requests] == [0.5] * 2
        assert [request.batch_size for request in requests] == [2, 2]
        assert bench.engine._scheduler.queue.tokens_per_second == 10_000 + 0.05 * (4 / STEP_SECONDS - 10_000)


async def test_the_time_of_a_request_is_spent_in_the_queue_until_all_of_it_runs():
    async with started(Bench()) as bench:
        request = bench.submit([1, 2, 3])
        bench.clock.now += 3.0
        assert bench.engine.time_spent(request) == {"queue": 3.0, "inference": 0.0}
        bench.look = lambda: bench.engine.time_spent(request)
        await bench.finish()
        assert bench.seen == [{"queue": 3.0, "inference": STEP_SECONDS}]
        long = bench.submit([1] * 8, *[[1]] * 7)
        bench.clock.now += 1.0
        bench.look = lambda: bench.engine.time_spent(long)["inference"]
        await bench.finish()
        assert bench.seen[0] == 0.0
        assert bench.seen[-1] == STEP_SECONDS


async def test_a_generation_step_is_measured_and_its_tokens_are_counted(monkeypatch):
    took = []
    monkeypatch.setattr(Slots, "measured", lambda self, step, seconds: took.append(seconds))

    async with started(Bench()) as bench:
        generated = bench.generate(1, max_tokens=2)
        bench.look = lambda: bench.metric("slots_in_use", model="lm")
        await bench.finish()
        assert took == [STEP_SECONDS] * 2
        assert bench.seen == [1, 1]
        assert bench.metric("slots_in_use", model="lm") == 0
        assert bench.metric("generated_tokens_total", model="lm") == 2
        assert await generated == [2, 3]


async def test_requests_that_expire_during_a_step_are_not_run():
    async with started(Bench()) as bench:
        bench.submit([1])
        bench.iterate()
        late, waits = bench.submit([2]), bench.submit([3])
        late.deadline = bench.engine._next_expiry = bench.clock.now + 1.0
        bench.clock.now += 1.0
        await bench.finish()
        assert [late] in bench.ended.groups
        assert isinstance(late.error, DeadlineExceeded)
        assert (late.taken, waits.taken) == (0, 1)
        assert late.error.stages == {"queue": 1.0, "inference": 0.0}


async def test_the_queue_gauges_follow_at_each_iteration():
    async with started(Bench()) as bench:

        def shown() -> tuple[float | None, float | None]:
            return bench.metric("queue_entries"), bench.metric("queue_tokens")

        assert shown() == (0, 0)
        requests = [bench.submit([i, i]) for i in range(7)]
        bench.iterate()
        assert shown() == (4, 8), "three are running, and four are planned"
        bench.engine.abandon(requests[-1])
        bench.submit([1] * 8)
        bench.iterate()
        assert shown() == (1, 8)
        await bench.finish()
        assert shown() == (0, 0)


async def test_language_models_take_turns_and_the_slots_of_a_models_versions_are_shown_together():
    bench = Bench(version_of("lm", "generate", version="2"), version_of("poet", "generate"))
    async with started(bench):
        keys = [LM, ModelKey("lm", "2"), ModelKey("poet", "1")]
        texts = [bench.generate(10 * n, max_tokens=2, model=key) for n, key in enumerate(keys, start=1)]
        await iterations()
        while bench.iterate():
            await iterations()
            bench.seen.append([bench.metric("slots_in_use", model=name) for name in ("lm", "poet")])
        assert [step["ids"][0].tolist() for step in bench.steps] == [[10], [20], [30], [11], [21], [31]]
        assert [await one for one in texts] == [[11, 12], [21, 22], [31, 32]]
        assert [seen for seen in bench.seen if seen is not None] == [[2, 1], [2, 1], [0, 0]]
