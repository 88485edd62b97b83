"""Decides about tokens, multiword tokens and sentences by classifiers and a dictionary, learned from a treebank.

Each classifier is a logistic regression over features that are present or absent, strings such as "before=Dr.". One
feature is the decision of the tokenizer's rules, so where the treebank has no evidence, the rules decide. The features
are computed by the same code in training and service, which prevents skew.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import repeat
from typing import Self

import msgspec

from service.text.tokens import BLANK_LINE, TokenSpan

_WINDOW = 4  # characters on each side of a boundary
_PADDING = "\0" * _WINDOW
_AFFIX = 8  # characters of the longest whole start or end of a chunk that is a feature
_RUN = re.compile(r"(.)\1+")
LONGEST_CACHED = 24  # characters
CACHED_WORDS = 8192  # which take 5 MB at most
LONGEST_ENDING = 10  # characters, of a token that is several words
_FAR = 12  # tokens since the start of the sentence, and more


TokenAndShape = tuple[str, str]  # a token in lower case, and its shape
_EDGES: tuple[TokenAndShape, TokenAndShape, TokenAndShape] = (("", ""),) * 3  # before and after all tokens


class Classifier(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A logistic regression over present features: accepts where the sum of their weights is above 0."""

    bias: float
    weights: dict[str, float]

    def accepts(self, features: Iterable[str]) -> bool:
        """Returns whether the decision is yes; a feature without a weight counts nothing."""
        return self.bias + sum(map(self.weights.get, features, repeat(0.0))) > 0


class Segmenter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The learned decisions of a tokenizer; the rules decide where there is no classifier. Its file is this as JSON.

    Attributes:
        boundaries: whether a chunk of text without spaces is split between two characters.
        continuations: whether such a split lies within a multiword token, as in "do|n't".
        ends: whether a sentence ends between two tokens.
        multiwords: tokens in lower case whose words are not parts of them: "du" consists of "de" and "le".
        choices: of words that are one word elsewhere, whether they are several words here.
        endings: of other tokens in lower case that are several words, "-lhe" or "ándose", and what they become: the end
            of the first word, and further words, ("", "lhe") or ("ando", "se").
        abbreviations: in lower case, with the full stop that they keep, and whether a sentence may end after them.
    """

    boundaries: Classifier | None = None
    continuations: Classifier | None = None
    ends: Classifier | None = None
    multiwords: dict[str, tuple[str, ...]] = {}
    choices: dict[str, Classifier] = {}
    endings: dict[str, tuple[str, ...]] = {}
    abbreviations: dict[str, bool] = {}

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Parses the content of a file. Raises ValueError."""
        found = msgspec.json.decode(content, type=cls)
        if not found.choices.keys() <= found.multiwords.keys():
            raise ValueError("each of the choices of a tokenizer is one of its multiwords")
        for word, words in found.multiwords.items():
            if len(words) < 2 or not all(map(str.strip, words)):
                raise ValueError(f"the multiword {word[:40]!r} is not a list of two words or more")
        for ending, words in found.endings.items():
            if not 0 < len(ending) <= LONGEST_ENDING or len(words) < 2 or not all(map(str.strip, words[1:])):
                raise ValueError(
                    f"the ending {ending[:40]!r} has more than {LONGEST_ENDING} characters or less than two words"
                )
        return found

    def words_of(self, token: str) -> tuple[str, ...] | None:
        """Returns the words of a multiword token, in lower case, or None: those listed, or those of its longest ending.

        An ending of letters does not count in a token with a capital: "Carlos" ends as "darlos" does.
        """
        form = token.lower()
        if found := self.multiwords.get(form):
            return found
        if self.endings:
            for start in range(max(1, len(form) - LONGEST_ENDING), len(form)):
                words = self.endings.get(form[start:])
                if words and not (form[start].isalpha() and token[0].isupper()):
                    return (form[:start] + words[0], *words[1:])
        return None


def boundary_features(chunk: str, ruled: frozenset[int]) -> Iterator[list[str]]:
    """Yields the features of each boundary between the characters of a chunk; `ruled` are the rules' boundaries."""
    padded = _PADDING + chunk + _PADDING
    lower = padded.lower() if len(padded.lower()) == len(padded) else padded
    kinds = "".join(map(_kind, padded))
    for i in range(1, len(chunk)):
        at, rule = i + _WINDOW, "|" if i in ruled else "-"
        head, tail = max(0, i - 2 * _AFFIX), i + 2 * _AFFIX
        found = [
            f"rule={rule}",
            f"kinds1={kinds[at - 1 : at + 1]}{rule}",
            f"kinds2={kinds[at - 2 : at + 2]}",
            f"kinds3={kinds[at - 3 : at + 3]}",
            f"both1={lower[at - 1 : at + 1]}{rule}",
            f"both2={lower[at - 2 : at + 2]}",
            f"shapes={_shape(chunk[head:i])}|{_shape(chunk[i:tail])}",
        ]
        for width in range(1, _WINDOW + 1):
            found.append(f"left{width}={lower[at - width : at]}")
            found.append(f"right{width}={lower[at : at + width]}")
        if i < _AFFIX:
            found.append(f"start={lower[_WINDOW:at]}")
        if len(chunk) - i < _AFFIX:
            found.append(f"end={lower[at:-_WINDOW]}")
        yield found


