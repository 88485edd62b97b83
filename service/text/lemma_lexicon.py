"""The lemmas of many words in little memory: a hash of each word, and the rule that makes its lemma."""

from collections.abc import Collection, Mapping

import numpy as np

from service.text.lemma_rules import Joined, LemmaRule, parse
from service.text.normalization import normalize_each


class LemmaLexicon:
    """Finds the lemma of a word as a part of speech.

    A word takes 12 bytes; as strings, the 200 000 words of a lexicon of French took 40 MB in each process. That two of
    so many words have the same hash of 64 bits has a probability of one in a billion.

    Args:
        words: UPOS -> label of a rule -> the forms in lower case whose lemma it makes.

    Raises:
        ValueError: a label is no rule.
    """

    def __init__(self, words: Mapping[str, Mapping[str, Collection[str]]]) -> None:
        numbers: dict[str, int] = {}
        hashes: list[int] = []
        rules: list[int] = []
        for upos, by_rule in words.items():
            for label, forms in by_rule.items():
                hashes += [hash((upos, form)) for form in normalize_each(forms)]
                rules += [numbers.setdefault(label, len(numbers))] * len(forms)
        order = np.argsort(np.array(hashes, np.int64), kind="stable")
        self._hashes = np.array(hashes, np.int64)[order]
        self._numbers = np.array(rules, np.int32)[order]
        self._rules: list[LemmaRule | Joined | str] = [parse(label) for label in numbers]

    def __len__(self) -> int:
        return len(self._hashes)

    def find(self, form: str, upos: str) -> str | None:
        """Returns the lemma of a form in its normal form; None if it is not listed as that part of speech."""
        lower = form.lower()
        wanted = hash((upos, lower))
        place = int(self._hashes.searchsorted(wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        rule = self._rules[self._numbers[place]]
        return rule if isinstance(rule, str) else rule.apply(lower)
