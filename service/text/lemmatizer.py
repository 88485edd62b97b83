"""The lemmas of tagged words: of the words of a treebank, of a lexicon, or by the rules that a tagger gives a word.

Most words occur in the treebank with the same tags; the dictionary has their lemmas. Of others, the tagger says
which rules may make their lemma (`lemma_rules`). The candidates are the lemmas by its most probable rules, and the one
that a lexicon lists (`lemma_lexicon`). Each has features, and the one with the highest sum of their weights is taken.
Training learns the weights (`training.models.lemma_weights`).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import msgspec
import numpy as np

from service.text.lemma_lexicon import LemmaLexicon
from service.text.lemma_rules import CASINGS, FIRST, LOWER, MIXED, UPPER, LemmaRule, casing, parse_rule
from service.text.normalization import SUBSTITUTES, are_normal, normalize_each, normalize_form

LONGEST = 60  # characters of a word that is looked up in other spellings
_STRETCHED = re.compile(r"([^\W\d_A-ZÀ-Þ])\1{2,}")  # a letter that is no capital, three times or more
_KEYBOARD = str.maketrans(SUBSTITUTES)
LEMMA = "lemma"  # a tagger's head of lemma rules
Features = dict[str, float]  # name -> value

RANKS = ("rule 1", "rule 2", "rule 3")  # the lemma is by the most probable rule that makes it, the next, the third
ODDS = "odds"  # of the most probable rule, of a lemma that is by this rule
LISTED = "listed"  # the lexicon lists the lemma for the word, except for upper and lower case
LISTED_SO = "listed so"  # the lexicon lists it as it is written
KNOWN = "known"  # the lemma is one of the treebank's
PLAIN = {LISTED_SO: 100.0} | dict(zip(RANKS, (3.0, 2.0, 1.0), strict=True))  # weights, where none are learned
MOST_ODDS = 7
ODDS_LIMITS = 1 / (1 + np.exp(0.5 + MOST_ODDS - np.arange(1, 2 * MOST_ODDS + 1)))  # probabilities where `odds` changes
RULES_TRIED = len(RANKS)  # of a word, the most probable first
NEXT_RULES = tuple(f"{LEMMA}_id_{rank}" for rank in range(2, RULES_TRIED + 1))  # outputs of a tagger's step
SEPARATOR = "\t"  # between UPOS and the finer tag in the file
ANY_TAG = "*"  # in place of the finer tag


class LemmaFile(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a lemmatizer's file.

    Attributes:
        characters: of the forms that rules were learned of that change more than upper and lower case. A form with
            any other character keeps its characters, as one without letters does.
        irregular: the forms, in lower case, of each lemma that is a rule itself.
        lexicon: forms in lower case, see `service.text.lemma_lexicon`.
        dictionary: UPOS and tag with a tab between them, for the tag see `finer_column` -> form -> lemma; with ANY_TAG,
            of forms in lower case.
        weights: of what speaks for a candidate; by default the lexicon's lemma, or the first rule that fits, is taken.
    """

    characters: str
    irregular: dict[str, list[str]]
    lexicon: dict[str, dict[str, str | list[str]]]
    dictionary: dict[str, dict[str, str]]
    weights: dict[str, float] = {}


def finer_column(labels: Mapping[str, Sequence[str]]) -> str:
    """Returns the column by which the dictionary tells words of a UPOS apart: "xpos", or "feats" without XPOS."""
    return "xpos" if len(labels["xpos"]) > 1 else "feats"


