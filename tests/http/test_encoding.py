"""Answers are written as Pydantic would write them."""

import json

import pydantic_core
from hypothesis import given
from hypothesis import strategies as st

from service.pipelines.formats import to_json

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(TEXTS, inner),
)


@given(VALUES)
def test_what_is_written_reads_as_what_pydantic_writes(value):
    written = to_json(value)
    assert json.loads(written) == json.loads(pydantic_core.to_json(value))
    assert b"\n" not in written, "a line of a stream ends where its answer does"
