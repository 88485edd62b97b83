"""Reads the words and tokens of CoNLL-U (https://universaldependencies.org/format.html)."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import NamedTuple

from service.errors import quantity
from service.text.normalization import normalize_form, with_plain_quotes
from service.text.tokens import SentenceSpan, TokenSpan
from training.data.files import DataFileError

COLUMNS = "ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC".split()
NOTHING = "_"  # in a column
UNLABELLED = ""  # in place of a tag: not learned, and not measured
PARAGRAPH = "\n\n"
UNKNOWN_SPACING = "spacing = unknown"  # in a comment of a sentence
_EMPTY_NODE = re.compile(r"\d+\.\d+")
_RANGE = re.compile(r"(\d+)-(\d+)")  # of the words of a multiword token
_FEATURES = re.compile(r"_|[^=|]+=[^|]*(?:\|[^=|]+=[^|]*)*")


class Word(NamedTuple):
    """A syntactic word with its tags and its lemma; "_" is no features, or no lemma, as of a part of a split word."""

    form: str
    upos: str
    xpos: str
    feats: str
    lemma: str = NOTHING


class SurfaceToken(NamedTuple):
    """A token as it stands in the text: one word, or the multiword token of several."""

    form: str
    words: int = 1
    space_after: bool = True


@dataclass(frozen=True, slots=True)
class Tree:
    """The words of a sentence, without empty nodes.

    Attributes:
        document: the number of the document that the sentence belongs to, 0 where the file marks none.
        tokens: the same words as they stand in the text; () where each is a token with a space after it.
        paragraph: whether the sentence starts a paragraph or a document.
        spaced: whether the file says which tokens have no space after them; not under "# spacing = unknown".
    """

    words: tuple[Word, ...]
    document: int = 0
    tokens: tuple[SurfaceToken, ...] = ()
    paragraph: bool = False
    spaced: bool = True

    @property
    def forms(self) -> tuple[str, ...]:
        return tuple(word.form for word in self.words)


def read(text: str, file: Path | str = "CoNLL-U") -> Iterator[Tree]:
    """Yields the sentences of a CoNLL-U file. Raises DataFileError, which says `file` and the line."""
    words: list[Word] = []
    tokens: list[SurfaceToken] = []
    document, paragraph, spaced = 0, False, True
    covered, opened = 0, 0  # words of the multiword tokens so far, and the line of the last one

    def tree() -> Tree:
        if covered > len(words):
            fault = f"the multiword token ends at word {covered}, and the sentence at word {len(words)}"
            raise DataFileError(file, opened, fault, "a range of words that are there")
        return Tree(tuple(words), document, tuple(tokens), paragraph, spaced)

    for number, line in enumerate(text.split("\n"), start=1):  # other line ends, such as U+0085, occur within words
        line = line.removesuffix("\r")
        if not line or line.isspace():
            if words or tokens:
                yield tree()
                words, tokens, paragraph, spaced, covered = [], [], False, True, 0
        elif line.startswith("#"):
            comment = line[1:].lstrip()
            document += comment.startswith("newdoc")
            paragraph |= comment.startswith(("newdoc", "newpar"))
            spaced &= comment.rstrip() != UNKNOWN_SPACING
        elif isinstance(found := _line(line, len(words) + 1, number, file), SurfaceToken):
            if covered > len(words):
                fault = f"the multiword token begins within the one of line {opened}"
                raise DataFileError(file, number, fault, "ranges that have no word in common")
            tokens.append(found)
            covered, opened = len(words) + found.words, number
        elif found:
            words.append(found)
            if len(words) > covered:
                tokens.append(SurfaceToken(found.form, 1, _has_space_after(line)))
    if words or tokens:
        yield tree()


def _line(line: str, expected: int, number: int, file: Path | str) -> Word | SurfaceToken | None:
    """Returns the word or the multiword token of a line; None for an empty node."""
    cells = line.split("\t")
    if len(cells) != len(COLUMNS):
        count = quantity(len(cells), "column")
        raise DataFileError(file, number, count, f"{len(COLUMNS)}, divided by tabs: {' '.join(COLUMNS)}")
    identity, form, lemma, upos, xpos, feats, *_ = cells
    if _EMPTY_NODE.fullmatch(identity):
        return None
    if (ends := _RANGE.fullmatch(identity)) and int(ends[1]) == expected < int(ends[2]):
        return SurfaceToken(form, int(ends[2]) - expected + 1, _has_space_after(line))
    if identity != str(expected):
        right = f"{expected}: words are numbered from 1, and a blank line ends each sentence"
        raise DataFileError(file, number, f"the ID {identity[:20]!r}", right)
    for name, cell in (("FORM", form), ("UPOS", upos), ("XPOS", xpos)):
        if not cell or cell.isspace():
            raise DataFileError(file, number, f"{name} is empty", 'a value, or "_" for none')
    if not _FEATURES.fullmatch(feats):
        raise DataFileError(file, number, f"the features {feats[:60]!r}", 'Name=Value|Name=Value, or "_" for none')
    return Word(form, upos, xpos, feats, lemma)


def _has_space_after(line: str) -> bool:
    return "SpaceAfter=No" not in line.rpartition("\t")[2].split("|")


def attributes(word: Word) -> dict[str, str]:
    """Returns the features of a word by their names."""
    return {} if word.feats == NOTHING else dict(one.split("=", 1) for one in word.feats.split("|"))


def with_attributes(word: Word, attributes: Mapping[str, str]) -> Word:
    """Returns a word with features, in the order of CoNLL-U."""
    feats = "|".join(f"{name}={attributes[name]}" for name in sorted(attributes, key=str.lower))
    return word._replace(feats=feats or NOTHING)


def raw_text(trees: Iterable[Tree]) -> tuple[str, list[SentenceSpan]]:
    """Returns the raw text of a treebank and its sentences, with their offsets in that text.

    The text is put together from the sentences: a blank line where a paragraph or a document starts, otherwise a space,
    or nothing where the last token has `SpaceAfter=No`.
    """
    strings: list[str] = []
    position = 0
    sentences: list[SentenceSpan] = []
    space = ""  # before the next token
    for tree in trees:
        if sentences and tree.paragraph:
            space = PARAGRAPH
        tokens: list[TokenSpan] = []
        for token in tree.tokens or map(SurfaceToken, tree.forms):
            start = position + len(space)
            position = start + len(token.form)
            strings += (space, token.form)
            space = " " if token.space_after else ""
            forms = tree.forms[len(tokens) : len(tokens) + token.words]
            if "".join(forms) == token.form:
                ends = [start + end for end in accumulate(map(len, forms))]
                spans = list(pairwise([start, *ends]))
            else:
                spans = [(start, position)] * len(forms)
            tokens += [TokenSpan(form, *span, i > 0) for i, (form, span) in enumerate(zip(forms, spans, strict=True))]
        sentences.append(SentenceSpan(tokens[0].start, tokens[-1].end, tuple(tokens)))
    return "".join(strings), sentences


def in_normal_form(tree: Tree) -> Tree:
    """Returns a tree whose forms are in the form that tokenizers read."""
    return rewritten(tree, lambda form: with_plain_quotes(normalize_form(form)))


def rewritten(tree: Tree, change: Callable[[str], str]) -> Tree:
    """Returns a tree with what a function makes of each form."""
    words = tuple(word._replace(form=change(word.form)) for word in tree.words)
    return replace(tree, words=words, tokens=tuple(t._replace(form=change(t.form)) for t in tree.tokens))


def tags(trees: Iterable[Tree], column: str, at_least: int = 1) -> tuple[str, ...]:
    """Returns the distinct tags of a column, "upos", "xpos" or "feats", of so many words, the most frequent first."""
    found = (getattr(word, column) for tree in trees for word in tree.words)
    counts = Counter(tag for tag in found if tag != UNLABELLED)
    frequent = (tag for tag, count in counts.items() if count >= at_least)
    return tuple(sorted(frequent, key=lambda tag: (-counts[tag], tag)))
