"""An encoder–decoder over characters: reads a word with its tags and generates its lemma."""

from dataclasses import dataclass

import keras
from keras import ops

from service.text.lemmas import EDITS
from service.text.vocabulary import PAD
from training.cells import LSTM, Attending, Attention, State, Tensor
from training.cells.served_loops import per_position, unroll_rows
from training.cells.unroll import project, unroll_embedded


@dataclass(frozen=True, kw_only=True)
class LemmatizerSizes:
    """Widths of the layers, and dropout. units: of the decoder; half as many per direction of the encoder."""

    embedding: int = 64
    units: int = 128
    dropout: float = 0.3


class Lemmatizer(keras.Model):  # type: ignore[misc]
    """Computes logits of each edit and of each next character of a lemma (Bahdanau et al. 2015; Luong et al. 2015).

    A BiLSTM reads the symbols of a word. Its last states say which edit makes the lemma, and are what the decoder
    starts from: an LSTM that spells the lemma, and at each character looks back at the symbols. PAD stands before the
    first character and after the last.

    Args:
        symbols: number of ids of the vocabulary, V: tags and characters, in one embedding.
    """

    def __init__(self, symbols: int, sizes: LemmatizerSizes) -> None:
        super().__init__()
        units = sizes.units
        self.embedding = self.add_weight(shape=(symbols, sizes.embedding), initializer="uniform", name="embedding")
        self.encoder = LSTM(sizes.embedding, units // 2, directions=2)
        self.decoder = Attention(LSTM(sizes.embedding, units), units + sizes.embedding)
        self.bridge = keras.layers.Dense(2 * units, activation="tanh", name="bridge")  # [D * H] of h and c -> h, c
        self.edit = keras.layers.Dense(len(EDITS), name="edit", dtype="float32")
        self.head = keras.layers.Dense(symbols, name="character", dtype="float32")
        for layer, width in ((self.bridge, 2 * units), (self.edit, 2 * units), (self.head, units)):
            layer.build((None, width))
        self.dropout = keras.layers.Dropout(sizes.dropout)
        self.built = True

    def call(
        self, symbol_ids: Tensor, lengths: Tensor, spelled: Tensor, steps: Tensor, training: bool = False
    ) -> tuple[Tensor, Tensor]:
        """Returns logits of each character, given those before it, shape [B, L, V], and of each edit, shape [B, E].

        Args:
            symbol_ids: [B, T] int32.
            lengths: symbols of each row, int32, shape [B].
            spelled: the lemma with PAD behind it: what is to be scored, int32, shape [B, L].
            steps: valid positions of `spelled`, int32, shape [B].
        """
        cell, state, edit = self._read(symbol_ids, lengths, training)
        before = ops.pad(spelled, ((0, 0), (1, 0)))[:, :-1]  # PAD is 0
        outputs, _ = unroll_embedded(cell, self.embedding, before, steps, state)
        return self.head(self.dropout(outputs, training=training)), edit

    def lemmatize(self, symbol_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the best edit, int32, shape [B], and the most probable character at each step, int32, shape [B, T].

        A lemma has no more characters than the word has symbols; behind its end there is PAD.
        """
        cell, state, edit = self._read(symbol_ids, lengths, training=False)
        return self._lemmas(cell, cell.project(self.embedding, 0), symbol_ids, lengths, state, edit)

    def project(self) -> Tensor:
        """Returns the input product of every symbol, the encoder's and the decoder's, shape [V, G]."""
        return ops.concatenate([project(self.encoder, self.embedding), project(self.decoder.cell, self.embedding)], -1)

    def lemmatize_from_table(self, table: Tensor, symbol_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Does what `lemmatize` does from what `project` made of the symbols, shape [V, G]."""
        encoded, decoded = ops.split(table, [2 * LSTM.gates * self.encoder.units], axis=-1)
        outputs, state = unroll_rows(self.encoder, encoded, symbol_ids, lengths)
        memory, state, edit = self._bridge(outputs, state, symbol_ids, training=False)
        keys = per_position(lambda part: {"keys": ops.matmul(part, self.decoder.key)}, memory, lengths)["keys"]
        return self._lemmas(self.decoder.over(memory, lengths, keys), decoded, symbol_ids, lengths, state, edit)

    def _lemmas(
        self, cell: Attending, table: Tensor, symbol_ids: Tensor, lengths: Tensor, state: State, edit: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns what `lemmatize` does. table: input products of the decoder, [V, G]; edit: logits, [B, E]."""
        time = ops.shape(symbol_ids)[1]
        places = ops.arange(time, dtype="int32")

        def step(i: Tensor, last: Tensor, over: Tensor, ids: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
            best, state = self._next_character(cell, table, last, state)
            best = ops.where(over, PAD, best)
            ids = ops.where(places == i, ops.expand_dims(best, 1), ids)
            return (i + 1, best, (best == PAD) | (i + 1 >= lengths), ids, *state)

        def goes_on(i: Tensor, last: Tensor, over: Tensor, *rest: Tensor) -> Tensor:
            return (i < time) & ~ops.all(over)

        # A lemma that is not spelled is over before it begins, so that no batch waits for it.
        edits = ops.cast(ops.argmax(edit, axis=-1), "int32")
        start = (ops.zeros((), "int32"), ops.zeros_like(lengths), edits != EDITS.index("spelled"))
        found = ops.while_loop(goes_on, step, (*start, ops.zeros_like(symbol_ids), *state))
        return edits, found[3]

    def attend(self, symbol_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Spells lemmas, whatever the edit, over T steps, and tells what each step looked at.

        Returns:
            ids: of the characters, int32, shape [B, T].
            weights: of each step, on each symbol, shape [B, T, T].
        """
        cell, state, _ = self._read(symbol_ids, lengths, training=False)
        table = cell.project(self.embedding, 0)
        ids, weights = [ops.zeros_like(lengths)], []
        for _ in range(symbol_ids.shape[1]):
            best, state = self._next_character(cell, table, ids[-1], state)
            ids.append(best)
            weights.append(cell.weights_of(state[1:]))
        return ops.stack(ids[1:], axis=1), ops.stack(weights, axis=1)

    def _next_character(self, cell: Attending, table: Tensor, last: Tensor, state: State) -> tuple[Tensor, State]:
        """Returns the most probable character after the last one, int32, shape [B], and the state."""
        state = cell.step(ops.expand_dims(ops.take(table, last, axis=0), 0), state)
        return ops.cast(ops.argmax(self.head(state[0][0]), axis=-1), "int32"), state

    def _read(self, symbol_ids: Tensor, lengths: Tensor, training: bool) -> tuple[Attending, State, Tensor]:
        """Returns the decoder's cell, the state that it starts from, and the logits of the edits."""
        outputs, state = unroll_embedded(self.encoder, self.embedding, symbol_ids, lengths)
        memory, state, edit = self._bridge(outputs, state, symbol_ids, training)
        return self.decoder.over(memory, lengths), state, edit

    def _bridge(
        self, outputs: Tensor, state: State, symbol_ids: Tensor, training: bool
    ) -> tuple[Tensor, State, Tensor]:
        """Returns the decoder's memory, shape [B, T, M], the state that it starts from, and the logits of the edits.

        outputs, state: of the encoder.
        """
        h, c = state
        symbols = ops.take(self.embedding, symbol_ids, axis=0)
        memory = self.dropout(ops.concatenate([outputs, symbols], axis=-1), training=training)
        last = self.dropout(ops.concatenate([h[0], h[1], c[0], c[1]], axis=-1), training=training)
        h, c = (ops.expand_dims(part, 0) for part in ops.split(self.bridge(last), 2, axis=-1))
        return memory, (ops.zeros_like(h), h, c), self.edit(last)
