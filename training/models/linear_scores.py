"""A log-linear model of each word and its neighbours that is trained beside a network, and added to its logits."""

import keras
from keras import ops

from training.cells import Tensor
from training.models.affixes import PREFIXES, ROWS, SHAPES

PLACES = 3  # a word speaks for the word before it, for itself, and for the word behind it
TOLD = slice(PREFIXES + 1, PREFIXES + 3)  # of the affixes, those that speak for the neighbours: suffixes of 2 and 3


class LinearScores(keras.layers.Layer):  # type: ignore[misc]
    """Scores labels by sums of weights of features: the word, its affixes and its shape, and those of its neighbours.

    It errs on other words than a recurrent network that has learned from the same few sentences, so that the mean of
    both is right more often than either (Hansen and Salamon 1990). All that a word says is a vector of its own, which
    the service computes once.

    Args:
        words: number of ids of the vocabulary.
        labels: K.
    """

    def __init__(self, words: int, labels: int) -> None:
        super().__init__()
        self.size = PLACES * labels  # of what a word says
        self.words, self.shapes = (keras.layers.Embedding(rows, self.size, "zeros") for rows in (words, SHAPES))
        self.affixes = keras.layers.Embedding(ROWS, labels, "zeros")
        self.neighbours = keras.layers.Embedding(ROWS, (PLACES - 1) * labels, "zeros")
        self.scale = self.add_weight(shape=(labels,), initializer="ones", trainable=False, name="scale")
        for table in self.tables:
            table.build()
        self.built = True

    @property
    def tables(self) -> list[keras.layers.Embedding]:
        """The tables of weights."""
        return [self.words, self.shapes, self.affixes, self.neighbours]

    def of_spelling(self, affixes: list[Tensor], shapes: Tensor) -> Tensor:
        """Returns what the spelling of words says: rows of their affixes and shapes, each [...] -> [..., 3 * K]."""
        own = sum(self.affixes(rows) for rows in affixes)
        before, behind = ops.split(sum(self.neighbours(rows) for rows in affixes[TOLD]), 2, axis=-1)
        return ops.concatenate([before, own, behind], axis=-1) + self.shapes(shapes)

    def call(self, word_ids: Tensor, of_spelling: Tensor) -> Tensor:
        """Returns all that words say, whose spelling says `of_spelling`: [...] and [..., 3 * K] -> [..., 3 * K]."""
        return (self.words(word_ids) + of_spelling) * ops.concatenate([self.scale] * PLACES)

    def score(self, said: Tensor) -> Tensor:
        """Returns the scores of each word: what it says, zero at padding, [B, T, 3 * K] -> [B, T, K]."""
        before, own, behind = ops.split(said, PLACES, axis=-1)
        of_next = ops.pad(before[:, 1:], ((0, 0), (0, 1), (0, 0)))
        of_last = ops.pad(behind[:, :-1], ((0, 0), (1, 0), (0, 0)))
        return own + of_next + of_last
