"""Log-count ratios of words, and their use in a classifier."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.tiny import CLASSIFIER, sentiment
from training.data.dataset import collate
from training.data.labelled_texts import NEGATIVE, POSITIVE
from training.data.sst import Phrase
from training.models.naive_bayes import log_count_ratios
from training.models.sentiment import RATIO_SCALE, SCALE, pair_ids

GOOD, BAD, THE, ONCE, NEVER = range(5)


def test_log_count_ratios_are_large_for_words_of_one_side_and_zero_for_words_of_both():
    texts = [([GOOD, THE, THE], True), ([GOOD, THE, ONCE], True), ([BAD, THE], False), ([BAD, THE], False)]
    found = log_count_ratios([(np.array(ids), first) for ids, first in texts], 5)
    # Of texts, not of words, and one more each: 3 1 3 2 1 of 10, against 1 3 3 1 1 of 9.
    expected = np.log([(3 / 10) / (1 / 9), (3 / 9) / (1 / 10), (3 / 9) / (3 / 10), 1, 1])
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_a_weighed_classifier_scores_words_by_their_log_count_ratios():
    said = {"the good one": POSITIVE, "the good end": POSITIVE, "the bad one": NEGATIVE, "the bad end": NEGATIVE}
    trees = [[Phrase(tuple(text.split()), grade)] for text, grade in said.items()]
    task = sentiment(trees, sizes=replace(CLASSIFIER.sizes, weighed=True))
    words, model = task.vocabularies["words"], task.network()
    of_words, of_pairs = (np.asarray(weights)[:, 0] for weights in model.word_pairs.ratios)
    assert of_words[words.ids(["the", "one", "end"])].tolist() == [0, 0, 0]
    assert of_words[words.id("good")] == of_words[words.id("bad")] == pytest.approx(np.log(3))
    the_good, good_one = np.asarray(pair_ids(np.array([words.ids(["the", "good", "one"])]), len(of_pairs)))[0, 1:]
    assert of_pairs[[the_good, good_one]].tolist() == [pytest.approx(np.log(3)), 0]  # "good one" is said once

    model.word_pairs.words.assign(np.ones(model.word_pairs.words.shape))
    logits = np.asarray(model(**collate(task.examples("dev")).inputs))[1]
    np.testing.assert_allclose(logits, RATIO_SCALE * SCALE / np.sqrt(3) * np.log(3), rtol=1e-5)  # of one word in three
