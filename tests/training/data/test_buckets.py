from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from training.data.buckets import best_buckets


def cells(counts: dict[int, int], buckets: tuple[int, ...]) -> int:
    return sum(count * min(b for b in buckets if b >= length) for length, count in counts.items())


@given(st.dictionaries(st.integers(1, 30), st.integers(1, 50), min_size=1, max_size=7), st.integers(1, 4))
def test_no_other_buckets_pad_less(counts: dict[int, int], number: int) -> None:
    found = best_buckets(counts, number)
    assert list(found) == sorted(set(found))
    assert len(found) <= number
    others = [c for n in range(1, number + 1) for c in combinations(sorted(counts), n) if c[-1] == max(counts)]
    assert cells(counts, found) == min(cells(counts, other) for other in others)
