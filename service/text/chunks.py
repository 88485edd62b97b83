"""Splits chunks of text without spaces into tokens by spaCy's rules for a language, without its vocabulary."""

import re

from service.text.english import Rules
from service.text.interruptible import Interruptible, collect
from service.text.symbols import EMOJI, UNSPACED

_LONGEST_CHUNK = 256
_MOST_AFFIXES = 32  # removed from each end of a chunk; natural text has fewer
_SUFFIX_CHARACTERS = 20
_TOKENS_AT_ONCE = 64  # of an unnatural chunk

_CLITIC = re.compile(r"n't|'(?:s|m|d|ll|re|ve)|`s", re.IGNORECASE)
# Clitics only where an exception splits them off: "can|not", "wan|na", "do|nt", "'t|is".
_BARE_CLITICS = {*"not na ta nt s m d ll re ve is was were will would".split()}

_ALONE = re.compile(f"({UNSPACED}|{EMOJI})")

# For unnatural chunks: what stands alone, runs of other letters and of one mark, in linear time.
_TOKEN = re.compile(rf"https?://\S+|{UNSPACED}|{EMOJI}|(?:(?!{UNSPACED})\w)+|([^\w\s])\1*|\s")

ChunkToken = tuple[str, bool]  # the text of a token, and whether it continues the token before it


def tokens_by_rules(chunk: str, rules: Rules) -> Interruptible[list[ChunkToken]]:
    """Splits a chunk into its tokens. If it is unnatural, a space in one of its numbers is a token of its own."""
    if len(chunk) > _LONGEST_CHUNK:
        return (yield from collect(((mark.group(), False) for mark in _TOKEN.finditer(chunk)), _TOKENS_AT_ONCE))
    tokens = split_chunk(chunk, rules) if chunk.isascii() else _split_around(chunk, rules)
    return [(token, i > 0 and _continues(tokens[i - 1], token, chunk, rules)) for i, token in enumerate(tokens)]


def _split_around(chunk: str, rules: Rules) -> list[str]:
    """Splits a chunk into the strings of its tokens; what stands alone is one, unless it is part of an address."""
    strings = _ALONE.split(chunk)
    if len(strings) == 1 or rules.whole(chunk) or rules.address(chunk):
        return split_chunk(chunk, rules)
    tokens: list[str] = []
    for i, string in enumerate(strings):
        tokens += [string] if i % 2 else split_chunk(string, rules)
    return tokens


def _continues(before: str, token: str, chunk: str, rules: Rules) -> bool:
    """Returns whether a token is a clitic of the token before it."""
    if not before[-1].isalnum():
        return False
    if _CLITIC.fullmatch(token):
        return True
    if token == "'":
        return chunk == before + token and before[-1] in "sS"
    return token.lower() in _BARE_CLITICS and before + token in rules.exceptions


def split_chunk(chunk: str, rules: Rules) -> list[str]:
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
    start = max(at, len(chunk) - _SUFFIX_CHARACTERS)  # searching from the start each time would be quadratic
    suffix = rules.suffix(chunk[start:])
    if suffix and suffix.start() == 0 and start > at:  # a run longer than that
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
    tokens: list[str] = []
    start = 0
    for infix in rules.infixes(chunk):
        at, end = infix.span()
        if at == 0:
            continue
        if at > start:
            tokens += rules.exceptions.get(chunk[start:at], (chunk[start:at],))
        if end > at:  # otherwise it marks a place to split at, such as that after the apostrophe of "l'eau"
            tokens.append(infix.group())
        start = end
    if start < len(chunk):
        tokens += rules.exceptions.get(chunk[start:], (chunk[start:],))
    return tokens
