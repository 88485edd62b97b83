"""An encoder–decoder over subwords: reads a sentence and generates its translation."""

import keras
from keras import ops

from training.cells import Tensor
from training.models.encoder_decoder import EncoderDecoder, EncoderDecoderSizes

EMBEDDING_SCALE = 0.5  # of the initial values: smaller ones hardly reach the logits, and little is learned at first


class Translator(EncoderDecoder):
    """Computes logits of each next subword of a translation.

    Args:
        subwords: number of ids of the vocabulary of both languages, V.
    """

    def __init__(self, subwords: int, sizes: EncoderDecoderSizes) -> None:
        super().__init__(subwords, sizes, keras.initializers.RandomNormal(stddev=EMBEDDING_SCALE))
        self.head = keras.layers.Dense(subwords, name="subword", dtype="float32")
        self.head.build((None, sizes.units))
        self.built = True

    def call(
        self, symbol_ids: Tensor, lengths: Tensor, translation: Tensor, steps: Tensor, training: bool = False
    ) -> Tensor:
        """Returns logits of each subword of a translation, given those before it, shape [B, L, V].

        Args:
            symbol_ids: of the sentence's subwords, int32, shape [B, T].
            lengths: subwords of each row, int32, shape [B].
            translation: ids of its subwords with PAD behind them: what is to be scored, int32, shape [B, L].
            steps: valid positions of `translation`, int32, shape [B].
        """
        cell, state, _ = self._read(symbol_ids, lengths, training)
        return self._score(cell, state, translation, steps, training)

    def translate(self, symbol_ids: Tensor, lengths: Tensor) -> Tensor:
        """Returns the most probable subword at each step (greedy), PAD behind the last, int32, shape [B, L].

        A translation has at most `longest(T)` subwords.
        """
        cell, state, _ = self._read(symbol_ids, lengths, training=False)
        blank = ops.zeros((ops.shape(symbol_ids)[0], longest(ops.shape(symbol_ids)[1])), "int32")
        return self._generate(cell, cell.project(self.embedding, 0), state, longest(lengths), blank)


def longest(subwords: Tensor) -> Tensor:
    """Returns the most subwords that the translation of a sentence of so many has."""
    return 2 * subwords + 8
