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
_CACHE_SIZE = 20_000
_SUFFIX_WINDOW = 20

_CLITIC = re.compile(r"n['’]t|['’](?:s|m|d|ll|re|ve)|`s", re.IGNORECASE)
# These are clitics only where an exception cuts them off: "can|not", "wan|na", "do|nt".
_BARE_CLITICS = {"not", "na", "ta", "nt", "s", "m", "d", "ll", "re", "ve"}

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

    def _continues(self, before: str, piece: str, chunk: str) -> bool:
        """Says whether a piece is a clitic of the one before it."""
        if not before[-1].isalnum():
            return False
        if _CLITIC.fullmatch(piece):
            return True
        if piece in "'’":
            return chunk == before + piece and before[-1] in "sS"
        return piece.lower() in _BARE_CLITICS and before + piece in self._rules.exceptions


def cut(chunk: str, rules: Rules) -> list[str]:
    """Cuts a chunk without spaces into the texts of its tokens, as spaCy's tokenizer does.

    Affixes are taken off both ends until an exception, a whole or nothing more to take off is left; infixes cut that.
    """
    head: list[str] = []
    tail: list[str] = []
    while chunk and chunk not in rules.exceptions and not rules.whole(chunk):
        prefix = rules.prefix(chunk)
        at = prefix.end() if prefix else 0
        if at and chunk[at:] in rules.exceptions:
            head.append(chunk[:at])
            chunk = chunk[at:]
            break
        kept = _before_suffix(chunk, at, rules)
        if kept < len(chunk) and chunk[:kept] in rules.exceptions:
            at = 0
        elif not at and kept == len(chunk):
            break
        if at:
            head.append(chunk[:at])
        if kept < len(chunk):
            tail.append(chunk[kept:])
        chunk = chunk[at:kept]
    return [*head, *_middle(chunk, rules), *reversed(tail)]


def _before_suffix(chunk: str, at: int, rules: Rules) -> int:
    """Returns where the suffix of `chunk[at:]` starts, its end where it has none."""
    start = max(at, len(chunk) - _SUFFIX_WINDOW)  # a search from the start for each suffix would be quadratic
    suffix = rules.suffix(chunk[start:])
    if suffix and suffix.start() == 0 and start > at:  # a run that is longer than the window
        start, suffix = at, rules.suffix(chunk[at:])
    return start + suffix.start() if suffix else len(chunk)


def _middle(chunk: str, rules: Rules) -> list[str]:
    """Cuts what the affixes left."""
    if not chunk:
        return []
    if chunk in rules.exceptions:
        return list(rules.exceptions[chunk])
    if rules.whole(chunk) or rules.address(chunk):
        return [chunk]
    pieces: list[str] = []
    start = 0
    for infix in rules.infixes(chunk):
        at, end = infix.span()
        if at == 0:
            continue
        if at > start:
            pieces += rules.exceptions.get(chunk[start:at], (chunk[start:at],))
        pieces.append(infix.group())
        start = end
    if start < len(chunk):
        pieces += rules.exceptions.get(chunk[start:], (chunk[start:],))
    return pieces
