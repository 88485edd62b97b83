"""A text classifier: the mean of a GRU over words and of a sum over words and pairs of words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from training.cells import GRU, Tensor
from training.cells.integers import restore_rows, round_rows
from training.cells.served_loops import narrow_product, pool_rows, unroll_rows
from training.cells.unroll import unroll, unroll_projected
from training.models.layers import valid_positions

LOWEST = -1.0  # of any output of a GRU
NEAR_MAXIMUM = 0.05  # outputs that are less than this below the highest share its contribution
PRIME = 7919  # of the hash of pairs
SCALE = 4.0  # of the scores of words: at one learning rate they change faster than the GRU's logits
RATIO_SCALE = 10.0  # a further factor where ratios, most of them small, weigh the scores


@dataclass(frozen=True, kw_only=True)
class SentimentSizes:
    """Widths of the layers, dropout, rows of the table of pairs, and whether ratios weigh what is summed."""

    embedding: int = 128
    units: int = 96  # per direction
    directions: int = 2
    input_dropout: float = 0.5
    output_dropout: float = 0.5
    pairs: int = 2**17
    weighed: bool = False

    def network(self, words: int, classes: int) -> "SentimentClassifier":
        """Builds a SentimentClassifier of these sizes."""
        return SentimentClassifier(words, classes, self)


class SentimentClassifier(keras.Model):  # type: ignore[misc]
    """Two members that are trained independently: their errors differ, so that their mean makes fewer.

    Args:
        words: number of ids of the vocabulary.
        classes: K.
    """

    def __init__(self, words: int, classes: int, sizes: SentimentSizes) -> None:
        super().__init__()
        self.reader = Reader(words, classes, sizes)
        self.word_pairs = WordPairs(words, classes, sizes.pairs, weighed=sizes.weighed)
        self.projected_size = GRU.gates * sizes.directions * sizes.units
        self.built = True

    def call(self, word_ids: Tensor, lengths: Tensor, training: bool = False) -> Tensor:
        """Returns the logits of each member, shape [M = 2, B, K].

        Args:
            word_ids: [B, T] int32.
            lengths: words of each row, at least one, int32, shape [B].
        """
        valid = valid_positions(word_ids, lengths)
        read = self.reader(word_ids, lengths, valid, training=training)
        return ops.stack([read, self.word_pairs(word_ids, lengths, valid)])

    def scores(self) -> list[Any]:
        """Returns the weights that the logits are sums of: they grow with them."""
        head, pairs = self.reader.head, self.word_pairs
        return [head.kernel, head.bias, pairs.words, pairs.pairs, pairs.bias]

    def project(self) -> Tensor:
        """Returns the input product of every word of the vocabulary, shape [V, G]."""
        return self.reader.project()

    def shares(self, word_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the addends of the logits that `call` computes.

        Returns:
            shares: the addend of each word, 0 at padding, shape [M, B, T, K].
            biases: the addend that no word changes, shape [M, K].
        """
        valid = valid_positions(word_ids, lengths)
        return self._shares(self.reader.shares(word_ids, lengths, valid), word_ids, lengths, valid)

    def from_table(self, table: Tensor, word_ids: Tensor, lengths: Tensor, scales: Tensor | None = None) -> Tensor:
        """Computes `call` from the result of `project`, a table of shape [V, G], with `scales` [V, D] if it is rounded.

        Returns:
            Logits, [M, B, K].
        """
        scores = self.word_pairs.scores_at(word_ids)
        highest, total, pairs = pool_rows(self.reader.gru, table, word_ids, lengths, scores, scales=scales)
        counts = ops.cast(ops.expand_dims(lengths, 1), "float32")
        pooled = ops.concatenate([highest, total / counts], axis=-1)  # [B, 2 D H]
        read = narrow_product(pooled, self.reader.head.kernel) + self.reader.head.bias
        return ops.stack([read, SCALE / ops.sqrt(counts) * pairs + self.word_pairs.bias])

    def round_weights(self) -> list[str]:
        """Turns the recurrent weights into integers; returns the names of weights that stay floats."""
        return self.reader.gru.round_weights()

    def restore_weights(self) -> None:
        """Turns integers into floats again."""
        self.reader.gru.restore_weights()

    def shares_from_table(
        self, table: Tensor, word_ids: Tensor, lengths: Tensor, scales: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Computes `shares` from the result of `project`; for the arguments see `from_table`."""
        outputs, _ = unroll_rows(self.reader.gru, table, word_ids, lengths, scales=scales)
        valid = valid_positions(word_ids, lengths)
        return self._shares(self.reader.shares_of(outputs, lengths, valid), word_ids, lengths, valid)

    def _shares(self, read: Tensor, word_ids: Tensor, lengths: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        shares = ops.stack([read, self.word_pairs.shares(word_ids, lengths, valid)])
        biases = [ops.expand_dims(bias, 0) for bias in (self.reader.head.bias, self.word_pairs.bias)]
        return shares, ops.concatenate(biases)


class Reader(keras.layers.Layer):  # type: ignore[misc]
    """Computes logits from a GRU whose outputs are pooled over time by maximum and mean (Conneau et al. 2017)."""

    def __init__(self, words: int, classes: int, sizes: SentimentSizes) -> None:
        super().__init__()
        normal = keras.initializers.RandomNormal(stddev=0.1)
        self.embedding = keras.layers.Embedding(words, sizes.embedding, embeddings_initializer=normal)
        self.gru = GRU(sizes.embedding, sizes.units, sizes.directions)
        self.input_dropout = keras.layers.Dropout(sizes.input_dropout)
        self.output_dropout = keras.layers.Dropout(sizes.output_dropout)
        self.head = keras.layers.Dense(classes, dtype="float32")
        self.embedding.build()
        self.head.build((None, 2 * sizes.directions * sizes.units))
        self.built = True

    def call(self, word_ids: Tensor, lengths: Tensor, valid: Tensor, training: bool = False) -> Tensor:
        """Returns logits, shape [B, K]."""
        outputs = self.read(self.input_dropout(self.embedding(word_ids), training=training), lengths)
        highest = ops.max(ops.where(valid, outputs, LOWEST), axis=1)
        mean = ops.sum(outputs, axis=1) / ops.cast(ops.expand_dims(lengths, 1), outputs.dtype)  # 0 at padding
        pooled = ops.concatenate([highest, mean], axis=-1)  # [B, 2 D H]
        return self.head(self.output_dropout(pooled, training=training))

    @property
    def rounded(self) -> bool:
        """Whether the weights of the step are integers, and so the products of words."""
        return self.gru.recurrent_kernel_scale is not None

    def read(self, embedded: Tensor, lengths: Tensor) -> Tensor:
        """Returns the outputs of the GRU, over products that are rounded as the service keeps them: [B, T, D * H]."""
        if self.rounded:
            products = restore_rows(*round_rows(self.gru.project_all(embedded), self.gru.directions))
            return unroll_projected(self.gru, products, lengths)[0]
        return unroll(self.gru, embedded, lengths)[0]

    def project(self) -> Tensor:
        """Returns the input product of every word, shape [V, G]."""
        return self.gru.project_all(self.embedding(ops.arange(self.embedding.input_dim)))

    def shares(self, word_ids: Tensor, lengths: Tensor, valid: Tensor) -> Tensor:
        """Returns what each word adds to the logits, shape [B, T, K]."""
        outputs = self.read(self.embedding(word_ids), lengths)
        return self.shares_of(outputs, lengths, valid)

    def shares_of(self, outputs: Tensor, lengths: Tensor, valid: Tensor) -> Tensor:
        """Computes `shares` from the outputs of the GRU, shape [B, T, D * H].

        A maximum is shared among all words whose outputs are near it: otherwise a rounding error could move the whole
        of it from one word to another.
        """
        highest = ops.max(ops.where(valid, outputs, LOWEST), axis=1, keepdims=True)
        near = ops.where(valid, ops.relu(outputs - highest + NEAR_MAXIMUM), 0.0)
        maxima = highest * near / ops.sum(near, axis=1, keepdims=True)
        means = outputs / ops.cast(ops.reshape(lengths, (-1, 1, 1)), "float32")
        return ops.matmul(ops.concatenate([maxima, means], axis=-1), self.head.kernel)


class WordPairs(keras.layers.Layer):  # type: ignore[misc]
    """Scores of every class: a sum over words and pairs of neighbours (Wang and Manning 2012; Joulin et al. 2017).

    Pairs share the rows of a table by a hash. Where they are `weighed`, the score of a word or pair is its row times
    a ratio that is not learnt: a word whose counts separate the classes changes much at each step, others little.
    """

    def __init__(self, words: int, classes: int, rows: int, *, weighed: bool) -> None:
        super().__init__()
        self.rows = rows
        self.ratios = [
            self.add_weight(shape=(count, 1), initializer="ones", trainable=False, name=f"ratios_{name}")
            for name, count in (("words", words), ("pairs", rows))
            if weighed
        ]
        self.words = self.add_weight(shape=(words, classes), initializer="zeros", name="words")
        self.pairs = self.add_weight(shape=(rows, classes), initializer="zeros", name="pairs")
        self.bias = self.add_weight(shape=(classes,), initializer="zeros", name="bias")

    def call(self, word_ids: Tensor, lengths: Tensor, valid: Tensor) -> Tensor:
        """Returns logits, shape [B, K]."""
        words, pairs = self._scores(word_ids, lengths, valid)
        return ops.sum(words + pairs, axis=1) + self.bias

    def shares(self, word_ids: Tensor, lengths: Tensor, valid: Tensor) -> Tensor:
        """Returns what each word adds to the logits, shape [B, T, K]; of a pair, half."""
        words, pairs = self._scores(word_ids, lengths, valid)
        half = pairs[:, 1:] / 2
        rights, lefts = ops.concatenate([pairs[:, :1], half], axis=1), ops.pad(half, ((0, 0), (0, 1), (0, 0)))
        return words + rights + lefts

    def _scores(self, word_ids: Tensor, lengths: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the scores of each word and of the pair that it ends, 0 at padding; each, shape [B, T, K]."""
        words, pairs = self.look_up(word_ids, pair_ids(word_ids, self.rows))
        counts = ops.cast(ops.reshape(lengths, (-1, 1, 1)), words.dtype)
        scale = ops.where(valid, SCALE / ops.sqrt(counts), 0.0)
        return scale * words, scale * pairs

    def scores_at(self, word_ids: Tensor) -> Callable[[Tensor], Tensor]:
        """Returns what gives the score of the word at a position and of the pair that it ends, [B, K]."""
        ids = ops.transpose(ops.stack([word_ids, pair_ids(word_ids, self.rows)]), (2, 0, 1))  # [T, 2, B]
        return lambda position: sum(self.look_up(*ops.unstack(ops.take(ids, position, axis=0), 2)))

    def look_up(self, word_ids: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the scores of words and of pairs, by the rows of both tables: [...] and [...] -> each [..., K]."""
        ids = (word_ids, pairs)
        scores = [ops.take(table, rows, axis=0) for table, rows in zip((self.words, self.pairs), ids, strict=True)]
        if self.ratios:
            ratios = [
                RATIO_SCALE * ops.take(weights, rows, axis=0) for weights, rows in zip(self.ratios, ids, strict=True)
            ]
            scores = [score * ratio for score, ratio in zip(scores, ratios, strict=True)]
        return scores[0], scores[1]


def pair_ids(word_ids: Tensor, rows: int) -> Tensor:
    """Returns the row of the pair that each word ends, shape [B, T]."""
    before = ops.pad(word_ids[:, :-1], ((0, 0), (1, 0)))
    return ops.mod(before * PRIME + word_ids, rows)
