"""An encoder–decoder with attention: reads a sequence of symbols and generates another."""

from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from service.text.vocabulary import PAD
from training.cells import LSTM, Attending, Attention, State, Tensor
from training.cells.unroll import unroll


@dataclass(frozen=True, kw_only=True)
class EncoderDecoderSizes:
    """Widths of the layers, and dropout. units: of the decoder; half as many per direction of the encoder."""

    embedding: int = 64
    units: int = 128
    dropout: float = 0.3


class EncoderDecoder(keras.Model):  # type: ignore[misc]
    """Base of networks that read a sequence and generate another (Bahdanau et al. 2015; Luong et al. 2015).

    A BiLSTM reads the symbols. Its output at each, beside the symbol's embedding, is the memory. The decoder, an LSTM
    with attention to the memory that generates one symbol per step, starts from its last states. Both have one
    vocabulary and one embedding. PAD stands before the first generated symbol and after the last.

    A subclass adds `head`, the layer from the decoder's output to logits of the next symbol: [..., H] -> [..., V].

    Args:
        symbols: number of ids of the vocabulary, V.
        initializer: of the embedding, of Keras.
    """

    head: keras.layers.Layer

    def __init__(self, symbols: int, sizes: EncoderDecoderSizes, initializer: Any = "uniform") -> None:
        super().__init__()
        units = sizes.units
        self.embedding = self.add_weight(shape=(symbols, sizes.embedding), initializer=initializer, name="embedding")
        self.encoder = LSTM(sizes.embedding, units // 2, directions=2)
        self.decoder = Attention(LSTM(sizes.embedding, units), units + sizes.embedding)
        self.bridge = keras.layers.Dense(2 * units, activation="tanh", name="bridge")  # [D * H] of h and c -> h, c
        self.bridge.build((None, 2 * units))
        self.dropout = keras.layers.Dropout(sizes.dropout)

    def attend(self, symbol_ids: Tensor, lengths: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Generates `steps` symbols, also behind the end; returns them and the attention weights of each step.

        Args:
            symbol_ids: [B, T] int32.
            lengths: symbols of each row, int32, shape [B].

        Returns:
            ids: the most probable symbols, int32, shape [B, L = steps].
            weights: of each step, on each symbol that was read, shape [B, L, T].
        """
        cell, state, _ = self._read(symbol_ids, lengths, training=False)
        table = cell.project(self.embedding, 0)
        ids, weights = [ops.zeros_like(lengths)], []
        for _ in range(steps):
            best, state = self._next_symbol(cell, table, ids[-1], state)
            ids.append(best)
            weights.append(cell.weights_of(state[1:]))
        return ops.stack(ids[1:], axis=1), ops.stack(weights, axis=1)

    def _read(self, symbol_ids: Tensor, lengths: Tensor, training: bool) -> tuple[Attending, State, Tensor]:
        """Returns the decoder's cell, the state that it starts from, and the encoder's last states, shape [B, 2 H]."""
        outputs, state = unroll(self.encoder, ops.take(self.embedding, symbol_ids, axis=0), lengths)
        memory, state, last = self._bridge(outputs, state, symbol_ids, training)
        return self.decoder.over(memory, lengths), state, last

    def _bridge(
        self, outputs: Tensor, state: State, symbol_ids: Tensor, training: bool
    ) -> tuple[Tensor, State, Tensor]:
        """Returns the decoder's memory, shape [B, T, M], the state that it starts from, and the encoder's last states.

        outputs, state: of the encoder.
        """
        h, c = state
        symbols = ops.take(self.embedding, symbol_ids, axis=0)
        memory = self.dropout(ops.concatenate([outputs, symbols], axis=-1), training=training)
        last = self.dropout(ops.concatenate([h[0], h[1], c[0], c[1]], axis=-1), training=training)
        start = ops.cast(self.bridge(last), outputs.dtype)  # a layer's output may have fewer bits
        h, c = (ops.expand_dims(part, 0) for part in ops.split(start, 2, axis=-1))
        return ops.cast(memory, outputs.dtype), (ops.zeros_like(h), h, c), last

    def _score(self, cell: Attending, state: State, wanted: Tensor, steps: Tensor, training: bool) -> Tensor:
        """Returns logits of each symbol, given those before it in `wanted` (teacher forcing), shape [B, L, V].

        Args:
            wanted: symbols with PAD behind them, int32, shape [B, L].
            steps: valid positions of `wanted`, int32, shape [B].
        """
        before = ops.pad(wanted, ((0, 0), (1, 0)))[:, :-1]  # PAD is 0
        outputs, _ = unroll(cell, ops.take(self.embedding, before, axis=0), steps, state)
        return self.head(self.dropout(outputs, training=training))

    def _generate(self, cell: Attending, table: Tensor, state: State, limits: Tensor, blank: Tensor) -> Tensor:
        """Returns the most probable symbol at each step, PAD behind the last, int32, shape [B, L].

        Args:
            table: input products of the decoder, shape [V, G].
            limits: the most symbols of each row, int32, shape [B].
            blank: zeros that are filled in, int32, shape [B, L].
        """
        time = ops.shape(blank)[1]
        places = ops.arange(time, dtype="int32")

        def step(i: Tensor, last: Tensor, over: Tensor, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            best, state = self._next_symbol(cell, table, last, state)
            best = ops.where(over, PAD, best)
            ids = ops.where(places == i, ops.expand_dims(best, 1), ids)
            return (i + 1, best, (best == PAD) | (i + 1 >= limits), ids, *state)

        def goes_on(i: Tensor, last: Tensor, over: Tensor, *rest: Tensor) -> Tensor:
            return (i < time) & ~ops.all(over)

        start = (ops.zeros((), "int32"), ops.zeros_like(limits), limits == 0)
        return ops.while_loop(goes_on, step, (*start, blank, *state))[3]

    def _next_symbol(self, cell: Attending, table: Tensor, last: Tensor, state: State) -> tuple[Tensor, State]:
        """Returns the most probable symbol after the last one, int32, shape [B], and the state."""
        state = cell.step(ops.expand_dims(ops.take(table, last, axis=0), 0), state)
        return ops.cast(ops.argmax(self.head(state[0][0]), axis=-1), "int32"), state
