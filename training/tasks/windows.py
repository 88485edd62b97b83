"""Classifies long texts as the service does: in windows, whose probabilities are averaged by their lengths."""

from collections.abc import Sequence

import numpy as np

from training.data.dataset import Array, Example
from training.tasks.base import Predict, predict_all


def label_probabilities(predict: Predict, examples: Sequence[Example], longest: int) -> Array:
    """Returns the probabilities of the labels of each text, shape [N, K].

    Args:
        longest: words of a window; a longer text is cut into the fewest windows, of about equal length.
    """
    windows: list[Example] = []
    texts: list[int] = []
    for i, example in enumerate(examples):
        ids = example.inputs["word_ids"]
        for window in np.array_split(ids, -(-len(ids) // longest)):
            windows.append(Example("", {"word_ids": window}))
            texts.append(i)
    rows = dict(predict_all(predict, windows))
    found = np.stack([rows[i]["probabilities"] for i in range(len(windows))])  # [windows, K]
    weights = np.array([len(window) for window in windows], np.float64)
    sums = np.zeros((len(examples), found.shape[1]))
    np.add.at(sums, texts, weights[:, None] * found)
    return sums / np.bincount(texts, weights)[:, None]
