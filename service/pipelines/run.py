"""One run of a pipeline: its deadline, its timing, and its engine requests."""

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np

from service.artifact.manifest import ModelVersion
from service.engine.engine import Engine
from service.engine.requests import ANONYMOUS, Generation, Outcome, Requests
from service.errors import DeadlineExceeded, Overloaded, TooLarge, quantity
from service.pipelines.catalog import Catalog
from service.pipelines.work_limit import WorkLimit
from service.settings import Settings
from service.tasks.requirements import AnyTask
from service.telemetry.metrics import Metrics
from service.telemetry.request import Timing
from service.text.interruptible import Interruptible
from service.types import Array, Ragged, Sampled

SMALL_BYTES = 2048  # of a request that is begun whatever else is in progress
MEDIUM_BYTES = 16_384  # of a request that waits for others of at most that size alone
MEDIUM_CHARACTERS = 65_536  # of such requests that are worked on at the same time
LARGE_ANSWER_BYTES = 16_777_216  # for which there may be no room before other clients have read theirs
ROOM_SECONDS = 5.0  # for them to do so; then the slowest are dropped
ROOM_CHECK_SECONDS = 0.1
WAITED = "the deadline passed while other requests were worked on"
T = TypeVar("T")
TURN_SECONDS = 0.002  # for which long work runs in an iteration of the event loop
CHUNK_SEQUENCES = 512  # of a large request, sent to the engine together
CHUNK_TOKENS = 4096
CHUNKS_AT_ONCE = 2  # in progress, so that one is sent while another runs


@dataclass(slots=True)
class Resources:
    """The resources shared by the pipelines of a process.

    Attributes:
        long_work: held during a turn of long work, so that an event loop iteration runs one of them at most.
        bytes_in_progress: of the bodies of requests in progress.
        medium_work: which requests of at most MEDIUM_BYTES are worked on.
        large_work: which larger ones are.
    """

    settings: Settings
    metrics: Metrics
    engine: Engine
    catalog: Catalog
    long_work: asyncio.Lock = field(init=False, default_factory=asyncio.Lock)
    bytes_in_progress: int = field(init=False, default=0)
    medium_work: WorkLimit = field(init=False)
    large_work: WorkLimit = field(init=False)

    def __post_init__(self) -> None:
        self.medium_work = WorkLimit(MEDIUM_CHARACTERS)
        self.large_work = WorkLimit(self.settings.max_text_characters)

    def has_room(self, size: int) -> bool:
        """Returns whether so many bytes more may be held for clients."""
        return True

    def begin(self, size: int) -> None:
        """Counts the bytes of a request's body; to be taken back once it is answered. Raises Overloaded."""
        most = self.settings.max_body_bytes // 2
        if size > SMALL_BYTES and self.bytes_in_progress > most:
            raise Overloaded(f"the requests in progress have more than {most} bytes", 1.0)
        self.bytes_in_progress += size

    def note_tokenized(self, task: AnyTask, seconds: float, texts: int, requests: int = 1) -> None:
        """Records tokenizing and encoding requests together: the duration, their texts, and what was cut."""
        cut, task.cut = task.cut, 0
        self.metrics.tokenized(task.version.key, seconds, requests, texts, cut)


