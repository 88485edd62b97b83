"""Tokens and sentences of a text, with offsets."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

TOKENIZER_NAME = re.compile(r"spacy-([a-z]{2,8})")  # by the rules of a language, as a manifest names it

BLANK_LINE = re.compile(r"\n[^\S\n]*\n|[\v\f\x1c-\x1e\u2029]|\r[^\S\n]*\r")

# Python and Rust's chars; JavaScript, Java and C#; Go, Rust's strings and C.
Unit = Literal["code_points", "utf16", "utf8"]


class TokenSpan(NamedTuple):
    """A token and its offsets in the text: code points `start` to `end`, exclusive.

    `continues` marks a token that forms one word with the token before it: "n't" in "don't", split into "do" and "n't".
    CoNLL-U writes such tokens as the words of one multiword token. Words that are not parts of the text, "de" and "le"
    of the French "du", have the offsets of the whole.
    """

    text: str
    start: int
    end: int
    continues: bool = False


# new_token(TokenSpan, (text, start, end, continues)) makes a token in a third of the time of TokenSpan(...).
new_token = tuple.__new__


@dataclass(frozen=True, slots=True)
class SentenceSpan:
    """A sentence: code points `start` to `end` of the text, and its tokens in order, at least one."""

    start: int
    end: int
    tokens: tuple[TokenSpan, ...]


def multiwords(tokens: Sequence[TokenSpan]) -> list[tuple[int, int]]:
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
