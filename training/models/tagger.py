"""A tagger: a BiLSTM over words, each an embedding, a BiLSTM over its characters, its affixes, and its class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import keras
import numpy as np
from keras import ops

from training.cells import LSTM, Tensor
from training.cells.served_loops import per_position, unroll_rows
from training.cells.unroll import project, unroll
from training.models.affixes import Affixes
from training.models.layers import Head, read_characters, valid_positions
from training.models.linear_scores import LinearScores
from training.models.word_classes import WordClasses

NUMBERS_AT_A_TIME = 64
MOST_SCORED = 64  # labels of a head that a linear model scores: its tables grow with them


@dataclass(frozen=True, kw_only=True)
class TaggerSizes:
    """Widths of the layers, and dropout.

    Attributes:
        affix_embedding: width of the embedding of each prefix and suffix; 0 reads none.
        linear: whether a linear model of affixes, words and their neighbours is added; needs embeddings of affixes.
    """

    word_embedding: int = 128
    character_embedding: int = 32
    character_units: int = 48  # per direction
    affix_embedding: int = 0
    linear: bool = False
    units: int = 256  # per direction
    input_dropout: float = 0.33
    output_dropout: float = 0.5


class Tagger(keras.Model):  # type: ignore[misc]
    """Computes the logits of every head for each word (Plank et al. 2016; Ling et al. 2015).

    Dropout is variational (Gal and Ghahramani 2016): one mask for all words of a sentence.

    Args:
        words, characters: numbers of ids of the vocabularies.
        labels: number of labels of each head.
        classes: of words by a lexicon. Needs embeddings of affixes.
    """

    def __init__(
        self,
        words: int,
        characters: int,
        labels: Mapping[str, int],
        sizes: TaggerSizes,
        classes: WordClasses | None = None,
    ) -> None:
        super().__init__()
        self.word_embedding = keras.layers.Embedding(words, sizes.word_embedding)
        self.character_embedding = self.add_weight(
            shape=(characters, sizes.character_embedding), initializer="uniform", name="character_embedding"
        )
        self.character_lstm = LSTM(sizes.character_embedding, sizes.character_units, directions=2)
        self.affixes = Affixes(characters, sizes.affix_embedding) if sizes.affix_embedding else None
        self.classes = classes
        self.scored = {name: size for name, size in labels.items() if sizes.linear and 1 < size <= MOST_SCORED}
        self.linear = (
            LinearScores(words, sum(self.scored.values()), classes.size if classes else 0) if self.scored else None
        )
        width = sizes.word_embedding + 2 * sizes.character_units
        width += sum(part.width for part in (self.affixes, classes) if part)
        self.word_lstm = LSTM(width, sizes.units, directions=2)
        self.input_dropout = keras.layers.SpatialDropout1D(sizes.input_dropout)
        self.output_dropout = keras.layers.SpatialDropout1D(sizes.output_dropout)
        self.heads = {name: Head(2 * sizes.units, size, name) for name, size in labels.items()}
        self.word_embedding.build()
        self.passed = -(-self.linear.size // 2) if self.linear else 0  # scores of a linear model, behind each direction
        self.projected_size = 2 * (LSTM.gates * sizes.units + self.passed)
        self.built = True

    def call(
        self,
        word_ids: Tensor,
        char_ids: Tensor,
        lengths: Tensor,
        forms: Tensor | None = None,
        training: bool = False,
    ) -> dict[str, Tensor]:
        """Returns logits, shape [B, T, K] for each head; in training those of a linear model apart, as `<head>_linear`.

        Args:
            word_ids: [B, T] int32.
            char_ids: [B, T, C] int32; all PAD at padding. With `forms`, of each distinct form, shape [F, C].
            lengths: words of each row, int32, shape [B].
            forms: which of them each word is, so that each is read once, int32, shape [B, T].
        """
        spelling = self._spelling(char_ids, forms)
        inputs = self.input_dropout(self._embedding(word_ids, spelling), training=training)
        outputs, _ = unroll(self.word_lstm, inputs, lengths)
        outputs = self.output_dropout(outputs, training=training)
        logits = {name: head(outputs) for name, head in self.heads.items()}
        if self.linear is None:
            return logits
        added = ops.where(valid_positions(word_ids, lengths), self.linear(word_ids, spelling[1]), 0.0)
        linear = self._by_head(self.linear.total(added))
        if training:
            return logits | {f"{name}_linear": scores for name, scores in linear.items()}
        return logits | {name: logits[name] + scores for name, scores in linear.items()}

    def project(self, word_ids: Tensor, char_ids: Tensor) -> Tensor:
        """Returns the input product of words, wherever they stand: [...] and [..., C] -> [..., G].

        Behind the product of each direction stands half of the scores that the words add in a linear model.
        """
        spelling = self._spelling(char_ids)
        projected = project(self.word_lstm, self._embedding(word_ids, spelling))
        if self.linear is None:
            return projected
        added = self.linear(word_ids, spelling[1])
        added = ops.pad(added, [(0, 0)] * (added.ndim - 1) + [(0, 2 * self.passed - self.linear.size)])
        halves = zip(ops.split(projected, 2, axis=-1), ops.split(added, 2, axis=-1), strict=True)
        return ops.concatenate([part for half in halves for part in half], axis=-1)

    def round_weights(self) -> list[str]:
        """Turns the weights of the step into integers; returns the names of those that stay floats."""
        kept = self.word_lstm.round_weights()
        return kept + [name for head in self.heads.values() for name in head.round_weights(self.word_lstm.output_limit)]

    def restore_weights(self) -> None:
        """Turns integers into floats again."""
        self.word_lstm.restore_weights()
        for head in self.heads.values():
            head.restore_weights()

    def joined_head(self) -> Head:
        """Returns the heads as one, padded to a multiple for SIMD: one product of S columns takes less than several."""
        heads = self.heads.values()
        width = sum(head.units for head in heads)
        filler = -width % NUMBERS_AT_A_TIME
        joined = Head(2 * self.word_lstm.units, width + filler)
        kernels = ops.concatenate([head.restored_kernel() for head in heads], axis=-1)
        joined.kernel.assign(ops.pad(kernels, ((0, 0), (0, filler))))
        joined.bias.assign(ops.pad(ops.concatenate([head.bias for head in heads]), ((0, filler),)))
        if any(head.kernel_scale is not None for head in heads):
            joined.round_weights(self.word_lstm.output_limit)
        return joined

    def tag_from_table(self, table: Tensor, rows: Tensor, lengths: Tensor, head: Head) -> dict[str, Tensor]:
        """Returns the logits of all heads side by side, and the best label of each with its probability.

        Args:
            table: what `project` made of words, shape [W, G].
            rows: of the table, int32, shape [B, T].
            lengths: words of each row, int32, shape [B].
            head: the heads as one.

        Returns:
            logits: [B, T, S].
            of each head, `_id`: [B, T] int32, and `_probability`: [B, T].
        """
        ends = np.cumsum([head.units for head in self.heads.values()]).tolist()

        def score(outputs: Tensor, *linear: Tensor) -> dict[str, Tensor]:
            logits = head(outputs)
            if linear:
                logits = logits + self._beside_others(linear[0], logits.shape[-1])
            found = {"logits": logits}
            for name, part in zip(self.heads, ops.split(logits, ends, axis=-1), strict=False):
                odds = ops.exp(part - ops.max(part, axis=-1, keepdims=True))  # 1 of the best label
                found[f"{name}_id"] = ops.cast(ops.argmax(part, axis=-1), "int32")
                found[f"{name}_probability"] = 1 / ops.sum(odds, axis=-1)
            return found

        rounded = head.kernel_scale is not None
        outputs, _, added = unroll_rows(self.word_lstm, table, rows, lengths, passed=self.passed, rounded=rounded)
        if self.linear is None or added is None:
            return per_position(score, [outputs], lengths)
        linear = self.linear.total(added[..., : self.linear.size])
        return per_position(score, [outputs, linear], lengths)

    def _spelling(self, char_ids: Tensor, forms: Tensor | None = None) -> tuple[Tensor, ...]:
        """Returns what is read of the characters of words: for the network, and for a linear model.

        With `forms`, the characters are of each distinct form, and what is read is of each word.
        """
        spelled = read_characters(self.character_lstm, self.character_embedding, char_ids)
        read = [spelled]
        if self.affixes:
            classes, embedded = None, [spelled, self.affixes(char_ids)]
            if self.classes:
                classes = self.classes.of_characters(self.affixes.in_lower_case(char_ids))
                embedded.append(self.classes(classes))
            read = [ops.concatenate(embedded, axis=-1)]
            if self.linear:
                rows, shape = self.affixes.rows(char_ids), self.affixes.shape(char_ids)
                read.append(self.linear.of_spelling(rows, shape, classes))
        return tuple(part if forms is None else ops.take(part, forms, axis=0) for part in read)

    def _embedding(self, word_ids: Tensor, spelling: Sequence[Tensor]) -> Tensor:
        """Returns each word as the LSTM reads it, of what `_spelling` gives: [..., I]."""
        return ops.concatenate([self.word_embedding(word_ids), spelling[0]], axis=-1)

    def _by_head(self, scores: Tensor) -> dict[str, Tensor]:
        """Returns the scores of a linear model by head."""
        ends = accumulate(self.scored.values())
        return {name: scores[..., end - self.scored[name] : end] for name, end in zip(self.scored, ends, strict=True)}

    def _beside_others(self, scores: Tensor, width: int) -> Tensor:
        """Returns the scores of a linear model at the columns of their heads, shape [..., width], and 0 elsewhere."""
        scored = self._by_head(scores)
        columns = [
            scored[name] if name in scored else ops.zeros((*ops.shape(scores)[:-1], head.units), scores.dtype)
            for name, head in self.heads.items()
        ]
        found = ops.concatenate(columns, axis=-1)
        return ops.pad(found, [(0, 0)] * (found.ndim - 1) + [(0, width - found.shape[-1])])
