"""Classification of a text with the contribution of each word to the log-odds; contributions sum to them exactly."""

from typing import NamedTuple

from keras import ops

from training.cells import MASKED_LOGIT, Tensor
from training.cells.served_loops import narrow_product

SMALL = 0.1  # below it a series is more exact than the closed form


class Attribution(NamedTuple):
    """The labels of a text, and the contributions of its words.

    Attributes:
        probabilities: of each label, shape [B, K].
        contributions: of each word to the log-odds of each label, shape [B, T, K].
        baseline: the log-odds without any word, shape [B, K].
    """

    probabilities: Tensor
    contributions: Tensor
    baseline: Tensor


def classify(shares: Tensor, biases: Tensor, labels: Tensor) -> Attribution:
    """Classifies texts by members whose logits are sums over the words, and attributes the log-odds to the words.

    A label's probability is the mean over the members of the probabilities of its classes. Its log-odds are
    ln p_k - ln (1 - p_k), each a logarithm of a sum of exponentials of the logits; what moves such a logarithm from the
    biases to the logits is divided among the logits by logarithmic means, which leaves no remainder (Ang 2005, "The
    LMDI approach to decomposition analysis"), and then among the words in proportion to their shares of each logit.

    Args:
        shares: the addend of each word to the logits of each member, 0 at padding, shape [M, B, T, G].
        biases: the logits without any word, shape [M, G].
        labels: 1 where a class belongs to a label, 0 elsewhere, shape [G, K].
    """
    shares, biases = _centred(shares), ops.expand_dims(_centred(biases), 1)  # [M, 1, G]
    logits = biases + ops.sum(shares, axis=2)  # [M, B, G]
    after, before = ops.log_softmax(logits), ops.log_softmax(biases)
    inside = ops.cast(labels, "bool")
    chosen = ops.stack([inside, ops.logical_not(inside)])  # [2, G, K]

    after_sums, before_sums = _log_sums(after, chosen), _log_sums(before, chosen)  # [2, B, K]
    moved = ops.expand_dims(_log_mean(after_sums, before_sums), (1, 3))  # [2, 1, B, 1, K]
    by_terms = ops.exp(ops.expand_dims(_log_mean(after, before), -1) - moved)  # [2, M, B, G, K]
    inward, outward = ops.unstack(ops.where(ops.expand_dims(chosen, (1, 2)), by_terms, 0.0))
    gains = inward - outward  # [M, B, G, K], by ln softmax
    totals = _log_mean(ops.logsumexp(logits, axis=-1), ops.logsumexp(biases, axis=-1))  # [M, B]
    falls = ops.exp(_log_mean(logits, biases) - ops.expand_dims(totals, -1))  # [M, B, G]
    slopes = gains - ops.expand_dims(falls, -1) * ops.sum(gains, axis=2, keepdims=True)  # by the logits
    return Attribution(
        probabilities=probabilities(logits, labels),
        contributions=ops.einsum("mbtg,mbgk->btk", shares, slopes),
        baseline=ops.zeros_like(logits[0, :, :1]) + before_sums[0] - before_sums[1],
    )


def probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """Returns the probability of each label, see `classify`: [M, B, G], [G, K] -> [B, K]."""
    return narrow_product(ops.mean(ops.softmax(logits), axis=0), ops.cast(labels, "float32"))


def _centred(logits: Tensor) -> Tensor:
    """Subtracts the mean over the classes, which changes no probability."""
    return logits - ops.mean(logits, axis=-1, keepdims=True)


def _log_sums(logarithms: Tensor, chosen: Tensor) -> Tensor:
    """Returns the logarithms of sums over all members and the chosen classes: [M, B, G], [2, G, K] -> [2, B, K]."""
    terms = ops.where(ops.expand_dims(chosen, (1, 2)), ops.expand_dims(logarithms, -1), MASKED_LOGIT)  # [2, M, B, G, K]
    return ops.logsumexp(terms, axis=(1, 3))


def _log_mean(x: Tensor, y: Tensor) -> Tensor:
    """Returns the logarithm of the logarithmic mean of e^x and e^y: of (e^x - e^y) / (x - y)."""
    half = ops.maximum(x - y, y - x) / 2
    large = ops.maximum(half, SMALL)
    grown = large + ops.log((1 - ops.exp(-2 * large)) / (2 * large))  # ln (sinh h / h)
    return (x + y) / 2 + ops.where(half < SMALL, half**2 / 6 - half**4 / 180, grown)
