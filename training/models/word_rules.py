"""Scores the lemma rules of a word by the word alone, whose spelling says most about its lemma."""

import keras
from keras import ops

from training.cells import Tensor


class WordRules(keras.layers.Layer):  # type: ignore[misc]
    """A hidden layer on what a tagger reads of a word, and a score of each rule.

    The service remembers the scores of a word beside its input product, so that they cost nothing for a word that it
    has met.

    Args:
        width: I, of a word as the tagger reads it.
        units: of the hidden layer.
        rules: K.
    """

    def __init__(self, width: int, units: int, rules: int) -> None:
        super().__init__(dtype="float32")
        self.size = rules
        self.kernel = self.add_weight(shape=(width, units), initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(units,), initializer="zeros", name="bias")
        self.scores = self.add_weight(shape=(units, rules), initializer="zeros", name="scores")
        self.dropout = keras.layers.Dropout(0.2)
        self.built = True

    def call(self, words: Tensor, training: bool = False) -> Tensor:
        """Returns the scores of rules: [..., I] -> [..., K]."""
        hidden = ops.relu(ops.matmul(words, self.kernel) + self.bias)
        return ops.matmul(self.dropout(hidden, training=training), self.scores)
