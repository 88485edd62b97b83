"""Drives the device: one thread that loads the models, then takes the next work the moment that the device is free."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol

from service.backend.base import Backend, GenerationModel, SequenceModel
from service.engine.padding import Grid, Tensors, pad, unpad
from service.engine.plan import StepTimes
from service.engine.protocol import Generation, Inference, ModelKey, ModelState, State
from service.engine.queue import Job
from service.engine.scheduler import Batch, Scheduler
from service.engine.slots import Slots, Stream
from service.errors import ArtifactError, DeviceFailed, ModelNotFound
from service.metrics import Metrics
from service.registry import ModelVersion
from service.settings import Settings

log = logging.getLogger("tagwerk.engine")

MAX_WAITING_STREAMS = 256

Step = Callable[[], None]


class Listener(Protocol):
    """Hears of what is done. Called in the device thread, so it must be quick."""

    def on_jobs(self, jobs: Sequence[Job]) -> None:
        """These jobs are done: outputs or error."""

    def on_tokens(self, tokens: Sequence[tuple[Stream, int]]) -> None:
        """These ids were generated."""

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
    ) -> None:
        self._settings = settings
        self._versions = {version.key: version for version in versions}
        self._make_backend = make_backend
        self._metrics = metrics
        self._listener = listener
        self._clock = clock
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._scheduler = Scheduler(clock, settings.max_queue_entries, settings.max_queue_tokens)
        self._sequence_models: dict[ModelKey, SequenceModel] = {}
        self._generators: dict[ModelKey, tuple[GenerationModel, Slots]] = {}
        self.state = State.STARTING
        self.models = {key: ModelState(key, State.STARTING) for key in self._versions}

    # Called by those who bring work, from any thread.

    def admit(self, request: Inference) -> Job:
        """Queues a request. Raises Overloaded, ModelNotFound."""
        with self._work:
            job = self._scheduler.admit(request)
            self._show_queue()
            self._work.notify()
        return job

    def abandon(self, job: Job) -> None:
        """Frees the places of a job that nobody waits for any more."""
        with self._lock:
            self._scheduler.abandon(job)
            self._show_queue()

    def admit_stream(self, request: Generation) -> Stream:
        """Queues a text for a slot. Setting its `cancelled` frees the slot. Raises Overloaded, ModelNotFound."""
        if request.model not in self._generators:
            raise ModelNotFound(f"model {request.model} is not loaded")
        stream = Stream(request)
        with self._work:
            self._generators[request.model][1].admit(stream)
            self._work.notify()
        return stream

    def drain(self) -> None:
        """Lets `run` return once all that was admitted is done."""
        with self._work:
            self.state = State.DRAINING
            self._work.notify()

    # Called by the device thread.

    def load(self) -> None:
        """Loads and compiles every model; a broken one is refused, the others serve. Raises ConfigurationError."""
        backend = self._make_backend()
        for key, version in self._versions.items():
            if self.state is not State.STARTING:
                return
            started = self._clock()
            log.info("loads and compiles %s", key)
            try:
                executables = self._load_model(backend, version)
            except ArtifactError as error:
                self.models[key] = ModelState(key, State.REFUSED, str(error))
                log.error("refused %s: %s", key, error)
                continue
            seconds = self._clock() - started
            self.models[key] = ModelState(key, State.READY)
            self._metrics.model_info.labels(key.name, key.version).set(1)
            self._metrics.model_load_duration.labels(key.name, key.version).set(seconds)
            log.info("serves %s on %s: %d executables in %.1f s", key, backend.device, executables, seconds)
        with self._lock:
            if self.state is State.STARTING:
                self.state = State.READY

    def run(self) -> None:
        """Works until drained."""
        while (work := self._next_work()) is not None:
            for step in work:
                step()

    def _load_model(self, backend: Backend, version: ModelVersion) -> int:
        key = version.key
        if version.manifest.task == "generate":
            generator = backend.load_generation_model(version.folder, version.manifest)
            slots = Slots(self._settings.slots, self._settings.prefill_tokens, MAX_WAITING_STREAMS)
            executables = self._count(key, generator.warm_up(self._settings.slots, slots.lengths))
            self._generators[key] = (generator, slots)
            return executables
        model = backend.load_sequence_model(version.folder, version.manifest)
        grid = Grid(self._settings.batch_sizes, self._settings.length_buckets)
        executables = self._count(key, model.warm_up(grid))
        step_times = self._time_steps(version, model, grid)
        self._sequence_models[key] = model
        with self._lock:
            self._scheduler.add_model(key, grid, step_times)
        return executables

    def _count(self, key: ModelKey, shapes: Iterable[tuple[int, int]]) -> int:
        count, started = 0, self._clock()
        for _ in shapes:
            now = self._clock()
            self._metrics.compilations.labels(key.name).inc()
            self._metrics.compilation_duration.labels(key.name).observe(now - started)
            count, started = count + 1, now
            if self.state is not State.STARTING:
                break
        return count

    def _time_steps(self, version: ModelVersion, model: SequenceModel, grid: Grid) -> StepTimes:
        step_times = StepTimes()
        for shape in grid.shapes:
            inputs = pad([], version.manifest.endpoint.inputs, shape).inputs
            seconds = []
            for _ in range(3):
                started = self._clock()
                model.run(inputs)
                seconds.append(self._clock() - started)
            step_times.measured(shape, min(seconds))
        return step_times

    def _next_work(self) -> list[Step] | None:
        """Waits for work: a batch, and a step of each generator, so that neither waits for more than one of the other.

        None once the engine drains and all that was admitted is done.
        """
        with self._work:
            while True:
                work = [*self._next_batch(), *self._next_steps()]
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
        self._metrics.queue_entries.set(self._scheduler.queued_entries)
        self._metrics.queue_tokens.set(self._scheduler.queued_tokens)

    def _remaining_delay(self) -> float:
        delay = self._settings.max_queue_delay_seconds
        return delay - self._scheduler.oldest_wait_seconds() if delay else 0.0

    def _next_steps(self) -> list[Step]:
        steps: list[Step] = []
        for key, (generator, slots) in self._generators.items():
            assembled = slots.assemble(self._clock())
            self._metrics.slots_in_use.labels(key.name).set(slots.in_use)
            if assembled is not None:
                streams, inputs = assembled
                steps.append(partial(self._run_step, key, generator, slots, streams, inputs))
        return steps

    def _run_batch(self, batch: Batch) -> None:
        model = self._sequence_models[batch.model]
        endpoint = self._versions[batch.model].manifest.endpoint
        started = self._clock()
        padded = pad([entry.example for entry in batch.entries], endpoint.inputs, batch.shape)
        try:
            outputs = unpad(model.run(padded.inputs), padded, model.timed_outputs)
        except DeviceFailed as error:
            log.error("a batch of %s in shape %s failed: %s", batch.model, batch.shape, error)
            self._fail(batch, error)
            return
        seconds = self._clock() - started
        finished = []
        for entry, output in zip(batch.entries, outputs, strict=True):
            job = entry.job
            job.outputs[entry.index] = output
            job.inference_seconds = max(job.inference_seconds, seconds)
            job.remaining -= 1
            if job.remaining == 0:
                finished.append(job)
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
        metrics, name, (rows, bucket) = self._metrics, batch.model.name, batch.shape
        metrics.inference_duration.labels(name, str(bucket)).observe(seconds)
        metrics.batch_size.labels(name).observe(len(batch.entries))
        metrics.batch_cells.labels(name).inc(rows * bucket)
        metrics.padding_cells.labels(name).inc(rows * bucket - tokens)
        queue_duration = metrics.queue_duration.labels(name)
        for entry in batch.entries:
            queue_duration.observe(max(started - entry.job.arrived, 0.0))

    def _run_step(
        self,
        key: ModelKey,
        generator: GenerationModel,
        slots: Slots,
        streams: list[Stream | None],
        inputs: Tensors,
    ) -> None:
        try:
            sampled = generator.step(inputs)
        except DeviceFailed as error:
            log.error("a generation step of %s failed: %s", key, error)
            with self._lock:
                failed = slots.fail(error)
            self._listener.on_failed_streams(failed)
            return
        with self._lock:
            tokens = slots.advance(streams, inputs["lengths"], sampled)
        if tokens:
            self._metrics.generated_tokens.labels(key.name).inc(len(tokens))
            self._listener.on_tokens(tokens)
