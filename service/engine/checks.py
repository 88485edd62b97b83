"""Checks texts to generate, whose numbers programs without a server give themselves."""

import math

import numpy as np

from service.artifact.version import ModelVersion
from service.engine.requests import Generation
from service.errors import InternalError

VOCABULARIES = {"word_ids": "words", "char_ids": "characters", "symbol_ids": "symbols", "ids": "characters"}
INT32, INT64 = np.iinfo(np.int32), np.iinfo(np.int64)


def check_generation(request: Generation) -> None:
    """Raises InternalError for numbers out of range, with which a step would fail for all of its texts."""
    temperature, top_k, top_p, seed = request.sampling
    whole = request.max_tokens > 0 and 0 <= top_k <= INT32.max and INT64.min <= seed <= INT64.max
    if not (whole and math.isfinite(temperature) and math.isfinite(top_p)):
        raise InternalError(f"{request.model} got a generation request with numbers out of range")


def vocabulary_size(version: ModelVersion, name: str) -> int:
    """Returns the number of ids that an input may hold; 2**31 where it has no vocabulary."""
    vocabulary = version.vocabularies.get(VOCABULARIES.get(name, ""))
    return len(vocabulary) if vocabulary is not None else INT32.max + 1
