"""Queues, batches and runs the requests of a process, in its event loop."""

import asyncio
import logging
import math
import threading
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace

from service.artifact.manifest import ModelVersion
from service.engine.batches import Batches, Finish, outputs_of
from service.engine.loader import Generator, ModelLoading, Sequences
from service.engine.queue import EngineRequest, OnDone
from service.engine.requests import Generation, Outcome, Requests
from service.engine.scheduler import Scheduler
from service.engine.streams import Streams
from service.errors import DeadlineExceeded, EngineUnavailable, ModelNotFound, TagwerkError
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, Sampled, State

log = logging.getLogger("tagwerk.engine")

EXPIRY_SECONDS = 0.002  # least time between two checks for expired requests


class Engine:
    """The models of a process, the queue of their requests, and the steps that run them.

    Everything but loading happens in one thread, the event loop's. While there is work, each iteration of the event
    loop calls `before_step`, starts one batch and one step of each language model, and passes on the results. There is
    no timer: what arrives during a step is in the next batch. On a device that runs beside the processor, outputs are
    fetched in the next iteration, so that texts are read meanwhile.

    Attributes:
        state: STARTING until the first model is loaded.
        before_step: called at the start of each iteration; returns whether it has more to do. See `wake`.
        on_computed: called after each batch and generation step with a client and its tokens, whether anyone waits for
            them or not.
        failed: set after an error that would repeat; the process must be restarted.
    """

    def __init__(
        self,
        settings: Settings,
        loading: ModelLoading,
        metrics: Metrics,
        *,
        clock: Callable[[], float] = time.monotonic,
        schedule: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        """`loading` loads the versions; `schedule` calls a function in the next event loop iteration."""
        self._loading = loading
        self._clock = clock
        self._schedule = schedule
        self._scheduler = Scheduler(clock, settings.max_queue_sequences, settings.max_queue_tokens)
        self._batches = Batches(self._scheduler, metrics, clock)
        self._streams = Streams(metrics, clock, self.wake)
        self._states = {version.key: starting(version) for version in loading.versions}
        self._overlaps = False
        self._scheduled = False
        self._running: list[Finish] = []  # steps that have been started
        self._idle = asyncio.Event()
        self._waiting: dict[EngineRequest, None] = {}  # unfinished requests
        self._expiry_timer: asyncio.TimerHandle | None = None  # the next check for expired requests
        self._next_expiry = math.inf  # its time, by the clock
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread | None = None
        self._on_change: Callable[[], None] = lambda: None
        self.state = State.STARTING
        self.before_step: Callable[[], bool] = lambda: False
        self.on_computed: Callable[[int, int], None] | None = None
        self.failed = asyncio.Event()

    # Models

    def models(self) -> list[ModelState]:
        """Lists the model versions that are being loaded, loaded or refused."""
        return list(self._states.values())

    async def start(self, on_change: Callable[[], None]) -> None:
        """Loads and compiles all models in a thread; returns when all are loaded. Raises ConfigurationError.

        Calls `on_change` after each change of a model's state or the engine's, in the event loop.
        """
        self._loop = asyncio.get_running_loop()
        self._schedule = self._schedule or self._loop.call_soon
        self._on_change = on_change
        loaded: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._load, args=(loaded,), name="loading", daemon=True)
        self._thread.start()
        await loaded
        self._become_ready()

    def _load(self, loaded: asyncio.Future[None]) -> None:
        call = self._loop.call_soon_threadsafe
        self._loading.in_event_loop = self._run_between_iterations
        self._loading.stopped = lambda: self.state in (State.DRAINING, State.STOPPED)
        try:
            self._loading.run(
                on_loaded=lambda key, model, overlaps: call(self._add_model, key, model, overlaps),
                on_refused=lambda key, reason: call(self._refuse_model, key, reason),
            )
        except BaseException as error:
            call(loaded.set_exception, error)
        else:
            call(loaded.set_result, None)

    def _run_between_iterations(self, measure: Callable[[], float]) -> float:
        """Runs a step that is measured in the event loop, so that requests wait for no more than one; waits for it."""

        async def run() -> float:
            return measure()

        return asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _add_model(self, key: ModelKey, loaded: Sequences | Generator, overlaps: bool) -> None:
        self._overlaps = overlaps
        if isinstance(loaded, Generator):
            self._streams.models[key] = loaded
        else:
            self._batches.add_model(key, loaded)
        self._states[key] = replace(self._states[key], state=State.READY)
        self._become_ready()

    def _refuse_model(self, key: ModelKey, reason: str) -> None:
        self._states[key] = replace(self._states[key], state=State.REFUSED, reason=reason)
        self._on_change()

    def _become_ready(self) -> None:
        if self.state is State.STARTING:
            self.state = State.READY
        self._on_change()

    # Requests

    def submit(self, requests: Requests, on_done: OnDone) -> list[EngineRequest | TagwerkError]:
        """Queues requests; returns each as an `EngineRequest`, or the reason for its rejection.

        That is Overloaded or ModelNotFound. `on_done` is called with requests that are over, those of a batch together.
        Raises EngineUnavailable.
        """
        self._check_ready(requests.model)
        admitted = self._scheduler.admit(requests, on_done)
        for one in admitted:
            if isinstance(one, EngineRequest):
                self._waiting[one] = None
        if (deadline := min(requests.deadlines)) < self._next_expiry:
            self._expire_at(deadline)
        self.wake()
        return admitted

    def check_room(self, client: int) -> None:
        """Raises Overloaded if any request of a client would be rejected now, which then need not be encoded."""
        full = self._scheduler.queue.rejection(client, 1, 1)
        try:
            if full is not None:
                raise full
        finally:
            del full  # the error's traceback refers to this frame: a reference cycle

    def abandon(self, request: EngineRequest) -> None:
        """Cancels a request, unless it is over: removes its waiting sequences. Does not call its `on_done`."""
        if request in self._waiting:
            del self._waiting[request]
            self._scheduler.queue.discard(request)

    async def infer(self, request: Requests) -> Outcome:
        """Runs all sequences of a single request. Cancelling the call removes waiting ones from the queue.

        Raises Overloaded, DeadlineExceeded, DeviceFailed, EngineUnavailable, ModelNotFound, InternalError.
        """
        waiter: asyncio.Future[None] = self._loop.create_future()

        def done(ended: Sequence[EngineRequest]) -> None:
            if not waiter.done():
                waiter.set_result(None)

        (submitted,) = self.submit(request, done)
        if isinstance(submitted, TagwerkError):
            raise submitted
        try:
            await waiter
        finally:
            self.abandon(submitted)
        if (error := submitted.error) is not None:
            submitted.error = None
            try:
                raise error
            finally:
                del error  # it refers to this frame: a reference cycle would keep the request, and its connection
        timed, others = outputs_of([submitted])
        return Outcome(timed | others, submitted.queue_seconds, submitted.inference_seconds, submitted.batch_size)

    def generate(self, requests: Sequence[Generation]) -> AbstractContextManager[list[AsyncGenerator[Sampled, None]]]:
        """Admits texts of one model, client and deadline, all or none, for a block, whose end cancels the rest of them.

        Yields what iterates over the tokens of each as they are generated, at most max_tokens; closing one frees its
        slot.

        Raises EngineUnavailable, ModelNotFound; the block's begin Overloaded; the iterators DeadlineExceeded,
        DeviceFailed, EngineUnavailable, InternalError.
        """
        model = requests[0].model
        self._check_ready(model)
        if model not in self._streams.models:
            raise ModelNotFound(f"model {model} is not loaded")
        return self._streams.generate(requests)

    def cut_texts(self) -> None:
        """Ends the texts being generated where they are: each iterator stops as if its text were complete."""
        self._streams.end()

    def time_spent(self, request: EngineRequest) -> dict[str, float]:
        """Returns the time of an unfinished request in seconds: all of it in the queue while any sequence waits."""
        total = self._clock() - request.arrived
        queued = request.queue_seconds if request.taken >= len(request.lengths) else total
        return {"queue": queued, "inference": total - queued}

    def _check_ready(self, key: ModelKey) -> None:
        if self.state is not State.READY:
            raise EngineUnavailable(f"the engine is {self.state}")
        if (state := self._states.get(key)) is not None and state.state is State.STARTING:
            raise EngineUnavailable(f"the model {key} is still being loaded")

    def _expire_at(self, moment: float) -> None:
        """Schedules the check for expired requests at a time of the clock."""
        if self._expiry_timer is not None:
            self._expiry_timer.cancel()
        self._next_expiry = moment
        self._expiry_timer = self._loop.call_later(moment - self._clock(), self._expire)

    def _expire(self) -> None:
        """Fails the requests whose deadline has passed. One timer for all costs less than one per request."""
        self._expiry_timer, self._next_expiry = None, math.inf
        now = self._clock()
        expired = [request for request in self._waiting if request.deadline <= now]
        for request in expired:
            spent = self.time_spent(request)
            request.error = DeadlineExceeded("the deadline passed before the answer was ready", spent)
            self._scheduler.queue.discard(request)
        self._end(expired)
        if self._waiting:
            self._expire_at(max(min(request.deadline for request in self._waiting), now + EXPIRY_SECONDS))

    # Iterations

    def wake(self) -> None:
        """Runs an iteration in the next iteration of the event loop, unless one is scheduled already."""
        if not self._scheduled and self._schedule is not None:
            self._scheduled = True
            self._idle.clear()
            self._schedule(self._iterate)

    def _iterate(self) -> None:
        if self._clock() >= self._next_expiry:  # the event loop calls timers later: what has expired is not run
            self._expire()
        try:
            try:
                more = self.before_step()
                self._scheduled = False  # what it has submitted needs no further iteration
                if self._overlaps:
                    self._finish_steps()
                    self._start_steps()
                else:
                    self._start_steps()
                    self._finish_steps()
            finally:  # last: answers are written while a device that runs beside the processor is at its next step
                ended, self._batches.ended = self._batches.ended, []
                self._end(ended)
        except Exception:  # of the scheduler, for instance: it would repeat
            self._fail()
            return
        works = more or self._scheduler.queue.sequences or self._running or (self._streams.texts and self._streams.busy)
        if works and self.state is not State.STOPPED:
            self.wake()
        else:
            self._idle.set()

    def _start_steps(self) -> None:
        """Starts a batch, and a step of each generator, so that neither waits for more than one of the other."""
        self._running = self._batches.start_step()
        if self._streams.texts:
            self._running += self._streams.start_steps()

    def _finish_steps(self) -> None:
        """Fetches the outputs of what has been started."""
        running, self._running = self._running, []
        for finish in running:
            self._report(finish())

    def _end(self, requests: Sequence[EngineRequest]) -> None:
        """Passes on requests that are over, unless they are abandoned: those of each `on_done` together."""
        ended: dict[OnDone, list[EngineRequest]] = {}
        for request in requests:
            if request in self._waiting:
                del self._waiting[request]
                ended.setdefault(request.on_done, []).append(request)
        for on_done, some in ended.items():
            try:
                on_done(some)
            except Exception:  # it would repeat
                self._fail()

    def _report(self, computed: Iterable[tuple[int, int]]) -> None:
        """Reports the tokens of each client that have been computed."""
        if self.on_computed is not None:
            tokens = Counter[int]()
            for client, count in computed:
                tokens[client] += count
            for client, count in tokens.items():
                self.on_computed(client, count)

    # The end

    def _fail(self) -> None:
        """Fails all requests in progress after an error that would repeat."""
        if self.state is State.STOPPED:
            log.exception("failed requests could not be answered")
            return
        log.critical("the engine failed", exc_info=True)
        self.state = State.STOPPED
        self.failed.set()
        self._idle.set()
        error = EngineUnavailable("the engine failed while it processed the request")
        self._streams.end(error)
        for request in self._waiting:
            request.error = error
        self._end(list(self._waiting))
        self._on_change()

    async def close(self) -> None:
        """Finishes all admitted work, and accepts no more."""
        if self._thread is not None:
            if self.state is not State.STOPPED:
                self.state = State.DRAINING
                self.wake()
                await self._idle.wait()
            await asyncio.to_thread(self._thread.join)
        self.state = State.STOPPED


def starting(version: ModelVersion) -> ModelState:
    """Returns the state of a version before it is loaded."""
    return ModelState(version.key, State.STARTING, task=version.manifest.task, description=version.manifest.about)
