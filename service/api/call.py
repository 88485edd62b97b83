"""A piece of work that a client asked for: its deadline, its timing, its way through the engine."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from service.api.context import Context, Timing, context, deadline, timing_of
from service.engine.padding import Tensors
from service.engine.protocol import Generation, Inference, Outcome
from service.errors import DeadlineExceeded, Overloaded, TooLarge
from service.registry import ModelVersion


@dataclass(slots=True)
class Call:
    """One body's worth of work. `deadline` is a moment of the monotonic clock, in seconds."""

    here: Context
    timing: Timing
    deadline: float

    def check_size(self, field: str, texts: Sequence[str], answers: int = 1) -> None:
        """Raises TooLarge where there are too many items, with `answers` for each, or too many characters."""
        most = self.here.settings.max_items
        if len(texts) * answers > most:
            each = f" with {answers} answers each" if answers > 1 else ""
            raise TooLarge(f"/{field}", f"{len(texts)} items{each}", f"at most {most}")
        longest, characters = self.here.settings.max_text_characters, sum(map(len, texts))
        if characters > longest:
            raise TooLarge(f"/{field}", f"{characters} characters", f"at most {longest}, all items together")

    def tokenized(self, version: ModelVersion, began: float) -> None:
        """Notes the time that tokenizing and encoding took."""
        seconds = time.monotonic() - began
        self.timing.stages["tokenize"] = seconds
        self.here.metrics.tokenize_duration.labels(version.manifest.name).observe(seconds)

    async def infer(
        self, version: ModelVersion, entries: Sequence[Sequence[Tensors]], further: frozenset[str] = frozenset()
    ) -> list[list[dict[str, Any]]]:
        """Runs the pieces of all sequences at once; returns the outputs sequence by sequence, see `Inference`."""
        examples = [piece for pieces in entries for piece in pieces]
        outcome, stages = Outcome([]), self.timing.stages
        earlier = {stage: stages.pop(stage) for stage in ("queue", "inference") if stage in stages}  # of other steps
        try:
            if examples:
                with self.counted():
                    outcome = await self.here.engine.infer(Inference(version.key, examples, self.deadline, further))
            stages |= {"queue": outcome.queue_seconds, "inference": outcome.inference_seconds}
        finally:
            for stage, seconds in earlier.items():
                stages[stage] = stages.get(stage, 0.0) + seconds
        self.timing.batch_size = max(self.timing.batch_size, outcome.batch_size)
        outputs = iter(outcome.outputs)
        return [[next(outputs) for _ in pieces] for pieces in entries]

    async def generated(self, wish: Generation) -> AsyncGenerator[int, None]:
        """Yields the ids of a text, and notes the time until the first of the request: for a slot and the prompt."""
        began = time.monotonic()
        async with aclosing(self.here.engine.generate(wish)) as ids:
            async for id in ids:
                if "queue" not in self.timing.stages:
                    self.timing.stages["queue"] = time.monotonic() - began
                yield id

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
        except DeadlineExceeded:
            self.here.metrics.expired.inc()
            if "queue" not in stages:
                stages[waiting] = time.monotonic() - began
            raise
        except (asyncio.CancelledError, GeneratorExit):
            self.here.metrics.cancelled.inc()
            raise
        finally:
            if "queue" in stages:
                stages["inference"] = time.monotonic() - began - stages["queue"]


def call_of(request: Request) -> Call:
    """Returns the call that a request is. Raises InvalidInput for a timeout that is none."""
    here = context(request)
    return Call(here, timing_of(request), deadline(request, here.settings))


def answer(version: ModelVersion, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns an answer; its schema is checked by tests, not again for each request."""
    return {"model": version.manifest.name, "version": version.manifest.version, "results": results}