@dataclass(slots=True)
class PipelineRun:
    """One run of a pipeline.

    Attributes:
        deadline: a time of the monotonic clock, in seconds.
        client: see `Requests`.
        hold: called with each change of the number of bytes that are held for the client. Without it, the run waits for
            no others, and need not be ended.
        in_turns: whether others wait for the event loop: then long work runs in turns, and in chunks on the engine.
    """

    resources: Resources
    timing: Timing
    deadline: float
    client: int = ANONYMOUS
    hold: Callable[[int], None] | None = None
    in_turns: bool = True
    _held: int = field(init=False, default=0)
    _waited: float = field(init=False, default=0.0)  # seconds, for others to be worked on
    _left: Callable[[], None] | None = field(init=False, default=None)

    def check_size(self, name: str, items: Sequence[T], size: Callable[[T], int], answers: int = 1) -> int:
        """Returns the number of characters. Raises TooLarge for too many items, with `answers` for each, or characters.

        `size` returns an item's characters; they count once per answer. The error names the item if it is too large
        alone.
        """
        most, longest = self.resources.settings.max_items, self.resources.settings.max_text_characters
        each = f" with {answers} answers each" if answers > 1 else ""
        if len(items) * answers > most:
            raise TooLarge(f"/{name}", f"{quantity(len(items), 'item')}{each}", f"at most {most}")
        sizes = [answers * size(item) for item in items]
        if sum(sizes) > longest:
            for i, n in enumerate(sizes):
                if n > longest and len(items) > 1:
                    characters = quantity(n // answers, "character")
                    raise TooLarge(f"/{name}/{i}", f"{characters}{each}", f"at most {longest}")
            characters = quantity(sum(sizes) // answers, "character")
            raise TooLarge(f"/{name}", f"{characters}{each}", f"at most {longest}, all items together")
        return sum(sizes)

    async def begin(self, characters: int) -> None:
        """Waits until texts of that size may be worked on. Raises DeadlineExceeded."""
        if self.hold is None or self._left is not None or characters <= SMALL_BYTES:
            return
        resources, begun = self.resources, asyncio.Event()
        limit = resources.medium_work if characters <= MEDIUM_BYTES else resources.large_work
        place = limit.enter(self.client, characters, begun.set)
        self._left = partial(limit.leave, place)
        if not place.begun:
            since = time.monotonic()
            try:
                with self.counted("queue"):
                    try:
                        async with asyncio.timeout(self.deadline - since):
                            await begun.wait()
                    except TimeoutError:
                        raise DeadlineExceeded(WAITED) from None
            finally:
                if not place.begun:
                    self.end()
            self._waited = time.monotonic() - since

    async def make_room(self, size: int) -> None:
        """Reserves bytes for an answer that is to be computed; waits a while for clients to read what they have."""
        if self.hold is not None and size > LARGE_ANSWER_BYTES:
            until = min(self.deadline, time.monotonic() + ROOM_SECONDS)
            while not self.resources.has_room(size) and time.monotonic() < until:  # noqa: ASYNC110 (no event says when)
                await asyncio.sleep(ROOM_CHECK_SECONDS)
        self.reserve(size)

    def reserve(self, size: int) -> None:
        """Counts bytes that an answer may have as held for the client, before it is made."""
        if self.hold is not None:
            self._held += size
            self.hold(size)

    def release(self, size: int) -> None:
        """Takes back bytes that were reserved, which are sent or counted otherwise."""
        size = min(size, self._held)
        if size and self.hold is not None:
            self._held -= size
            self.hold(-size)

    def end(self) -> None:
        """Lets other requests be worked on, and takes back all that is reserved. Called once the answer is sent."""
        self.release(self._held)
        if (left := self._left) is not None:
            self._left = None
            left()

    async def do(self, work: Interruptible[T]) -> T:
        """Runs work: at once if it does not yield, otherwise in turns; see `do_in_turns`."""
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result
        with self.counted("tokenize"):
            return await self.do_in_turns(work)

    async def do_in_turns(self, work: Interruptible[T]) -> T:
        """Runs work in turns; of all long work of the process, one per event loop iteration.

        Raises DeadlineExceeded once the deadline has passed.
        """
        done: tuple[T] | None = None
        try:
            while done is None:
                async with self.resources.long_work:
                    await asyncio.sleep(0)
                    if time.monotonic() >= self.deadline:
                        raise DeadlineExceeded("the deadline passed before the answer was complete")
                    done = advance(work, TURN_SECONDS if self.in_turns else math.inf)
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
            counts, deadlines, clients = [len(sequences)], [self.deadline], [self.client]
            request = Requests(version.key, sequences, counts, deadlines, clients, extra_outputs)
            infer = infer_in_chunks if self.in_turns else Engine.infer
            outcome = await infer(self.resources.engine, request)
        queued, self._waited = self._waited + outcome.queue_seconds, 0.0
        self.timing.stages |= {"queue": queued, "inference": outcome.inference_seconds}
        self.timing.batch_size = max(self.timing.batch_size, outcome.batch_size)
        return outcome.outputs

    @contextmanager
    def generated(self, requests: Sequence[Generation]) -> Iterator[list[AsyncGenerator[Sampled, None]]]:
        """Generates texts as `Engine.generate` does. Records the first one's queue time, and the largest batch."""
        self.timing.notes |= {"model": str(requests[0].model), "sequences": len(requests), "tokens": 0}
        with self.resources.engine.generate(requests) as texts:
            yield [self._timed(tokens) for tokens in texts]

    async def _timed(self, text: AsyncGenerator[Sampled, None]) -> AsyncGenerator[Sampled, None]:
        timing, count = self.timing, 0
        try:
            async with aclosing(text) as tokens:
                async for token in tokens:
                    timing.stages.setdefault("queue", token.queue_seconds)
                    timing.batch_size = max(timing.batch_size, token.batch_size)
                    count += 1
                    yield token
        finally:
            timing.notes["tokens"] += count

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


def advance(work: Interruptible[T], seconds: float) -> tuple[T] | None:
    """Runs work for about `seconds`; returns a tuple of its result, or None if it is not finished."""
    end = time.monotonic() + seconds
    try:
        while True:
            next(work)
            if time.monotonic() >= end:
                return None
    except StopIteration as done:
        return (done.value,)


async def infer_in_chunks(engine: Engine, request: Requests) -> Outcome:
    """Runs all sequences of a request, large ones in chunks; see `Engine.infer`.

    Admitting ten thousands of sequences, and joining their outputs, in one go would block the event loop.

    The first chunk is admitted or rejected for all of them. All time after its wait in the queue counts as inference.
    """
    if len(request.sequences) <= CHUNK_SEQUENCES and request.sequences.tokens <= CHUNK_TOKENS:
        return await engine.infer(request)
    began, limit = time.monotonic(), asyncio.Semaphore(CHUNKS_AT_ONCE)

    async def run(chunk: Ragged, begun: bool) -> Outcome:
        async with limit:
            return await engine.infer(replace(request, sequences=chunk, counts=[len(chunk)], begun=begun))

    chunks = request.sequences.split(chunk_sizes(request.sequences.lengths.tolist()))
    first = await run(next(chunks), begun=False)
    try:
        async with asyncio.TaskGroup() as group:
            others = [group.create_task(run(chunk, begun=True)) for chunk in chunks]
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
    """Returns the queue and inference time of a request in chunks, in seconds."""
    return {"queue": first.queue_seconds, "inference": time.monotonic() - began - first.queue_seconds}


def chunk_sizes(lengths: Sequence[int]) -> list[int]:
    """Returns the number of sequences in each chunk: as many as fit, and at least one."""
    counts, tokens = [0], 0
    for length in lengths:
        if counts[-1] and (counts[-1] == CHUNK_SEQUENCES or tokens + length > CHUNK_TOKENS):
            counts.append(0)
            tokens = 0
        counts[-1] += 1
        tokens += length
    return counts
