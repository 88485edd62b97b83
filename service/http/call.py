"""A piece of work that a client asked for: its deadline, its timing, its way through the engine."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from fastapi import Request

from service.artifact.version import ModelVersion
from service.engine.protocol import Generation, Inference
from service.errors import DeadlineExceeded, Overloaded, TooLarge
from service.http.context import Context, context, deadline, timing_of
from service.pipelines.parts import infer_in_parts
from service.slices import Sliced, advance
from service.telemetry.timing import Timing
from service.types import Array, Ragged, Sampled

FIRST_SLICE_SECONDS = 0.001  # nearly all requests need less
SLICE_SECONDS = 0.002
T = TypeVar("T")
NOTHING = {"queue": 0.0, "inference": 0.0}  # seconds of a request that did not come to the engine


@dataclass(slots=True)
class Call:
    """One body's worth of work. `deadline` is a moment of the monotonic clock, in seconds."""

    here: Context
    timing: Timing
    deadline: float

    def admit(self, field: str, items: Sequence[T], size: Callable[[T], int], answers: int = 1) -> None:
        """Raises TooLarge where there are too many items, with `answers` for each, or too many characters in them.

        `size` gives the characters of an item. They count once for each of its answers, which read the item anew. The
        error names the item where one alone is too large.
        """
        if self.here.settings.log_texts:
            self.timing.notes["texts"] = [one if isinstance(one, str) else str(one) for one in items]
        most, longest = self.here.settings.max_items, self.here.settings.max_text_characters
        each = f" with {answers} answers each" if answers > 1 else ""
        if len(items) * answers > most:
            raise TooLarge(f"/{field}", f"{len(items)} items{each}", f"at most {most}")
        sizes = [answers * size(item) for item in items]
        if sum(sizes) > longest:
            for i, n in enumerate(sizes):
                if n > longest and len(items) > 1:
                    raise TooLarge(f"/{field}/{i}", f"{n // answers} characters{each}", f"at most {longest}")
            raise TooLarge(
                f"/{field}", f"{sum(sizes) // answers} characters{each}", f"at most {longest}, all items together"
            )

    async def run(self, work: Sliced[T]) -> T:
        """Does work of this request: at once where it is short, else in slices; see `run_in_turns`."""
        try:
            next(work)
        except StopIteration as done:
            result: T = done.value
            return result
        with self.counted("tokenize"):
            return await self.run_in_turns(work)

    async def run_in_turns(self, work: Sliced[T]) -> T:
        """Does work in slices: of all long work of the process, one slice in each turn of the event loop.

        Raises DeadlineExceeded once the deadline has passed.
        """
        done = advance(work, FIRST_SLICE_SECONDS)
        try:
            while done is None:
                async with self.here.long_work:
                    await asyncio.sleep(0)
                    if time.monotonic() >= self.deadline:
                        raise DeadlineExceeded("the deadline passed before the answer was complete")
                    done = advance(work, SLICE_SECONDS)
        finally:
            work.close()
        return done[0]

    def tokenized(self, version: ModelVersion, began: float) -> None:
        """Notes the time that tokenizing and encoding took."""
        seconds = time.monotonic() - began
        self.timing.began = began
        self.timing.stages["tokenize"] = seconds
        self.here.ledger.note_tokenized(version.key.name, seconds)

    async def infer(
        self, version: ModelVersion, sequences: Ragged, further: frozenset[str] = frozenset()
    ) -> dict[str, Array]:
        """Runs sequences, at least one; returns their outputs, see `Outcome`. For `further` see `Inference`."""
        tokens = sequences.tokens
        if "model" not in self.timing.notes:  # the first step is the one that was asked for
            self.timing.notes |= {"model": str(version.key), "sequences": len(sequences), "tokens": tokens}
        stages = self.timing.stages
        earlier = {stage: stages.pop(stage) for stage in ("queue", "inference") if stage in stages}  # of other steps
        try:
            with self.counted():
                if time.monotonic() >= self.deadline:
                    raise DeadlineExceeded("the deadline passed before the device was asked", NOTHING)
                wish = Inference(version.key, sequences, self.deadline, further, begun=bool(earlier))
                with self.here.shedder.sending() as snapshot:
                    outcome = await infer_in_parts(self.here.engine, wish)
                    self.here.shedder.note_answer(outcome.queue_seconds + outcome.inference_seconds, snapshot)
                stages |= {"queue": outcome.queue_seconds, "inference": outcome.inference_seconds}
        except Overloaded as refusal:
            self.here.shedder.note_rejection(refusal, len(sequences), tokens, snapshot)
            raise
        finally:
            for stage, seconds in earlier.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
        self.timing.batch_size = max(self.timing.batch_size, outcome.batch_size)
        return outcome.outputs

    async def generated(self, wish: Generation) -> AsyncGenerator[Sampled, None]:
        """Yields the tokens of a text. Notes how long the request's first to begin waited, and its largest batch."""
        timing, notes, count = self.timing, self.timing.notes, 0
        if timing.began is None:
            timing.began = time.monotonic()
        notes["model"] = str(wish.model)
        notes["sequences"] = notes.get("sequences", 0) + 1
        try:
            async with aclosing(self.here.engine.generate(wish)) as tokens:
                async for token in tokens:
                    timing.stages.setdefault("queue", token.queue_seconds)
                    timing.batch_size = max(timing.batch_size, token.batch_size)
                    count += 1
                    yield token
        finally:
            notes["tokens"] = notes.get("tokens", 0) + count

    @contextmanager
    def counted(self, waiting: str = "engine") -> Iterator[None]:
        """Counts work that is rejected, expires, or is given up by its client; notes where its time went.

        `waiting` is the stage to which the time counts while nothing is known of it.
        """
        began, stages = time.monotonic(), self.timing.stages
        try:
            yield
        except Overloaded:
            self.here.metrics.rejected.labels("overloaded").inc()
            raise
        except DeadlineExceeded as error:
            self.here.metrics.expired.inc()
            stages |= error.stages
            if "queue" not in stages:
                stages[waiting] = time.monotonic() - began
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self.here.metrics.cancelled.inc()
            raise
        finally:
            if "queue" in stages and "inference" not in stages:
                stages["inference"] = time.monotonic() - began - stages["queue"]


def call_of(request: Request) -> Call:
    """Returns the call that a request is. Raises InvalidInput for a timeout that is none."""
    here = context(request)
    return Call(here, timing_of(request), deadline(request, here.settings))
