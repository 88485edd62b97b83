"""Learns lemmas from a treebank: the rules that make them, what rules may change, and the dictionary."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from functools import lru_cache

from service.text.lemma_rules import CASINGS, IRREGULAR, JOINED, KEEP, Joined, LemmaRule, parse
from service.text.lemmatizer import SEPARATOR, Lemmatizer, TaggedWord
from service.text.normalization import normalize_form

LEAST_COMMON = 2  # characters, or the whole lemma; a rule of fewer would fit words that it has nothing to do with


def learn(words: Iterable[tuple[TaggedWord, str]], labels: Sequence[str]) -> Lemmatizer:
    """Builds the dictionary of each tagged word's most frequent lemma, ties by spelling, and what rules may change.

    Args:
        words: of a treebank, with their lemmas, each as often as it occurs.
        labels: of the rules.
    """
    characters: set[str] = set()
    irregular: defaultdict[str, set[str]] = defaultdict(set)
    found: defaultdict[TaggedWord, Counter[str]] = defaultdict(Counter)
    for word, lemma in words:
        found[word._replace(form=normalize_form(word.form))][lemma] += 1
    for word, lemmas in found.items():
        for lemma in lemmas:
            for rule in map(parse, labels_of(word.form, lemma)):
                if isinstance(rule, str):
                    irregular[lemma].add(word.form.lower())
                elif not rule.keeps_characters:
                    characters.update(word.form.lower())
    dictionary: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for word, lemmas in sorted(found.items()):
        best = min(lemmas, key=lambda lemma: (-lemmas[lemma], lemma))
        dictionary[f"{word.upos}{SEPARATOR}{word.tag}"][word.form] = best
    wanted = [label for label in map(parse, labels) if isinstance(label, str)]
    forms = {lemma: sorted(irregular[lemma]) for lemma in wanted}
    return Lemmatizer(labels, "".join(sorted(characters)), forms, dictionary=dictionary)


@lru_cache(65_536)
def labels_of(form: str, lemma: str) -> tuple[str, ...]:
    """Returns the labels of the rules that make a lemma of a form: of each casing that does, or an irregular one."""
    if Joined().apply(form) == lemma:
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
