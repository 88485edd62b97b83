"""What tokenizers have in common: text to sentences and tokens, with offsets."""

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from service.text.normalization import normalize_with_offsets, with_plain_quotes
from service.text.slices import SENTENCES_AT_ONCE, Sliced, finish

TOKENIZER_NAME = re.compile(r"spacy-([a-z]{2,8})")  # by the rules of a language, as a manifest names it

_TOKENS_AT_ONCE = 128  # moved per slice
BLANK_LINE = re.compile(r"\n[^\S\n]*\n|[\v\f\x1c-\x1e\u2029]|\r[^\S\n]*\r")

# Python and Rust's chars; JavaScript, Java and C#; Go, Rust's strings and C.
Unit = Literal["code_points", "utf16", "utf8"]


class Token(NamedTuple):
    """A token and its offsets in the text: code points `start` to `end`, exclusive.

    `continues` marks a token that forms one word with the token before it: "n't" in "don't", split into "do" and "n't".
    CoNLL-U writes such tokens as the words of one multiword token. Words that are not parts of the text, "de" and "le"
    of the French "du", have the offsets of the whole.
    """

    text: str
    start: int
    end: int
    continues: bool = False


# new_token(Token, (text, start, end, continues)) makes a token in a third of the time of Token(...).
new_token = tuple.__new__


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence: code points `start` to `end` of the text, and its tokens in order, at least one."""

    start: int
    end: int
    tokens: tuple[Token, ...]


class Tokenizer(ABC):
    """Splits text in its normal form, with plain quotes; returns tokens with the offsets and characters of the text.

    Blank text has no sentences; no token is blank; tokens are in order. They do not overlap, except the words of a
    multiword token that have its offsets.
    """

    def sentences(self, text: str) -> list[Sentence]:
        """Splits a text into sentences of tokens, in one go."""
        return finish(self.split(text))

    def tokens(self, text: str) -> list[Token]:
        """Splits a text into tokens, in one go."""
        return finish(self.tokenize(text))

    def split(self, text: str) -> Sliced[list[Sentence]]:
        """Splits a text into sentences of tokens, in slices."""
        if text.isascii():
            return (yield from self.split_plain(text))
        plain, places = yield from _plain(text)
        sentences = yield from self.split_plain(plain)
        if plain == text:
            return sentences
        moved: list[Sentence] = []
        for number, sentence in enumerate(sentences, start=1):
            if tokens := tuple((yield from _moved(sentence.tokens, plain, text, places))):
                moved.append(Sentence(tokens[0].start, tokens[-1].end, tokens))
            if not number % SENTENCES_AT_ONCE:
                yield
        return moved

    def tokenize(self, text: str) -> Sliced[list[Token]]:
        """Splits a text into tokens, in slices."""
        plain, places = yield from _plain(text)
        tokens = yield from self.tokenize_plain(plain)
        return tokens if plain == text else (yield from _moved(tokens, plain, text, places))

    def words(self, text: str) -> Sliced[list[str]]:
        """Returns the normal forms of a text's tokens, in slices."""
        normal = text if text.isascii() else (yield from normalize_with_offsets(text))[0]
        plain = with_plain_quotes(normal)
        if plain == normal:
            return (yield from self.words_of_plain(plain))
        tokens = yield from self.tokenize_plain(plain)
        return [normal[t.start : t.end] if t.text == plain[t.start : t.end] else t.text for t in tokens]

    @abstractmethod
    def split_plain(self, plain: str) -> Sliced[list[Sentence]]:
        """Splits a text in its normal form, with plain quotes, into sentences of tokens."""

    @abstractmethod
    def tokenize_plain(self, plain: str) -> Sliced[list[Token]]:
        """Splits a text in its normal form, with plain quotes, into tokens."""

    def words_of_plain(self, plain: str) -> Sliced[list[str]]:
        """Returns the tokens of a text in its normal form, with plain quotes."""
        tokens = yield from self.tokenize_plain(plain)
        return [token.text for token in tokens]


def multiwords(tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Returns the first and last index of each multiword token, such as "don't" of the tokens "do" and "n't"."""
    found: list[tuple[int, int]] = []
    for i, token in enumerate(tokens):
        if token.continues and found and found[-1][1] == i - 1:
            found[-1] = found[-1][0], i
        elif token.continues:
            found.append((i - 1, i))
    return found


def positions(text: str, unit: Unit) -> Sequence[int]:
    """Returns the offset in `unit` of each code point, and of the text's end  # [len(text) + 1]."""
    if unit == "code_points" or text.isascii():
        return range(len(text) + 1)
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    if unit == "utf16":
        widths = 1 + (points > 0xFFFF)
    else:
        widths = 1 + (points > 0x7F).astype(int) + (points > 0x7FF) + (points > 0xFFFF)
    return [0, *np.cumsum(widths).tolist()]


def _plain(text: str) -> Sliced[tuple[str, Sequence[int]]]:
    """Returns the normal form of a text with plain quotes, and the offset in the text of each character and the end."""
    normal, places = yield from normalize_with_offsets(text)
    return with_plain_quotes(normal), places or range(len(text) + 1)


def _moved(tokens: Sequence[Token], plain: str, text: str, places: Sequence[int]) -> Sliced[list[Token]]:
    """Moves tokens of the normal form of a text to the text; `places` has the offset of each of its characters.

    A token that is part of a character there is left out.
    """
    moved: list[Token] = []
    for number, token in enumerate(tokens, start=1):
        start, end = places[token.start], places[token.end]
        if start < end:
            is_part = token.text == plain[token.start : token.end]
            form = text[start:end] if is_part else token.text
            moved.append(Token(form, start, end, token.continues and bool(moved)))
        if not number % _TOKENS_AT_ONCE:
            yield
    return moved
