"""The lemmas that a lexicon lists: of many words, in little memory."""

from collections.abc import Mapping, Sequence

import numpy as np

from service.text.lemma_rules import parse_rule
from service.text.normalization import are_normal, normalize_each
from service.text.packed_words import NO_HASH, hash_word, hashes, packed, unpacked

# UPOS -> label of a rule -> the forms whose lemma it makes, packed, or as a list in older versions
Lexicon = Mapping[str, Mapping[str, str | Sequence[str]]]


class LemmaLexicon:
    """Finds the lemma of a word as a part of speech: by a hash of each word, and the rule that makes its lemma.

    A word takes 12 bytes; as strings, the 200 000 words of a lexicon of French took 40 MB in each process.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        """Raises ValueError if a label is no rule, or forms are not packed as they should be."""
        numbers: dict[str, int] = {}
        contents, seeds, rules = list[str](), list[int](), list[int]()
        for upos, by_rule in lexicon.items():
            seed = hash_word(f"{upos} ")
            for label, forms in by_rule.items():
                if forms:
                    contents.append(forms if isinstance(forms, str) else packed(forms))
                    seeds.append(seed)
                    rules.append(numbers.setdefault(label, len(numbers)))
        if not are_normal(contents):
            contents = [packed(normalize_each(list(unpacked(content)))) for content in contents]
        found, counts = hashes(contents, seeds)
        order = np.argsort(found, kind="stable")
        self._hashes = found[order]
        self._numbers = np.repeat(np.array(rules, np.int32), counts)[order]
        self._rules = [parse_rule(label) for label in numbers]

    def find(self, form: str, upos: str) -> str | None:
        """Returns the lemma of a form in its normal form; None if it is not listed as that part of speech.

        Lexicons list auxiliaries as verbs.
        """
        found = self._find(form, upos)
        return self._find(form, "VERB") if found is None and upos == "AUX" else found

    def _find(self, form: str, upos: str) -> str | None:
        lower = form.lower()
        wanted = np.uint64(hash_word(lower, hash_word(f"{upos} ")))
        place = int(self._hashes.searchsorted(wanted))
        if wanted == NO_HASH or place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        rule = self._rules[self._numbers[place]]
        return rule if isinstance(rule, str) else rule.apply(lower)
