"""Drives the device: one thread that loads the models, then takes the next work the moment that the device is free."""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from service.backend.base import Backend
from service.engine.loader import Generator, Loader, Sequences
from service.engine.padding import Grid, pad, unpad
from service.engine.patience import Call, call_here
from service.engine.protocol import Generation, Inference, ModelKey, ModelState, Sampled, State
from service.engine.queue import Job
from service.engine.rest import Rest, Step
from service.engine.scheduler import Batch, Scheduler
from service.engine.slots import SlotStep, Stream
from service.errors import ArtifactError, DeviceFailed, ModelNotFound
from service.metrics import Metrics
from service.registry import ModelVersion
from service.settings import Settings

log = logging.getLogger("tagwerk.engine")

SHOW_SECONDS = 0.01  # between two looks at the queue by what comes in; a gauge costs as much as an admission


class Listener(Protocol):
    """Hears of what is done. Called in the device thread, so it must be quick."""

    def on_jobs(self, jobs: Sequence[Job]) -> None:
        """These jobs are done: outputs or error."""

    def on_tokens(self, tokens: Sequence[tuple[Stream, Sequence[Sampled]]]) -> None:
        """These tokens were generated."""

    def on_failed_streams(self, streams: Sequence[Stream]) -> None:
        """These streams ended with their `error`."""


