"""A piece of work that a client asked for: its deadline, its timing, its way through the engine."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request

from service.api import problem
from service.api.context import Context, context, deadline, timing_of
from service.api.problem import Rejected
from service.api.timing import Timing
from service.engine.padding import Tensors
from service.engine.protocol import Generation, Inference, Outcome, Sampled
from service.errors import DeadlineExceeded, Overloaded, TooLarge
from service.registry import ModelVersion

T = TypeVar("T")
NOTHING = {"queue": 0.0, "inference": 0.0}  # seconds of a request that did not come to the engine


@dataclass(slots=True)
class Call:
    """One body's worth of work. `deadline` is a moment of the monotonic clock, in seconds."""

    here: Context
    timing: Timing
    deadline: float

    def admit(
        self, field: str, items: Sequence[T | Rejected], size: Callable[[T], int], answers: int = 1
    ) -> list[T | Rejected]:
        """Rejects items that are too large by themselves, where others are not; `size` is in characters.

        Raises TooLarge where there are too many items, with `answers` for each, or too many characters in all of them.
        """
        if self.here.settings.log_texts:
            self.timing.notes["texts"] = [one if isinstance(one, str) else str(one) for one in items]
        most, longest = self.here.settings.max_items, self.here.settings.max_text_characters
        if len(items) * answers > most:
            each = f" with {answers} answers each" if answers > 1 else ""
            raise TooLarge(f"/{field}", f"{len(items)} items{each}", f"at most {most}")
        sizes = [0 if isinstance(item, Rejected) else size(item) for item in items]
        if sum(sizes) <= longest:
            return list(items)
        kept = [n if n <= longest else 0 for n in sizes]
        if not 0 < sum(kept) <= longest:
            raise TooLarge(f"/{field}", f"{sum(sizes)} characters", f"at most {longest}, all items together")
        return [
            item
            if n <= longest
            else Rejected(problem.document(TooLarge(f"/{field}/{i}", f"{n} characters", f"at most {longest}")))
            for i, (item, n) in enumerate(zip(items, sizes, strict=True))
        ]

    def tokenized(self, version: ModelVersion, began: float) -> None:
        """Notes the time that tokenizing and encoding took."""
        seconds = time.monotonic() - began
        self.timing.began = began
        self.timing.stages["tokenize"] = seconds
        self.here.metrics.tokenize_duration.labels(version.manifest.name).observe(seconds)

    async def infer(
        self, version: ModelVersion, entries: Sequence[Sequence[Tensors]], further: frozenset[str] = frozenset()
    ) -> list[list[dict[str, Any]]]:
        """Runs the pieces of all sequences at once; returns the outputs sequence by sequence, see `Inference`."""
        examples = [piece for pieces in entries for piece in pieces]
        tokens = sum(len(next(iter(example.values()))) for example in examples)
        if "model" not in self.timing.notes:  # the first step is the one that was asked for
            self.timing.notes |= {"model": str(version.key), "sequences": len(examples), "tokens": tokens}
        outcome, stages = Outcome([]), self.timing.stages
        earlier = {stage: stages.pop(stage) for stage in ("queue", "inference") if stage in stages}  # of other steps
        try:
            if examples:
                with self.counted():
                    if time.monotonic() >= self.deadline:
                        raise DeadlineExceeded("the deadline passed before the device was asked", NOTHING)
                    wish = Inference(version.key, examples, self.deadline, further, begun=bool(earlier))
                    with self.here.door.asking() as asked:
                        outcome = await self.here.engine.infer(wish)
                        self.here.door.answered(outcome.queue_seconds + outcome.inference_seconds, asked)
            stages |= {"queue": outcome.queue_seconds, "inference": outcome.inference_seconds}
        except Overloaded as refusal:
            self.here.door.no_room(refusal, len(examples), tokens, asked)
            raise
        finally:
            for stage, seconds in earlier.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
        self.timing.batch_size = max(self.timing.batch_size, outcome.batch_size)
        outputs = iter(outcome.outputs)
        return [[next(outputs) for _ in pieces] for pieces in entries]

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


def answer(version: ModelVersion, results: Iterable[dict[str, Any] | Rejected]) -> dict[str, Any]:
    """Returns an answer; its schema is checked by tests, not again for each request."""
    content = [{"error": result.document} if isinstance(result, Rejected) else result for result in results]
    return {"model": version.manifest.name, "version": version.manifest.version, "results": content}
