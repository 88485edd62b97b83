"""Embeds what a lexicon says that words may be, as features of words that the train split lacks."""

from typing import Self

import keras
import numpy as np
from keras import ops

from service.text.vocabulary import Vocabulary, encode_characters
from training.cells import Tensor
from training.data.dataset import Array
from training.data.lexicon import Lexicon
from training.models.affixes import PRIME

WIDTH = 24  # of the embedding
NONE = 0  # the class of a word that the lexicon lacks


class WordClasses(keras.layers.Layer):  # type: ignore[misc]
    """Embeds the class of each word: all that a lexicon says that it may be, such as noun or verb.

    The class is computed from the ids of the characters, so that the network has no further inputs: their hash is
    searched among the hashes of the lexicon's words.

    Args:
        keys: the hashes of the lexicon's words, rising, int32, shape [N].
        classes: of each, uint16, shape [N].
        longest: the most characters of a word that are read, C.
    """

    width = WIDTH

    def __init__(self, keys: Array, classes: Array, longest: int) -> None:
        super().__init__()
        self._powers = _powers(longest)
        self.size = int(classes.max()) + 1
        self.keys, self.class_of_key = (
            self.add_weight(shape=(len(keys),), dtype=dtype, initializer="zeros", trainable=False, name=name)
            for name, dtype in (("keys", "int32"), ("class_of_key", "uint16"))  # 6 bytes a word in the model's file
        )
        self.keys.assign(keys)
        self.class_of_key.assign(classes)
        self.table = keras.layers.Embedding(self.size, WIDTH)
        self.table.build()
        self.built = True

    @classmethod
    def of_lexicon(cls, lexicon: Lexicon, characters: Vocabulary, longest: int) -> Self:
        """Returns the classes of a lexicon's words; words with characters that are not in the vocabulary are left out.

        Args:
            characters: their vocabulary.
            longest: as above.
        """
        numbers: dict[tuple[str, ...], int] = {(): NONE}
        words = [word for word in lexicon.kinds if all(character in characters for character in word)]
        words.insert(0, "")  # so that there is one, whatever the lexicon has; that of padding
        classes = [numbers.setdefault(lexicon.kinds.get(word, ()), len(numbers)) for word in words]
        hashes = ops.convert_to_numpy(ops.sum(encode_characters(words, characters, longest) * _powers(longest), -1))
        keys, first = np.unique(hashes, return_index=True)
        return cls(keys, np.array(classes, np.uint16)[first], longest)

    def call(self, class_ids: Tensor) -> Tensor:
        """Embeds classes: [...] -> [..., WIDTH]."""
        return self.table(class_ids)

    def of_characters(self, lower: Tensor) -> Tensor:
        """Returns the classes of words: ids of their characters in lower case, [..., C] -> [...]."""
        wanted, last = self._hash(lower), self.keys.shape[0] - 1

        def search(_: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            place, jump = state
            further = ops.minimum(place + jump, last)
            return ops.where(ops.take(self.keys, further, axis=0) <= wanted, further, place), jump // 2

        # The last key that is no greater. A loop compiles in less time than its steps one after the other.
        steps = last.bit_length()
        place, _ = ops.fori_loop(0, steps, search, (ops.zeros_like(wanted), ops.cast(2**steps // 2, "int32")))
        found = ops.take(self.keys, place, axis=0) == wanted
        return ops.where(found, ops.cast(ops.take(self.class_of_key, place, axis=0), "int32"), NONE)

    def _hash(self, letters: Tensor) -> Tensor:
        return ops.sum(letters * self._powers, axis=-1)  # overflows, which a hash may


def _powers(longest: int) -> Array:
    """Returns what the hash multiplies the ids of characters by, int32, shape [C]."""
    return np.array([pow(PRIME, i, 2**32) for i in range(longest)], np.uint32).astype(np.int32)
