"""Sends large requests to an engine in parts.

A request may have tens of thousands of sequences. Admitting all of them, and joining their outputs, in one go would
block the event loop, and other requests would wait behind all of it.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.engine.engine import Engine
from service.engine.requests import Outcome, Requests
from service.errors import DeadlineExceeded
from service.types import Ragged

PART_SEQUENCES = 512
PART_TOKENS = 4096
PARTS_AT_ONCE = 2  # in progress, so that one is sent while another runs


async def infer_in_parts(engine: Engine, request: Requests) -> Outcome:
    """Runs all sequences of a request; see `Engine.infer`.

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
