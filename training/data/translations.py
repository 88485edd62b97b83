"""Texts with their translations: titles and paragraphs of Debian's package descriptions."""

from collections.abc import Iterator
from typing import NamedTuple

from training.data import corpora


class Pair(NamedTuple):
    """A text and its translation. kind: "title" or "paragraph"."""

    kind: str
    text: str
    translation: str


def read(corpus: str, split: str) -> Iterator[Pair]:
    """Yields the pairs of a split, in the order of their file. Raises CorpusError."""
    for line in corpora.read(corpus, split).removesuffix("\n").split("\n"):
        yield Pair(*line.split("\t"))
