"""Drives the device: one thread loads the models, another runs the next work as soon as the device is free."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from service.artifact.version import ModelVersion
from service.backend.base import Backend
from service.engine.batches import assign_outputs, log_failure, run_batch
from service.engine.checks import InputCheck
from service.engine.listener import Listener
from service.engine.loader import Generator, Loader, LoadProgress, Sequences, resident_megabytes
from service.engine.priority import Call, call_directly
from service.engine.protocol import Generation, Requests
from service.engine.queue import EngineRequest
from service.engine.scheduler import Batch, Scheduler
from service.engine.slots import SlotStep, Stream
from service.errors import ArtifactError, ConfigurationError, InternalError, ModelNotFound, TagwerkError
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey, ModelState, State

log = logging.getLogger("tagwerk.engine")

Step = Callable[[], None]

LOADING_ORDER = ("classify", "lemmatize", "tag", "generate")  # by task
GAUGE_SECONDS = 0.01  # between updates of the queue gauges on admission; one costs as much as an admission


class Driver:
    """Owns the scheduler, the slots, and the models, each of which serves as soon as it is loaded."""

    def __init__(
        self,
        settings: Settings,
        versions: Sequence[ModelVersion],
        make_backend: Callable[[], Backend],
        metrics: Metrics,
        listener: Listener,
        clock: Callable[[], float] = time.monotonic,
        call: Call = call_directly,
        on_progress: Callable[[LoadProgress], None] = lambda progress: None,
    ) -> None:
        self._settings = settings
        self._versions = {version.key: version for version in versions}
        self._checks = {version.key: InputCheck(version) for version in versions}
        self._make_backend = make_backend
        self._metrics = metrics
        self._listener = listener
        self._clock = clock
        self._call = call
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._scheduler = Scheduler(clock, settings.max_queue_entries, settings.max_queue_tokens)
        self._sequences: dict[ModelKey, Sequences] = {}
        self._generators: dict[ModelKey, Generator] = {}
        self._step_began: float | None = None
        self._shown = 0.0  # time of the last update of the queue gauges
        self._queue_shown = (-1, -1)
        self._slots_shown: dict[ModelKey, int] = {}
        self.state = State.STARTING
        self.models = {key: ModelState(key, State.STARTING) for key in self._versions}

    # Called from any thread.

    def admit(self, requests: Requests) -> list[EngineRequest | TagwerkError]:
        """Queues requests; returns each as an `EngineRequest`, or the reason for its rejection.

        That is Overloaded, ModelNotFound, or InternalError for sequences that the model cannot read.
        """
        if (model := self._sequences.get(requests.model)) is not None:
            try:
                self._checks[requests.model].sequences(requests, model.grid.capacity)
            except InternalError as error:
                if len(requests.counts) == 1:
                    return [error]
                return [admitted for one in requests.each() for admitted in self.admit(one)]
        with self._work:
            admitted = self._scheduler.admit(requests)
            if self._clock() - self._shown > GAUGE_SECONDS:
                self._update_queue_gauges()
            self._work.notify()
        return admitted

    def abandon(self, request: EngineRequest) -> None:
        """Removes the waiting sequences of a cancelled request from the queue."""
        with self._lock:
            self._scheduler.abandon(request)
            self._update_queue_gauges()

    def time_spent(self, request: EngineRequest) -> dict[str, float]:
        """Returns the time of an unfinished request in seconds: all of it in the queue while any sequence waits."""
        with self._lock:
            total = self._clock() - request.arrived
            queued = request.queue_seconds if request.taken >= len(request.lengths) else total
        return {"queue": queued, "inference": total - queued}

    def admit_stream(self, request: Generation) -> Stream:
        """Queues a text for a slot. Raises Overloaded, ModelNotFound, InternalError."""
        if request.model not in self._generators:
            raise ModelNotFound(f"model {request.model} is not loaded")
        self._checks[request.model].generation(request)
        stream = Stream(request, self._clock())
        with self._work:
            self._generators[request.model].slots.admit(stream)
            self._work.notify()
        return stream

    def abandon_stream(self, stream: Stream) -> None:
        """Cancels a text: removes it from the queue at once, or frees its slot at the next step."""
        with self._lock:
            self._generators[stream.request.model].slots.cancel(stream)

    def step_seconds(self) -> float:
        """Returns the duration of the current device step so far; 0 when idle."""
        began = self._step_began
        return self._clock() - began if began is not None else 0.0

    def drain(self) -> None:
        """Makes `run` return once all admitted work is done."""
        with self._work:
            self.state = State.DRAINING
            self._work.notify()

    def ends(self) -> bool:
        """Returns whether the engine drains or has stopped."""
        return self.state in (State.DRAINING, State.STOPPED)

    # Called by the loading thread.

    def load(self) -> None:
        """Loads and compiles every model. A broken one is refused, the others serve. Raises ConfigurationError.

        Quick ones come first, and lemmatizers before taggers, so that no tagger serves without its lemmatizer. Calls
        `on_progress` before each, and after each of its executables.
        """
        started = self._clock()
        backend = self._make_backend()
        loader = Loader(self._settings, self._metrics, self._clock, self.ends)
        ordered = sorted(self._versions.items(), key=lambda item: LOADING_ORDER.index(item[1].manifest.task))
        for number, (key, version) in enumerate(ordered, start=1):
            if self.ends():
                return
            log.info("loads and compiles %s (%d of %d)", key, number, len(self._versions))
            self._on_progress(LoadProgress(key, number, len(self._versions)))
            begun, before = self._clock(), resident_megabytes()
            try:
                self._add_model(key, self._call(partial(loader.load, backend, version, self._report(key, number))))
            except ConfigurationError:
                raise
            except Exception as error:  # one broken version does not keep the others from serving
                known = error if isinstance(error, TagwerkError) else f"{type(error).__name__}: {error}"
                self.models[key] = ModelState(key, State.REFUSED, str(ArtifactError(str(known))))
                log.error("refused %s: %s", key, self.models[key].reason)
                self._listener.on_models()
                continue
            self.models[key] = ModelState(key, State.READY)
            self._become_ready()
            self._metrics.model_info.labels(key.name, key.version).set(1)
            seconds = self._clock() - begun
            self._metrics.model_load_duration.labels(key.name, key.version).set(seconds)
            model, megabytes = self._sequences.get(key) or self._generators[key], resident_megabytes() - before
            log.info("%s: %s, %.1f s, %.0f MB", key, model, seconds, megabytes)
        self._become_ready()
        if self.ends():
            return
        serves = ", ".join(str(key) for key, model in self.models.items() if model.state is State.READY)
        cost = f"{self._clock() - started:.1f} s, {resident_megabytes():.0f} MB in all"
        log.info("ready on %s: %s; %s", backend.device, serves or "no model", cost)

    def _become_ready(self) -> None:
        with self._lock:
            if self.state is State.STARTING:
                self.state = State.READY
        self._listener.on_models()

    def _report(self, key: ModelKey, number: int) -> Callable[[int, int], None]:
        """Returns a function that reports how many executables of a version are compiled, and how many there are."""
        return lambda compiled, executables: self._on_progress(
            LoadProgress(key, number, len(self._versions), compiled, executables)
        )

    # Called by the device thread.

    def run(self) -> None:
        """Runs work until drained.

        Errors of a batch or step go to its requests. Raises all others, for instance of the scheduler: they would
        repeat.
        """
        while (work := self._next_work()) is not None:
            for step in work:
                self._step_began = self._clock()
                step()
                self._step_began = None

    def _add_model(self, key: ModelKey, loaded: Sequences | Generator) -> None:
        with self._lock:
            if isinstance(loaded, Generator):
                self._generators[key] = loaded
            else:
                self._sequences[key] = loaded
                self._scheduler.add_model(key, loaded.grid, loaded.step_times)

    def _next_work(self) -> list[Step] | None:
        """Waits for work: a batch, and a step of each generator, so that neither waits for more than one of the other.

        Returns None once the engine drains and all admitted work is done.
        """
        with self._work:
            while True:
                work = [*self._next_batch(), *self._next_steps()]
                if work:
                    return work
                if self.ends():
                    return None
                self._work.wait()

    def _next_batch(self) -> list[Step]:
        batch = self._scheduler.take()
        self._update_queue_gauges()
        return [partial(self._run_batch, batch)] if batch is not None else []

    def _update_queue_gauges(self) -> None:
        self._shown = self._clock()
        if (waiting := (self._scheduler.queued_sequences, self._scheduler.queued_tokens)) != self._queue_shown:
            self._queue_shown = waiting
            self._metrics.queue_entries.set(waiting[0])
            self._metrics.queue_tokens.set(waiting[1])

    def _next_steps(self) -> list[Step]:
        steps: list[Step] = []
        for key, generator in self._generators.items():
            assembled = generator.slots.assemble(self._clock())
            if (in_use := generator.slots.in_use) != self._slots_shown.get(key):
                self._slots_shown[key] = in_use
                of_model = sum(shown for other, shown in self._slots_shown.items() if other.name == key.name)
                self._metrics.slots_in_use.labels(key.name).set(of_model)
            steps += [partial(self._run_step, key, generator, step) for step in assembled]
        return steps

    def _run_batch(self, batch: Batch) -> None:
        model = self._sequences[batch.model].model
        started = self._clock()
        try:
            outputs = run_batch(model, self._versions[batch.model].manifest.endpoint.inputs, batch)
            seconds = self._clock() - started
            finished = assign_outputs(batch, outputs, seconds)
        except Exception as error:
            self._fail(batch, log_failure(error, f"a batch of {batch.model} in shape {batch.shape}"))
            return
        self._listener.on_finished_requests(finished)
        with self._lock:
            self._scheduler.measured(batch, seconds)
        self._observe(batch, started, seconds)

    def _fail(self, batch: Batch, error: TagwerkError) -> None:
        requests = list(dict.fromkeys(sequence.request for sequence in batch.sequences))
        with self._lock:
            for request in requests:
                request.error = error
                self._scheduler.abandon(request)
        self._listener.on_finished_requests(requests)

    def _observe(self, batch: Batch, started: float, seconds: float) -> None:
        rows, length = batch.shape
        waits = [max(started - sequence.request.arrived, 0.0) for sequence in batch.sequences]
        padding = rows * length - batch.tokens
        self._metrics.observe_batch(batch.model.name, batch.bucket, seconds, rows * length, padding, waits)

    def _run_step(self, key: ModelKey, generator: Generator, step: SlotStep) -> None:
        started = self._clock()
        try:
            logprobs = any(stream.request.logprobs for stream in step.streams)
            sampled = generator.model.step(step.inputs, logprobs)
            now = self._clock()
            with self._lock:
                generator.slots.measured(step, now - started)
                due = generator.slots.advance(step, sampled, now)
        except Exception as error:
            failure = log_failure(error, f"a generation step of {key}")
            for stream in step.streams:
                stream.error = failure
            self._listener.on_failed_streams(step.streams)
            return
        if due:
            self._metrics.generated_tokens.labels(key.name).inc(sum(len(tokens) for _, tokens in due))
            self._listener.on_tokens(due)
