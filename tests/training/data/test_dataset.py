"""Batches hold each example once, padded right, within their budget."""

import numpy as np

from training.data.dataset import IGNORED, Example, Examples, bucketed, collate, length_sorted


def examples(lengths: list[int]) -> list[Example]:
    return [
        Example(
            f"example {i}",
            {"ids": np.full(n, i + 1, np.int32), "table": np.full((n, 3), i + 1, np.int32)},
            {"labels": np.full(n, i, np.int32), "kind": np.array(i, np.int32)},
        )
        for i, n in enumerate(lengths)
    ]


def test_collate_pads_inputs_with_pad_and_targets_with_ignored() -> None:
    batch = collate(examples([1, 3]))
    np.testing.assert_array_equal(batch.inputs["ids"], [[1, 0, 0], [2, 2, 2]])
    assert batch.inputs["table"].shape == (2, 3, 3)
    np.testing.assert_array_equal(batch.inputs["lengths"], [1, 3])
    np.testing.assert_array_equal(batch.targets["labels"], [[0, IGNORED, IGNORED], [1, 1, 1]])
    np.testing.assert_array_equal(batch.targets["kind"], [0, 1])
    assert batch.tokens == 4


def test_an_epoch_holds_each_example_once_within_the_budget() -> None:
    lengths = np.random.default_rng(0).integers(1, 40, 200).tolist()
    batches = bucketed(Examples.of(examples(lengths)), 100, np.random.default_rng(1))
    kinds = np.concatenate([batch.targets["kind"] for batch in batches])
    assert sorted(kinds) == list(range(200))
    assert all(batch.inputs["ids"].size <= 100 for batch in batches)
    padding = 1 - sum(lengths) / sum(batch.inputs["ids"].size for batch in batches)
    assert padding < 0.15


def test_the_order_of_an_epoch_is_its_seeds() -> None:
    made = Examples.of(examples(list(range(1, 40))))
    one, same, other = (
        [batch.targets["kind"].tolist() for batch in bucketed(made, 60, np.random.default_rng(seed))]
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other


def test_an_example_over_the_budget_is_a_batch_of_its_own() -> None:
    assert length_sorted([7, 1, 90], 10) == [[1], [0], [2]]


def test_examples_are_made_when_they_are_asked_for() -> None:
    made = []

    def make(i: int) -> Example:
        made.append(i)
        return examples([1, 2, 3, 4])[i]

    lazy = Examples(np.array([1, 2, 3, 4]), make)
    together = Examples.of(examples([5])) + lazy
    assert (len(together), together.lengths.tolist(), made) == (5, [5, 1, 2, 3, 4], [])
    assert len(together[3]) == 3
    chosen = lazy.sample(6, np.random.default_rng(0))
    assert chosen.lengths.sum() <= 6
    batches = bucketed(chosen, 3, np.random.default_rng(0))
    assert made == [2]
    assert sum(len(batch.inputs["lengths"]) for batch in batches) == len(chosen) == len(made) - 1
    assert len(lazy.sample(100, np.random.default_rng(0))) == 4
