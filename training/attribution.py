"""What each word of a text adds to the log-odds of a label: signed, and summing to them without a remainder."""

from typing import NamedTuple

from keras import ops

from training.cells import Tensor

NEVER = -1e9  # the logarithm of a probability of nothing
SMALL = 0.1  # below it a series is closer than the closed form


class Judgement(NamedTuple):
    """What a text is judged to be, and why.

    Attributes:
        probabilities: of each label  # [B, K].
        contributions: of each word to the log-odds of each label  # [B, T, K].
        baseline: the log-odds without any word  # [B, K].
    """

    probabilities: Tensor
    contributions: Tensor
    baseline: Tensor


def judge(shares: Tensor, biases: Tensor, labels: Tensor) -> Judgement:
    """Judges texts by members whose logits are sums over the words, and attributes the log-odds to the words.

    A label's probability is the mean over the members of the probabilities of its classes. Its log-odds are
    ln p_k - ln (1 - p_k), each a logarithm of a sum of exponentials of the logits; what moves such a logarithm from the
    biases to the logits is divided among the logits by logarithmic means, which leaves no remainder (Ang 2005, "The
    LMDI approach to decomposition analysis"), and then among the words in proportion to their shares of each logit.

    Args:
        shares: what each word adds to the logits of each member, 0 at padding  # [M, B, T, G].
        biases: what is in the logits without any word  # [M, G].
        labels: 1 where a class belongs to a label, 0 elsewhere  # [G, K].
    """
    shares, biases = _centred(shares), ops.expand_dims(_centred(biases), 1)  # [M, 1, G]
    logits = biases + ops.sum(shares, axis=2)  # [M, B, G]
    after, before = ops.log_softmax(logits), ops.log_softmax(biases)
    inside = ops.cast(labels, "bool")
    outside = ops.logical_not(inside)

    gains = _slopes(after, before, inside) - _slopes(after, before, outside)  # [M, B, G, K], by ln softmax
    totals = _log_mean(ops.logsumexp(logits, axis=-1), ops.logsumexp(biases, axis=-1))  # [M, B]
    falls = ops.exp(_log_mean(logits, biases) - ops.expand_dims(totals, -1))  # [M, B, G]
    slopes = gains - ops.expand_dims(falls, -1) * ops.sum(gains, axis=2, keepdims=True)  # by the logits
    return Judgement(
        probabilities=ops.matmul(ops.mean(ops.softmax(logits), axis=0), ops.cast(labels, "float32")),
        contributions=ops.einsum("mbtg,mbgk->btk", shares, slopes),
        baseline=ops.zeros_like(logits[0, :, :1]) + _log_sum(before, inside) - _log_sum(before, outside),
    )


def _centred(logits: Tensor) -> Tensor:
    """Takes from all classes what they have in common, which changes no probability."""
    return logits - ops.mean(logits, axis=-1, keepdims=True)


def _log_sum(logarithms: Tensor, chosen: Tensor) -> Tensor:
    """Returns the logarithm of the sum over all members and the chosen classes: [M, B, G], [G, K] -> [B, K]."""
    return ops.logsumexp(ops.where(chosen, ops.expand_dims(logarithms, -1), NEVER), axis=(0, 2))


def _slopes(after: Tensor, before: Tensor, chosen: Tensor) -> Tensor:
    """Returns by how much `_log_sum` moves for each of its terms, on the way from before to after  # [M, B, G, K]."""
    total = _log_mean(_log_sum(after, chosen), _log_sum(before, chosen))  # [B, K]
    slopes = ops.exp(ops.expand_dims(_log_mean(after, before), -1) - ops.expand_dims(total, 1))
    return ops.where(chosen, slopes, 0.0)


def _log_mean(x: Tensor, y: Tensor) -> Tensor:
    """Returns the logarithm of the logarithmic mean of e^x and e^y: of (e^x - e^y) / (x - y)."""
    half = ops.abs(x - y) / 2
    large = ops.maximum(half, SMALL)
    grown = large + ops.log1p(-ops.exp(-2 * large)) - ops.log(2 * large)  # ln (sinh h / h)
    return (x + y) / 2 + ops.where(half < SMALL, half**2 / 6 - half**4 / 180, grown)
