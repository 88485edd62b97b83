"""Validates requests, so that an invalid one can neither fail its batch nor end the engine."""

import math

import numpy as np

from service.artifact.version import ModelVersion
from service.engine.requests import Generation, Requests
from service.errors import InternalError
from service.types import Array

VOCABULARIES = {"word_ids": "words", "char_ids": "characters", "symbol_ids": "symbols", "ids": "characters"}
ID, UNSIGNED = np.dtype(np.int32), np.dtype(np.uint32)
MAXIMUM = np.maximum.reduce
INT32, INT64 = np.iinfo(np.int32), np.iinfo(np.int64)


class InputCheck:
    """Checks sequences against the inputs that a model version declares.

    What clients send has been validated before, so a violation here is a bug, and raises InternalError.
    """

    def __init__(self, version: ModelVersion) -> None:
        self._model = version.key
        self._inputs = {
            name: (
                np.dtype(spec.dtype),
                tuple(axis for axis in spec.axes[2:] if isinstance(axis, int)),
                vocabulary_size(version, name),
            )
            for name, spec in version.manifest.endpoint.inputs.items()
            if name not in ("lengths", "state")
        }

    def sequences(self, requests: Requests, longest: int) -> None:
        """Checks the sequences of requests, each of at most `longest` tokens. Raises InternalError."""
        lengths, values = requests.sequences.lengths, requests.sequences.values
        if not len(lengths) or min(requests.counts) < 1:
            raise InternalError(f"a request for {self._model} has no sequences; at least one is needed")
        if sum(requests.counts) != len(lengths):
            raise InternalError(f"{self._model} got {len(lengths)} sequences in place of {sum(requests.counts)}")
        if values.keys() != self._inputs.keys():
            raise InternalError(f"{self._model} got {sorted(values)}, but reads {sorted(self._inputs)}")
        shortest, most = int(lengths.min()), int(lengths.max())
        if shortest < 1 or most > longest:
            wrong = most if most > longest else shortest
            raise InternalError(f"{self._model} got a sequence of {wrong} tokens; 1 to {longest} are allowed")
        tokens = requests.sequences.tokens
        for name, (dtype, rest, size) in self._inputs.items():
            array = values[name]
            if array.dtype != dtype or array.shape != (tokens, *rest):
                got = f"{name} of type {array.dtype} and shape {array.shape}"
                raise InternalError(f"{self._model} got {got}, but reads {dtype} and {(tokens, *rest)}")
            if dtype == ID and largest(array) >= size:
                raise InternalError(f"{self._model} got {name} that are not from 0 to {size - 1}")

    def generation(self, request: Generation) -> None:
        """Checks a generation request. Raises InternalError."""
        prompt, (_, _, size) = request.prompt, self._inputs["ids"]
        if prompt.dtype != ID or prompt.ndim != 1 or not len(prompt) or largest(prompt) >= size:
            raise InternalError(f"{self._model} got a prompt that is not one or more ids from 0 to {size - 1}")
        temperature, top_k, top_p, seed = request.sampling
        whole = request.max_tokens > 0 and 0 <= top_k <= INT32.max and INT64.min <= seed <= INT64.max
        if not (whole and math.isfinite(temperature) and math.isfinite(top_p)):
            raise InternalError(f"{self._model} got a generation request with numbers out of range")


def vocabulary_size(version: ModelVersion, name: str) -> int:
    """Returns the number of ids that an input may hold; 2**31 where it has no vocabulary."""
    vocabulary = version.vocabularies.get(VOCABULARIES.get(name, ""))
    return len(vocabulary) if vocabulary is not None else INT32.max + 1


def largest(ids: Array) -> int:
    """Returns the largest of int32 ids. A negative id counts as one above the int32 range."""
    return int(MAXIMUM(ids.ravel().view(UNSIGNED)))
