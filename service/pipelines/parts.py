"""Sends large requests to an engine in parts.

A request may have as many sequences as its text has sentences: tens of thousands. In one piece they would hold the
event loops of worker and engine while they are packed and unpacked, and other requests would wait behind all of them.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from service.engine.protocol import Engine, Inference, Outcome
from service.errors import DeadlineExceeded

PART_SEQUENCES = 512
PART_TOKENS = 4096
PARTS_AT_ONCE = 2  # under way, so that the device has one to work on while the next is on its way


async def infer_in_parts(engine: Engine, request: Inference) -> Outcome:
    """Runs all sequences of a request; see `Engine.infer`.

    The first part is admitted or refused for all of them. The time that it did not wait in the queue counts as
    inference.
    """
    if len(request.sequences) <= PART_SEQUENCES and request.sequences.tokens <= PART_TOKENS:
        return await engine.infer(request)
    began = time.monotonic()
    parts = request.sequences.split(cut(request.sequences.lengths.tolist()))
    outcomes = {0: await engine.infer(replace(request, sequences=next(parts)))}
    waiting = enumerate(parts, start=1)

    async def run() -> None:
        for number, sequences in waiting:
            outcomes[number] = await engine.infer(replace(request, sequences=sequences, begun=True))

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(PARTS_AT_ONCE):
                group.create_task(run())
    except ExceptionGroup as errors:
        error = errors.exceptions[0]
        if isinstance(error, DeadlineExceeded):
            error = DeadlineExceeded(str(error), stages(outcomes[0], began))
        raise error from None
    outputs = {
        name: np.concatenate([outcomes[number].outputs[name] for number in range(len(outcomes))])
        for name in outcomes[0].outputs
    }
    spent, largest = stages(outcomes[0], began), max(outcome.batch_size for outcome in outcomes.values())
    return Outcome(outputs, spent["queue"], spent["inference"], largest)


def stages(first: Outcome, began: float) -> dict[str, float]:
    """Returns where the time of a request in parts went, in seconds."""
    return {"queue": first.queue_seconds, "inference": time.monotonic() - began - first.queue_seconds}


def cut(lengths: Sequence[int]) -> list[int]:
    """Returns how many sequences each part has: as many in order as fit into it, and at least one."""
    counts, tokens = [0], 0
    for length in lengths:
        if counts[-1] and (counts[-1] == PART_SEQUENCES or tokens + length > PART_TOKENS):
            counts.append(0)
            tokens = 0
        counts[-1] += 1
        tokens += length
    return counts
