"""The engine in the process of its callers: an event loop brings the work, one thread drives the device."""

import asyncio
import logging
import math
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

from service.artifact.version import ModelVersion
from service.backend.base import Backend
from service.engine.batches import outputs_of
from service.engine.changes import Changes
from service.engine.driver import Driver
from service.engine.priority import Call, call_directly
from service.engine.protocol import Generation, Inference, OnChange, Outcome, Requests
from service.engine.queue import Job
from service.engine.slots import Stream
from service.errors import DeadlineExceeded, EngineUnavailable, TagwerkError
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, Sampled, State

log = logging.getLogger("tagwerk.engine")

LOOK_SECONDS = 0.002  # between two looks for jobs that are late
OnDone = Callable[[int, Job | None, TagwerkError | None], None]  # the position of the request, its job, its error
OnEnd = Callable[[Job, TagwerkError | None], None]


class LocalEngine:
    """Engine whose driver's thread lives beside the event loop; what is done crosses over in one message a batch."""

    def __init__(
        self,
        settings: Settings,
        versions: Sequence[ModelVersion],
        make_backend: Callable[[], Backend],
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
        loading: Callable[[Callable[[], bool]], AbstractContextManager[None]] = lambda stopped: nullcontext(),
        call: Call = call_directly,
        on_load: Callable[[ModelKey], None] = lambda key: None,
    ) -> None:
        """Models are loaded in the context of `loading`, which learns whether the engine is told to stop meanwhile.

        `call` says with what patience each of them is; for `on_load` see `Driver.load`.
        """
        self._loading = loading
        self._driver = Driver(settings, versions, make_backend, metrics, self, clock, call, on_load)
        self._shares: Mapping[ModelKey, float] | None = None
        self._others: Sequence[ModelState] = ()
        self._defaults: Collection[str] | None = None
        self._clock = clock
        self._waiting: dict[Job, OnEnd] = {}  # of each job that is not over
        self._look: asyncio.TimerHandle | None = None  # for late ones
        self._next_look = math.inf  # when, by the event loop's clock
        self._texts: dict[Stream, asyncio.Queue[Sampled | TagwerkError | None]] = {}  # None is the end
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None
        self._changes = Changes()
        self.failed = asyncio.Event()  # the device thread has ended by an error: the process is to be started anew

    def state(self) -> State:
        """Says whether the engine takes requests."""
        return self._driver.state

    def models(self) -> list[ModelState]:
        """Lists the model versions that it has, or refused."""
        states = list(self._driver.models.values())
        if self._shares is None:
            return states
        shared = [
            replace(state, share=self._shares.get(state.key, 0.0), default=self._is_default(state.key.name))
            for state in states
        ]
        return shared + [state for state in self._others if state.key not in self._driver.models]

    def direct(
        self, shares: Mapping[ModelKey, float], others: Sequence[ModelState], defaults: Collection[str] | None = None
    ) -> None:
        """Sets the share of requests that each version is to have, and the models that are the defaults of their tasks.

        `others` are reported, though they are not here.
        """
        self._shares, self._others, self._defaults = shares, others, defaults

    def _is_default(self, name: str) -> bool:
        return self._defaults is None or name in self._defaults

    async def start(self, on_change: OnChange) -> None:
        """Loads and compiles everything; returns when ready. Raises ConfigurationError."""
        self._loop = asyncio.get_running_loop()
        self._changes = Changes(on_change)
        loaded: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._drive, args=(loaded,), name="device", daemon=True)
        self._thread.start()
        await loaded
        if (taken := self._changes.tell()) is not None:
            await taken

    def _drive(self, loaded: asyncio.Future[None]) -> None:
        try:
            with self._loading(lambda: self._driver.state is not State.STARTING):
                self._driver.load()
        except BaseException as error:
            self._loop.call_soon_threadsafe(loaded.set_exception, error)
            return
        self._loop.call_soon_threadsafe(loaded.set_result, None)
        try:
            self._driver.run()
        except BaseException:
            self._driver.state = State.STOPPED
            log.critical("the engine cannot go on", exc_info=True)
            self._loop.call_soon_threadsafe(self._fail)

    def _fail(self) -> None:
        """Ends everything that is under way, since the thread that worked on it is no more."""
        error = EngineUnavailable("the engine failed while it worked on the request")
        waiting, self._waiting = self._waiting, {}
        for job, done in waiting.items():
            done(job, error)
        for text in self._texts.values():
            text.put_nowait(error)
        self.failed.set()
        self._changes.tell()

    def submit(self, requests: Requests, done: OnDone) -> list[Job | None]:
        """Queues requests. Calls `done` for each when it is over: at once for one that is rejected, which has no job.

        It is called in the event loop. Raises EngineUnavailable.
        """
        self._check_ready()
        jobs: list[Job | None] = []
        for position, admitted in enumerate(self._driver.admit(requests)):
            if isinstance(admitted, TagwerkError):
                jobs.append(None)
                done(position, None, admitted)
            else:
                jobs.append(admitted)
                self._waiting[admitted] = partial(done, position)
        self._watch(self._loop_time(min(requests.deadlines)))
        return jobs

    def abandon(self, job: Job) -> None:
        """Takes a cancelled job out of the queue, unless it is over. Its `done` is not called."""
        if self._waiting.pop(job, None) is not None:
            self._driver.abandon(job)

    async def infer(self, request: Inference) -> Outcome:
        """Runs all sequences of a request; see `Engine.infer`."""
        waiter: asyncio.Future[None] = self._loop.create_future()

        def done(position: int, job: Job | None, error: TagwerkError | None) -> None:
            if not waiter.done():
                waiter.set_exception(error) if error is not None else waiter.set_result(None)

        (job,) = self.submit(Requests.of(request), done)
        try:
            await waiter
        finally:
            if job is not None:
                self.abandon(job)
        assert job is not None  # noqa: S101 (or it would have raised)
        timed, others = outputs_of([job])
        return Outcome(timed | others, job.queue_seconds, job.inference_seconds, job.batch_size)

    def _watch(self, moment: float) -> None:
        """Looks for late jobs at a moment of the event loop's clock, or before."""
        if moment < self._next_look:
            if self._look is not None:
                self._look.cancel()
            self._next_look = moment
            self._look = self._loop.call_at(moment, self._end_late)

    def _end_late(self) -> None:
        """Ends the jobs whose deadline has passed. One timer for all of them costs less than one for each."""
        self._look, self._next_look = None, math.inf
        now = self._loop.time()
        deadlines = {job: self._loop_time(job.deadline) for job in self._waiting}
        for job, deadline in deadlines.items():
            if deadline <= now:
                done = self._waiting.pop(job)
                error = DeadlineExceeded("the deadline passed before the answer was there", self._driver.spent(job))
                self._driver.abandon(job)
                done(job, error)
        if left := [deadline for deadline in deadlines.values() if deadline > now]:
            self._watch(max(min(left), now + LOOK_SECONDS))

    async def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens; see `Engine.generate`."""
        self._check_ready()
        stream = self._driver.admit_stream(request)
        text = self._texts[stream] = asyncio.Queue()
        late = DeadlineExceeded("the deadline passed before the text was complete")
        timer = self._loop.call_at(self._loop_time(request.deadline), text.put_nowait, late)
        try:
            for _ in range(request.max_tokens):
                item = await text.get()
                if item is None:
                    return
                if isinstance(item, DeadlineExceeded):
                    raise DeadlineExceeded(str(item), stream.spent(self._clock()))
                if isinstance(item, TagwerkError):
                    raise item
                yield item
        finally:
            timer.cancel()
            del self._texts[stream]
            self._driver.abandon_stream(stream)

    def cut_texts(self) -> None:
        """Lets the texts that are being generated end where they are; see `Engine.cut_texts`."""
        for text in self._texts.values():
            text.put_nowait(None)

    async def close(self) -> None:
        """Finishes what is admitted, takes no more, and gives the device back."""
        self._driver.drain()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
        self._driver.state = State.STOPPED

    def step_seconds(self) -> float:
        """Returns for how long the device has been at its present step; 0 where it is idle."""
        return self._driver.step_seconds()

    def _check_ready(self) -> None:
        if self._driver.state is not State.READY:
            raise EngineUnavailable(f"the engine is {self._driver.state}")

    def _loop_time(self, deadline: float) -> float:
        """Turns a moment of this engine's clock into one of the event loop's."""
        return self._loop.time() + deadline - self._clock()

    # The driver's listener, called in its thread.

    def on_jobs(self, jobs: Sequence[Job]) -> None:
        """Tells the callers of jobs that these are over."""
        if jobs:
            self._loop.call_soon_threadsafe(self._wake, jobs)

    def on_tokens(self, tokens: Sequence[tuple[Stream, Sequence[Sampled]]]) -> None:
        """Hands generated tokens to their callers."""
        self._loop.call_soon_threadsafe(self._hand_out, tokens)

    def on_failed_streams(self, streams: Sequence[Stream]) -> None:
        """Hands the error to the callers of failed streams."""
        failed = [(stream, [stream.error]) for stream in streams if stream.error is not None]
        self._loop.call_soon_threadsafe(self._hand_out, failed)

    def _wake(self, jobs: Sequence[Job]) -> None:
        for job in jobs:
            if (done := self._waiting.pop(job, None)) is not None:
                done(job, job.error)

    def _hand_out(self, items: Sequence[tuple[Stream, Sequence[Sampled | TagwerkError]]]) -> None:
        for stream, some in items:
            if (text := self._texts.get(stream)) is not None:
                for item in some:
                    text.put_nowait(item)
