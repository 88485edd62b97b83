"""The engine in the process of its callers: an event loop submits work, one thread drives the device."""

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
from service.engine.loader import LoadProgress
from service.engine.priority import Call, call_directly
from service.engine.protocol import Generation, Inference, OnChange, Outcome, Requests
from service.engine.queue import EngineRequest
from service.engine.slots import Stream
from service.errors import DeadlineExceeded, EngineUnavailable, TagwerkError
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, Sampled, State

log = logging.getLogger("tagwerk.engine")

EXPIRY_SECONDS = 0.002  # least time between two checks for expired requests
OnDone = Callable[[int, EngineRequest | None, TagwerkError | None], None]  # its position, the request, its error
OnEnd = Callable[[EngineRequest, TagwerkError | None], None]


class LocalEngine:
    """An engine whose device thread runs beside the event loop, and passes on results in one call per batch.

    A model serves as soon as it is loaded, while another thread loads the rest.
    """

    def __init__(
        self,
        settings: Settings,
        versions: Sequence[ModelVersion],
        make_backend: Callable[[], Backend],
        metrics: Metrics,
        loading: Callable[[Callable[[], bool]], AbstractContextManager[None]] = lambda stopped: nullcontext(),
        call: Call = call_directly,
        on_progress: Callable[[LoadProgress], None] = lambda progress: None,
    ) -> None:
        """Loads models in the context of `loading`, which is passed a function that returns whether it stops.

        `call` sets the priority of each load; for `on_progress` see `Driver.load`.
        """
        self._loading = loading
        self._driver = Driver(
            settings, versions, make_backend, metrics, listener=self, call=call, on_progress=on_progress
        )
        self._shares: Mapping[ModelKey, float] | None = None
        self._others: Sequence[ModelState] = ()
        self._defaults: Collection[str] | None = None
        self._waiting: dict[EngineRequest, OnEnd] = {}  # of each unfinished request
        self._expiry_timer: asyncio.TimerHandle | None = None  # the next check for expired requests
        self._next_expiry = math.inf  # its time, by the event loop's clock
        self._texts: dict[Stream, asyncio.Queue[Sampled | TagwerkError | None]] = {}  # None is the end
        self._loop: asyncio.AbstractEventLoop
        self._threads: list[threading.Thread] = []
        self._changes = Changes()
        self.failed = asyncio.Event()  # the device thread has failed: the process must be restarted

    def state(self) -> State:
        """Returns the state of the engine."""
        return self._driver.state

    def models(self) -> list[ModelState]:
        """Lists the model versions that are loaded or refused."""
        states = list(self._driver.models.values())
        if self._shares is None:
            return states
        shared = [
            replace(state, share=self._shares.get(state.key, 0.0), default=self._is_default(state.key.name))
            for state in states
        ]
        return shared + [state for state in self._others if state.key not in self._driver.models]

    def set_shares(
        self, shares: Mapping[ModelKey, float], others: Sequence[ModelState], defaults: Collection[str] | None = None
    ) -> None:
        """Sets each version's share of requests, and the models that are the defaults of their tasks.

        `others` are reported in `models`, though not loaded here.
        """
        self._shares, self._others, self._defaults = shares, others, defaults

    def _is_default(self, name: str) -> bool:
        return self._defaults is None or name in self._defaults

    async def start(self, on_change: OnChange) -> None:
        """Loads and compiles all models; returns when all are loaded. Raises ConfigurationError."""
        self._loop = asyncio.get_running_loop()
        self._changes = Changes(on_change)
        loaded: asyncio.Future[None] = self._loop.create_future()
        self._threads = [
            threading.Thread(target=self._load, args=(loaded,), name="loading", daemon=True),
            threading.Thread(target=self._run, name="device", daemon=True),
        ]
        for thread in self._threads:
            thread.start()
        await loaded
        if (handled := self._changes.notify()) is not None:
            await asyncio.wait([handled])

    def _load(self, loaded: asyncio.Future[None]) -> None:
        try:
            with self._loading(self._driver.ends):
                self._driver.load()
        except BaseException as error:
            self._loop.call_soon_threadsafe(loaded.set_exception, error)
            self._driver.drain()
        else:
            self._loop.call_soon_threadsafe(loaded.set_result, None)

    def _run(self) -> None:
        try:
            self._driver.run()
        except BaseException:
            self._driver.state = State.STOPPED
            log.critical("the engine failed", exc_info=True)
            self._loop.call_soon_threadsafe(self._fail)

    def _fail(self) -> None:
        """Fails all requests in progress after the device thread has ended."""
        error = EngineUnavailable("the engine failed while it processed the request")
        waiting, self._waiting = self._waiting, {}
        for request, done in waiting.items():
            done(request, error)
        for text in self._texts.values():
            text.put_nowait(error)
        self.failed.set()
        self._changes.notify()

    def submit(self, requests: Requests, done: OnDone) -> list[EngineRequest | None]:
        """Queues requests. Calls `done` for each when it is over; at once for a rejected one.

        Calls it in the event loop; a rejected request has no `EngineRequest`. Raises EngineUnavailable.
        """
        self._check_ready(requests.model)
        submitted: list[EngineRequest | None] = []
        for position, admitted in enumerate(self._driver.admit(requests)):
            if isinstance(admitted, TagwerkError):
                submitted.append(None)
                done(position, None, admitted)
            else:
                submitted.append(admitted)
                self._waiting[admitted] = partial(done, position)
        self._schedule_expiry(self._loop_time(min(requests.deadlines)))
        return submitted

    def abandon(self, request: EngineRequest) -> None:
        """Cancels a request, unless it is over. Does not call its `done`."""
        if self._waiting.pop(request, None) is not None:
            self._driver.abandon(request)

    async def infer(self, request: Inference) -> Outcome:
        """Runs all sequences of a request; see `Engine.infer`."""
        waiter: asyncio.Future[None] = self._loop.create_future()

        def done(position: int, ended: EngineRequest | None, error: TagwerkError | None) -> None:
            if not waiter.done():
                waiter.set_exception(error) if error is not None else waiter.set_result(None)

        (submitted,) = self.submit(Requests.of(request), done)
        try:
            await waiter
        finally:
            if submitted is not None:
                self.abandon(submitted)
        assert submitted is not None  # noqa: S101 (otherwise the future has raised)
        timed, others = outputs_of([submitted])
        return Outcome(timed | others, submitted.queue_seconds, submitted.inference_seconds, submitted.batch_size)

    def _schedule_expiry(self, moment: float) -> None:
        """Schedules the check for expired requests at a time of the event loop's clock, or earlier."""
        if moment < self._next_expiry:
            if self._expiry_timer is not None:
                self._expiry_timer.cancel()
            self._next_expiry = moment
            self._expiry_timer = self._loop.call_at(moment, self._expire)

    def _expire(self) -> None:
        """Fails the requests whose deadline has passed. One timer for all costs less than one per request."""
        self._expiry_timer, self._next_expiry = None, math.inf
        now = self._loop.time()
        deadlines = {request: self._loop_time(request.deadline) for request in self._waiting}
        for request, deadline in deadlines.items():
            if deadline <= now:
                done = self._waiting.pop(request)
                spent = self._driver.time_spent(request)
                error = DeadlineExceeded("the deadline passed before the answer was ready", spent)
                self._driver.abandon(request)
                done(request, error)
        if left := [deadline for deadline in deadlines.values() if deadline > now]:
            self._schedule_expiry(max(min(left), now + EXPIRY_SECONDS))

    async def generate(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the generated tokens; see `Engine.generate`."""
        self._check_ready(request.model)
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
                    raise DeadlineExceeded(str(item), stream.time_spent(time.monotonic()))
                if isinstance(item, TagwerkError):
                    raise item
                yield item
        finally:
            timer.cancel()
            del self._texts[stream]
            self._driver.abandon_stream(stream)

    def cut_texts(self) -> None:
        """Ends the texts being generated where they are; see `Engine.cut_texts`."""
        for text in self._texts.values():
            text.put_nowait(None)

    async def close(self) -> None:
        """Finishes all admitted work, accepts no more, and releases the device."""
        self._driver.drain()
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._changes.cancel()
        self._driver.state = State.STOPPED

    def step_seconds(self) -> float:
        """Returns the duration of the current device step so far; 0 when idle."""
        return self._driver.step_seconds()

    def _check_ready(self, key: ModelKey) -> None:
        if self._driver.state is not State.READY:
            raise EngineUnavailable(f"the engine is {self._driver.state}")
        if (model := self._driver.models.get(key)) is not None and model.state is State.STARTING:
            raise EngineUnavailable(f"the model {key} is still being loaded")

    def _loop_time(self, deadline: float) -> float:
        """Converts a time of the monotonic clock to one of the event loop's."""
        return self._loop.time() + deadline - time.monotonic()

    # The driver's listener, called in its threads.

    def on_models(self) -> None:
        """Notifies the caller of the state of a model, in the event loop."""
        self._loop.call_soon_threadsafe(self._changes.notify)

    def on_finished_requests(self, requests: Sequence[EngineRequest]) -> None:
        """Resolves the requests in the event loop."""
        if requests:
            self._loop.call_soon_threadsafe(self._resolve_requests, requests)

    def on_tokens(self, tokens: Sequence[tuple[Stream, Sequence[Sampled]]]) -> None:
        """Passes generated tokens to their callers in the event loop."""
        self._loop.call_soon_threadsafe(self._pass_on, tokens)

    def on_failed_streams(self, streams: Sequence[Stream]) -> None:
        """Passes the errors of failed streams to their callers in the event loop."""
        failed = [(stream, [stream.error]) for stream in streams if stream.error is not None]
        self._loop.call_soon_threadsafe(self._pass_on, failed)

    def _resolve_requests(self, requests: Sequence[EngineRequest]) -> None:
        for request in requests:
            if (done := self._waiting.pop(request, None)) is not None:
                done(request, request.error)

    def _pass_on(self, items: Sequence[tuple[Stream, Sequence[Sampled | TagwerkError]]]) -> None:
        for stream, some in items:
            if (text := self._texts.get(stream)) is not None:
                for item in some:
                    text.put_nowait(item)
