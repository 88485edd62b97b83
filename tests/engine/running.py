"""An engine that runs on a test device, and requests for it."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import numpy as np

from service.artifact.manifest import ModelVersion
from service.backend.base import SequenceModel
from service.engine.engine import Engine
from service.engine.loader import ModelLoading
from service.engine.requests import ANONYMOUS, Generation, Outcome, Requests, Sampling
from service.settings import Settings
from service.telemetry.metrics import Metrics
from service.types import ModelKey, Ragged, Sampled
from tests.fakes import Clock, Device, version_of

SAMPLING = Sampling(temperature=1.0, top_k=0, top_p=1.0, seed=1)
SETTINGS = Settings(batch_sizes=(1, 2, 4), slots=2, max_items=8, max_queue_tokens=512)
TAGGER, LM = ModelKey("tagger", "1"), ModelKey("lm", "1")
STEP_SECONDS = 1 / 32  # exact in binary


class Timed(Device):
    """A device whose steps take `STEP_SECONDS` by its clock, and the metrics of what runs on it."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.metrics = Metrics()

    def finish_step(self) -> None:
        self.clock.now += STEP_SECONDS
        super().finish_step()

    def metric(self, name: str, **labels: str) -> float | None:
        self.metrics.flush()
        return self.metrics.registry.get_sample_value(f"tagwerk_{name}", labels)


class EqualSteps(ModelLoading):
    """Loads versions as if each of their steps took `STEP_SECONDS`, so that full batches take the least time."""

    def _seconds_of_step(
        self, version: ModelVersion, model: SequenceModel, shape: tuple[int, int], clock: Callable[[], float]
    ) -> float:
        return STEP_SECONDS


def make_engine(device: Device, settings: Settings = SETTINGS, loading: ModelLoading | None = None) -> Engine:
    """Returns an engine with a tagger and a language model, not started."""
    versions, metrics = [version_of("tagger"), version_of("lm", "generate")], Metrics()
    loading = loading or EqualSteps(settings, versions, lambda: device, metrics)
    return Engine(settings, loading, metrics, schedule=device.schedule)


@asynccontextmanager
async def running_engine(device: Device, settings: Settings = SETTINGS) -> AsyncIterator[Engine]:
    """Yields an engine that has loaded its models, and closes it at the end of the block."""
    made = make_engine(device, settings)
    await made.start(lambda: None)
    try:
        yield made
    finally:
        device.go.set()
        await made.close()


def request(
    *rows: Sequence[int], seconds: float = 60.0, model: ModelKey = TAGGER, extra_outputs: frozenset[str] = frozenset()
) -> Requests:
    sequences = Ragged.of([{"ids": np.array(row, np.int32)} for row in rows])
    return Requests(model, sequences, [len(rows)], [time.monotonic() + seconds], [ANONYMOUS], extra_outputs)


def rows_of(request: Requests, outcome: Outcome, name: str = "ids") -> list[list[int]]:
    """Returns an output with a time axis, of each sequence of a request."""
    ends = np.cumsum(request.sequences.lengths)[:-1]
    return [row.tolist() for row in np.split(outcome.outputs[name], ends)]


def prompt(*ids: int, max_tokens: int = 3, seconds: float = 60.0, logprobs: bool = False) -> Generation:
    return Generation(LM, np.array(ids, np.int32), max_tokens, SAMPLING, time.monotonic() + seconds, logprobs)


async def tokens(made: Engine, wanted: Generation) -> AsyncGenerator[Sampled, None]:
    """Yields the tokens of a request of one text."""
    with made.generate([wanted]) as (text,):
        async for token in text:
            yield token


async def text(made: Engine, wanted: Generation) -> list[int]:
    """Returns the ids of a generated text."""
    return [token.id async for token in tokens(made, wanted)]


async def hold(device: Device, made: Engine) -> asyncio.Task[Outcome]:
    """Sends a request whose step does not end until the test sets `device.go`."""
    return await device.hold(made.infer(request([99])))
