"""Identifies the language of a text by its sequences of characters.

A logistic regression: each sequence of 1 to 5 characters is hashed to a row of weights, one weight per language. The
sum of a text's rows, divided by the square root of their number, gives the probabilities. The weights are integers, so
the sums are exact in any order. Cavnar and Trenkle (1994), "N-gram-based text categorization"; Weinberger et al.
(2009), "Feature hashing for large scale multitask learning".
"""

import io
import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from service.text.normalization import normalize
from service.types import Array

FILE = Path(__file__).with_suffix(".npz")  # written by `tagwerk-train language`
ORDERS = 5  # characters of the longest sequences
LONGEST = 2000  # characters of a text that are read, from its beginning
AUTO = "auto"  # in place of a language: it is identified
UNDETERMINED = "und"  # of BCP 47: nothing in the text belongs to a language
MULTIPLIER = np.uint32(0x9E3779B1)  # 2^32 divided by the golden ratio: spreads equal differences over all bits
_ADDRESSES = re.compile(r"https?://\S+|www\.\S+|\S+@\S+|[#@]\w+")
_NO_LETTERS = re.compile(r"(?:[^\w']|[\d_])+")


class Identified(NamedTuple):
    """The most probable language of a text, and its probability, 0 to 1."""

    language: str
    probability: float


@dataclass(frozen=True, slots=True, eq=False)
class Identifier:
    """A model that identifies languages. Thread-safe."""

    languages: tuple[str, ...]  # primary tags of BCP 47, such as "en"
    weights: Array  # [2^n rows, languages] int8
    scale: Array  # [] float32
    bias: Array  # [languages] float32

    @classmethod
    def parse(cls, content: bytes) -> Self:
        """Reads a model's file. Raises ValueError, KeyError for other content."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            languages = tuple(map(str, arrays["languages"]))
            return cls(languages, arrays["weights"], arrays["scale"], arrays["bias"])

    def identify(self, text: str, among: Collection[str] | None = None) -> Identified:
        """Returns the most probable language of a text; UNDETERMINED for one without letters.

        With `among`, it is one of these unless all of them together are less probable than the other languages.
        """
        rows = features(text, len(self.weights))
        if not len(rows):
            return Identified(UNDETERMINED, 0.0)
        sums = self.weights[rows].sum(axis=0, dtype=np.int32)
        scores = sums * self.scale / math.sqrt(len(rows)) + self.bias
        powers = np.exp(scores - scores.max())
        found = dict(zip(self.languages, (powers / powers.sum()).tolist(), strict=True))
        if among is not None and sum(expected := [found[tag] for tag in among if tag in found]) >= 0.5:
            found = {tag: found[tag] for tag in among if found.get(tag) in expected}
        language = max(found, key=found.__getitem__)
        return Identified(language, round(found[language], 6))


@cache
def identifier() -> Identifier:
    """Returns the model of this package; reads it at the first call."""
    return Identifier.parse(FILE.read_bytes())


def letters_of(text: str) -> str:
    """Returns the words of a text in lower case with one space around each; "" if it has none."""
    words = _NO_LETTERS.sub(" ", _ADDRESSES.sub(" ", normalize(text[:LONGEST]).lower())).strip(" '")
    return f" {words} " if words else ""


def features(text: str, size: int) -> Array:
    """Returns the hashes of all sequences of up to ORDERS characters  # [N] int64, below `size`, a power of two."""
    codes = np.frombuffer(letters_of(text).encode("utf-32-le", "replace"), np.uint32)
    hashes = np.zeros(len(codes) + 1, np.uint32)
    found = []
    for order in range(min(ORDERS, len(codes))):
        hashes = (hashes[:-1] + codes[order:] + np.uint32(1)) * MULTIPLIER
        hashes ^= hashes >> np.uint32(15)
        found.append(hashes)
    together = np.concatenate(found) if found else hashes[:0]
    return (together >> np.uint32(32 - (size.bit_length() - 1))).astype(np.int64)
