import numpy as np
import pytest

from service.artifact import TensorSpec
from service.engine.padding import Grid, pad, unpad

SPECS = {
    "ids": TensorSpec(dtype="int32", axes=("B", "T")),
    "characters": TensorSpec(dtype="int32", axes=("B", "T", 3)),
    "lengths": TensorSpec(dtype="int32", axes=("B",)),
}


def example(length: int) -> dict[str, np.ndarray]:
    return {"ids": np.arange(1, length + 1), "characters": np.full((length, 3), length)}


def test_a_bucket_is_the_smallest_that_holds_the_sequence():
    grid = Grid((1, 4), (8, 16, 32))
    assert [grid.bucket(n) for n in (1, 8, 9, 16, 17, 32)] == [8, 8, 16, 16, 32, 32]
    with pytest.raises(ValueError, match="33 tokens"):
        grid.bucket(33)


def test_rows_are_rounded_up_to_the_grid_and_stop_at_its_largest():
    grid = Grid((1, 4, 8), (8,))
    assert [grid.rows(n) for n in (1, 2, 4, 5, 8, 9)] == [1, 4, 4, 8, 8, 8]


def test_rows_are_padded_on_the_right_and_fillers_have_length_one():
    batch = pad([example(2), example(4)], SPECS, (3, 5))
    assert batch.inputs["ids"].tolist() == [[1, 2, 0, 0, 0], [1, 2, 3, 4, 0], [0, 0, 0, 0, 0]]
    assert batch.inputs["characters"].shape == (3, 5, 3)
    assert batch.inputs["characters"][1, :, 0].tolist() == [4, 4, 4, 4, 0]
    assert batch.inputs["lengths"].tolist() == [2, 4, 1]
    assert all(values.dtype == np.int32 for values in batch.inputs.values())


def test_outputs_are_cut_to_the_rows_and_lengths_that_are_real():
    batch = pad([example(2), example(4)], SPECS, (3, 5))
    outputs = {"tags": np.arange(15).reshape(3, 5), "scores": np.arange(6).reshape(3, 2)}
    first, second = unpad(outputs, batch, frozenset({"tags"}))
    assert first["tags"].tolist() == [0, 1]
    assert second["tags"].tolist() == [5, 6, 7, 8]
    assert second["scores"].tolist() == [2, 3]


def test_expected_padding_is_that_of_the_rows_of_a_corpus():
    grid = Grid((1, 4), (4, 10))
    assert grid.expected_padding({4: 5, 10: 2}) == 0
    assert grid.expected_padding({2: 1}) == 0.5
    assert grid.expected_padding({2: 2, 5: 1}) == 1 - 9 / 18
    assert grid.expected_padding({25: 1, 5: 1}) == 1 - 15 / 20, "a longer one runs in windows"
    assert grid.expected_padding({}) == 0


def test_a_coarse_grid_holds_whatever_all_of_it_holds():
    assert Grid((1, 4, 16), (4, 8, 12, 16, 20, 24)).coarse == Grid((16,), (8, 24))
    assert Grid((1, 4), (4, 8, 12)).coarse == Grid((4,), (12,))
    assert Grid((1,), (4,)).coarse == Grid((1,), (4,))
