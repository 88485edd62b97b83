"""Learns lemmas from a treebank: the rules that make them, what rules may change, and the dictionary."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from service.text.lemma_lexicon import FormsByRule, packed
from service.text.lemma_rules import CASINGS, IRREGULAR, JOINED, KEEP, LemmaRule, parse_rule
from service.text.lemmatizer import SEPARATOR, LemmaFile, Lemmatizer
from service.text.normalization import normalize_form

LEAST_COMMON = 2  # characters, or the whole lemma; a rule of fewer would fit words that it has nothing to do with


class TaggedWord(NamedTuple):
    """A word, its part of speech, and the tag of its `finer_column`."""

    form: str
    upos: str
    tag: str


class LearnedLemmatizer(Lemmatizer):
    """A lemmatizer, and what its file will contain."""

    def __init__(self, labels: Sequence[str], content: LemmaFile) -> None:
        super().__init__(labels, content)
        self._labels = labels
        self._content = content

    @classmethod
    def read(cls, path: Path, labels: Sequence[str]) -> "LearnedLemmatizer":
        """Reads what `write` has written. labels: of the rules. Raises ValueError."""
        content = msgspec.json.decode(path.read_bytes(), type=LemmaFile)
        return cls(labels, msgspec.structs.replace(content, lexicon=_packed(content.lexicon)))

    def knows(self, form: str, upos: str) -> bool:
        """Returns whether its dictionary has a form, in lower case or as it is, with a UPOS and any tag."""
        forms = {form, form.lower()}
        return any(own == upos and not forms.isdisjoint(lemmas) for (own, _), lemmas in self._dictionary.items())

    def with_words(self, words: Iterable[tuple[TaggedWord, str]]) -> "LearnedLemmatizer":
        """Returns the same with the lemmas of further words in its dictionary, the most frequent one of each."""
        dictionary = {tags: dict(lemmas) for tags, lemmas in self._content.dictionary.items()}
        for tags, lemmas in _dictionary(_counted(words)).items():
            dictionary.setdefault(tags, {}).update(lemmas)
        return LearnedLemmatizer(self._labels, msgspec.structs.replace(self._content, dictionary=dictionary))

    def with_lexicon(self, lexicon: FormsByRule) -> "LearnedLemmatizer":
        """Returns the same with another lexicon."""
        return LearnedLemmatizer(self._labels, msgspec.structs.replace(self._content, lexicon=_packed(lexicon)))

    def with_weights(self, weights: Mapping[str, float]) -> "LearnedLemmatizer":
        """Returns the same with other weights of what speaks for a lemma."""
        return LearnedLemmatizer(self._labels, msgspec.structs.replace(self._content, weights=dict(weights)))

    def write(self, path: Path) -> None:
        """Writes all but the labels as JSON, one line per pair of tags; `Lemmatizer.parse` reads it."""
        parts = msgspec.to_builtins(self._content)
        texts = [f'"characters": {json.dumps(parts.pop("characters"), ensure_ascii=False)}']
        for name, part in parts.items():
            rows = ((json.dumps(one, ensure_ascii=False) for one in row) for row in part.items())
            lines = ",\n".join(": ".join(row) for row in rows)
            texts.append(f"{json.dumps(name)}: {{\n{lines}\n}}")
        path.write_text("{\n" + ",\n".join(texts) + "\n}\n", encoding="utf-8")


def _packed(lexicon: FormsByRule) -> dict[str, dict[str, str]]:
    return {
        upos: {label: forms if isinstance(forms, str) else packed(forms) for label, forms in rules.items()}
        for upos, rules in lexicon.items()
    }


def learn(words: Iterable[tuple[TaggedWord, str]], labels: Sequence[str]) -> LearnedLemmatizer:
    """Builds the dictionary of each tagged word's most frequent lemma, ties by spelling, and what rules may change.

    Args:
        words: of a treebank, with their lemmas, each as often as it occurs.
        labels: of the rules.
    """
    characters: set[str] = set()
    irregular: defaultdict[str, set[str]] = defaultdict(set)
    found = _counted(words)
    for word, lemmas in found.items():
        for lemma in lemmas:
            for rule in map(parse_rule, labels_of(word.form, lemma)):
                if isinstance(rule, str):
                    irregular[lemma].add(word.form.lower())
                elif not rule.keeps_characters:
                    characters.update(word.form.lower())
    wanted = [label for label in map(parse_rule, labels) if isinstance(label, str)]
    forms = {lemma: sorted(irregular[lemma]) for lemma in wanted}
    return LearnedLemmatizer(labels, LemmaFile("".join(sorted(characters)), forms, {}, _dictionary(found)))


def _counted(words: Iterable[tuple[TaggedWord, str]]) -> dict[TaggedWord, Counter[str]]:
    found: defaultdict[TaggedWord, Counter[str]] = defaultdict(Counter)
    for word, lemma in words:
        found[word._replace(form=normalize_form(word.form))][lemma] += 1
    return found


def _dictionary(found: Mapping[TaggedWord, Counter[str]]) -> dict[str, dict[str, str]]:
    """Returns the most frequent lemma of each tagged word, ties by spelling."""
    dictionary: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for word, lemmas in sorted(found.items()):
        best = min(lemmas, key=lambda lemma: (-lemmas[lemma], lemma))
        dictionary[f"{word.upos}{SEPARATOR}{word.tag}"][word.form] = best
    return dict(dictionary)


@lru_cache(65_536)
def labels_of(form: str, lemma: str) -> tuple[str, ...]:
    """Returns the labels of the rules that make a lemma of a form: of each casing that does, or an irregular one."""
    if LemmaRule(JOINED).apply(form) == lemma:
        return (JOINED,)
    found = []
    for casing, cased in CASINGS.items():
        text, wanted = (form, lemma) if casing == KEEP else (form.lower(), lemma.lower())
        match = SequenceMatcher(None, text, wanted, autojunk=False).find_longest_match()
        put_start, put_end = wanted[: match.b], wanted[match.b + match.size :]
        if lemma != cased(lemma) or match.size < min(LEAST_COMMON, len(wanted)) or not match.size:
            continue
        if "|" in put_start or any(map(str.isdigit, put_start + put_end)):
            continue  # digits are never invented
        rule = LemmaRule(casing, match.a, put_start, len(text) - match.a - match.size, put_end)
        if rule.apply(form) == lemma:
            found.append(str(rule))
    return tuple(found) or (f"{IRREGULAR}{lemma}",)
