"""Embeds the affixes and the letter case of words, as features of words that the vocabulary lacks."""

import unicodedata

import keras
import numpy as np
from keras import ops

from service.text.vocabulary import RESERVED, UNK, Vocabulary
from training.cells import Tensor

PREFIXES, SUFFIXES = 3, 4  # characters, at most
ROWS = 2**15  # of the table that all affixes share by a hash
PRIME = 1_000_003  # of the hash
OTHER, LOWER, UPPER, DIGIT = 1, 2, 3, 4  # kinds of characters; 0 at padding
SHAPES = 5 * 2**4
SHAPE_EMBEDDING = 8


class Affixes(keras.layers.Layer):  # type: ignore[misc]
    """Embeds the prefixes and suffixes of each word in lower case, and its shape.

    All of it is computed from the ids of the characters, so that the network has no further inputs. The shape is the
    kind of the first character, and which kinds occur behind it.

    Args:
        characters: number of ids of the vocabulary of characters.
        width: of the embedding of an affix.
    """

    def __init__(self, characters: int, width: int) -> None:
        super().__init__()
        self.width = (PREFIXES + SUFFIXES) * width + SHAPE_EMBEDDING
        self.table = keras.layers.Embedding(ROWS, width)
        self.shapes = keras.layers.Embedding(SHAPES, SHAPE_EMBEDDING)
        self.lower, self.kinds = (
            self.add_weight(shape=(characters,), dtype="int32", initializer="zeros", trainable=False, name=name)
            for name in ("lower", "kinds")
        )
        for table in (self.table, self.shapes):
            table.build()
        self.built = True

    def describe(self, characters: Vocabulary) -> None:
        """Sets which characters are the same in lower case, and the kind of each."""
        entries = characters.entries
        lower = [characters.id(c.lower()) for c in entries]
        own = range(len(RESERVED), len(characters))
        self.lower.assign(
            [*range(len(RESERVED)), *(i if low == UNK else low for i, low in zip(own, lower, strict=True))]
        )
        self.kinds.assign([0, OTHER, *map(_kind, entries)])

    def call(self, char_ids: Tensor) -> Tensor:
        """Embeds words: ids of their characters, [..., C] -> [..., width]."""
        affixes = self.table(ops.stack(self.rows(char_ids), axis=-1))  # [..., PREFIXES + SUFFIXES, width]
        joined = ops.reshape(affixes, (*ops.shape(char_ids)[:-1], -1))
        return ops.concatenate([joined, self.shapes(self.shape(char_ids))], axis=-1)

    def in_lower_case(self, char_ids: Tensor) -> Tensor:
        """Returns the ids of the same characters in lower case: [...] -> [...]."""
        return ops.take(self.lower, char_ids, axis=0)

    def rows(self, char_ids: Tensor) -> list[Tensor]:
        """Returns the rows of each affix of words in the table: [..., C] -> each [...]."""
        lower = self.in_lower_case(char_ids)
        ends = ops.sum(ops.cast(char_ids != 0, "int32"), axis=-1, keepdims=True)  # [..., 1]
        places = ops.maximum(ends - 1 - np.arange(SUFFIXES, dtype=np.int32), 0)
        backwards = ops.where(ends > np.arange(SUFFIXES), ops.take_along_axis(lower, places, axis=-1), 0)
        found = []
        for side, letters, longest in ((1, lower, PREFIXES), (2, backwards, SUFFIXES)):
            key = ops.full_like(letters[..., 0], side)
            for i in range(longest):
                key = key * PRIME + letters[..., i]  # overflows, which a hash may
                found.append(ops.mod(key, ROWS))
        return found

    def shape(self, char_ids: Tensor) -> Tensor:
        """Returns a number for each combination of kinds of characters: [..., C] -> [...]."""
        kinds = ops.take(self.kinds, char_ids, axis=0)
        shape = kinds[..., 0]
        for kind in (OTHER, LOWER, UPPER, DIGIT):
            shape = 2 * shape + ops.cast(ops.any(kinds[..., 1:] == kind, axis=-1), "int32")
        return shape


def _kind(character: str) -> int:
    kind = unicodedata.category(character)
    return {"Lu": UPPER, "Lt": UPPER, "Ll": LOWER, "Lo": LOWER, "Lm": LOWER, "Nd": DIGIT}.get(kind, OTHER)
