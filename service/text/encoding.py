"""Tokens to ids. Training and service encode with this same code, so there is no skew between them."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.text.vocabulary import Vocabulary

Ids = NDArray[np.int32]


def encode_tokens(tokens: Sequence[str], vocabulary: Vocabulary) -> Ids:
    """Returns the ids of the tokens  # [T] int32."""
    return np.array(vocabulary.ids(tokens), np.int32)


def shorten(token: str, width: int) -> str:
    """Returns the token, or the two ends of one that is longer than `width` characters: affixes tell the most."""
    if len(token) <= width:
        return token
    head = width // 2
    return token[:head] + token[head - width :]


def encode_characters(tokens: Sequence[str], vocabulary: Vocabulary, width: int) -> Ids:
    """Returns the ids of the characters of each token, padded on the right with PAD  # [T, C = width] int32."""
    ids = np.zeros((len(tokens), width), np.int32)
    for row, token in zip(ids, tokens, strict=True):
        kept = shorten(token, width)
        row[: len(kept)] = vocabulary.ids(kept)
    return ids