class PossibleEnds:
    """The places between the tokens of a text where a sentence may end, and their features.

    Attributes:
        indices: of the tokens after these places, without the first token, which always begins a sentence.
    """

    def __init__(self, text: str, tokens: Sequence[TokenSpan], ruled: Collection[int]) -> None:
        """Finds the places; `ruled` are the indices that the rules find."""
        self.indices = _possible_ends(tokens)
        self._text = text
        self._tokens = tokens
        words = [_cached_word(text) if len(text) <= LONGEST_CACHED else _word_of(text) for text, *_ in tokens]
        self._words = [*_EDGES, *words, *_EDGES]
        self._ruled = ruled

    def features(self, i: int, first: int) -> list[str]:
        """Returns the features of an end between the tokens i - 1 and i, of a sentence that begins with `first`."""
        (_, ending3), (last2, ending2), (last1, ending1), *following = self._words[i : i + 6]
        (next1, shape1), (next2, shape2), (_, shape3) = following
        end, start = self._tokens[i - 1][2], self._tokens[i][1]
        gap = "blank" if start - end > 1 and BLANK_LINE.search(self._text, end, start) else min(start - end, 1)
        rule = f"{'|' if i in self._ruled else '-'}{gap}"
        return [
            f"rule={rule}",
            f"rule={rule} {ending1} {shape1}",
            f"rule={rule} {min(i - first, _FAR)}",
            f"before={last1}",
            f"after={next1}",
            f"before2={last2}",
            f"after2={next2}",
            f"shape2={shape2}",
            f"word={last1} {shape1}",
            f"next={ending1} {next1}",
            f"behind={ending3} {ending2} {ending1}",
            f"ahead={shape1} {shape2} {shape3}",
        ]


def _possible_ends(tokens: Sequence[TokenSpan]) -> list[int]:
    """Returns the indices of tokens before which a sentence may end.

    No sentence ends directly after a letter or digit, nor where only a space is between that and a small letter.
    """
    found = []
    last, end = " ", 0  # of the token before
    for i, (text, start, next_end, _) in enumerate(tokens):
        gap = start - end
        if gap > 1 or not last.isalnum() or (gap == 1 and not text[0].islower()):
            found.append(i)
        last, end = text[-1], next_end
    return found[1:]


def choice_features(tokens: Sequence[TokenSpan], i: int) -> list[str]:
    """Returns the features of whether token i is several words."""
    before, ending = _word_of(tokens[i - 1].text) if i else ("", "")
    after, shape = _word_of(tokens[i + 1].text) if i + 1 < len(tokens) else ("", "")
    after2 = tokens[i + 2].text.lower() if i + 2 < len(tokens) else ""
    return [
        f"before={before}",
        f"before kind={ending}",
        f"before ends={before[-3:]}",
        f"before ends={before[-2:]}",
        f"after={after}",
        f"after kind={shape}",
        f"after ends={after[-3:]}",
        f"after ends={after[-2:]}",
        f"after ends={after[-1:]}",
        f"after2={after2}",
        f"around={before} {after}",
        f"case={tokens[i].text[:1].isupper()}",
    ]


def _word_of(text: str) -> TokenAndShape:
    return _cached_word(text) if len(text) <= LONGEST_CACHED else (text[:LONGEST_CACHED], _shape(text))


@lru_cache(CACHED_WORDS)
def _cached_word(text: str) -> TokenAndShape:
    return text.lower(), _shape(text)


def _shape(text: str) -> str:
    """Returns the kinds of a text's first characters, each run of a kind once: "Aa9" for "Angle90"."""
    return _RUN.sub(r"\1", "".join(map(_kind, text[:LONGEST_CACHED])))


def _kind(character: str) -> str:
    """Returns "A" for a capital letter, "a" for another, "9" for a digit; others are kinds of their own."""
    if character.isdigit():
        return "9"
    if character.isalpha():
        return "A" if character.isupper() else "a"
    return character
