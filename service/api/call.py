"""A piece of work that a client asked for: its deadline, its timing, its way through the engine."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from service.api.context import Context, Timing, context, deadline, timing_of
from service.engine.padding import Tensors
from service.engine.protocol import Inference, Outcome
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

    async def infer(self, version: ModelVersion, entries: Sequence[Sequence[Tensors]]) -> list[list[dict[str, Any]]]:
        """Runs the pieces of all sequences at once; returns the outputs sequence by sequence."""
        examples = [piece for pieces in entries for piece in pieces]
        outcome = Outcome([])
        if examples:
            with self.counted():
                outcome = await self.here.engine.infer(Inference(version.key, examples, self.deadline))
        self.timing.stages |= {"queue": outcome.queue_seconds, "inference": outcome.inference_seconds}
        outputs = iter(outcome.outputs)
        return [[next(outputs) for _ in pieces] for pieces in entries]

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts work that is rejected, expires, or is given up by its client; notes how long it waited in vain."""
        began = time.monotonic()
        try:
            yield
        except Overloaded:
            self.here.metrics.rejected.labels("overloaded").inc()
            raise
        except DeadlineExceeded:
            self.here.metrics.expired.inc()
            self.timing.stages["engine"] = time.monotonic() - began
            raise
        except asyncio.CancelledError:
            self.here.metrics.cancelled.inc()
            raise


def call_of(request: Request) -> Call:
    """Returns the call that a request is. Raises InvalidInput for a timeout that is none."""
    here = context(request)
    return Call(here, timing_of(request), deadline(request, here.settings))


def answer(version: ModelVersion, results: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns an answer; its schema is checked by tests, not again for each request."""
    return {"model": version.manifest.name, "version": version.manifest.version, "results": results}
