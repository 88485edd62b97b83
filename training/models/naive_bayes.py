"""Log-count ratios: how well the occurrence of a word, or of a pair of words, separates two classes of texts."""

from collections.abc import Iterable

import numpy as np

from training.data.dataset import Array

LEAST_TEXTS = 2  # a ratio of fewer is chance


def log_count_ratios(texts: Iterable[tuple[Array, bool]], rows: int) -> Array:
    """Returns the absolute log-count ratio of each id (Wang and Manning 2012), float32, shape [rows]; 0 if rare.

    Args:
        texts: the ids of each, and whether it belongs to the first class.
        rows: number of ids.
    """
    counts = np.zeros((2, rows))
    for ids, first in texts:
        counts[int(first), np.unique(ids)] += 1
    shares = (counts + 1) / (counts + 1).sum(axis=1, keepdims=True)
    log_ratios: Array = np.abs(np.log(shares[1] / shares[0])).astype(np.float32)
    return np.where(counts.sum(axis=0) < LEAST_TEXTS, 0, log_ratios)
