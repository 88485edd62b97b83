"""A tagger: a BiLSTM over words, each an embedding, a BiLSTM over its characters, its affixes, and its class."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from service.text.lemmatizer import LEMMA
from training.cells import LSTM, Tensor
from training.cells.integers import restore_rows, round_rows
from training.cells.served_loops import by_position, per_position, unroll_rows
from training.cells.unroll import unroll, unroll_projected
from training.models.added_scores import AddedScores
from training.models.affixes import Affixes
from training.models.best_labels import best_labels
from training.models.layers import Head, divide_heads, read_characters, valid_positions
from training.models.linear_scores import LinearScores
from training.models.word_classes import WordClasses
from training.models.word_rules import WordRules

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
    rule_units: int = 256  # of the layer that scores lemma rules by a word alone
    input_dropout: float = 0.33
    output_dropout: float = 0.5

    def network(
        self, words: int, characters: int, labels: Mapping[str, int], classes: WordClasses | None = None
    ) -> "Tagger":
        """Builds a Tagger of these sizes."""
        return Tagger(words, characters, labels, self, classes)


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
        self.sizes = sizes
        self.word_embedding = keras.layers.Embedding(words, sizes.word_embedding)
        self.character_embedding = self.add_weight(
            shape=(characters, sizes.character_embedding), initializer="uniform", name="character_embedding"
        )
        self.character_lstm = LSTM(sizes.character_embedding, sizes.character_units, directions=2)
        self.affixes = Affixes(characters, sizes.affix_embedding) if sizes.affix_embedding else None
        self.classes = classes
        self.scored = {
            name: size for name, size in labels.items() if sizes.linear and 1 < size <= MOST_SCORED and name != LEMMA
        }
        self.linear = (
            LinearScores(words, sum(self.scored.values()), classes.size if classes else 0) if self.scored else None
        )
        width = sizes.word_embedding + 2 * sizes.character_units
        width += sum(part.width for part in (self.affixes, classes) if part)
        self.word_lstm = LSTM(width, sizes.units, directions=2)
        self.rules = WordRules(width, sizes.rule_units, labels[LEMMA]) if LEMMA in labels else None
        self.input_dropout = keras.layers.SpatialDropout1D(sizes.input_dropout)
        self.output_dropout = keras.layers.SpatialDropout1D(sizes.output_dropout)
        self.heads = {name: Head(2 * sizes.units, size, name) for name, size in labels.items()}
        self.word_embedding.build()
        self.scores = AddedScores(self.linear, self.rules, self.scored, labels)
        self.passed = -(-self.scores.size // 2)  # scores of a word behind the product of each direction
        self.projected_size = 2 * (LSTM.gates * sizes.units + self.passed)
        self.outputs_size = 2 * sizes.units
        self.built = True

    def call(
        self, word_ids: Tensor, char_ids: Tensor, lengths: Tensor, forms: Tensor | None = None, training: bool = False
    ) -> dict[str, Tensor]:
        """Returns logits, shape [B, T, K] for each head; in training, a linear model's apart, as `<head>_linear`.

        Args:
            word_ids: [B, T] int32.
            char_ids: [B, T, C] int32; all PAD at padding. With `forms`, of each distinct form, shape [F, C].
            lengths: words of each row, int32, shape [B].
            forms: which of them each word is, so that each is read once, int32, shape [B, T].
        """
        if self.rounded:
            outputs, added = self._read_rounded(word_ids, char_ids, lengths)
        else:
            spelling = self._spelling(char_ids, forms)
            inputs = self.input_dropout(self._embedding(word_ids, spelling), training=training)
            outputs, _ = unroll(self.word_lstm, inputs, lengths)
            added = self.scores.of_words(word_ids, inputs, spelling, training)
        outputs = self.output_dropout(outputs, training=training)
        logits = {name: head(outputs) for name, head in self.heads.items()}
        if added is None:
            return logits
        scores = self.scores.by_head(ops.where(valid_positions(word_ids, lengths), added, 0.0))
        if training and self.linear:  # it learns from a loss of its own
            linear = {f"{name}_linear": scores.pop(name) for name in self.scored}
            return logits | {name: logits[name] + found for name, found in scores.items()} | linear
        return logits | {name: logits[name] + found for name, found in scores.items()}

    def project(self, word_ids: Tensor, char_ids: Tensor) -> Tensor:
        """Returns the input product of words, wherever they stand: [...] and [..., C] -> [..., G].

        Behind the product of each direction stands half of the scores that depend on a word alone.
        """
        spelling = self._spelling(char_ids)
        embedded = self._embedding(word_ids, spelling)
        projected = self.word_lstm.project_all(embedded)
        added = self.scores.of_words(word_ids, embedded, spelling)
        if added is None:
            return projected
        added = ops.pad(added, [(0, 0)] * (added.ndim - 1) + [(0, 2 * self.passed - self.scores.size)])
        halves = zip(ops.split(projected, 2, axis=-1), ops.split(added, 2, axis=-1), strict=True)
        return ops.concatenate([part for half in halves for part in half], axis=-1)

    def _read_rounded(self, word_ids: Tensor, char_ids: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns the outputs of the LSTM over products that are rounded as the service keeps them, and what is passed.

        Returns:
            outputs: [B, T, 2 H].
            added: the scores that depend on a word alone, shape [B, T, N]; None without any.
        """
        products = restore_rows(*round_rows(self.project(word_ids, char_ids), 2))
        gates = LSTM.gates * self.word_lstm.units
        halves = ops.split(products, 2, axis=-1)
        outputs, _ = unroll_projected(self.word_lstm, ops.concatenate([h[..., :gates] for h in halves], -1), lengths)
        return outputs, ops.concatenate([half[..., gates:] for half in halves], axis=-1) if self.scores.size else None

    @property
    def tables(self) -> list[keras.layers.Embedding]:
        """The tables of embeddings and of the linear model, which an exported model has in 8 bits."""
        tables = [self.word_embedding, *([self.affixes.table] if self.affixes else [])]
        tables += [self.classes.table] if self.classes else []
        return tables + (self.linear.tables if self.linear else [])

    @property
    def rounded(self) -> bool:
        """Whether the weights of the step are integers, and so the products of words."""
        return self.word_lstm.recurrent_kernel_scale is not None

    def round_weights(self) -> list[str]:
        """Turns the weights of the step into integers; returns the names of weights that stay floats."""
        kept = self.word_lstm.round_weights()
        return kept + [name for head in self.heads.values() for name in head.round_weights(self.word_lstm.output_limit)]

    def restore_weights(self) -> None:
        """Turns integers into floats again."""
        self.word_lstm.restore_weights()
        for head in self.heads.values():
            head.restore_weights()

    def divide_logits(self, temperatures: Mapping[str, float]) -> None:
        """Divides the logits of each head by its temperature."""
        divide_heads(self.heads, temperatures)
        if self.linear:
            scale = [1 / temperatures.get(head, 1.0) for head, size in self.scored.items() for _ in range(size)]
            self.linear.scale.assign(self.linear.scale * scale)  # that of a version, if training goes on from one
        if self.rules:
            self.rules.scores.assign(self.rules.scores / temperatures.get(LEMMA, 1.0))

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

    def tag_from_table(
        self, table: Tensor, rows: Tensor, lengths: Tensor, head: Head, scales: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Returns the best label of each head with its probability, and the outputs that they are computed from.

        Args:
            table: what `project` made of words, shape [W, G].
            rows: of the table, int32, shape [B, T].
            lengths: words of each row, int32, shape [B].
            head: the heads as one.
            scales: of a table that is rounded, shape [W, 2].

        Returns:
            For all words, row after row (the first sum(lengths) are valid): for each head `<head>_id`, [B * T] int32,
            and `<head>_probability`, [B * T]; and for lemma rules what `next_best` returns. And `outputs` of the LSTM,
            [B, T, 2 H], integers if its weights are.
        """
        ends = np.cumsum([part.units for part in self.heads.values()]).tolist()
        rounded = head.kernel_scale is not None
        outputs, _ = unroll_rows(
            self.word_lstm, table, rows, lengths, scales=scales, passed=self.passed, rounded=rounded
        )
        logits = self._logits_at(table, rows, lengths, outputs, head, scales)

        def best(sequences: Tensor, positions: Tensor) -> dict[str, Tensor]:
            parts = ops.split(logits(sequences, positions), ends, axis=-1)
            found = [best_labels(name, part) for name, part in zip(self.heads, parts, strict=False)]
            return {name: values for labels in found for name, values in labels.items()}

        return per_position(best, rows, lengths) | {"outputs": outputs}

    def logits_from_outputs(
        self, outputs: Tensor, table: Tensor, rows: Tensor, lengths: Tensor, head: Head, scales: Tensor | None = None
    ) -> Tensor:
        """Returns the logits of all heads side by side, of which `tag_from_table` gives the best labels: [B * T, S].

        Args:
            outputs: what `tag_from_table` returns, [B, T, 2 H]; its other arguments follow.
        """
        logits = self._logits_at(table, rows, lengths, outputs, head, scales)
        return per_position(lambda *places: {"logits": logits(*places)}, rows, lengths)["logits"]

    def _logits_at(
        self, table: Tensor, rows: Tensor, lengths: Tensor, outputs: Tensor, head: Head, scales: Tensor | None
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Returns what computes logits, [N, S], of words by their sequences and positions, both [N]."""
        directions = self.word_lstm.directions
        products = ops.reshape(table, (-1, table.shape[-1] // directions))
        flat = ops.reshape(outputs, (-1, outputs.shape[-1]))
        words = by_position(rows, directions)  # as the LSTM reads them
        around = np.arange(-1, 2) if self.linear else np.zeros(1, int)  # the words whose scores are added to a word

        def logits(sequences: Tensor, positions: Tensor) -> Tensor:
            found = head(ops.take(flat, sequences * ops.shape(rows)[1] + positions, axis=0))
            if not self.scores.size:
                return found
            at = ops.expand_dims(positions, 1) + around  # [N, 1 or 3]
            places = ops.clip(at, 0, ops.shape(rows)[1] - 1) * ops.shape(words)[1] + ops.expand_dims(sequences, 1)
            lines = ops.expand_dims(ops.take(words, places), 2) + np.arange(directions)  # [N, 1 or 3, D]
            added = ops.take(products, lines, axis=0)[..., products.shape[-1] - self.passed :]
            if scales is not None:
                added = ops.cast(added, found.dtype) * ops.expand_dims(ops.take(scales, lines), -1)
            added = ops.reshape(added, (-1, len(around), directions * self.passed))
            if len(around) > 1:  # those beyond the ends of the sequence add nothing
                within = (at >= 0) & (at < ops.expand_dims(ops.take(lengths, sequences), 1))
                added = ops.where(ops.expand_dims(within, 2), added, 0.0)
            totals = self.scores.totals(added)[:, len(around) // 2]
            return found + self.scores.beside_others(totals, found.shape[-1])

        return logits

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
