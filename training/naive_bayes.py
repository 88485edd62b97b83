"""How much the counts of a word, or of anything else that is in texts, tell which of two kinds a text is of."""

from collections.abc import Iterable

import numpy as np

from training.dataset import Array

SEEN = 2  # in fewer texts than these, a count is chance


def ratios(texts: Iterable[tuple[Array, bool]], rows: int) -> Array:
    """Returns the size of the log-count ratio of each id (Wang and Manning 2012), 0 if hardly seen  # [rows] float32.

    Args:
        texts: the ids in each, and whether it is of the first kind.
        rows: ids are below this.
    """
    counts = np.zeros((2, rows))
    for ids, first in texts:
        counts[int(first), np.unique(ids)] += 1
    shares = (counts + 1) / (counts + 1).sum(axis=1, keepdims=True)
    log_ratios: Array = np.abs(np.log(shares[1] / shares[0])).astype(np.float32)
    return np.where(counts.sum(axis=0) < SEEN, 0, log_ratios)
