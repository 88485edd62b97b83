"""A classifier of texts: a GRU over words, and the highest that each of its outputs comes to."""

from dataclasses import dataclass

import keras
from keras import ops

from training.cells import GRU, Tensor
from training.unroll import unroll

LOWEST = -1e9


@dataclass(frozen=True, kw_only=True)
class SentimentSizes:
    """Widths of the layers, and dropout."""

    embedding: int = 128
    units: int = 128  # per direction
    directions: int = 2
    input_dropout: float = 0.3
    output_dropout: float = 0.5


class SentimentClassifier(keras.Model):  # type: ignore[misc]
    """Scores of every class for a text (Conneau et al. 2017, with a GRU: outputs pooled by their maximum over time).

    Args:
        words: number of ids of the vocabulary.
        classes: K.
    """

    def __init__(self, words: int, classes: int, sizes: SentimentSizes) -> None:
        super().__init__()
        normal = keras.initializers.RandomNormal(stddev=0.1)
        self.embedding = keras.layers.Embedding(words, sizes.embedding, embeddings_initializer=normal)
        self.gru = GRU(sizes.embedding, sizes.units, sizes.directions)
        self.input_dropout = keras.layers.Dropout(sizes.input_dropout)
        self.output_dropout = keras.layers.Dropout(sizes.output_dropout)
        self.head = keras.layers.Dense(classes)
        self.embedding.build()
        self.head.build((None, sizes.directions * sizes.units))
        self.built = True

    def call(self, word_ids: Tensor, lengths: Tensor, training: bool = False) -> Tensor:
        """Returns logits  # [B, K].

        Args:
            word_ids: [B, T] int32.
            lengths: words of each row, at least one  # [B] int32.
        """
        inputs = self.input_dropout(self.embedding(word_ids), training=training)
        outputs, _ = unroll(self.gru, inputs, lengths)
        valid = ops.arange(ops.shape(word_ids)[1]) < ops.expand_dims(lengths, 1)  # [B, T]
        highest = ops.max(ops.where(ops.expand_dims(valid, 2), outputs, LOWEST), axis=1)
        return self.head(self.output_dropout(highest, training=training))
