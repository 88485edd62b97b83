"""The mean of a teacher's vectors of each word over all of its occurrences."""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

from training.data.dataset import Array
from training.teachers.encoder import WIDTH


class WordVectors:
    """Sums the vectors of words, in lower case, sentence by sentence."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, Array] = defaultdict(lambda: np.zeros(WIDTH, np.float32))
        self._counts: Counter[str] = Counter()

    def add(self, words: Sequence[str], vectors: Array) -> None:
        """Adds a sentence. vectors: one per word, padding behind them, shape [T, H]."""
        for word, vector in zip(map(str.lower, words), vectors, strict=False):
            self._sums[word] += vector
            self._counts[word] += 1

    def means(self) -> tuple[list[str], Array, Array]:
        """Returns the words, the most frequent first, their counts, shape [V], and their vectors, float16, [V, H]."""
        words = [word for word, _ in self._counts.most_common()]
        counts = np.array([self._counts[word] for word in words])
        return words, counts, np.stack([self._sums[word] / self._counts[word] for word in words]).astype(np.float16)
