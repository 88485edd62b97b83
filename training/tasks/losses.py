"""Losses of several tasks."""

from keras import ops

from training.cells import Tensor
from training.data import sst

IMPOSSIBLE = -1e9  # a logit


def label_cross_entropy(targets: Tensor, shares: Tensor | None, logits: Tensor, smoothing: float = 0.0) -> Tensor:
    """Returns the mean over the targets that are labels, not IGNORED or unseen, which are negative.

    Args:
        targets: the label, shape [B, T], or the most probable labels by a teacher, shape [B, T, N].
        shares: the teacher's probabilities of these, shape [B, T, N].
        logits: shape [B, T, K].
        smoothing: the share of the probability of a label that goes to all labels alike (Szegedy et al. 2016).
    """
    if shares is None:
        valid = ops.cast(targets >= 0, "float32")
        losses = ops.sparse_categorical_crossentropy(ops.maximum(targets, 0), logits, from_logits=True)
        if smoothing:
            losses = (1 - smoothing) * losses - smoothing * ops.mean(ops.log_softmax(logits), axis=-1)
    else:
        valid = ops.cast(targets[..., 0] >= 0, "float32")
        scores = ops.take_along_axis(logits, ops.maximum(targets, 0), axis=-1)
        surprise = ops.logsumexp(logits, axis=-1, keepdims=True) - scores
        losses = ops.sum(ops.maximum(shares, 0.0) * surprise, axis=-1)  # the shares sum to less than 1
    return ops.sum(losses * valid) / ops.maximum(ops.sum(valid), 1.0)  # of a batch without labels, 0


def grade_cross_entropy(allowed: Tensor, logits: Tensor) -> Tensor:
    """Returns the cross-entropy of one of the allowed grades, shape [M, B]; 0 where all are allowed.

    Args:
        allowed: 1 for the grades that a label stands for, else 0, shape [M, B, 5].
        logits: shape [M, B, 5].
    """
    chosen = ops.where(allowed > 0, logits, IMPOSSIBLE)
    return ops.logsumexp(logits, axis=-1) - ops.logsumexp(chosen, axis=-1)


def polarity_cross_entropy(grades: Tensor, logits: Tensor) -> Tensor:
    """Returns the cross-entropy of positive against negative, 0 for neutral texts, shape [M, B]."""
    positive, negative = logits[..., sst.NEUTRAL + 1 :], logits[..., : sst.NEUTRAL]
    odds = ops.logsumexp(positive, axis=-1) - ops.logsumexp(negative, axis=-1)
    sign = ops.cast(ops.sign(grades - sst.NEUTRAL), "float32")
    return ops.abs(sign) * ops.softplus(-sign * odds)
