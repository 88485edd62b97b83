"""The best label of each word, as a served step computes it from logits."""

import numpy as np
from keras import ops

from service.text.lemmatizer import LEMMA, NEXT_RULES
from training.cells import Tensor


def best_labels(head: str, logits: Tensor) -> dict[str, Tensor]:
    """Returns the best label of a head with its probability, and of lemma rules also what `next_best` returns.

    Args:
        logits: [..., K].

    Returns:
        `<head>_id`, [...] int32, and `<head>_probability`, [...].
    """
    highest = ops.max(logits, axis=-1, keepdims=True)
    odds = ops.exp(logits - highest)  # 1 of the best label
    best = first_equal(logits, highest)
    found = {f"{head}_id": best, f"{head}_probability": 1 / ops.sum(odds, axis=-1)}
    return found | next_best(logits, best) if head == LEMMA else found


def next_best(logits: Tensor, best: Tensor) -> dict[str, Tensor]:
    """Returns the lemma rules that follow the best one, as NEXT_RULES, each of shape [...] int32.

    Args:
        logits: [..., K].
        best: their argmax, [...] int32.
    """
    found = {}
    rules = ops.arange(logits.shape[-1])
    for name in NEXT_RULES:
        logits = ops.where(rules == ops.expand_dims(best, -1), -np.inf, logits)
        best = found[name] = first_equal(logits, ops.max(logits, axis=-1, keepdims=True))
    return found


def first_equal(values: Tensor, value: Tensor) -> Tensor:
    """Returns the first index of a value, int32: [..., K] and [..., 1] -> [...].

    Of the highest value that is its argmax, which XLA on a processor computes an element at a time.
    """
    count = values.shape[-1]
    return ops.min(ops.where(values == value, ops.arange(count, dtype="int32"), count), axis=-1)
