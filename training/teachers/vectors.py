"""The mean of a teacher's vectors of each word over all of its occurrences."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from training.data.dataset import Array


class WordVectors:
    """Sums the vectors of words, in lower case, sentence by sentence."""

    def __init__(self) -> None:
        self._sums: dict[str, Array] = {}
        self._counts: Counter[str] = Counter()

    def add(self, words: Sequence[str], vectors: Array) -> None:
        """Adds a sentence. vectors: one per word, padding behind them, shape [T, H] float32."""
        for word, vector in zip(map(str.lower, words), vectors, strict=False):
            self._add(word, vector, 1)

    def arrays(self) -> dict[str, Array]:
        """Returns all sums as arrays, for `merge`."""
        words = list(self._sums)
        counts = np.array([self._counts[word] for word in words])
        return {"words": np.array(words), "counts": counts, "sums": np.stack(list(self._sums.values()))}

    def merge(self, arrays: Mapping[str, Array]) -> None:
        """Adds the sums of another collection, as its `arrays` returned them."""
        for word, total, count in zip(arrays["words"].tolist(), arrays["sums"], arrays["counts"].tolist(), strict=True):
            self._add(word, total, count)

    def means(self) -> tuple[list[str], Array, Array]:
        """Returns the words, the most frequent first, their counts, shape [V], and their vectors, float16, [V, H]."""
        words = [word for word, _ in self._counts.most_common()]
        counts = np.array([self._counts[word] for word in words])
        return words, counts, np.stack([self._sums[word] / self._counts[word] for word in words]).astype(np.float16)

    def _add(self, word: str, total: Array, count: int) -> None:
        if word in self._sums:
            self._sums[word] += total
        else:
            self._sums[word] = total.copy()
        self._counts[word] += count
