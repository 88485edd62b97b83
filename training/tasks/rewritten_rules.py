"""The lemma rules of words in another case; the teacher has given the rules of the words as they are."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from service.text.lemmatizer import LEMMA
from training.data.dataset import Array


class Lemmas(Protocol):
    """What finds lemmas by rules, and rules by lemmas: a tagging task."""

    labels: dict[str, tuple[str, ...]]

    def lemma(self, form: str, upos: str, tag: str, rule: int) -> str | None:
        """Returns the lemma of a word by the treebank's dictionary or a rule, None if that does not fit the form."""

    def rule_id(self, form: str, upos: str, lemma: str) -> int | None:
        """Returns the id of the rule that makes a lemma of a form, None if it is no label."""


class RewrittenRules:
    """Finds the rules that make the same lemmas of words in another case, and keeps what it has found.

    Args:
        finer: the head with the finer tags, by which the dictionary tells words of a part of speech apart.
    """

    def __init__(self, lemmas: Lemmas, finer: str) -> None:
        self._lemmas, self._finer = lemmas, finer
        self._found: dict[tuple[str, str, int, int, int], int | None] = {}

    def of(self, forms: Sequence[str], written: Sequence[str], outputs: Mapping[str, Array]) -> dict[str, Array]:
        """Returns the rules of a sentence's words in another case, and their shares: 0 where no label does the same.

        Args:
            forms, written: the words as they are, and in the other case.
            outputs: the teacher's labels of the words as they are, [T, N] of each head, and their shares.
        """
        ids, shares = np.array(outputs[LEMMA]), np.array(outputs[f"{LEMMA}_shares"])
        tags = zip(outputs["upos"][:, 0].tolist(), outputs[self._finer][:, 0].tolist(), strict=True)
        for word, (form, new, tag) in enumerate(zip(forms, written, tags, strict=True)):
            for place in np.flatnonzero(shares[word]).tolist() if form != new else ():
                key = form, new, *tag, int(ids[word, place])
                if key not in self._found:
                    self._found[key] = self._rule(*key)
                if (rule := self._found[key]) is None:
                    shares[word, place] = 0.0
                else:
                    ids[word, place] = rule
        return {LEMMA: ids, f"{LEMMA}_shares": shares}

    def _rule(self, form: str, written: str, upos: int, tag: int, rule: int) -> int | None:
        labels = self._lemmas.labels
        part = labels["upos"][upos]
        lemma = self._lemmas.lemma(form, part, labels[self._finer][tag], rule)
        return None if lemma is None else self._lemmas.rule_id(written, part, lemma)
