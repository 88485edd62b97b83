"""The normal form of text: one for canonically equivalent text, and for apostrophes and dots of print and keyboard.

Tokenizers, vocabularies and lemmas read text in this form, in training and service alike; clients get theirs back.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import pairwise

from service.text.interruptible import Interruptible, collect

INVISIBLE = "\u00ad\u2060\ufeff"  # say where a line may break, and nothing else
# Apostrophes, hyphens, spaces and dots that differ from a keyboard's in how they look, or where a line may break.
VARIANTS = dict.fromkeys("’‘ʼ´", "'") | dict.fromkeys("\u2010\u2011", "-") | dict.fromkeys("\u00a0\u2009\u202f", " ")
VARIANTS["…"] = "..."
PRINTED_QUOTES = "“”„″"
# What is read in place of a character that a vocabulary lacks.
SUBSTITUTES = (
    VARIANTS | dict.fromkeys(f"{PRINTED_QUOTES}«»", '"') | dict.fromkeys("‹›‚′", "'") | dict.fromkeys("–—−", "-")
)

_AT_ONCE = 256  # characters that are normalized together: marks in a row are sorted in the square of their number
_MOST_MARKS = 30  # in a row, as in the stream-safe text format of Unicode Standard Annex #15
_PLAIN = VARIANTS | dict.fromkeys(INVISIBLE, "")
_CHANGES_LENGTH = re.compile(f"[{INVISIBLE}…]")


def normalize(text: str) -> str:
    """Returns the normal form: NFC of Unicode (Standard Annex #15), with plain characters in place of VARIANTS."""
    if text.isascii():
        return text
    for variant, plain in _PLAIN.items():
        text = text.replace(variant, plain)
    return nfc(text)


def with_plain_quotes(text: str) -> str:
    """Returns a text with quotes of a keyboard in place of double quotes of print, by which tokenizers split it."""
    for quote in PRINTED_QUOTES:
        text = text.replace(quote, '"')
    return text


def nfc(text: str) -> str:
    """Returns the NFC of Unicode of a text, in linear time."""
    if len(text) <= _AT_ONCE:
        return unicodedata.normalize("NFC", text)
    return "".join(unicodedata.normalize("NFC", chunk) for chunk in _chunks(text))


def normalize_form(form: str) -> str:
    """Returns the normal form of a word, never an empty one."""
    return normalize(form) or form


def are_normal(strings: Iterable[str]) -> bool:
    """Returns whether strings are normal forms; may say no where they are. Any substring of a normal form is one."""
    joined = "".join(strings)
    return normalize(joined) == joined


def normalize_each(strings: Collection[str]) -> Collection[str]:
    """Returns the normal forms of strings."""
    if "".join(strings).isascii() or are_normal(strings):  # most are in ASCII: saves two calls of a request
        return strings
    return [*map(normalize_form, strings)]


def with_variants(ids: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Returns ids by string; normal forms have the ids of their strings, and SUBSTITUTES those of plain characters."""
    found = dict(ids)
    if not are_normal(found):
        for string, id in list(found.items()):
            found.setdefault(normalize(string), id)
    for character, substitute in SUBSTITUTES.items():
        for plain in (substitute, substitute[0]):
            if plain in found:
                found.setdefault(character, found[plain])
    return found


def normalize_with_offsets(text: str) -> Interruptible[tuple[str, Sequence[int]]]:
    """Returns the normal form of a text, and the offset in the text of each of its characters and of its end.

    Returns the text itself where it is in normal form.
    """
    if text.isascii():
        return text, ()
    chunks = list(_chunks(text))
    plain = "".join((yield from collect(map(normalize, chunks), 1)))
    if plain == text:
        return text, ()
    places: list[int] = []
    start = 0
    for chunk in chunks:
        places += _places(chunk, start)
        start += len(chunk)
        yield
    return plain, [*places, len(text)]


def _chunks(text: str) -> Iterator[str]:
    """Yields chunks of a text that can be normalized alone, unless it has too many marks in a row."""
    start = 0
    while start < len(text):
        end = start + _AT_ONCE
        most = end + _MOST_MARKS
        while end < min(most, len(text)) and _composes(text[end]):
            end += 1
        yield text[start:end]
        start = end


def _places(text: str, start: int) -> Sequence[int]:
    """Returns the offset of each character of the normal form, counted from `start` before the text."""
    if unicodedata.is_normalized("NFC", text) and not _CHANGES_LENGTH.search(text):
        return range(start, start + len(text))  # the other variants are of one character as well
    places: list[int] = []
    starts = [i for i, character in enumerate(text) if not i or not _composes(character) or text[i - 1].isspace()]
    for first, end in pairwise([*starts, len(text)]):
        width = len(normalize(text[first:end]))
        places += range(start + first, start + end) if width == end - first else [start + first] * width
    return places


def _composes(character: str) -> bool:
    """Returns whether a character may combine with the character before it in the normal form."""
    return unicodedata.category(character)[0] == "M" or "\u1160" <= character <= "\u11ff" or character in INVISIBLE
