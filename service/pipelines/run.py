"""One run of a pipeline: its deadline, its timing, and its engine requests."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from service.artifact.version import ModelVersion
from service.engine.engine import Engine
from service.engine.requests import ANONYMOUS, Generation, Outcome, Requests
from service.errors import DeadlineExceeded, Overloaded, TooLarge
from service.pipelines.catalog import Catalog
from service.settings import Settings
from service.tasks.any_task import AnyTask
from service.telemetry.metrics import Metrics
from service.telemetry.request import Timing
from service.text.slices import Sliced
from service.types import Array, Ragged, Sampled

SMALL_BYTES = 2048  # of a request that is begun whatever else is in progress
T = TypeVar("T")
SLICE_SECONDS = 0.002  # for which long work runs in an iteration of the event loop
PART_SEQUENCES = 512  # of a large request, sent to the engine together
PART_TOKENS = 4096
PARTS_AT_ONCE = 2  # in progress, so that one is sent while another runs


@dataclass(slots=True)
class Resources:
    """The resources shared by the pipelines of a process.

    Attributes:
        long_work: held during a slice of long work, so that an event loop iteration runs one of them at most.
        bytes_in_progress: of the bodies of requests in progress. Their tokens and results take up to a hundred times as
            much memory, and are in no queue while they are made.
    """

    settings: Settings
    metrics: Metrics
    engine: Engine
    catalog: Catalog
    long_work: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    bytes_in_progress: int = field(init=False, default=0)

    def begin(self, size: int) -> None:
        """Counts the bytes of a request's body; to be taken back once it is answered. Raises Overloaded."""
        most = self.settings.max_body_bytes // 2
        if size > SMALL_BYTES and self.bytes_in_progress > most:
            raise Overloaded(f"the requests in progress have more than {most} bytes", 1.0)
        self.bytes_in_progress += size

    def check_room(self, client: int) -> None:
        """Raises Overloaded if the engine would reject any request of a client, which is then not encoded."""
        if (full := self.engine.full(client)) is not None:
            raise full

    def note_tokenized(self, task: AnyTask, seconds: float, texts: int, requests: int = 1) -> None:
        """Records tokenizing and encoding requests together: the duration, their texts, and what was cut."""
        cut, task.cut = task.cut, 0
        self.metrics.tokenized(task.version.key, seconds, requests, texts, cut)


