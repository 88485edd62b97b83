"""A tagger: a BiLSTM over words, each an embedding beside what a BiLSTM reads in its characters."""

from collections.abc import Mapping
from dataclasses import dataclass

import keras
from keras import ops

from service.text.vocabulary import PAD
from training.cells import LSTM, Tensor
from training.unroll import project, unroll, unroll_embedded, unroll_projected


@dataclass(frozen=True, kw_only=True)
class TaggerSizes:
    """Widths of the layers, and dropout."""

    word_embedding: int = 128
    character_embedding: int = 32
    character_units: int = 48  # per direction
    units: int = 256  # per direction
    input_dropout: float = 0.33
    output_dropout: float = 0.5


class Tagger(keras.Model):  # type: ignore[misc]
    """Scores of every label of every head, for each word (Plank et al. 2016; Ling et al. 2015).

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
        self.word_lstm = LSTM(sizes.word_embedding + 2 * sizes.character_units, sizes.units, directions=2)
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
        """Returns logits  # [B, T, K] for each head.

        Args:
            word_ids: [B, T] int32.
            char_ids: [B, T, C] int32; all PAD at padding. With `forms`, of each distinct form  # [F, C].
            lengths: words of each row  # [B] int32.
            forms: which of them each word is, so that each is read once  # [B, T] int32.
        """
        inputs = self.input_dropout(self.embed(word_ids, char_ids, forms), training=training)
        outputs, _ = unroll(self.word_lstm, inputs, lengths)
        return self._score(self.output_dropout(outputs, training=training))

    def project(self, word_ids: Tensor, char_ids: Tensor) -> Tensor:
        """Returns the input product of words, wherever they stand: [...] and [..., C] -> [..., G]."""
        return project(self.word_lstm, self.embed(word_ids, char_ids))

    def tag_projected(self, projected: Tensor, lengths: Tensor) -> dict[str, Tensor]:
        """Does what `call` does from what `project` made of the words  # [B, T, G]."""
        outputs, _ = unroll_projected(self.word_lstm, projected, lengths)
        return self._score(outputs)

    def embed(self, word_ids: Tensor, char_ids: Tensor, forms: Tensor | None = None) -> Tensor:
        """Returns each word as the LSTM reads it: [...] and [..., C] -> [..., I]."""
        spelled = self._spell(char_ids)
        spelled = spelled if forms is None else ops.take(spelled, forms, axis=0)
        return ops.concatenate([self.word_embedding(word_ids), spelled], axis=-1)

    def _score(self, outputs: Tensor) -> dict[str, Tensor]:
        return {name: head(outputs) for name, head in self.heads.items()}

    def _spell(self, char_ids: Tensor) -> Tensor:
        """Reads the characters of each word in both directions: [..., C] -> last outputs  # [..., S = 2 H]."""
        *places, width = ops.shape(char_ids)
        flat = ops.reshape(char_ids, (-1, width))
        lengths = ops.sum(ops.cast(flat != PAD, "int32"), axis=1)
        _, (last, _) = unroll_embedded(self.character_lstm, self.character_embedding, flat, lengths)
        return ops.reshape(ops.concatenate([last[0], last[1]], axis=-1), (*places, 2 * last.shape[-1]))
