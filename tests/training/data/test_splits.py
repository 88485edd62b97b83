"""Dividing examples: shares, labels, documents, and what is in two splits."""

from collections import Counter

import numpy as np

from training.data.splits import by_document, by_label, complete, without_overlap

TEXTS = [(f"text {i}", "rare" if i < 3 else "common") for i in range(103)]


def test_each_label_is_in_each_split_and_nothing_is_lost() -> None:
    splits = complete({"train": TEXTS}, by_label(lambda text: text[1]), seed=1)
    assert sorted(text for texts in splits.values() for text in texts) == sorted(TEXTS)
    labels = {split: Counter(label for _, label in texts) for split, texts in splits.items()}
    assert labels["test"] == {"rare": 1, "common": 10}
    assert labels["dev"] == {"rare": 1, "common": 9}
    assert labels["train"] == {"rare": 1, "common": 81}


def test_a_seed_repeats_a_split_and_another_makes_another() -> None:
    one, again, other = (complete({"train": TEXTS}, by_label(lambda text: text[1]), seed) for seed in (1, 1, 2))
    assert one == again != other


def test_a_split_that_is_given_stays_as_it_is() -> None:
    given = {"train": TEXTS[10:], "test": TEXTS[:10]}
    splits = complete(given, by_label(lambda text: text[1]), seed=1)
    assert splits["test"] == given["test"]
    assert sorted(splits["train"] + splits["dev"]) == sorted(given["train"])


def test_documents_are_not_divided_unless_they_are_few() -> None:
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


def test_what_is_in_two_splits_is_left_out_of_the_one_that_is_learned_from() -> None:
    splits = {"train": ["a", "b", "c", "c"], "dev": ["b", "d", "e"], "test": ["a", "d"]}
    kept, left_out = without_overlap(splits, str)
    assert kept == {"train": ["c", "c"], "dev": ["b", "e"], "test": ["a", "d"]}
    assert left_out == {"train": 2, "dev": 1}
