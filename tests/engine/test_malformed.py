"""Models that are not there."""

from dataclasses import replace

import pytest

from service.engine.requests import Requests
from service.errors import ModelNotFound
from service.types import ModelKey
from tests.engine.running import LM, TAGGER, prompt, request, tokens


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
        await (made.infer(asked) if isinstance(asked, Requests) else anext(tokens(made, asked)))