class Driver:
    """The scheduler, the slots, the models, and the thread that runs them.

    The lock guards the scheduler and the slots. The thread holds it to choose work, never while a batch runs.
    """

    def __init__(
        self,
        settings: Settings,
        versions: Sequence[ModelVersion],
        make_backend: Callable[[], Backend],
        metrics: Metrics,
        listener: Listener,
        clock: Callable[[], float] = time.monotonic,
        call: Call = call_here,
        in_haste: Collection[ModelKey] = (),
    ) -> None:
        self._settings = settings
        self._versions = {version.key: version for version in versions}
        self._make_backend = make_backend
        self._metrics = metrics
        self._listener = listener
        self._clock = clock
        self._call = call
        self._in_haste = in_haste
        self._rest: Rest | None = None
        self._later: deque[Step] = deque()  # for the device thread, between two batches
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._scheduler = Scheduler(clock, settings.max_queue_entries, settings.max_queue_tokens)
        self._sequences: dict[ModelKey, Sequences] = {}
        self._generators: dict[ModelKey, Generator] = {}
        self._step_began: float | None = None
        self._shown = 0.0  # when the queue was; gauges are set where they change, which takes longer than a look
        self._queue_shown = (-1, -1)
        self._slots_shown: dict[ModelKey, int] = {}
        self.state = State.STARTING
        self.models = {key: ModelState(key, State.STARTING) for key in self._versions}

    # Called by those who bring work, from any thread.

    def admit(self, request: Inference) -> Job:
        """Queues a request. Raises Overloaded, ModelNotFound."""
        with self._work:
            job = self._scheduler.admit(request)
            if job.arrived - self._shown > SHOW_SECONDS:
                self._show_queue()
            self._work.notify()
        return job

    def abandon(self, job: Job) -> None:
        """Frees the places of a job that nobody waits for any more."""
        with self._lock:
            self._scheduler.abandon(job)
            self._show_queue()

    def spent(self, job: Job) -> dict[str, float]:
        """Says where the time of an unfinished job went, in seconds: all of it into the queue while any of it waits."""
        with self._lock:
            total = self._clock() - job.arrived
            queued = job.queue_seconds if job.taken >= len(job.entries) else total
        return {"queue": queued, "inference": total - queued}

    def admit_stream(self, request: Generation) -> Stream:
        """Queues a text for a slot. Setting its `cancelled` frees the slot. Raises Overloaded, ModelNotFound."""
        if request.model not in self._generators:
            raise ModelNotFound(f"model {request.model} is not loaded")
        stream = Stream(request, self._clock())
        with self._work:
            self._generators[request.model].slots.admit(stream)
            self._work.notify()
        return stream

    def step_seconds(self) -> float:
        """Returns for how long the device has been at its present step; 0 where it is idle."""
        began = self._step_began
        return self._clock() - began if began is not None else 0.0

    def drain(self) -> None:
        """Lets `run` return once all that was admitted is done."""
        with self._work:
            self.state = State.DRAINING
            self._work.notify()

    # Called by the device thread.

    def load(self) -> None:
        """Loads and compiles every model; a broken one is refused, the others serve. Raises ConfigurationError.

        One that is loaded in haste, since clients wait and its executables are in the cache, serves as soon as it has a
        coarse grid; the rest is read meanwhile.
        """
        started = self._clock()
        backend = self._make_backend()
        loader = Loader(self._settings, self._metrics, self._clock, lambda: self.state is not State.STARTING)
        for key, version in self._versions.items():
            if self.state is not State.STARTING:
                return
            log.info("loads and compiles %s", key)
            begun, before = self._clock(), resident_megabytes()
            try:
                self._take_over(key, self._call(partial(loader.load, backend, version, key in self._in_haste)))
            except (ArtifactError, DeviceFailed) as error:
                self.models[key] = ModelState(key, State.REFUSED, str(error))
                log.error("refused %s: %s", key, error)
                continue
            self.models[key] = ModelState(key, State.READY)
            self._metrics.model_info.labels(key.name, key.version).set(1)
            seconds = self._clock() - begun
            self._metrics.model_load_duration.labels(key.name, key.version).set(seconds)
            self._say_cost(key, seconds, resident_megabytes() - before)
        with self._lock:
            if self.state is State.STARTING:
                self.state = State.READY
                serves = ", ".join(str(key) for key, model in self.models.items() if model.state is State.READY)
                cost = f"{self._clock() - started:.1f} s, {resident_megabytes():.0f} MB in all"
                log.info("ready on %s: %s; %s", backend.device, serves or "no model", cost)
        if self._in_haste:
            loader = Loader(self._settings, self._metrics, self._clock, lambda: self.state is not State.READY)
            coarse = {key: model for key, model in self._sequences.items() if model.loaded != model.grid}
            self._rest = Rest(loader, self._versions, coarse, self._take_rest)

    def run(self) -> None:
        """Works until drained."""
        while (work := self._next_work()) is not None:
            for step in work:
                self._step_began = self._clock()
                step()
                self._step_began = None
        if self._rest is not None:
            self._rest.join()

    def _take_rest(self, measurements: Sequence[Step], key: ModelKey, grid: Grid) -> None:
        """Takes more shapes of a model, to be measured between two batches and used when all of them are."""

        def widen() -> None:
            with self._lock:
                self._scheduler.widen(key, grid)

        with self._work:
            self._later += [*measurements, widen]
            self._work.notify()

    def _take_over(self, key: ModelKey, loaded: Sequences | Generator) -> None:
        if isinstance(loaded, Generator):
            self._generators[key] = loaded
            return
        self._sequences[key] = loaded
        with self._lock:
            self._scheduler.add_model(key, loaded.loaded, loaded.step_times)

    def _say_cost(self, key: ModelKey, seconds: float, megabytes: float) -> None:
        """Says what a model costs."""
        loaded = self._sequences.get(key) or self._generators[key]
        padding = f", {loaded.expected_padding:.0%} padding" if isinstance(loaded, Sequences) else ""
        cost = f"{loaded.executables} executables, {seconds:.1f} s, {megabytes:.0f} MB"
        log.info("%s: %s%s", key, cost, padding)

    def _next_work(self) -> list[Step] | None:
        """Waits for work: a batch, and a step of each generator, so that neither waits for more than one of the other.

        None once the engine drains and all that was admitted is done.
        """
        with self._work:
            while True:
                work = [*self._next_batch(), *self._next_steps()]
                if self._later:
                    work.append(self._later.popleft())
                if work:
                    return work
                if self.state is not State.READY:
                    return None
                self._work.wait(self._remaining_delay() if self._scheduler.queued_entries else None)

    def _next_batch(self) -> list[Step]:
        may_fill = self._scheduler.queued_entries < self._settings.batch_sizes[-1]
        if may_fill and self.state is State.READY and self._remaining_delay() > 0:
            return []
        batch = self._scheduler.take()
        self._show_queue()
        return [partial(self._run_batch, batch)] if batch is not None else []

    def _show_queue(self) -> None:
        self._shown = self._clock()
        if (waiting := (self._scheduler.queued_entries, self._scheduler.queued_tokens)) != self._queue_shown:
            self._queue_shown = waiting
            self._metrics.queue_entries.set(waiting[0])
            self._metrics.queue_tokens.set(waiting[1])

    def _remaining_delay(self) -> float:
        delay = self._settings.max_queue_delay_seconds
        return delay - self._scheduler.oldest_wait_seconds() if delay else 0.0

    def _next_steps(self) -> list[Step]:
        steps: list[Step] = []
        for key, generator in self._generators.items():
            assembled = generator.slots.assemble(self._clock())
            if (in_use := generator.slots.in_use) != self._slots_shown.get(key):
                self._slots_shown[key] = in_use
                self._metrics.slots_in_use.labels(key.name).set(in_use)
            steps += [partial(self._run_step, key, generator, step) for step in assembled]
        return steps

    def _run_batch(self, batch: Batch) -> None:
        model = self._sequences[batch.model].model
        endpoint = self._versions[batch.model].manifest.endpoint
        started = self._clock()
        padded = pad([entry.example for entry in batch.entries], endpoint.inputs, batch.shape)
        further = frozenset[str]().union(*(entry.job.request.further for entry in batch.entries))
        try:
            outputs = unpad(model.run(padded.inputs, further), padded, model.timed_outputs)
        except DeviceFailed as error:
            log.error("a batch of %s in shape %s failed: %s", batch.model, batch.shape, error)
            self._fail(batch, error)
            return
        seconds = self._clock() - started
        finished = []
        for entry, output in zip(batch.entries, outputs, strict=True):
            job = entry.job
            unwanted = further - job.request.further  # what others of the batch asked for
            job.outputs[entry.index] = {k: v for k, v in output.items() if k not in unwanted} if unwanted else output
            job.inference_seconds = max(job.inference_seconds, seconds)
            job.batch_size = max(job.batch_size, len(batch.entries))
            job.remaining -= 1
            if job.remaining == 0:
                finished.append(job)
                job.entries.clear()  # or both would stay until Python searches for what only holds each other
        self._listener.on_jobs(finished)
        with self._lock:
            self._scheduler.measured(batch, seconds)
        self._observe(batch, sum(padded.lengths), started, seconds)

    def _fail(self, batch: Batch, error: DeviceFailed) -> None:
        jobs = list({entry.job: None for entry in batch.entries})
        with self._lock:
            for job in jobs:
                job.error = error
                self._scheduler.abandon(job)
        self._listener.on_jobs(jobs)

    def _observe(self, batch: Batch, tokens: int, started: float, seconds: float) -> None:
        rows, bucket = batch.shape
        waits = [max(started - entry.job.arrived, 0.0) for entry in batch.entries]
        self._metrics.ran(batch.model.name, bucket, seconds, rows * bucket, rows * bucket - tokens, waits)

    def _run_step(self, key: ModelKey, generator: Generator, step: SlotStep) -> None:
        try:
            logprobs = any(stream.request.logprobs for stream in step.streams)
            sampled = generator.model.step(step.inputs, logprobs)
        except DeviceFailed as error:
            log.error("a generation step of %s failed: %s", key, error)
            for stream in step.streams:
                stream.error = error
            self._listener.on_failed_streams(step.streams)
            return
        with self._lock:
            due = generator.slots.advance(step, sampled, self._clock())
        if due:
            self._metrics.generated_tokens.labels(key.name).inc(sum(len(tokens) for _, tokens in due))
            self._listener.on_tokens(due)


def resident_megabytes() -> float:
    """Returns the memory of this process; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
