"""The lemmas of tagged words: of the words of a treebank, of a lexicon, or by the rule that a tagger gives a word.

Most words occur in the treebank with the same tags; the dictionary has their lemmas. Of others, the tagger says
which rule makes their lemma (`service.text.lemma_rules`), the most probable that fits the form.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import copy
from pathlib import Path
from typing import Any, NamedTuple, Self

import msgspec

from service.text.lemma_lexicon import LemmaLexicon
from service.text.lemma_rules import Joined, LemmaRule, parse
from service.text.normalization import normalize_each, normalize_form

LEMMA = "lemma"  # a tagger's head of lemma rules
RULES_TRIED = 3  # of a word, the most probable first
NEXT_RULES = tuple(f"{LEMMA}_id_{rank}" for rank in range(2, RULES_TRIED + 1))  # outputs of a tagger's step
SEPARATOR = "\t"  # between UPOS and the finer tag in the file


class TaggedWord(NamedTuple):
    """A word, its part of speech, and the tag of its `finer_column`."""

    form: str
    upos: str
    tag: str


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
        lexicon: UPOS -> label of a rule -> the forms in lower case whose lemma it makes.
        dictionary: UPOS and tag with a tab between them, for the tag see `finer_column` -> form -> lemma.

    Raises:
        ValueError: a label is no rule.
    """

    def __init__(
        self,
        labels: Sequence[str],
        characters: str = "",
        irregular: Mapping[str, Collection[str]] | None = None,
        lexicon: Mapping[str, Mapping[str, Collection[str]]] | None = None,
        dictionary: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self._rules = [parse(label) for label in labels]
        self._characters = frozenset(characters)
        self._irregular = {lemma: frozenset(normalize_each(forms)) for lemma, forms in (irregular or {}).items()}
        self._listed = lexicon or {}
        self._lexicon = LemmaLexicon(self._listed)
        self._dictionary = {
            tuple(tags.split(SEPARATOR)): _by_normal_form(lemmas) for tags, lemmas in (dictionary or {}).items()
        }

    def with_lexicon(self, lexicon: Mapping[str, Mapping[str, Collection[str]]]) -> "Lemmatizer":
        """Returns the same with another lexicon."""
        other = copy(self)
        other._listed, other._lexicon = lexicon, LemmaLexicon(lexicon)
        return other

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

    def _apply(self, rule: LemmaRule | Joined | str, form: str) -> str | None:
        if isinstance(rule, str):
            return rule if form.lower() in self._irregular.get(rule, ()) else None
        allowed = rule.keeps_characters or (self._characters.issuperset(form.lower()) and any(map(str.isalpha, form)))
        return rule.apply(form) if allowed else None

    def write(self, path: Path) -> None:
        """Writes all but the labels as JSON, one line per pair of tags."""
        parts: dict[str, Mapping[str, Any]] = {
            "irregular": {lemma: sorted(forms) for lemma, forms in self._irregular.items()},
            "lexicon": self._listed,
            "dictionary": {SEPARATOR.join(tags): lemmas for tags, lemmas in self._dictionary.items()},
        }
        texts = [f'"characters": {json.dumps("".join(sorted(self._characters)), ensure_ascii=False)}']
        for name, part in parts.items():
            lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in part.items())
            texts.append(f"{json.dumps(name)}: {{\n{lines}\n}}")
        path.write_text("{\n" + ",\n".join(texts) + "\n}\n", encoding="utf-8")

    @classmethod
    def parse(cls, content: bytes, labels: Sequence[str]) -> Self:
        """Parses what `write` wrote. Raises ValueError."""
        found = msgspec.json.decode(content, type=LemmaFile)
        if wrong := next((tags for tags in found.dictionary if tags.count(SEPARATOR) != 1), None):
            raise ValueError(f"a dictionary is by UPOS and a tag with a tab between them, not by {wrong[:40]!r}")
        made = cls(labels, found.characters, found.irregular, found.lexicon, found.dictionary)
        made._listed = {}  # takes ten times the memory of the lexicon that was made of it
        return made


def _by_normal_form(lemmas: Mapping[str, str]) -> dict[str, str]:
    """Returns the lemmas of the normal forms of words; a form that is normal has its own."""
    plain = {normalize_form(form): lemma for form, lemma in lemmas.items()}
    return plain | {form: lemma for form, lemma in lemmas.items() if form in plain}
