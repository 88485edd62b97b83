"""Log-count ratios: how well the occurrence of a word, or of a pair of words, separates a class from others."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from training.data.dataset import Array

LEAST_TEXTS = 2  # a ratio of fewer is chance


def log_count_ratios(texts: Sequence[tuple[Array, int]], rows: int) -> Array:
    """Returns the largest absolute log-count ratio of each id, float32, shape [rows]; 0 if rare.

    Each class is compared with all others together (Wang and Manning 2012 have two).

    Args:
        texts: the ids of each, and its class, a number from 0.
        rows: number of ids.
    """
    ids_of_class: defaultdict[int, list[Array]] = defaultdict(list)
    for ids, class_id in texts:
        ids_of_class[class_id].append(np.unique(ids))
    total = np.zeros(rows)
    for found in ids_of_class.values():
        total += np.bincount(np.concatenate(found), minlength=rows)
    ratios = np.zeros(rows)
    for found in ids_of_class.values():
        own = np.bincount(np.concatenate(found), minlength=rows)
        inside, outside = (np.log((counts + 1) / (counts + 1).sum()) for counts in (own, total - own))
        ratios = np.maximum(ratios, np.abs(inside - outside))
    return np.where(total < LEAST_TEXTS, 0, ratios).astype(np.float32)
