"""A vocabulary: a fixed list of strings and their ids."""

from collections.abc import Collection, Sequence
from itertools import count, repeat
from typing import Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from service.text.normalization import normalize, normalize_each, normalize_form, with_variants

PAD = 0
UNK = 1
RESERVED = ("<pad>", "<unk>")


class VocabularyFile(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a vocabulary's file."""

    lowercase: bool
    entries: list[str]


class Vocabulary:
    """Maps strings to ids: PAD = 0, UNK = 1, entries from 2 in the order given.

    With `lowercase`, entries are words in lower case, and a word is looked up in lower case and in its normal form. A
    variant of an entry that is none itself has the id of the entry: see `service.text.normalization`.
    """

    def __init__(self, entries: Sequence[str], *, lowercase: bool = False) -> None:
        self.entries = tuple(entries)
        self.lowercase = lowercase
        if len(set(self.entries)) != len(self.entries):
            raise ValueError("a vocabulary lists each entry once")
        self._ids = with_variants(zip(self.entries, count(len(RESERVED)), strict=False))

    def id(self, string: str) -> int:
        """Returns the id of `string`, or UNK."""
        return self._ids.get(normalize(string).lower() if self.lowercase else string, UNK)

    def ids(self, strings: Collection[str]) -> list[int]:
        """Returns the ids of strings."""
        known = map(str.lower, normalize_each(strings)) if self.lowercase else strings
        return list(map(self._ids.get, known, repeat(UNK)))

    def string(self, id: int) -> str:
        """Returns the string of an id that is not reserved."""
        return self.entries[id - len(RESERVED)]

    def __contains__(self, string: str) -> bool:
        return self.id(string) != UNK

    def __len__(self) -> int:
        """Number of ids, reserved ones included: the number of rows of an embedding."""
        return len(RESERVED) + len(self.entries)

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Parses the content of a vocabulary file. Raises ValueError."""
        found = msgspec.json.decode(content, type=VocabularyFile)
        return cls(found.entries, lowercase=found.lowercase)


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
