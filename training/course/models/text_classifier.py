"""The text classifier of the ladder, from a bag of words to two layers with attention."""

from dataclasses import dataclass

import keras
from keras import ops

from training.cells import KINDS, MASKED_LOGIT, Cell, Tensor
from training.cells.unroll import unroll
from training.course.cells import Dropout
from training.models.layers import valid_positions


@dataclass(frozen=True, kw_only=True)
class TextClassifierSizes:
    """The layers between words and classes.

    Attributes:
        cell: a name of training.cells.KINDS; "" takes the mean of the words, in any order.
        reads_padding: whether the steps go on to the end of the batch, as if every text were as long.
        units: of a layer and direction.
        attention: whether all outputs are averaged, with learned weights, in place of the last state.
        dropout: of each layer's input and output.
    """

    cell: str = "simple"
    reads_padding: bool = False
    embedding: int = 64
    units: int = 128
    directions: int = 1
    layers: int = 1
    attention: bool = False
    dropout: float = 0.3

    def network(self, words: int, classes: int) -> "TextClassifier":
        """Builds a TextClassifier of these sizes."""
        return TextClassifier(words, classes, self)


class TextClassifier(keras.Model):  # type: ignore[misc]
    """Computes the logits of every class for a text.

    Args:
        words: number of ids of the vocabulary.
        classes: K.
    """

    def __init__(self, words: int, classes: int, sizes: TextClassifierSizes) -> None:
        super().__init__()
        self.sizes = sizes
        normal = keras.initializers.RandomNormal(stddev=0.1)
        self.embedding = keras.layers.Embedding(words, sizes.embedding, embeddings_initializer=normal)
        self.embedding.build()
        width = sizes.directions * sizes.units if sizes.cell else sizes.embedding
        counts = range(sizes.layers if sizes.cell else 0)
        self.layers_ = [self._layer(width if i else sizes.embedding) for i in counts]
        self.attention = keras.layers.Dense(1) if sizes.attention else None
        self.head = keras.layers.Dense(classes, dtype="float32")
        for layer in filter(None, (self.attention, self.head)):
            layer.build((None, width))
        self.built = True

    def _layer(self, width: int) -> Cell:
        sizes = self.sizes
        cell = KINDS[sizes.cell](width, sizes.units, sizes.directions)
        return Dropout(cell, inputs=sizes.dropout, outputs=sizes.dropout, variational=True)

    def call(self, word_ids: Tensor, lengths: Tensor, training: bool = False) -> Tensor:
        """Returns logits, shape [M = 1, B, K].

        Args:
            word_ids: [B, T] int32.
            lengths: words of each row, at least one, int32, shape [B].
        """
        valid = valid_positions(word_ids, lengths)
        if self.sizes.reads_padding:
            lengths = ops.full_like(lengths, ops.shape(word_ids)[1])
        outputs = self.embedding(word_ids)  # [B, T, E]
        last = None
        for layer in self.layers_:
            outputs, (last, *_) = unroll(layer, outputs, lengths)  # last: [D, B, H]
        if self.attention:
            scores = ops.where(valid, self.attention(outputs), MASKED_LOGIT)
            pooled = ops.sum(ops.softmax(scores, axis=1) * outputs, axis=1)
        elif last is not None:
            pooled = ops.concatenate(ops.unstack(last, self.sizes.directions), axis=-1)
        else:
            total = ops.sum(ops.where(valid, outputs, 0.0), axis=1)
            pooled = total / ops.cast(ops.expand_dims(lengths, 1), total.dtype)
        return ops.expand_dims(self.head(pooled), 0)
