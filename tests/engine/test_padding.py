from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.artifact.manifest import TensorSpec
from service.engine.loader import full_rows
from service.engine.scheduler import Grid
from service.types import Ragged, pad


def example(length: int) -> dict[str, np.ndarray]:
    return {"ids": np.arange(1, length + 1, dtype=np.int32), "characters": np.full((length, 3), length, np.int32)}


def test_lengths_are_rounded_up_to_a_bucket_and_rows_to_a_batch_size_of_which_the_last_may_be_too_small():
    grid = Grid((1, 4, 8), (8, 16, 32))
    assert [grid.bucket(n) for n in (1, 8, 9, 16, 17, 32)] == [8, 8, 16, 16, 32, 32]
    with pytest.raises(ValueError, match="33 tokens"):
        grid.bucket(33)
    assert [grid.rows(n) for n in (1, 2, 4, 5, 8, 9)] == [1, 4, 4, 8, 8, 8]


def test_rows_are_padded_on_the_right_and_fillers_have_length_one():
    batch = pad(Ragged.of([example(2), example(4)]), (3, 5))
    assert batch["ids"].tolist() == [[1, 2, 0, 0, 0], [1, 2, 3, 4, 0], [0, 0, 0, 0, 0]]
    assert batch["characters"].shape == (3, 5, 3)
    assert batch["characters"][1, :, 0].tolist() == [4, 4, 4, 4, 0]
    assert batch["lengths"].tolist() == [2, 4, 1]
    assert all(values.dtype == np.int32 for values in batch.values())


def test_full_rows_have_no_padding():
    axes = {"ids": ("B", "T"), "characters": ("B", "T", 3), "lengths": ("B",)}
    inputs = full_rows({name: TensorSpec(dtype="int32", axes=those) for name, those in axes.items()}, (2, 5))
    assert inputs["lengths"].tolist() == [5, 5]
    assert (inputs["ids"].shape, inputs["characters"].shape) == ((2, 5), (2, 5, 3))


@given(st.lists(st.integers(1, 6), min_size=1), st.data())
def test_what_is_split_and_joined_is_the_whole(lengths, data):
    cuts = sorted(data.draw(st.sets(st.integers(1, len(lengths)), max_size=5)) | {len(lengths)})
    counts = [end - start for start, end in pairwise([0, *cuts])]
    whole = Ragged.of([example(length) for length in lengths])
    parts = list(whole.split(counts))
    assert [len(part) for part in parts] == counts
    assert sum(part.tokens for part in parts) == whole.tokens == sum(lengths)
    for name, values in whole.values.items():
        np.testing.assert_array_equal(np.concatenate([part.values[name] for part in parts]), values)
