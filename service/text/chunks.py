"""Splits chunks of text without spaces into tokens by spaCy's rules for a language, without its vocabulary."""

import re

from service.text.english import Rules
from service.text.interruptible import Interruptible, collect
from service.text.symbols import EMOJI, UNSPACED

_LONGEST_CHUNK = 256
_MOST_AFFIXES = 32  # removed from each end of a chunk; natural text has fewer
_SUFFIX_WINDOW = 20
_SLICE_PIECES = 64  # pieces per slice of an unnatural chunk

_CLITIC = re.compile(r"n't|'(?:s|m|d|ll|re|ve)|`s", re.IGNORECASE)
# Clitics only where an exception splits them off: "can|not", "wan|na", "do|nt", "'t|is".
_BARE_CLITICS = {*"not na ta nt s m d ll re ve is was were will would".split()}

_ALONE = re.compile(f"({UNSPACED}|{EMOJI})")

# For unnatural chunks: what stands alone, runs of other letters and of one mark, in linear time.
_PIECE = re.compile(rf"https?://\S+|{UNSPACED}|{EMOJI}|(?:(?!{UNSPACED})\w)+|([^\w\s])\1*|\s")

Piece = tuple[str, bool]  # the text of a token, and whether it continues the token before it


def pieces_by_rules(chunk: str, rules: Rules) -> Interruptible[list[Piece]]:
    """Splits a chunk into its tokens. If it is unnatural, a space in one of its numbers is a piece of its own."""
    if len(chunk) > _LONGEST_CHUNK:
        return (yield from collect(((mark.group(), False) for mark in _PIECE.finditer(chunk)), _SLICE_PIECES))
    pieces = cut(chunk, rules) if chunk.isascii() else _cut_around(chunk, rules)
    return [(piece, i > 0 and _continues(pieces[i - 1], piece, chunk, rules)) for i, piece in enumerate(pieces)]


def _cut_around(chunk: str, rules: Rules) -> list[str]:
    """Splits a chunk into the strings of its tokens; what stands alone is one, unless it is part of an address."""
    parts = _ALONE.split(chunk)
    if len(parts) == 1 or rules.whole(chunk) or rules.address(chunk):
        return cut(chunk, rules)
    pieces: list[str] = []
    for i, part in enumerate(parts):
        pieces += [part] if i % 2 else cut(part, rules)
    return pieces


def _continues(before: str, piece: str, chunk: str, rules: Rules) -> bool:
    """Returns whether a piece is a clitic of the piece before it."""
    if not before[-1].isalnum():
        return False
    if _CLITIC.fullmatch(piece):
        return True
    if piece == "'":
        return chunk == before + piece and before[-1] in "sS"
    return piece.lower() in _BARE_CLITICS and before + piece in rules.exceptions


def cut(chunk: str, rules: Rules) -> list[str]:
    """Splits a chunk without spaces into the strings of its tokens, as spaCy's tokenizer does.

    Removes affixes from both ends until an exception, a whole or a chunk without affixes is left; infixes split that.
    """
    head: list[str] = []
    tail: list[str] = []
    for _ in range(_MOST_AFFIXES):
        if not chunk or chunk in rules.exceptions or rules.whole(chunk):
            break
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
    """Returns the start of the suffix of `chunk[at:]`, or the end if it has none."""
    start = max(at, len(chunk) - _SUFFIX_WINDOW)  # searching from the start each time would be quadratic
    suffix = rules.suffix(chunk[start:])
    if suffix and suffix.start() == 0 and start > at:  # a run longer than the window
        start, suffix = at, rules.suffix(chunk[at:])
    return start + suffix.start() if suffix else len(chunk)


def _middle(chunk: str, rules: Rules) -> list[str]:
    """Splits what remains without affixes."""
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
        if end > at:  # otherwise it marks a place to split at, such as that after the apostrophe of "l'eau"
            pieces.append(infix.group())
        start = end
    if start < len(chunk):
        pieces += rules.exceptions.get(chunk[start:], (chunk[start:],))
    return pieces
