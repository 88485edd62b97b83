"""The engine in the process of its callers: an event loop brings the work, one thread drives the device."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from service.backend.base import Backend
from service.engine.deadline import expire
from service.engine.driver import Driver
from service.engine.patience import Call, call_here
from service.engine.protocol import Generation, Inference, ModelKey, ModelState, Outcome, Sampled, State
from service.engine.queue import Job
from service.engine.slots import Stream
from service.errors import DeadlineExceeded, EngineUnavailable, TagwerkError
from service.metrics import Metrics
from service.registry import ModelVersion
from service.settings import Settings


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
        call: Call = call_here,
        in_haste: Collection[ModelKey] = (),
    ) -> None:
        """Models are loaded in the context of `loading`, which learns whether the engine is told to stop meanwhile.

        `call` says with what patience each of them is; for `in_haste` see `Driver.load`.
        """
        self._loading = loading
        self._driver = Driver(settings, versions, make_backend, metrics, self, clock, call, in_haste)
        self._shares: Mapping[ModelKey, float] | None = None
        self._others: Sequence[ModelState] = ()
        self._clock = clock
        self._waiters: dict[Job, asyncio.Future[None]] = {}
        self._texts: dict[Stream, asyncio.Queue[Sampled | TagwerkError | None]] = {}  # None is the end
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None

    def state(self) -> State:
        """Says whether the engine takes requests."""
        return self._driver.state

    def models(self) -> list[ModelState]:
        """Lists the model versions that it has, or refused."""
        states = list(self._driver.models.values())
        if self._shares is None:
            return states
        shared = [replace(state, share=self._shares.get(state.key, 0.0)) for state in states]
        return shared + [state for state in self._others if state.key not in self._driver.models]

    def direct(self, shares: Mapping[ModelKey, float], others: Sequence[ModelState]) -> None:
        """Sets the share of requests that each version is to have; `others` are reported, though they are not here."""
        self._shares, self._others = shares, others

    async def start(self, on_change: Callable[[], None]) -> None:
        """Loads and compiles everything; returns when ready. Raises ConfigurationError."""
        self._loop = asyncio.get_running_loop()
        loaded: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._drive, args=(loaded,), name="device", daemon=True)
        self._thread.start()
        await loaded
        on_change()

    def _drive(self, loaded: asyncio.Future[None]) -> None:
        try:
            with self._loading(lambda: self._driver.state is not State.STARTING):
                self._driver.load()
        except BaseException as error:
            self._loop.call_soon_threadsafe(loaded.set_exception, error)
            return
        self._loop.call_soon_threadsafe(loaded.set_result, None)
        self._driver.run()

    async def infer(self, request: Inference) -> Outcome:
        """Runs all examples of a request; see `Engine.infer`."""
        self._check_ready()
        job = self._driver.admit(request)
        waiter = self._waiters[job] = self._loop.create_future()
        timer = self._loop.call_at(self._loop_time(request.deadline), expire, waiter)
        try:
            await waiter
        except DeadlineExceeded as error:
            raise DeadlineExceeded(str(error), self._driver.spent(job)) from None
        finally:
            timer.cancel()
            del self._waiters[job]
            if not job.done:
                self._driver.abandon(job)
        if job.error is not None:
            raise job.error
        return Outcome(job.outputs, job.queue_seconds, job.inference_seconds, job.batch_size)

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
            stream.cancelled = True
            del self._texts[stream]

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
        """Wakes the callers of finished jobs."""
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
            waiter = self._waiters.get(job)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def _hand_out(self, items: Sequence[tuple[Stream, Sequence[Sampled | TagwerkError]]]) -> None:
        for stream, some in items:
            if (text := self._texts.get(stream)) is not None:
                for item in some:
                    text.put_nowait(item)
