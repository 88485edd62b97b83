from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from service.tasks.sentiment import Sentiment
from service.text.vocabulary import UNK, Vocabulary
from tests.fakes import version_of

WORDS = [str(number) for number in range(40)]


def classifier(longest: int = 4, labels: Sequence[str] = ("bad", "good", "mixed")) -> Sentiment:
    version = version_of("moods", "classify", labels={"sentiment": labels})
    return Sentiment(replace(version, vocabularies={"words": Vocabulary(WORDS)}), longest)


@given(st.lists(st.integers(0, 100), max_size=6), st.integers(1, 9))
def test_windows_hold_each_word_once_in_order_and_are_about_as_long_as_each_other(lengths, longest):
    task = classifier(longest)
    ids: list[int] = []
    for length in lengths:
        before = len(ids)
        windows = task.encode([WORDS[place % 40] for place in range(length)], ids)
        assert sum(windows) == len(ids) - before == max(length, 1)
        assert len(windows) == max(-(-length // longest), 1)
        assert max(windows) <= longest
        assert max(windows) - min(windows) <= 1
        words = [task._words.string(id) for id in ids[before:]]
        assert words == [WORDS[place % 40] for place in range(length)] or ids[before:] == [UNK]


def test_the_windows_of_a_text_count_by_their_lengths():
    task = classifier()
    probabilities = np.array([[1, 0, 0], [0, 1, 0]], np.float32)
    found = task.decode(probabilities, [1, 3])
    assert (found.label, found.scores) == ("good", {"bad": 0.25, "good": 0.75, "mixed": 0.0})
    assert task.decode(probabilities[:1], [4]).label == "bad"


def test_the_score_is_the_positive_less_the_negative_probability_as_they_are_rounded():
    probabilities = np.array([[0.1, 0.2, 0.7]], np.float32)
    found = classifier(labels=("positive", "other", "negative")).decode(probabilities, [1])
    assert found.score == round(found.scores["positive"] - found.scores["negative"], 6) == -0.6
    assert classifier().decode(probabilities, [1]).score is None


def test_of_equal_probabilities_the_first_label_counts():
    assert classifier().decode(np.array([[0.2, 0.4, 0.4]], np.float32), [2]).label == "good"
    third = classifier().decode(np.full((1, 3), 1 / 3, np.float32), [2])
    assert (third.label, third.scores["bad"]) == ("bad", 0.333333)
