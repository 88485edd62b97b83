"""Answers are written as Pydantic would write them."""

import json

import pydantic_core
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api import answer_schemas
from service.pipelines.formats import to_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXTS, inner),
)
ASKED = [
    ("/tag", {"text": 'Café d\'été 🙂, 1e-7 and "so\\on".\n', "n_best": 3}, answer_schemas.TagAnswer),
    (
        "/classify",
        {"text": ["Good.", "Bad, naïve 🙂."], "contributions": True, "sentences": True},
        answer_schemas.ClassifyAnswer,
    ),
    ("/generate", {"prompt": "ROMEO:", "max_tokens": 9, "logprobs": 2, "seed": 1}, answer_schemas.GenerateAnswer),
]


@given(VALUES)
def test_what_is_written_reads_as_what_pydantic_writes(value):
    written = to_json(value)
    assert json.loads(written) == json.loads(pydantic_core.to_json(value))
    assert b"\n" not in written, "a line of a stream ends where its answer does"


@pytest.mark.parametrize(("path", "body", "schema"), ASKED)
def test_an_answer_is_what_its_schema_writes(client, path, body, schema):
    written = client.post(path, json=body).content
    model = schema.model_validate_json(written, strict=True, extra="forbid")
    assert json.loads(model.model_dump_json(exclude_unset=True)) == json.loads(written)