@dataclass(slots=True)
class PipelineRun:
    """One run of a pipeline. `deadline` is a time of the monotonic clock, in seconds. For `client` see `Requests`."""

    resources: Resources
    timing: Timing
    deadline: float
    client: int = ANONYMOUS

    def check_size(self, name: str, items: Sequence[T], size: Callable[[T], int], answers: int = 1) -> None:
        """Raises TooLarge for too many items, with `answers` for each, or too many characters in all.

        `size` returns an item's characters; they count once per answer. The error names the item if it is too large
        alone.
        """
        most, longest = self.resources.settings.max_items, self.resources.settings.max_text_characters
        each = f" with {answers} answers each" if answers > 1 else ""
        if len(items) * answers > most:
            raise TooLarge(f"/{name}", f"{len(items)} items{each}", f"at most {most}")
        sizes = [answers * size(item) for item in items]
        if sum(sizes) > longest:
            for i, n in enumerate(sizes):
                if n > longest and len(items) > 1:
                    raise TooLarge(f"/{name}/{i}", f"{n // answers} characters{each}", f"at most {longest}")
            raise TooLarge(
                f"/{name}", f"{sum(sizes) // answers} characters{each}", f"at most {longest}, all items together"
            )

    async def do(self, work: Sliced[T]) -> T:
        """Runs work: at once if it has no pause, otherwise in slices; see `do_in_turns`."""
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result
        with self.counted("tokenize"):
            return await self.do_in_turns(work)

    async def do_in_turns(self, work: Sliced[T]) -> T:
        """Runs work in slices; of all long work of the process, one per event loop iteration.

        Raises DeadlineExceeded once the deadline has passed.
        """
        done: tuple[T] | None = None
        try:
            while done is None:
                async with self.resources.long_work:
                    await asyncio.sleep(0)
                    if time.monotonic() >= self.deadline:
                        raise DeadlineExceeded("the deadline passed before the answer was complete")
                    done = advance(work, SLICE_SECONDS)
        finally:
            work.close()
        return done[0]

    def tokenized(self, task: AnyTask, began: float, texts: int) -> None:
        """Records the duration of tokenizing and encoding, and the number of texts."""
        seconds = time.monotonic() - began
        self.timing.began = began
        self.timing.stages["tokenize"] = seconds
        self.resources.note_tokenized(task, seconds, texts)

    async def infer(
        self, version: ModelVersion, sequences: Ragged, extra_outputs: frozenset[str] = frozenset()
    ) -> dict[str, Array]:
        """Runs at least one sequence; returns the outputs, see `Outcome`. For `extra_outputs` see `Requests`."""
        self.timing.notes |= {"model": str(version.key), "sequences": len(sequences), "tokens": sequences.tokens}
        with self.counted():
            request = Requests.one(version.key, sequences, self.deadline, extra_outputs, client=self.client)
            outcome = await infer_in_parts(self.resources.engine, request)
        self.timing.stages |= {"queue": outcome.queue_seconds, "inference": outcome.inference_seconds}
        self.timing.batch_size = max(self.timing.batch_size, outcome.batch_size)
        return outcome.outputs

    async def generated(self, request: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the tokens of a text. Records the queue time of the request's first text, and its largest batch."""
        timing, notes, count = self.timing, self.timing.notes, 0
        if timing.began is None:
            timing.began = time.monotonic()
        notes["model"] = str(request.model)
        notes["sequences"] = notes.get("sequences", 0) + 1
        try:
            async with aclosing(self.resources.engine.generate(request)) as tokens:
                async for token in tokens:
                    timing.stages.setdefault("queue", token.queue_seconds)
                    timing.batch_size = max(timing.batch_size, token.batch_size)
                    count += 1
                    yield token
        finally:
            notes["tokens"] = notes.get("tokens", 0) + count

    @contextmanager
    def counted(self, waiting: str = "engine") -> Iterator[None]:
        """Counts cancelled work, and records where the time of any went.

        `waiting` is the stage that gets the time if the engine did not report any.
        """
        began, stages = time.monotonic(), self.timing.stages
        try:
            yield
        except DeadlineExceeded as error:
            stages |= error.stages
            if "queue" not in stages:
                stages[waiting] = time.monotonic() - began
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self.resources.metrics.cancelled.inc()
            raise
        finally:
            if "queue" in stages and "inference" not in stages:
                stages["inference"] = time.monotonic() - began - stages["queue"]


def advance(work: Sliced[T], seconds: float) -> tuple[T] | None:
    """Runs work for about `seconds`; returns a tuple of its result, or None if it is not finished."""
    end = time.monotonic() + seconds
    try:
        while True:
            next(work)
            if time.monotonic() >= end:
                return None
    except StopIteration as done:
        return (done.value,)


async def infer_in_parts(engine: Engine, request: Requests) -> Outcome:
    """Runs all sequences of a request, large ones in parts; see `Engine.infer`.

    Admitting ten thousands of sequences, and joining their outputs, in one go would block the event loop.

    The first part is admitted or rejected for all of them. All time after its wait in the queue counts as inference.
    """
    if len(request.sequences) <= PART_SEQUENCES and request.sequences.tokens <= PART_TOKENS:
        return await engine.infer(request)
    began = time.monotonic()

    def part_of(sequences: Ragged, begun: bool = False) -> Requests:
        return replace(request, sequences=sequences, counts=[len(sequences)], begun=begun)

    parts = request.sequences.split(cut(request.sequences.lengths.tolist()))
    first, limit = await engine.infer(part_of(next(parts))), asyncio.Semaphore(PARTS_AT_ONCE)

    async def run(sequences: Ragged) -> Outcome:
        async with limit:
            return await engine.infer(part_of(sequences, begun=True))

    try:
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(run(sequences)) for sequences in parts]
    except ExceptionGroup as errors:
        error = errors.exceptions[0]
        if isinstance(error, DeadlineExceeded):
            error = DeadlineExceeded(str(error), stages(first, began))
        raise error from None
    outcomes = [first, *(other.result() for other in others)]
    outputs = {name: np.concatenate([outcome.outputs[name] for outcome in outcomes]) for name in first.outputs}
    spent, largest = stages(first, began), max(outcome.batch_size for outcome in outcomes)
    return Outcome(outputs, spent["queue"], spent["inference"], largest)


def stages(first: Outcome, began: float) -> dict[str, float]:
    """Returns the queue and inference time of a request in parts, in seconds."""
    return {"queue": first.queue_seconds, "inference": time.monotonic() - began - first.queue_seconds}


def cut(lengths: Sequence[int]) -> list[int]:
    """Returns the number of sequences in each part: as many as fit, and at least one."""
    counts, tokens = [0], 0
    for length in lengths:
        if counts[-1] and (counts[-1] == PART_SEQUENCES or tokens + length > PART_TOKENS):
            counts.append(0)
            tokens = 0
        counts[-1] += 1
        tokens += length
    return counts
