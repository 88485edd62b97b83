"""An encoder–decoder over characters: reads a word with its tags and generates its lemma."""

import keras
from keras import ops

from service.text.lemmas import EDITS
from training.cells import LSTM, Attending, State, Tensor
from training.cells.served_loops import per_position, unroll_rows
from training.cells.unroll import project
from training.models.encoder_decoder import EncoderDecoder, EncoderDecoderSizes


class Lemmatizer(EncoderDecoder):
    """Computes logits of each edit and of each next character of a lemma.

    The encoder reads the symbols of a word. Its last states say which edit makes the lemma; the decoder spells it.

    Args:
        symbols: number of ids of the vocabulary, V: tags and characters, in one embedding.
    """

    def __init__(self, symbols: int, sizes: EncoderDecoderSizes) -> None:
        super().__init__(symbols, sizes)
        self.edit = keras.layers.Dense(len(EDITS), name="edit", dtype="float32")
        self.head = keras.layers.Dense(symbols, name="character", dtype="float32")
        self.edit.build((None, 2 * sizes.units))
        self.head.build((None, sizes.units))
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
        cell, state, last = self._read(symbol_ids, lengths, training)
        return self._score(cell, state, spelled, steps, training), self.edit(last)

    def lemmatize(self, symbol_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the best edit, int32, shape [B], and the most probable character at each step, int32, shape [B, T].

        A lemma has no more characters than the word has symbols; behind its end there is PAD.
        """
        cell, state, last = self._read(symbol_ids, lengths, training=False)
        return self._lemmas(cell, cell.project(self.embedding, 0), symbol_ids, lengths, state, last)

    def project(self) -> Tensor:
        """Returns the input product of every symbol, the encoder's and the decoder's, shape [V, G]."""
        return ops.concatenate([project(self.encoder, self.embedding), project(self.decoder.cell, self.embedding)], -1)

    def lemmatize_from_table(self, table: Tensor, symbol_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Does what `lemmatize` does from what `project` made of the symbols, shape [V, G]."""
        encoded, decoded = ops.split(table, [2 * LSTM.gates * self.encoder.units], axis=-1)
        outputs, state, _ = unroll_rows(self.encoder, encoded, symbol_ids, lengths)
        memory, state, last = self._bridge(outputs, state, symbol_ids, training=False)
        keys = per_position(lambda part: {"keys": ops.matmul(part, self.decoder.key)}, [memory], lengths)["keys"]
        return self._lemmas(self.decoder.over(memory, lengths, keys), decoded, symbol_ids, lengths, state, last)

    def _lemmas(
        self, cell: Attending, table: Tensor, symbol_ids: Tensor, lengths: Tensor, state: State, last: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Returns what `lemmatize` does. table: input products of the decoder, [V, G]; last: states of the encoder."""
        edits = ops.cast(ops.argmax(self.edit(last), axis=-1), "int32")
        # A lemma that is not spelled has no characters, so that no batch waits for it.
        limits = ops.where(edits == EDITS.index("spelled"), lengths, 0)
        return edits, self._generate(cell, table, state, limits, ops.zeros_like(symbol_ids))
