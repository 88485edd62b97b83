"""The interface of a tokenizer: text to sentences and tokens, with offsets."""

import re
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from service.text.slices import Sliced

TOKENIZER_NAME = re.compile(r"spacy-([a-z]{2,8})")  # by the rules of a language, as a manifest names it

BLANK_LINE = re.compile(r"\n[^\S\n]*\n|[\v\f\x1c-\x1e\u2029]|\r[^\S\n]*\r")


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


class Tokenizer(Protocol):
    """Splits text. Blank text has no sentences; no token is blank; tokens are in order.

    Tokens do not overlap, except the words of a multiword token that have its offsets.
    """

    def split(self, text: str) -> Sliced[list[Sentence]]:
        """Splits a text into sentences of tokens, in slices."""

    def tokenize(self, text: str) -> Sliced[list[Token]]:
        """Splits a text into tokens, in slices."""

    def words(self, text: str) -> Sliced[list[str]]:
        """Returns the strings of a text's tokens, in slices."""
