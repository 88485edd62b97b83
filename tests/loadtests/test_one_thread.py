"""The engine of the other arrangement, on a model of the test's own."""

import asyncio
import time

import numpy as np
import pytest

from loadtests.one_thread.engine import OneThreadEngine
from service.engine.protocol import Inference
from service.errors import DeviceFailed, ModelNotFound
from service.settings import Settings
from service.store.registry import newest
from service.types import Ragged
from tests.conftest import STORE


class Sums:
    """Adds up the ids of each row; fails at a negative one."""

    timed_outputs = frozenset({"ids"})

    def __init__(self):
        self.shapes = []

    def warm_up(self, batch_sizes, capacity):
        return iter(())

    def run(self, inputs, further=frozenset()):
        self.shapes.append(inputs["word_ids"].shape)
        if inputs["word_ids"].min() < 0:
            raise DeviceFailed("the device failed")
        return {"sum": inputs["word_ids"].sum(axis=1), "ids": inputs["word_ids"]}


def made():
    (version,) = (version for version in newest(STORE) if version.manifest.task == "classify")
    engine = OneThreadEngine(Settings(batch_sizes=(1, 2, 4)), [version])
    model = engine._models[version.key] = Sums()
    return engine, model, version.key


def asked(key, *sequences: list[int]) -> Inference:
    together = Ragged.of([{"word_ids": np.array(ids, np.int32)} for ids in sequences])
    return Inference(key, together, time.monotonic() + 9)


def test_requests_of_a_turn_run_together_and_each_gets_its_own():
    engine, model, key = made()
    requests = [asked(key, [*range(n), 100]) for n in (5, 1, 3, 2)] + [asked(key, [7], [8, 9])]

    async def scenario():
        return await asyncio.gather(*map(engine.infer, requests))

    outcomes = asyncio.run(scenario())
    for request, outcome in zip(requests, outcomes, strict=True):
        parts = request.sequences.split([1] * len(request.sequences))
        assert outcome.outputs["sum"].tolist() == [int(part.values["word_ids"].sum()) for part in parts]
        assert outcome.outputs["ids"].tolist() == request.sequences.values["word_ids"].tolist()
    assert model.shapes == [(4, 6), (2, 2)], "as long as the longest"


def test_an_error_goes_to_the_requests_of_the_turn_and_the_next_turn_runs():
    engine, _, key = made()

    async def scenario():
        both = [engine.infer(asked(key, [n])) for n in (1, -1)]
        failed = await asyncio.gather(*both, return_exceptions=True)
        return failed, await engine.infer(asked(key, [3]))

    failed, outcome = asyncio.run(scenario())
    assert [type(error) for error in failed] == [DeviceFailed, DeviceFailed]
    assert int(outcome.outputs["sum"][0]) == 3


def test_a_model_that_is_not_there_is_refused():
    engine, _, key = made()
    other = asked(type(key)("other", "1"), [1])
    with pytest.raises(ModelNotFound, match="other/1"):
        asyncio.run(engine.infer(other))
