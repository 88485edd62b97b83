"""The field's metrics."""

from collections.abc import Mapping, Sequence

import numpy as np

from service.artifact import Metric
from training.dataset import Array

ALL_TAGS = "AllTags"


def tagging_accuracy(right: Mapping[str, Array], known: Array, split: str) -> tuple[Metric, ...]:
    """Returns the accuracy of each column, and of all columns at once, as the CoNLL 2018 shared task names them.

    Args:
        right: for each column, whether the tag of each word is right  # [N] bool.
        known: whether the word's form occurs in the train split  # [N] bool.
    """
    columns = dict(right) | {ALL_TAGS: np.logical_and.reduce(list(right.values()))}
    parts: Sequence[tuple[str, Array]] = [
        ("", np.ones_like(known)),
        (", known words", known),
        (", unknown words", ~known),
    ]
    return tuple(
        Metric(name=name + suffix, value=percent(column[part]), unit="%", split=split)
        for suffix, part in parts
        for name, column in columns.items()
    )


def percent(right: Array) -> float:
    """Returns the share that is right, in percent, 0 of none."""
    return round(100 * float(right.mean()), 2) if right.size else 0.0
