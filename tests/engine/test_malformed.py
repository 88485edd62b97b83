"""Requests that a model cannot read: each is refused with its reason, and harms no other."""

import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.engine.engine import Engine
from service.engine.loader import ModelLoading
from service.engine.queue import EngineRequest
from service.engine.requests import Generation, Requests
from service.errors import InternalError, ModelNotFound
from service.telemetry.metrics import Metrics
from service.text.vocabulary import Vocabulary
from service.types import Array, ModelKey, Ragged
from tests.engine.running import LM, SAMPLING, SETTINGS, TAGGER, prompt, until
from tests.engine.test_engine import Ended
from tests.fakes import Device, version_of

pytestmark = pytest.mark.anyio

IDS = np.arange(1, 4, dtype=np.int32)


def infer(*sequences: Array, name: str = "ids", model: ModelKey = TAGGER, **changes: Any) -> Requests:
    """Returns a request for some sequences, with some attributes of its `Ragged` changed."""
    some = sequences or (IDS,)
    lengths = np.array([one.size for one in some], np.int32)
    whole = Ragged(lengths, {name: np.concatenate(some)})
    return Requests.one(model, replace(whole, **changes), time.monotonic() + 60)


def generate(**changes: Any) -> Generation:
    return replace(prompt(1, 2, 3), **changes)


@asynccontextmanager
async def running() -> AsyncIterator[Engine]:
    """Yields an engine whose language model has eight letters."""
    letters = Vocabulary([chr(97 + i) for i in range(8)])
    texts = replace(version_of("lm", "generate"), vocabularies={"characters": letters})
    made = Engine(SETTINGS, ModelLoading(SETTINGS, [version_of("tagger"), texts], Device, Metrics()), Metrics())
    await made.start(lambda: None)
    yield made
    await made.close()


BAD: dict[str, Requests | Generation] = {
    "no sequences": infer(lengths=np.zeros(0, np.int32), values={"ids": IDS[:0]}),
    "no inputs": infer(values={}),
    "another input": infer(name="word_ids"),
    "one input too many": infer(values={"ids": IDS, "more": IDS}),
    "length 0": infer(np.zeros(0, np.int32)),
    "a negative length": infer(lengths=np.array([-1, 4], np.int32)),
    "longer than the largest bucket": infer(np.ones(9, np.int32)),
    "another dtype": infer(IDS.astype(np.int64)),
    "floats": infer(IDS.astype(np.float32)),
    "another byte order": infer(values={"ids": IDS.astype(">i4")}),
    "another shape": infer(values={"ids": np.ones((3, 2), np.int32)}),
    "more ids than lengths": infer(values={"ids": np.ones(4, np.int32)}),
    "no axis": infer(values={"ids": np.array(5, np.int32)}),
    "a negative id": infer(np.array([1, -1], np.int32)),
    "one good, one bad": infer(IDS, np.zeros(0, np.int32)),
    "no prompt": generate(prompt=IDS[:0]),
    "a prompt of floats": generate(prompt=IDS.astype(np.float32)),
    "a prompt of two axes": generate(prompt=IDS.reshape(1, 3)),
    "an id that is no character": generate(prompt=np.array([10], np.int32)),
    "a negative id of a prompt": generate(prompt=np.array([-1], np.int32)),
    "nothing to generate": generate(max_tokens=0),
    "less than nothing to generate": generate(max_tokens=-1),
    "top_k below 0": generate(sampling=SAMPLING._replace(top_k=-1)),
    "top_k over 32 bits": generate(sampling=SAMPLING._replace(top_k=2**31)),
    "a seed over 64 bits": generate(sampling=SAMPLING._replace(seed=2**63)),
    "no temperature": generate(sampling=SAMPLING._replace(temperature=math.nan)),
    "no top_p": generate(sampling=SAMPLING._replace(top_p=math.inf)),
}


async def answer(made: Engine, asked: Requests | Generation) -> object:
    """Returns the outputs of a request, or the tokens of a text."""
    if isinstance(asked, Requests):
        return (await made.infer(asked)).outputs["sum"].tolist()
    return [token.id async for token in made.generate(asked)]


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_a_malformed_request_is_refused_and_harms_no_other(bad):
    async with running() as made:
        with pytest.raises(InternalError, match=str(bad.model)):
            await answer(made, bad)
        assert await answer(made, infer(IDS, IDS)) == [6, 6]
        assert await answer(made, generate()) == [4, 5, 6]
        assert not made.failed.is_set()


@pytest.mark.parametrize(
    "asked",
    [
        infer(model=ModelKey("stranger", "1")),
        infer(model=ModelKey("tagger", "2")),
        infer(model=LM),
        generate(model=ModelKey("stranger", "1")),
        generate(model=TAGGER),
    ],
    ids=["no model", "no version", "sequences for a language model", "a text of no model", "a text of a tagger"],
)
async def test_a_model_that_is_not_there_for_this_is_not_found(asked):
    async with running() as made:
        with pytest.raises(ModelNotFound, match=str(asked.model)):
            await answer(made, asked)


@pytest.mark.parametrize("counts", [[2], [0], [-1], [1, 1, 1]], ids=str)
async def test_counts_that_are_not_those_of_the_sequences_are_refused(counts):
    async with running() as made:
        one = infer()
        many = [one.deadlines[0]] * len(counts)
        requests = Requests(TAGGER, one.sequences, counts, many, [0] * len(counts))
        refused = [done for done in made.submit(requests, Ended()) if not isinstance(done, EngineRequest)]
        assert refused
        assert {type(error) for error in refused} == {InternalError}
        assert await answer(made, infer()) == [6]


async def test_a_bad_request_harms_none_that_was_submitted_with_it():
    async with running() as made:
        ended, bad = Ended(), np.array([1, -1], np.int32)
        together = infer(IDS, bad, IDS, IDS)
        requests = Requests(TAGGER, together.sequences, [1, 1, 2], [together.deadlines[0]] * 3, [0] * 3)
        first, second, third = made.submit(requests, ended)
        assert isinstance(second, InternalError)
        await until(lambda: sum(map(len, ended.groups)) == 2)
        assert {one for group in ended.groups for one in group} == {first, third}
        assert not any(one.error for group in ended.groups for one in group)
