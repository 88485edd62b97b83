"""A tagger: a BiLSTM over words, each an embedding, the output of a BiLSTM over its characters, and its affixes."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from training.cells import LSTM, Tensor
from training.cells.served_loops import per_position, unroll_rows
from training.cells.unroll import project, unroll
from training.models.affixes import Affixes
from training.models.layers import read_characters

FLOATS_AT_A_TIME = 16


@dataclass(frozen=True, kw_only=True)
class TaggerSizes:
    """Widths of the layers, and dropout. affix_embedding: of each prefix and suffix; 0 reads none."""

    word_embedding: int = 128
    character_embedding: int = 32
    character_units: int = 48  # per direction
    affix_embedding: int = 0
    units: int = 256  # per direction
    input_dropout: float = 0.33
    output_dropout: float = 0.5


class Tagger(keras.Model):  # type: ignore[misc]
    """Computes the logits of every head for each word (Plank et al. 2016; Ling et al. 2015).

    Dropout is variational (Gal and Ghahramani 2016): one mask for all words of a sentence.

    Args:
        words, characters: numbers of ids of the vocabularies.
        labels: number of labels of each head.
    """

    def __init__(self, words: int, characters: int, labels: Mapping[str, int], sizes: TaggerSizes) -> None:
        super().__init__()
        self.word_embedding = keras.layers.Embedding(words, sizes.word_embedding)
        self.character_embedding = self.add_weight(
            shape=(characters, sizes.character_embedding), initializer="uniform", name="character_embedding"
        )
        self.character_lstm = LSTM(sizes.character_embedding, sizes.character_units, directions=2)
        self.affixes = Affixes(characters, sizes.affix_embedding) if sizes.affix_embedding else None
        width = sizes.word_embedding + 2 * sizes.character_units + (self.affixes.width if self.affixes else 0)
        self.word_lstm = LSTM(width, sizes.units, directions=2)
        self.input_dropout = keras.layers.SpatialDropout1D(sizes.input_dropout)
        self.output_dropout = keras.layers.SpatialDropout1D(sizes.output_dropout)
        self.heads = {name: keras.layers.Dense(size, name=name, dtype="float32") for name, size in labels.items()}
        self.word_embedding.build()
        for head in self.heads.values():
            head.build((None, 2 * sizes.units))
        self.projected_size = 2 * LSTM.gates * sizes.units
        self.built = True

    def call(
        self,
        word_ids: Tensor,
        char_ids: Tensor,
        lengths: Tensor,
        forms: Tensor | None = None,
        training: bool = False,
    ) -> dict[str, Tensor]:
        """Returns logits, shape [B, T, K] for each head.

        Args:
            word_ids: [B, T] int32.
            char_ids: [B, T, C] int32; all PAD at padding. With `forms`, of each distinct form, shape [F, C].
            lengths: words of each row, int32, shape [B].
            forms: which of them each word is, so that each is read once, int32, shape [B, T].
        """
        inputs = self.input_dropout(self.embed(word_ids, char_ids, forms), training=training)
        outputs, _ = unroll(self.word_lstm, inputs, lengths)
        return self._score(self.output_dropout(outputs, training=training))

    def project(self, word_ids: Tensor, char_ids: Tensor) -> Tensor:
        """Returns the input product of words, wherever they stand: [...] and [..., C] -> [..., G]."""
        return project(self.word_lstm, self.embed(word_ids, char_ids))

    def joined_heads(self) -> tuple[Tensor, Tensor]:
        """Returns the heads as one: kernel, shape [D * H, S], and bias, shape [S], padded to a multiple for SIMD.

        One product of such a width takes less time than several.
        """
        heads = self.heads.values()
        width = sum(head.units for head in heads)
        kernel = ops.concatenate([head.kernel for head in heads], axis=-1)
        bias = ops.concatenate([head.bias for head in heads])
        filler = -width % FLOATS_AT_A_TIME
        return ops.pad(kernel, ((0, 0), (0, filler))), ops.pad(bias, ((0, filler),))

    def tag_from_table(
        self, table: Tensor, rows: Tensor, lengths: Tensor, kernel: Tensor, bias: Tensor
    ) -> dict[str, Tensor]:
        """Returns the logits of all heads side by side, and the best label of each with its probability.

        Args:
            table: what `project` made of words, shape [W, G].
            rows: of the table, int32, shape [B, T].
            lengths: words of each row, int32, shape [B].
            kernel, bias: of the joined heads.

        Returns:
            logits: [B, T, S].
            of each head, `_id`: [B, T] int32, and `_probability`: [B, T].
        """
        ends = np.cumsum([head.units for head in self.heads.values()]).tolist()

        def score(outputs: Tensor) -> dict[str, Tensor]:
            logits = ops.matmul(outputs, kernel) + bias
            found = {"logits": logits}
            for name, part in zip(self.heads, ops.split(logits, ends, axis=-1), strict=False):
                odds = ops.exp(part - ops.max(part, axis=-1, keepdims=True))  # 1 of the best label
                found[f"{name}_id"] = ops.cast(ops.argmax(part, axis=-1), "int32")
                found[f"{name}_probability"] = 1 / ops.sum(odds, axis=-1)
            return found

        outputs, _ = unroll_rows(self.word_lstm, table, rows, lengths)
        return per_position(score, outputs, lengths)

    def embed(self, word_ids: Tensor, char_ids: Tensor, forms: Tensor | None = None) -> Tensor:
        """Returns each word as the LSTM reads it: [...] and [..., C] -> [..., I]."""
        spelled = read_characters(self.character_lstm, self.character_embedding, char_ids)
        if self.affixes:
            spelled = ops.concatenate([spelled, self.affixes(char_ids)], axis=-1)
        spelled = spelled if forms is None else ops.take(spelled, forms, axis=0)
        return ops.concatenate([self.word_embedding(word_ids), spelled], axis=-1)

    def _score(self, outputs: Tensor) -> dict[str, Tensor]:
        return {name: head(outputs) for name, head in self.heads.items()}
