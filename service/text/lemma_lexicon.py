"""The lemmas that a lexicon lists: of many words, in little memory."""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from service.text.lemma_rules import parse_rule
from service.text.normalization import normalize_each
from service.text.packed_words import unpacked

# UPOS -> label of a rule -> the forms whose lemma it makes, packed, or as a list in older versions
Lexicon = Mapping[str, Mapping[str, str | Sequence[str]]]


class LemmaLexicon:
    """Finds the lemma of a word as a part of speech: by a hash of each word, and the rule that makes its lemma.

    A word takes 12 bytes; as strings, the 200 000 words of a lexicon of French took 40 MB in each process. That two of
    so many words have the same hash of 64 bits has a probability of one in a billion.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        """Raises ValueError if a label is no rule, or forms are not packed as they should be."""
        numbers: dict[str, int] = {}
        digests: list[bytes] = []
        rules: list[int] = []
        for upos, by_rule in lexicon.items():
            for label, forms in by_rule.items():
                words = normalize_each(list(unpacked(forms)) if isinstance(forms, str) else forms)
                digests += [_digest(upos, form) for form in words]
                rules += [numbers.setdefault(label, len(numbers))] * len(words)
        hashes = np.frombuffer(b"".join(digests), ">i8").astype(np.int64)
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._numbers = np.array(rules, np.int32)[order]
        self._rules = [parse_rule(label) for label in numbers]

    def find(self, form: str, upos: str) -> str | None:
        """Returns the lemma of a form in its normal form; None if it is not listed as that part of speech.

        Lexicons list auxiliaries as verbs.
        """
        found = self._find(form, upos)
        return self._find(form, "VERB") if found is None and upos == "AUX" else found

    def _find(self, form: str, upos: str) -> str | None:
        lower = form.lower()
        wanted = int.from_bytes(_digest(upos, lower), "big", signed=True)
        place = int(self._hashes.searchsorted(wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        rule = self._rules[self._numbers[place]]
        return rule if isinstance(rule, str) else rule.apply(lower)


def _digest(upos: str, form: str) -> bytes:
    """Returns 64 bits that are the same in every process, which a lexicon may be sent to; Python's `hash` differs."""
    return blake2b(f"{upos} {form}".encode(), digest_size=8).digest()
