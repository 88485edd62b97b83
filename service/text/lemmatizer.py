"""The lemmas of tagged words: of the words of a treebank, of a lexicon, or by the rule that a tagger gives a word.

Most words occur in the treebank with the same tags; the dictionary has their lemmas. Of others, the tagger says
which rule makes their lemma (`service.text.lemma_rules`), the most probable that fits the form.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Self

import msgspec
import numpy as np

from service.text.lemma_rules import LemmaRule, parse
from service.text.normalization import normalize_each, normalize_form

LEMMA = "lemma"  # a tagger's head of lemma rules
RULES_TRIED = 3  # of a word, the most probable first
NEXT_RULES = tuple(f"{LEMMA}_id_{rank}" for rank in range(2, RULES_TRIED + 1))  # outputs of a tagger's step
SEPARATOR = "\t"  # between UPOS and the finer tag in the file

Lexicon = Mapping[str, Mapping[str, Collection[str]]]  # UPOS -> label of a rule -> the forms whose lemma it makes


class LemmaFile(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a lemmatizer's file; see `Lemmatizer`."""

    characters: str
    irregular: dict[str, list[str]]
    lexicon: dict[str, dict[str, list[str]]]
    dictionary: dict[str, dict[str, str]]


def finer_column(labels: Mapping[str, Sequence[str]]) -> str:
    """Returns the column by which the dictionary tells words of a UPOS apart: "xpos", or "feats" without XPOS."""
    return "xpos" if len(labels["xpos"]) > 1 else "feats"


class Lemmatizer:
    """Finds the lemma of a tagged word. All forms are read in their normal form.

    Args:
        labels: of the rules, in the order of their ids.
        characters: of the forms that rules were learned of that change more than upper and lower case. A form with
            any other character keeps its characters, as one without letters does.
        irregular: the forms, in lower case, of each lemma that is a rule itself.
        lexicon: forms in lower case.
        dictionary: UPOS and tag with a tab between them, for the tag see `finer_column` -> form -> lemma.

    Raises:
        ValueError: a label is no rule.
    """

    def __init__(
        self,
        labels: Sequence[str],
        characters: str = "",
        irregular: Mapping[str, Collection[str]] | None = None,
        lexicon: Lexicon | None = None,
        dictionary: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._rules = [parse(label) for label in labels]
        self._characters = frozenset(characters)
        self._irregular = {lemma: frozenset(normalize_each(forms)) for lemma, forms in (irregular or {}).items()}
        self._lexicon = LemmaLexicon(lexicon or {})
        self._dictionary = {
            tuple(tags.split(SEPARATOR)): _by_normal_form(lemmas) for tags, lemmas in (dictionary or {}).items()
        }

    @classmethod
    def parse(cls, content: bytes, labels: Sequence[str]) -> Self:
        """Parses the content of a file. Raises ValueError."""
        found = msgspec.json.decode(content, type=LemmaFile)
        if wrong := next((tags for tags in found.dictionary if tags.count(SEPARATOR) != 1), None):
            raise ValueError(f"a dictionary is by UPOS and a tag with a tab between them, not by {wrong[:40]!r}")
        return cls(labels, found.characters, found.irregular, found.lexicon, found.dictionary)

    def lemma(self, form: str, upos: str, tag: str, rules: Sequence[int]) -> str:
        """Returns the lemma of a word. rules: the ids of its most probable ones, the best first."""
        found = self.find(form, upos, tag, rules[0])
        return self.by_rules(form, rules[1:]) if found is None else found

    def find(self, form: str, upos: str, tag: str, rule: int) -> str | None:
        """Returns the lemma of a word by the dictionary, the lexicon, or a rule; None if the rule does not fit."""
        form = normalize_form(form)
        if (lemma := self._dictionary.get((upos, tag), {}).get(form)) is not None:
            return lemma
        if (lemma := self._lexicon.find(form, upos)) is not None:
            return lemma
        return self._apply(self._rules[rule], form)

    def by_rules(self, form: str, rules: Iterable[int]) -> str:
        """Returns the lemma of a form by the first rule that fits it; the form itself if none does."""
        form = normalize_form(form)
        return next((lemma for id in rules if (lemma := self._apply(self._rules[id], form)) is not None), form)

    def _apply(self, rule: LemmaRule | str, form: str) -> str | None:
        if isinstance(rule, str):
            return rule if form.lower() in self._irregular.get(rule, ()) else None
        allowed = rule.keeps_characters or (self._characters.issuperset(form.lower()) and any(map(str.isalpha, form)))
        return rule.apply(form) if allowed else None


class LemmaLexicon:
    """Finds the lemma of a word as a part of speech: by a hash of each word, and the rule that makes its lemma.

    A word takes 12 bytes; as strings, the 200 000 words of a lexicon of French took 40 MB in each process. That two of
    so many words have the same hash of 64 bits has a probability of one in a billion.
    """

    def __init__(self, words: Lexicon) -> None:
        """Raises ValueError if a label is no rule."""
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
        self._rules = [parse(label) for label in numbers]

    def find(self, form: str, upos: str) -> str | None:
        """Returns the lemma of a form in its normal form; None if it is not listed as that part of speech."""
        lower = form.lower()
        wanted = hash((upos, lower))
        place = int(self._hashes.searchsorted(wanted))
        if place == len(self._hashes) or self._hashes[place] != wanted:
            return None
        rule = self._rules[self._numbers[place]]
        return rule if isinstance(rule, str) else rule.apply(lower)


def _by_normal_form(lemmas: Mapping[str, str]) -> dict[str, str]:
    """Returns the lemmas of the normal forms of words; a form that is normal has its own."""
    plain = {normalize_form(form): lemma for form, lemma in lemmas.items()}
    return plain | {form: lemma for form, lemma in lemmas.items() if form in plain}
