"""Length buckets with the least padding for a corpus."""

from collections.abc import Mapping


def best_buckets(counts: Mapping[int, int], number: int) -> tuple[int, ...]:
    """Returns up to `number` lengths, among them the longest, that sequences are padded to with the least padding.

    Exact, by dynamic programming over the lengths that occur: the best buckets for all sequences up to a length are
    that length and the best ones, one fewer, for those up to some shorter length.

    Args:
        counts: length -> how many sequences have it.
    """
    lengths = sorted(counts)
    sequences = [0]  # how many are no longer than each length, after none at all
    for length in lengths:
        sequences.append(sequences[-1] + counts[length])
    # best[i]: cells and buckets of the sequences up to lengths[i - 1]
    best = [(0, ()), *((length * some, (length,)) for length, some in zip(lengths, sequences[1:], strict=True))]
    for _ in range(number - 1):
        best = [best[0], *(min(_with(best, lengths, sequences, i)) for i in range(1, len(best)))]
    return best[-1][1]


def _with(
    best: list[tuple[int, tuple[int, ...]]], lengths: list[int], sequences: list[int], i: int
) -> list[tuple[int, tuple[int, ...]]]:
    """Returns cells and buckets with lengths[i - 1] as the last bucket, for each choice of the one before it."""
    last = lengths[i - 1]
    return [(best[j][0] + last * (sequences[i] - sequences[j]), (*best[j][1], last)) for j in range(i)]