class Lemmatizer:
    """Finds the lemma of a tagged word. All forms are read in their normal form.

    Args:
        labels: of the rules, in the order of their ids.

    Raises:
        ValueError: a label is no rule.
    """

    def __init__(self, labels: Sequence[str], content: LemmaFile) -> None:
        self._rules = [parse_rule(label) for label in labels]
        self._characters = frozenset(content.characters)
        self._irregular = {lemma: frozenset(normalize_each(forms)) for lemma, forms in content.irregular.items()}
        self._lexicon = LemmaLexicon(content.lexicon)
        self._dictionary = {
            tuple(tags.split(SEPARATOR)): _by_normal_form(lemmas) for tags, lemmas in content.dictionary.items()
        }
        self._known = {lemma.lower() for lemmas in self._dictionary.values() for lemma in lemmas.values()}
        self._weights = content.weights or PLAIN

    @classmethod
    def parse(cls, content: bytes, labels: Sequence[str]) -> Self:
        """Parses the content of a file. Raises ValueError."""
        found = msgspec.json.decode(content, type=LemmaFile)
        if wrong := next((tags for tags in found.dictionary if tags.count(SEPARATOR) != 1), None):
            raise ValueError(f"a dictionary is by UPOS and a tag with a tab between them, not by {wrong[:40]!r}")
        return cls(labels, found)

    def lemma(self, form: str, upos: str, tag: str, rules: Sequence[int], odds: int = 0) -> str:
        """Returns the lemma of a word. rules, odds: see `choose`."""
        found = self.find(form, upos, tag)
        return self.choose(form, upos, rules, odds) if found is None else found

    def find(self, form: str, upos: str, tag: str) -> str | None:
        """Returns the lemma of a word by the dictionary; None if it lacks the word with these tags.

        A word that it lacks as it is written may be there in other characters, see `_other_spellings`.
        """
        form = normalize_form(form)
        if (found := self._find(form, upos, tag)) is not None:
            return found
        return next(filter(None, (self._find(other, upos, tag) for other in _other_spellings(form))), None)

    def _find(self, form: str, upos: str, tag: str) -> str | None:
        found = self._dictionary.get((upos, tag), {}).get(form)
        return found or self._dictionary.get((upos, ANY_TAG), {}).get(form.lower())

    def choose(self, form: str, upos: str, rules: Sequence[int], odds: int = 0) -> str:
        """Returns the lemma of a word that the dictionary lacks; the form itself if it has no candidate.

        Args:
            rules: the ids of its most probable rules, the best first.
            odds: of the best one, see `odds`.
        """
        found = self.candidates(form, upos, rules, odds)
        return max(found, key=lambda lemma: total(found[lemma], self._weights), default=normalize_form(form))

    def candidates(self, form: str, upos: str, rules: Sequence[int], odds: int) -> dict[str, Features]:
        """Returns the lemmas that a word may have by its rules and the lexicon, with what speaks for each."""
        form = normalize_form(form)
        ranks: dict[str, int | None] = {}  # of the rule that makes a lemma, 0 for the most probable; None if none does
        for place, id in enumerate(rules):
            if (lemma := self._apply(self._rules[id], form)) is not None:
                ranks.setdefault(lemma, place)
        if (listed := self._lexicon.find(form, upos)) is not None:
            ranks.setdefault(listed, None)
        found: dict[str, Features] = {}
        written = casing(form)
        for lemma, rank in ranks.items():
            own = found[lemma] = {}
            if written in (FIRST, MIXED):  # a text in lower case or in capitals has no capitals of names
                own[f"{upos} {written} {casing(lemma)}"] = 1.0
            if rank is not None:
                own[RANKS[rank]] = 1.0
            if rank == 0:
                own[ODDS] = odds
            own[KNOWN] = float(lemma.lower() in self._known)
            if listed is not None:
                own[LISTED], own[LISTED_SO] = float(lemma.lower() == listed.lower()), float(lemma == listed)
        return found

    def by_rule(self, form: str, rule: int) -> str | None:
        """Returns the lemma that a rule makes of a form; None if it does not fit. rule: its id."""
        return self._apply(self._rules[rule], normalize_form(form))

    def _apply(self, rule: LemmaRule | str, form: str) -> str | None:
        if isinstance(rule, str):
            return rule if form.lower() in self._irregular.get(rule, ()) else None
        allowed = rule.keeps_characters or (self._characters.issuperset(form.lower()) and any(map(str.isalpha, form)))
        return rule.apply(form) if allowed else None


def odds(probability: float) -> int:
    """Returns the logarithm of the odds of a probability, to the next integer, from -MOST_ODDS to MOST_ODDS.

    So few values occur that a cache can have them in its keys.
    """
    return int(ODDS_LIMITS.searchsorted(probability)) - MOST_ODDS


def total(features: Features, weights: Mapping[str, float]) -> float:
    """Returns the sum of weighted features; features without a weight do not count."""
    return sum(weights.get(name, 0.0) * value for name, value in features.items())


def _other_spellings(form: str) -> Iterator[str]:
    """Yields how else a word may be written.

    With the quotes and dashes of a keyboard; a word in lower case or in capitals with a capital at its start, or in
    lower case; a stretched word, such as "soooo" or "commment", with two letters, then with one, wherever it has the
    same three times or more, except for capitals ("XVIIIe") and words of one letter alone ("www").
    """
    if len(form) > LONGEST:
        return
    yield form.translate(_KEYBOARD)
    written = casing(form)
    if written in (LOWER, UPPER):
        yield CASINGS[FIRST](form)
    if written == UPPER:
        yield form.lower()
    if _STRETCHED.search(form) and len(set(form)) > 1:
        yield _STRETCHED.sub(r"\1\1", form)
        yield _STRETCHED.sub(r"\1", form)


def _by_normal_form(lemmas: Mapping[str, str]) -> dict[str, str]:
    """Returns the lemmas of the normal forms of words; a form that is normal has its own."""
    if are_normal(lemmas):
        return dict(lemmas)
    plain = {normalize_form(form): lemma for form, lemma in lemmas.items()}
    return plain | {form: lemma for form, lemma in lemmas.items() if form in plain}
