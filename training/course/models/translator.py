"""An encoder–decoder with attention over subwords: reads a sentence and generates its translation."""

from dataclasses import dataclass

import keras
from keras import ops

from service.text.vocabulary import PAD
from training.cells import LSTM, State, Tensor
from training.cells.unroll import unroll
from training.course.cells import Attending, Attention

EMBEDDING_SCALE = 0.5  # of the initial values: smaller ones hardly reach the logits, and little is learned at first


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderSizes:
    """Widths of the layers, and dropout. units: of the decoder; half as many per direction of the encoder."""

    embedding: int = 64
    units: int = 128
    dropout: float = 0.3


class Translator(keras.Model):  # type: ignore[misc]
    """Computes logits of each next subword of a translation (Bahdanau et al. 2015; Luong et al. 2015).

    A BiLSTM reads the subwords. Its output at each, beside the subword's embedding, is the memory. The decoder, an LSTM
    with attention to the memory that generates one subword per step, starts from its last states. Both have one
    vocabulary and one embedding. PAD stands before the first generated subword and after the last.

    Args:
        subwords: number of ids of the vocabulary of both languages, V.
    """

    def __init__(self, subwords: int, sizes: EncoderDecoderSizes) -> None:
        super().__init__()
        units, normal = sizes.units, keras.initializers.RandomNormal(stddev=EMBEDDING_SCALE)
        self.embedding = self.add_weight(shape=(subwords, sizes.embedding), initializer=normal, name="embedding")
        self.encoder = LSTM(sizes.embedding, units // 2, directions=2)
        self.decoder = Attention(LSTM(sizes.embedding, units), units + sizes.embedding)
        self.bridge = keras.layers.Dense(2 * units, activation="tanh", name="bridge")  # [D * H] of h and c -> h, c
        self.bridge.build((None, 2 * units))
        self.dropout = keras.layers.Dropout(sizes.dropout)
        self.head = keras.layers.Dense(subwords, name="subword", dtype="float32")
        self.head.build((None, units))
        self.built = True

    def call(
        self, symbol_ids: Tensor, lengths: Tensor, translation: Tensor, steps: Tensor, training: bool = False
    ) -> Tensor:
        """Returns logits of each subword, given those before it in the translation (teacher forcing), shape [B, L, V].

        Args:
            symbol_ids: of the sentence's subwords, int32, shape [B, T].
            lengths: subwords of each row, int32, shape [B].
            translation: ids of its subwords with PAD behind them, int32, shape [B, L].
            steps: valid positions of `translation`, int32, shape [B].
        """
        cell, state = self._read(symbol_ids, lengths, training)
        before = ops.pad(translation, ((0, 0), (1, 0)))[:, :-1]  # PAD is 0
        outputs, _ = unroll(cell, ops.take(self.embedding, before, axis=0), steps, state)
        return self.head(self.dropout(outputs, training=training))

    def translate(self, symbol_ids: Tensor, lengths: Tensor) -> Tensor:
        """Returns the most probable subword at each step (greedy), PAD behind the last, int32, shape [B, L].

        A translation has at most `longest(T)` subwords.
        """
        cell, state = self._read(symbol_ids, lengths, training=False)
        table, limits, time = cell.project(self.embedding, 0), longest(lengths), longest(ops.shape(symbol_ids)[1])
        places = ops.arange(time, dtype="int32")

        def step(i: Tensor, last: Tensor, over: Tensor, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            best, state = self._next_subword(cell, table, last, state)
            best = ops.where(over, PAD, best)
            ids = ops.where(places == i, ops.expand_dims(best, 1), ids)
            return (i + 1, best, (best == PAD) | (i + 1 >= limits), ids, *state)

        def goes_on(i: Tensor, last: Tensor, over: Tensor, *rest: Tensor) -> Tensor:
            return (i < time) & ~ops.all(over)

        blank = ops.zeros((ops.shape(symbol_ids)[0], time), "int32")
        start = (ops.zeros((), "int32"), ops.zeros_like(limits), limits == 0, blank, *state)
        return ops.while_loop(goes_on, step, start)[3]

    def attend(self, symbol_ids: Tensor, lengths: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Generates `steps` subwords, also behind the end; arguments as of `call`.

        Returns:
            ids: the most probable subwords, int32, shape [B, L = steps].
            weights: of the attention of each step to each subword that was read, shape [B, L, T].
        """
        cell, state = self._read(symbol_ids, lengths, training=False)
        table = cell.project(self.embedding, 0)
        ids, weights = [ops.zeros_like(lengths)], []
        for _ in range(steps):
            best, state = self._next_subword(cell, table, ids[-1], state)
            ids.append(best)
            weights.append(cell.weights_of(state[1:]))
        return ops.stack(ids[1:], axis=1), ops.stack(weights, axis=1)

    def _read(self, symbol_ids: Tensor, lengths: Tensor, training: bool) -> tuple[Attending, State]:
        """Returns the decoder's cell, and the state that it starts from."""
        symbols = ops.take(self.embedding, symbol_ids, axis=0)
        outputs, (h, c) = unroll(self.encoder, symbols, lengths)
        memory = self.dropout(ops.concatenate([outputs, symbols], axis=-1), training=training)
        last = self.dropout(ops.concatenate([h[0], h[1], c[0], c[1]], axis=-1), training=training)
        start = ops.cast(self.bridge(last), outputs.dtype)  # a layer's output may have fewer bits
        h, c = (ops.expand_dims(part, 0) for part in ops.split(start, 2, axis=-1))
        return self.decoder.over(ops.cast(memory, outputs.dtype), lengths), (ops.zeros_like(h), h, c)

    def _next_subword(self, cell: Attending, table: Tensor, last: Tensor, state: State) -> tuple[Tensor, State]:
        """Returns the most probable subword after the last one, int32, shape [B], and the state.

        table: input products of the decoder, shape [V, G].
        """
        state = cell.step(ops.expand_dims(ops.take(table, last, axis=0), 0), state)
        return ops.cast(ops.argmax(self.head(state[0][0]), axis=-1), "int32"), state


def longest(subwords: Tensor) -> Tensor:
    """Returns the most subwords that the translation of a sentence of so many has."""
    return 2 * subwords + 8
