"""A log-linear model of each word and its neighbours that is trained beside a network, and added to its logits."""

import keras
from keras import ops

from training.cells import Tensor
from training.models.affixes import PREFIXES, ROWS, SHAPES

PLACES = 3  # a word adds scores to the word before it, to itself, and to the word behind it
NEIGHBOURS = slice(PREFIXES + 1, PREFIXES + 3)  # the affixes that add to the neighbours: suffixes of 2 and 3 characters


class LinearScores(keras.layers.Layer):  # type: ignore[misc]
    """Scores labels by sums of weights: of the word, its affixes and its shape, and of its neighbours.

    It errs on other words than a recurrent network that has learned from the same few sentences, so that the mean of
    both is right more often than either (Hansen and Salamon 1990). The scores that a word adds to its neighbours and
    to itself depend on the word alone: the service computes them once for each.

    Args:
        words: number of ids of the vocabulary.
        labels: K.
        classes: number of the classes of words by a lexicon; 0 without one.
    """

    def __init__(self, words: int, labels: int, classes: int = 0) -> None:
        super().__init__()
        self.size = PLACES * labels  # of the scores that a word adds
        self.words, self.shapes = (keras.layers.Embedding(rows, self.size, "zeros") for rows in (words, SHAPES))
        self.affixes = keras.layers.Embedding(ROWS, labels, "zeros")
        self.neighbours = keras.layers.Embedding(ROWS, (PLACES - 1) * labels, "zeros")
        self.classes = keras.layers.Embedding(classes, self.size, "zeros") if classes else None
        self.scale = self.add_weight(shape=(labels,), initializer="ones", trainable=False, name="scale")
        for table in self.tables:
            table.build()
        self.built = True

    @property
    def tables(self) -> list[keras.layers.Embedding]:
        """The tables of weights."""
        tables = [self.words, self.shapes, self.affixes, self.neighbours]
        return [*tables, self.classes] if self.classes else tables

    def of_spelling(self, affixes: list[Tensor], shapes: Tensor, classes: Tensor | None = None) -> Tensor:
        """Returns the scores that words add by their spelling: [..., 3 * K].

        Args:
            affixes: their rows, as `Affixes.rows` gives them, each [...].
            shapes: as `Affixes.shape` gives them, [...].
            classes: as `WordClasses.of_characters` gives them, [...].
        """
        own = sum(self.affixes(rows) for rows in affixes)
        before, behind = ops.split(sum(self.neighbours(rows) for rows in affixes[NEIGHBOURS]), 2, axis=-1)
        scores = ops.concatenate([before, own, behind], axis=-1) + self.shapes(shapes)
        return scores + self.classes(classes) if self.classes else scores

    def call(self, word_ids: Tensor, of_spelling: Tensor) -> Tensor:
        """Returns the scores that words add: ids, [...], and scores of their spelling, [..., 3 * K] -> [..., 3 * K]."""
        return (self.words(word_ids) + of_spelling) * ops.concatenate([self.scale] * PLACES)

    def total(self, added: Tensor) -> Tensor:
        """Returns the sums of the scores that are added to each word.

        Args:
            added: by each word, zero at padding, [B, T, 3 * K].

        Returns:
            [B, T, K].
        """
        before, own, behind = ops.split(added, PLACES, axis=-1)
        by_next = ops.pad(before[:, 1:], ((0, 0), (0, 1), (0, 0)))
        by_last = ops.pad(behind[:, :-1], ((0, 0), (1, 0), (0, 0)))
        return own + by_next + by_last
