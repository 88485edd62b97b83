"""Reads the words of CoNLL-U (https://universaldependencies.org/format.html)."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import conllu

# Columns that the package would turn into numbers, lists and dictionaries stay text.
AS_TEXT = dict.fromkeys(("xpos", "feats", "head", "deps"), lambda line, column: line[column])


class Word(NamedTuple):
    """A syntactic word with its tags and its lemma; "_" is no features, or no lemma, as of a part of a split word."""

    form: str
    upos: str
    xpos: str
    feats: str
    lemma: str = "_"


@dataclass(frozen=True, slots=True)
class Tree:
    """The words of a sentence, without the ranges of multiword tokens and without empty nodes."""

    words: tuple[Word, ...]

    @property
    def forms(self) -> tuple[str, ...]:
        return tuple(word.form for word in self.words)


def parse(text: str) -> Iterator[conllu.TokenList]:
    """Yields the sentences of a CoNLL-U file with all of their lines: words, ranges and empty nodes."""
    yield from conllu.parse_incr(io.StringIO(text), field_parsers=AS_TEXT)


def read(text: str) -> Iterator[Tree]:
    """Yields the sentences of a CoNLL-U file."""
    for sentence in parse(text):
        rows = [row for row in sentence if isinstance(row["id"], int)]
        yield Tree(tuple(Word(r["form"], r["upos"], r["xpos"], r["feats"], r["lemma"]) for r in rows))


def tags(trees: Iterable[Tree], column: str) -> tuple[str, ...]:
    """Returns the distinct tags of a column, "upos", "xpos" or "feats", the most frequent first."""
    counts = Counter(getattr(word, column) for tree in trees for word in tree.words)
    return tuple(sorted(counts, key=lambda tag: (-counts[tag], tag)))
