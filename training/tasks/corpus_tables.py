"""Which of the five grades a label of each of several corpora stands for, and how frequent it is there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.data import sst
from training.data.dataset import Array

OWN_GRADES = np.eye(sst.GRADES, dtype=np.float32)  # row: a grade; 1 for the grades that it stands for  # [5, 5]
SIDES = np.array(  # of a corpus with three labels  # [5, 5]
    [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 0, 1, 1], [0, 0, 0, 1, 1]], np.float32
)


@dataclass(frozen=True)
class CorpusTables:
    """Tables by the number of a corpus. The last row is for texts without a label, which only a teacher has read.

    Attributes:
        weights: of a text in the loss, shape [C].
        shifts: what is added to the logits in training, shape [C, 5].
        allowed: for each grade of a label, 1 for the grades that the label stands for, shape [C, 5, 5].
    """

    weights: Array
    shifts: Array
    allowed: Array

    @property
    def unlabelled(self) -> int:
        """The number of the corpus of texts that have no label."""
        return len(self.weights) - 1


def corpus_tables(grades: Sequence[Sequence[int]], weights: Sequence[float], factor: float) -> CorpusTables:
    """Returns the tables of corpora: the first with grades of its own, the others with three labels.

    Args:
        grades: of the texts of each corpus.
        weights: of each corpus.
        factor: of the shifts.
    """
    return CorpusTables(
        weights=np.array([*weights, 0], np.float32),
        shifts=np.stack([*(factor * label_shift(each) for each in grades), np.zeros(sst.GRADES, np.float32)]),
        allowed=np.stack([OWN_GRADES, *[SIDES] * (len(grades) - 1), np.ones_like(SIDES)]),
    )


def label_shift(grades: Sequence[int]) -> Array:
    """Returns the logarithm of the share of each grade's label, over a third, float32, shape [5].

    It is 0 for a corpus with a single label, which would say nothing otherwise.
    """
    counts = np.bincount(np.sign(np.array(grades, int) - sst.NEUTRAL) + 1, minlength=3)
    if np.count_nonzero(counts) < 2:
        return np.zeros(sst.GRADES, np.float32)
    shares = (counts + 1) / (counts + 1).sum()
    shifts: Array = np.log(3 * shares)[[0, 0, 1, 2, 2]].astype(np.float32)
    return shifts
