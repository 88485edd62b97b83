"""Texts that a model cannot generate, and models that are not there."""

import math
from dataclasses import replace
from typing import Any

import pytest

from service.engine.requests import Requests, check_generation
from service.errors import InternalError, ModelNotFound
from service.types import ModelKey
from tests.engine.running import LM, SAMPLING, TAGGER, prompt, request, text


@pytest.mark.parametrize(
    "changes",
    [
        {"max_tokens": 0},
        {"sampling": SAMPLING._replace(top_k=-1)},
        {"sampling": SAMPLING._replace(top_k=2**31)},
        {"sampling": SAMPLING._replace(seed=2**63)},
        {"sampling": SAMPLING._replace(temperature=math.nan)},
        {"sampling": SAMPLING._replace(top_p=math.inf)},
    ],
    ids=str,
)
async def test_a_text_whose_numbers_are_out_of_range_is_refused_and_harms_no_other(changes: dict[str, Any], made):
    with pytest.raises(InternalError, match="lm/1 got a generation request with numbers out of range"):
        await anext(made.generate(replace(prompt(1), **changes)))
    assert await text(made, prompt(1, 2, 3)) == [4, 5, 6]


@pytest.mark.parametrize(("top_k", "seed"), [(2**31 - 1, 2**63 - 1), (0, -(2**63))])
def test_the_largest_and_smallest_numbers_are_in_range(top_k, seed):
    check_generation(replace(prompt(1), sampling=SAMPLING._replace(top_k=top_k, seed=seed)))


@pytest.mark.parametrize(
    "asked",
    [
        request([1], model=ModelKey("stranger", "1")),
        request([1], model=ModelKey("tagger", "2")),
        request([1], model=LM),
        replace(prompt(1), model=ModelKey("stranger", "1")),
        replace(prompt(1), model=TAGGER),
    ],
    ids=["no model", "no version", "sequences for a language model", "a text of no model", "a text of a tagger"],
)
async def test_a_model_that_is_not_there_for_this_is_not_found(asked, made):
    with pytest.raises(ModelNotFound, match=str(asked.model)):
        await (made.infer(asked) if isinstance(asked, Requests) else anext(made.generate(asked)))
