"""Examples: splits without overlap, length buckets, and batches that hold each example once, within their budget."""

from collections import Counter
from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from training.data.buckets import best_buckets
from training.data.dataset import IGNORED, Example, Examples, bucketed, collate, length_sorted, of_lengths
from training.data.splits import by_document, by_label, complete, without_overlap


def examples(lengths: list[int]) -> list[Example]:
    return [
        Example(
            f"example {i}",
            {"ids": np.full(n, i + 1, np.int32), "table": np.full((n, 3), i + 1, np.int32)},
            {"labels": np.full(n, i, np.int32), "kind": np.array(i, np.int32)},
        )
        for i, n in enumerate(lengths)
    ]


def test_collate_pads_inputs_with_pad_and_targets_with_ignored():
    batch = collate(examples([1, 3]))
    np.testing.assert_array_equal(batch.inputs["ids"], [[1, 0, 0], [2, 2, 2]])
    assert batch.inputs["table"].shape == (2, 3, 3)
    np.testing.assert_array_equal(batch.inputs["lengths"], [1, 3])
    np.testing.assert_array_equal(batch.targets["labels"], [[0, IGNORED, IGNORED], [1, 1, 1]])
    np.testing.assert_array_equal(batch.targets["kind"], [0, 1])
    assert batch.tokens == 4


def test_of_examples_that_are_all_shorter_than_a_length_the_longest_is_chosen():
    for lengths, expected in (([9, 2, 4, 1], [2, 4, 9]), ([1, 1], [1]), ([3, 4], [3, 4])):
        assert [*map(len, of_lengths(examples(lengths), (2, 3, 13, 21)))] == expected


def test_an_epoch_holds_each_example_once_within_the_budget():
    lengths = np.random.default_rng(0).integers(1, 40, 200).tolist()
    batches = bucketed(Examples.of(examples(lengths)), 100, np.random.default_rng(1))
    kinds = np.concatenate([batch.targets["kind"] for batch in batches])
    assert sorted(kinds) == list(range(200))
    assert all(batch.inputs["ids"].size <= 100 for batch in batches)
    padding = 1 - sum(lengths) / sum(batch.inputs["ids"].size for batch in batches)
    assert padding < 0.15


def test_an_example_over_the_budget_is_a_batch_of_its_own():
    assert length_sorted([7, 1, 90], 10) == [[1], [0], [2]]


def test_examples_are_made_when_they_are_asked_for():
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


def cells(counts: dict[int, int], buckets: tuple[int, ...]) -> int:
    return sum(count * min(b for b in buckets if b >= length) for length, count in counts.items())


@given(st.dictionaries(st.integers(1, 30), st.integers(1, 50), min_size=1, max_size=7), st.integers(1, 4))
def test_no_other_buckets_pad_less(counts, number):
    found = best_buckets(counts, number)
    assert list(found) == sorted(set(found))
    assert len(found) <= number
    others = [c for n in range(1, number + 1) for c in combinations(sorted(counts), n) if c[-1] == max(counts)]
    assert cells(counts, found) == min(cells(counts, other) for other in others)


TEXTS = [(f"text {i}", "rare" if i < 3 else "common") for i in range(103)]


def test_each_label_is_in_each_split_and_nothing_is_lost():
    splits = complete({"train": TEXTS}, by_label(lambda text: text[1]), seed=1)
    assert sorted(text for texts in splits.values() for text in texts) == sorted(TEXTS)
    labels = {split: Counter(label for _, label in texts) for split, texts in splits.items()}
    assert labels["test"] == {"rare": 1, "common": 10}
    assert labels["dev"] == {"rare": 1, "common": 9}
    assert labels["train"] == {"rare": 1, "common": 81}


def test_a_split_that_is_given_stays_as_it_is():
    given = {"train": TEXTS[10:], "test": TEXTS[:10]}
    splits = complete(given, by_label(lambda text: text[1]), seed=1)
    assert splits["test"] == given["test"]
    assert sorted(splits["train"] + splits["dev"]) == sorted(given["train"])


def test_documents_stay_whole_unless_there_is_only_one():
    sentences = [(i, i // 5) for i in range(200)]  # 40 documents of 5

    def document_of(sentence: tuple[int, int]) -> int:
        return sentence[1]

    hold_out = by_document(document_of)
    splits = complete({"train": sentences}, hold_out, seed=1)
    documents = [{document for _, document in split} for split in splits.values()]
    assert sum(map(len, documents)) == len(set.union(*documents)) == 40
    assert [len(splits[name]) for name in ("train", "dev", "test")] == [160, 20, 20]
    one = hold_out([(i, 0) for i in range(50)], np.random.default_rng(1))
    assert one.sum() == 5


def test_examples_of_dev_and_test_are_left_out_of_train():
    splits = {"train": ["a", "b", "c", "c"], "dev": ["b", "d", "e"], "test": ["a", "d"]}
    kept, left_out = without_overlap(splits, str)
    assert kept == {"train": ["c", "c"], "dev": ["b", "e"], "test": ["a", "d"]}
    assert left_out == {"train": 2, "dev": 1}
