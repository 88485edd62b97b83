"""Text to sentences to tokens, with offsets. One small interface; the rule-based tokenizer behind it is spaCy's."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from service.slices import Sliced


class Token(NamedTuple):
    """A token and its place in the text: code points `start` to `end`, the end not included.

    `continues` says that the token goes on with the one before it as one word of the text: "n't" in "don't", cut into
    "do" and "n't". CoNLL-U writes such tokens as the words of one multiword token.
    """

    text: str
    start: int
    end: int
    continues: bool = False


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence: code points `start` to `end` of the text, and its tokens in order, at least one."""

    start: int
    end: int
    tokens: tuple[Token, ...]


class Tokenizer(Protocol):
    """Splits text. Blank text has no sentences; no token is blank; the tokens' offsets never overlap and rise."""

    def split(self, text: str) -> Sliced[list[Sentence]]:
        """Splits a text into sentences of tokens, in slices."""

    def tokenize(self, text: str) -> Sliced[list[Token]]:
        """Splits a text into tokens alone, in slices."""

    def words(self, text: str) -> Sliced[list[str]]:
        """Returns the texts of the tokens of a text alone, in slices."""
