"""Scores of labels that depend on words alone, which a tagger adds to the logits of its network."""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from keras import ops

from service.text.lemmatizer import LEMMA
from training.cells import Tensor
from training.models.linear_scores import LinearScores
from training.models.word_rules import WordRules


class AddedScores:
    """Puts the scores of a linear model and of lemma rules side by side, and finds the columns of each head.

    Args:
        linear, rules: what computes the scores; None leaves it out.
        scored: K of the heads that the linear model scores.
        heads: K of all heads, in the order of the logits.

    Attributes:
        size: N, of the scores of a word; a linear model's come first.
    """

    def __init__(
        self, linear: LinearScores | None, rules: WordRules | None, scored: Mapping[str, int], heads: Mapping[str, int]
    ) -> None:
        self.size = sum(part.size for part in (linear, rules) if part)
        self._linear, self._rules, self._heads = linear, rules, dict(heads)
        self._columns = {**scored, LEMMA: rules.size} if rules else dict(scored)

    def of_words(
        self, word_ids: Tensor, embedded: Tensor, spelling: Sequence[Tensor], training: bool = False
    ) -> Tensor | None:
        """Returns the scores of words, [..., N], or None where nothing scores them.

        Args:
            word_ids: [...].
            embedded: the words as the network reads them, [..., I].
            spelling: what is read of the characters, the linear model's scores second.
        """
        scores = [self._linear(word_ids, spelling[1])] if self._linear else []
        scores += [self._rules(embedded, training=training)] if self._rules else []
        return ops.concatenate(scores, axis=-1) if scores else None

    def totals(self, added: Tensor) -> Tensor:
        """Returns the scores of words with what their neighbours add, [B, T, N] -> [B, T, sum of K]."""
        if self._linear is None:
            return added
        linear = self._linear.total(added[..., : self._linear.size])
        return ops.concatenate([linear, added[..., self._linear.size :]], axis=-1)

    def by_head(self, added: Tensor) -> dict[str, Tensor]:
        """Returns the totals of each scored head, [B, T, N] -> [B, T, K] each."""
        return self._split(self.totals(added))

    def beside_others(self, totals: Tensor, width: int) -> Tensor:
        """Returns totals at the columns of their heads in the logits, and 0 elsewhere: [..., width]."""
        scored, start, found = self._split(totals), 0, []
        for name, units in self._heads.items():
            if name in scored:
                sides = [(0, 0)] * (totals.ndim - 1) + [(start, width - start - units)]
                found.append(ops.pad(scored[name], sides))
            start += units
        return sum(found)

    def _split(self, totals: Tensor) -> dict[str, Tensor]:
        ends = accumulate(self._columns.values())
        return {
            name: totals[..., end - size : end] for (name, size), end in zip(self._columns.items(), ends, strict=True)
        }
