"""Corrects a mapped train split's features that a word has wherever it stands, such as the number type of an ordinal.

The mapping learns them from a few hundred sentences, and what it is made from may be older than a convention: Spanish
"últimas" is an ordinal in dev and test, and "1997" an adverbial noun, which most of train is not.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from training.data.treebank import Tree, Word, attributes, with_attributes

OF_FORM = ("AdvType", "Degree")  # features that forms of a lemma may have in different ways
OF_LEMMA = ("NumForm", "NumType", "Poss", "PronType", "PrepCase", "PunctSide", "PunctType")  # that all its forms share
LEAST = 3  # words of a form or lemma in the treebank's own sentences, which all agree


def corrected(trees: Sequence[Tree], native: Sequence[Tree]) -> list[Tree]:
    """Returns sentences with the features that a form always has, or, where that is rare, its lemma.

    Args:
        native: sentences of the treebank itself, which say what is always so.
    """
    counts: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for tree in native:
        for word in tree.words:
            own = attributes(word)
            for name in (*OF_FORM, *OF_LEMMA):
                for key in _keys(word, name):
                    counts[key][own.get(name, "")] += 1
    known = {key: next(iter(found)) for key, found in counts.items() if found.total() >= LEAST and len(found) == 1}
    return [replace(tree, words=tuple(_corrected(word, known) for word in tree.words)) for tree in trees]


def _corrected(word: Word, known: Mapping[tuple[str, ...], str]) -> Word:
    own = attributes(word)
    for name in (*OF_FORM, *OF_LEMMA):
        value = next((known[key] for key in _keys(word, name) if key in known), None)
        if value is not None:
            own = own | {name: value}
    found = {name: value for name, value in own.items() if value}
    return word if found == attributes(word) else with_attributes(word, found)


def _keys(word: Word, name: str) -> Iterator[tuple[str, ...]]:
    yield "form", re.sub(r"\d", "0", word.form.lower()), word.upos, name
    if name in OF_LEMMA:
        yield "lemma", word.lemma, word.upos, name
