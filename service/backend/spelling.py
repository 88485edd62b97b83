"""Remembers what a tagger's character encoder makes of each word.

A word is spelt alike wherever it stands, and most words of a text have been seen before; reading their characters again
would cost more than the rest of the step.
"""

from collections.abc import Callable
from typing import cast

import numpy as np

from service.engine.padding import Array

SIZES = (8, 64, 512)  # words that are spelt in one step: the shapes that are compiled
REMEMBERED_WORDS = 65_536


class Spellings:
    """A bounded memory of spellings, of which each is a function of the word's characters alone."""

    def __init__(self, spell: Callable[[Array], Array], characters: int, size: int) -> None:
        """`spell` maps char_ids [W, C = characters] int32 to spellings [W, S = size] float32, W of `SIZES`."""
        self._spell = spell
        self._characters = characters
        self._places: dict[bytes, int] = {}
        self._table = np.zeros((REMEMBERED_WORDS, size), np.float32)

    def __call__(self, char_ids: Array) -> Array:
        """Returns the spellings of the words  # char_ids [B, T, C] int32 -> [B, T, S] float32."""
        b, t, c = char_ids.shape
        rows = np.ascontiguousarray(char_ids).reshape(-1, c)
        words = cast(list[bytes], rows.view(np.dtype((np.void, rows.itemsize * c))).ravel().tolist())
        if missing := set(words).difference(self._places):
            self._learn(missing, set(words))
        places = [self._places[word] for word in words]
        return self._table[places].reshape(b, t, -1)

    def _learn(self, missing: set[bytes], wanted: set[bytes]) -> None:
        if len(self._places) + len(missing) > REMEMBERED_WORDS:  # starts anew: as simple as it is rare
            self._places.clear()
            missing = wanted
        words = sorted(missing)
        for start in range(0, len(words), SIZES[-1]):
            some = words[start : start + SIZES[-1]]
            size = next(size for size in SIZES if size >= len(some))
            char_ids = np.zeros((size, self._characters), np.int32)
            char_ids[: len(some)] = np.frombuffer(b"".join(some), np.int32).reshape(len(some), -1)
            first = len(self._places)
            self._table[first : first + len(some)] = self._spell(char_ids)[: len(some)]
            self._places.update((word, first + i) for i, word in enumerate(some))

    def warm_up(self) -> None:
        """Runs the encoder in each of its shapes."""
        for size in SIZES:
            self._spell(np.zeros((size, self._characters), np.int32))
