"""The trees of the Stanford Sentiment Treebank: `(3 (2 It) (4 (2 's) (4 lovely)))`, a tree a line.

Every phrase of a sentence, down to its words, has a grade from 0, very negative, over 2, neutral, to 4, very
positive. Socher et al. (2013), Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

NEUTRAL = 2
GRADES = 5

_SYMBOL = re.compile(r"[()]|[^\s()]+")
_ESCAPED = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "``": '"', "''": '"'}


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words, how positive they are together, and the index of the first among the words of the sentence."""

    tokens: tuple[str, ...]
    grade: int
    start: int = 0


def read(text: str, tokenize: Callable[[str], tuple[str, ...]]) -> Iterator[list[Phrase]]:
    """Yields the phrases of each tree, the whole sentence last.

    Args:
        tokenize: cuts a word of the treebank, which keeps "well-made" whole, into tokens.
    """
    for line in text.splitlines():
        yield list(_phrases(line, tokenize))


def _phrases(line: str, tokenize: Callable[[str], tuple[str, ...]]) -> Iterator[Phrase]:
    tokens: list[str] = []
    open_phrases: list[tuple[int, int]] = []  # grade, first token
    opened = False
    for symbol in _SYMBOL.findall(line):
        if symbol == ")":
            grade, first = open_phrases.pop()
            yield Phrase(tuple(tokens[first:]), grade, first)
        elif opened:  # what follows a bracket is the grade
            open_phrases.append((int(symbol), len(tokens)))
        elif symbol != "(":
            tokens += tokenize(_ESCAPED.get(symbol, symbol.replace("\\", "")))
        opened = symbol == "("


def distinct(phrases: Iterable[Phrase]) -> list[Phrase]:
    """Returns the distinct phrases in lower case, each with its most frequent grade."""
    grades: defaultdict[tuple[str, ...], Counter[int]] = defaultdict(Counter)
    for phrase in phrases:
        grades[tuple(token.lower() for token in phrase.tokens)][phrase.grade] += 1
    return [Phrase(tokens, counts.most_common(1)[0][0]) for tokens, counts in grades.items()]
