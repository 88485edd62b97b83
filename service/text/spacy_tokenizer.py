"""The tokenizer: spaCy's rules for English, in the treebank's habits, applied without spaCy's vocabulary.

spaCy's own loop keeps every new word in its vocabulary, and its memory zones leave a trace of each behind, so memory
would grow with traffic; and it is not to be shared between threads. What a chunk between spaces is cut into depends on
nothing around it, so it is cut by the rules once and remembered, in a cache that is bounded.
"""

import re
from functools import lru_cache

from service.text.english import Rules, treebank_rules
from service.text.sentences import group
from service.text.tokenizer import Sentence, Token

_CHUNK = re.compile(r"\S+")
_LONGEST_CHUNK = 256
_REMEMBERED = 32
_CACHE_SIZE = 50_000

# For chunks that no language writes: runs of letters and of one mark, in time that is linear.
_PIECE = re.compile(r"https?://\S+|\w+|([^\w\s])\1*")

Piece = tuple[str, bool]


class SpacyTokenizer:
    """Splits English text. One may be shared between threads."""

    def __init__(self, rules: Rules | None = None) -> None:
        self._rules = rules or treebank_rules()
        self._remembered = lru_cache(_CACHE_SIZE)(self._pieces)

    def sentences(self, text: str) -> list[Sentence]:
        return group(text, self.tokens(text))

    def tokens(self, text: str) -> list[Token]:
        tokens = []
        for match in _CHUNK.finditer(text):
            chunk = match.group()
            start = match.start()
            for piece, continues in self._remembered(chunk) if len(chunk) <= _REMEMBERED else self._pieces(chunk):
                end = start + len(piece)
                tokens.append(Token(piece, start, end, continues))
                start = end
        return tokens

    def _pieces(self, chunk: str) -> tuple[Piece, ...]:
        """Cuts a chunk into the texts of its tokens, each with whether it continues the one before it."""
        if len(chunk) > _LONGEST_CHUNK:
            return tuple((match.group(), False) for match in _PIECE.finditer(chunk))
        pieces = cut(chunk, self._rules)
        return tuple((piece, i > 0 and self._continues(pieces[i - 1], piece, chunk)) for i, piece in enumerate(pieces))
