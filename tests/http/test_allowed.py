"""What errors say is allowed reads on after "allowed:", for each field of each request and each kind of wrong value."""

import re

import pytest
from pydantic import BaseModel

from service.api import admin, lines, request_schemas
from service.api.protocols.openai import CompletionRequest, StreamOptions
from service.api.protocols.tensors import InferenceRequest, RequestInput, RequestOutput
from service.errors import InvalidFields, InvalidInput
from service.http.body import validate
from service.settings import Settings

TAG, CLASSIFY, GENERATE = request_schemas.TagRequest, request_schemas.ClassifyRequest, request_schemas.GenerateRequest
SCHEMAS: list[type[BaseModel]] = [TAG, CLASSIFY, GENERATE, lines.line_of(TAG), CompletionRequest, StreamOptions]
SCHEMAS += [InferenceRequest, RequestInput, RequestOutput, admin.Change]
WRONG: list[object] = [None, True, 7, -1, 1.5, 1e300, "", "?", "x" * 2000, [], [None], ["x"] * 99, [[]], {}, {"x": 1}]
EMPTY = "an object with exactly one of the fields text and tokens"


def allowed(schema: type[BaseModel], value: object) -> list[tuple[str, str]]:
    """Returns the place of each error of a value, and what is allowed there."""
    try:
        validate(value, schema, Settings())
    except InvalidFields as refused:
        return [(one["pointer"], one["allowed"]) for one in refused.fields]
    except InvalidInput:
        pass
    return []


@pytest.mark.parametrize("schema", SCHEMAS, ids=lambda schema: schema.__name__)
def test_what_is_allowed_is_not_a_sentence_of_its_own(schema):
    found = {one for name in schema.model_fields for wrong in WRONG for one in allowed(schema, {name: wrong})}
    found |= {one for wrong in WRONG for one in allowed(schema, wrong)}
    assert len(found) > 2
    for place, words in found:
        assert re.match("[a-z'0-9]", words), (place, words)
        assert not re.search(r"should|[Ii]nput |required|\.$", words), (place, words)


@pytest.mark.parametrize(
    ("schema", "value", "pointer", "words"),
    [
        (CLASSIFY, {}, "/text", "a text, or a list of texts, to classify"),
        (GENERATE, {}, "/prompt", "the text to continue, or a list of them"),
        (InferenceRequest, {"inputs": [{}]}, "/inputs/0/name", "name of the input"),
        (TAG, {}, "", EMPTY),
        (admin.Change, {"action": "use", "share": 0.5}, "", "a canary with a version and a share, or another action"),
    ],
)
def test_what_is_missing_is_described(schema, value, pointer, words):
    found = dict(allowed(schema, value))
    assert found[pointer].startswith(words)


def test_null_is_the_default_of_an_optional_field_alone():
    given = {"text": "a", "offsets": None, "sentences": None, "model": None}
    assert validate(given, CLASSIFY, Settings()).offsets == "code_points"
    assert validate({"prompt": "a", "n": None, "stop": None}, GENERATE, Settings()).n == 1
    assert allowed(CLASSIFY, {"text": None}) == [("/text", "a string or a list of strings")]
    assert [place for place, _ in allowed(TAG, {"text": "a", "colour": None})] == ["/colour"]
