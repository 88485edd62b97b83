"""Encodes tokens as ids. Training and service share this code, which prevents skew."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.text.normalization import normalize_form
from service.text.vocabulary import Vocabulary

Ids = NDArray[np.int32]


def encode_tokens(tokens: Sequence[str], vocabulary: Vocabulary) -> Ids:
    """Returns the ids of the tokens  # [T] int32."""
    return np.array(vocabulary.ids(tokens), np.int32)


def shorten(token: str, width: int) -> str:
    """Shortens a token to `width` characters by removing its middle: affixes are most informative."""
    if len(token) <= width:
        return token
    head = width // 2
    return token[:head] + token[head - width :]


def encode_characters(tokens: Sequence[str], vocabulary: Vocabulary, width: int) -> Ids:
    """Returns the ids of the characters of each token's normal form, right-padded with PAD  # [T, C = width] int32."""
    ids = np.zeros((len(tokens), width), np.int32)
    for row, token in zip(ids, tokens, strict=True):
        kept = shorten(normalize_form(token), width)
        row[: len(kept)] = vocabulary.ids(kept)
    return ids
