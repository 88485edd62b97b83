"""Reads the words of CoNLL-U (https://universaldependencies.org/format.html)."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple


class Word(NamedTuple):
    """A syntactic word, its tags and its lemma; `feats` is "_" for none, `lemma` for a part of a word torn apart."""

    form: str
    upos: str
    xpos: str
    feats: str
    lemma: str = "_"


@dataclass(frozen=True, slots=True)
class Tree:
    """A sentence: its words in order. The ranges of multiword tokens and the empty nodes are left out."""

    words: tuple[Word, ...]

    @property
    def forms(self) -> tuple[str, ...]:
        return tuple(word.form for word in self.words)


def read(text: str) -> Iterator[Tree]:
    """Yields the sentences of a CoNLL-U file."""
    for block in text.split("\n\n"):
        rows = [line.split("\t") for line in block.splitlines() if line and not line.startswith("#")]
        words = tuple(Word(row[1], row[3], row[4], row[5], row[2]) for row in rows if row[0].isdecimal())
        if words:
            yield Tree(words)
