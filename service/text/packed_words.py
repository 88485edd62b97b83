"""Many words in little space: sorted, each without the characters that it shares with the word before."""

from collections.abc import Iterable, Iterator
from itertools import takewhile
from operator import eq

MOST_SHARED = 9  # characters, a digit


def packed(words: Iterable[str]) -> str:
    """Returns words, sorted, one a line: how many characters it shares with the one before, a digit, and the rest."""
    lines, last = list[str](), ""
    for word in sorted(words):
        shared = sum(takewhile(bool, map(eq, last[:MOST_SHARED], word)))
        lines.append(f"{shared}{word[shared:]}")
        last = word
    return "\n".join(lines)


def unpacked(content: str) -> Iterator[str]:
    """Yields the words that `packed` was given. Raises ValueError if it cannot have made the content."""
    word = ""
    for line in content.split("\n"):
        if not "0" <= line[:1] <= "9":
            raise ValueError(f"no packed word is {line[:40]!r}; one begins with a digit")
        word = word[: int(line[:1])] + line[1:]
        yield word
