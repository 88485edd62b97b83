"""Reads the words of CoNLL-U (https://universaldependencies.org/format.html)."""

import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import conllu

from training.data.files import DataFileError

COLUMNS = "ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC".split()
NOTHING = "_"  # in a column
# Columns that the package would turn into numbers, lists and dictionaries stay text.
AS_TEXT = dict.fromkeys(("xpos", "feats", "head", "deps"), lambda line, column: line[column])

_NOT_A_WORD = re.compile(r"\d+[-.]\d+")  # the range of a multiword token, or an empty node
_FEATURES = re.compile(r"_|[^=|]+=[^|]*(?:\|[^=|]+=[^|]*)*")


class Word(NamedTuple):
    """A syntactic word with its tags and its lemma; "_" is no features, or no lemma, as of a part of a split word."""

    form: str
    upos: str
    xpos: str
    feats: str
    lemma: str = NOTHING


@dataclass(frozen=True, slots=True)
class Tree:
    """The words of a sentence, without the ranges of multiword tokens and without empty nodes.

    `document` is the number of the document that the sentence belongs to, 0 where the file marks none.
    """

    words: tuple[Word, ...]
    document: int = 0

    @property
    def forms(self) -> tuple[str, ...]:
        return tuple(word.form for word in self.words)


def parse(text: str) -> Iterator[conllu.TokenList]:
    """Yields the sentences of a CoNLL-U file with all of their lines: words, ranges and empty nodes."""
    yield from conllu.parse_incr(io.StringIO(text), field_parsers=AS_TEXT)


def read(text: str, file: Path | str = "CoNLL-U") -> Iterator[Tree]:
    """Yields the sentences of a CoNLL-U file. Raises DataFileError, which says `file` and the line."""
    words: list[Word] = []
    document = 0
    for number, line in enumerate(text.split("\n"), start=1):  # other line ends, such as U+0085, occur within words
        line = line.removesuffix("\r")
        if not line or line.isspace():
            if words:
                yield Tree(tuple(words), document)
            words = []
        elif line.startswith("#"):
            document += line[1:].lstrip().startswith("newdoc")
        elif word := _word(line, len(words) + 1, number, file):
            words.append(word)
    if words:
        yield Tree(tuple(words), document)


def _word(line: str, expected: int, number: int, file: Path | str) -> Word | None:
    """Returns the word of a line; None for the range of a multiword token and for an empty node."""
    cells = line.split("\t")
    if len(cells) != len(COLUMNS):
        count = f"{len(cells)} column{'s' * (len(cells) > 1)}"
        raise DataFileError(file, number, count, f"{len(COLUMNS)}, divided by tabs: {' '.join(COLUMNS)}")
    identity, form, lemma, upos, xpos, feats, *_ = cells
    if _NOT_A_WORD.fullmatch(identity):
        return None
    if identity != str(expected):
        right = f"{expected}: words are numbered from 1, and a blank line ends each sentence"
        raise DataFileError(file, number, f"the ID {identity[:20]!r}", right)
    for name, cell in (("FORM", form), ("UPOS", upos), ("XPOS", xpos)):
        if not cell or cell.isspace():
            raise DataFileError(file, number, f"{name} is empty", 'a value, or "_" for none')
    if not _FEATURES.fullmatch(feats):
        raise DataFileError(file, number, f"the features {feats[:60]!r}", 'Name=Value|Name=Value, or "_" for none')
    return Word(form, upos, xpos, feats, lemma)


def tags(trees: Iterable[Tree], column: str) -> tuple[str, ...]:
    """Returns the distinct tags of a column, "upos", "xpos" or "feats", the most frequent first."""
    counts = Counter(getattr(word, column) for tree in trees for word in tree.words)
    return tuple(sorted(counts, key=lambda tag: (-counts[tag], tag)))
