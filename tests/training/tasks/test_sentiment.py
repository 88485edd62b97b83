"""The sentiment classifier: that it learns, and what its probabilities are."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from service.text.vocabulary import UNK
from tests.training.tiny import SOURCE, sentiment
from training.data.dataset import collate
from training.data.sst import Phrase
from training.metrics.scores import SST2, sentiment_accuracy
from training.run.loop import load_best, make_predict, train
from training.tasks.sentiment import LABELS, Sentiment


def test_learns_twenty_sentences_by_heart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAGWERK_RUNS_DIR", str(tmp_path))
    task = sentiment()
    train(task, Console(file=io.StringIO()))
    metrics = task.evaluate(make_predict(task, load_best(task)), "dev")
    assert [metric.value for metric in metrics] == [100, 100, 100]


def test_the_probabilities_of_a_label_are_those_of_its_grades() -> None:
    task = sentiment()
    model = task.network()
    batch = collate(task.goldens())
    logits = np.asarray(model(**batch.inputs))
    grades = (np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)).mean(axis=0)
    expected = np.stack([grades[:, :2].sum(axis=-1), grades[:, 2], grades[:, 3:].sum(axis=-1)], axis=-1)
    probabilities = task.predict(model, batch.inputs)["probabilities"]
    assert probabilities.shape == (len(task.goldens()), len(LABELS))
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_a_text_is_classified_alike_whatever_it_is_batched_with() -> None:
    task = sentiment()
    model = task.network()
    examples = task.goldens()
    together = task.predict(model, collate(examples).inputs)["probabilities"]
    for example, row in zip(examples, together, strict=True):
        alone = task.predict(model, collate([example]).inputs)["probabilities"]
        np.testing.assert_allclose(alone[0], row, atol=1e-6)


def test_each_phrase_is_learnt_once_in_lower_case_with_its_most_frequent_grade() -> None:
    trees = [[Phrase(("Fine",), 3)], [Phrase(("fine",), 4)], [Phrase(("fine",), 3)]]
    task = Sentiment(sentiment().recipe, {"train": trees, "dev": trees, "test": trees}, (SOURCE,))
    (batch,) = task.train_batches(np.random.default_rng(0))
    assert batch.inputs["word_ids"].shape == (1, 1)
    assert batch.targets["class_id"].tolist() == [3]


def test_a_part_of_a_corpus_that_is_sorted_by_grade_has_all_grades() -> None:
    trees = [[Phrase((f"w{i}",), 4 if i < 50 else 0)] for i in range(100)]
    splits = {"train": trees, "dev": trees, "test": trees}
    learned = []
    for seed in (1, 2):
        task = Sentiment(replace(sentiment().recipe, limit=20, seed=seed, word_count=1), splits, (SOURCE,))
        batches = list(task.train_batches(np.random.default_rng(0)))
        learned.append(sorted(word for batch in batches for word in batch.inputs["word_ids"].ravel().tolist()))
        grades = np.concatenate([batch.targets["class_id"] for batch in batches])
        assert len(grades) == 20
        assert 5 <= (grades == 4).sum() <= 15
    assert learned[0] == learned[1]


def test_where_labels_are_balanced_a_rare_one_counts_as_much_as_all_of_a_frequent_one() -> None:
    trees = [[Phrase((word,), grade)] for word, grade in zip("abcdefgh", (0, 1, 2, 2, 2, 2, 4, 4), strict=True)]
    recipe = replace(sentiment().recipe, balanced=True)
    task = Sentiment(recipe, {"train": trees, "dev": trees, "test": trees}, (SOURCE,))

    def model(training: bool) -> np.ndarray:
        return np.zeros((1, 1, 5), np.float32)

    grades = [tree[0].grade for tree in trees]
    losses = [float(task.loss(model, {}, {"class_id": np.array([grade])}, ())[0]) for grade in grades]
    one = 8 / 3 * (np.log(5) + np.log(2))  # of a label that is seen once; the neutral one has no other side
    np.testing.assert_allclose(losses, [one / 2] * 2 + [8 / 3 * np.log(5) / 4] * 4 + [one / 2] * 2, rtol=1e-5)


def test_dropped_words_become_unknown_and_padding_stays() -> None:
    for batch in sentiment(word_dropout=1.0).train_batches(np.random.default_rng(0)):
        valid = np.arange(batch.inputs["word_ids"].shape[1]) < batch.inputs["lengths"][:, None]
        assert np.array_equal(batch.inputs["word_ids"], np.where(valid, UNK, 0))


def test_sst2_leaves_neutral_out_and_compares_negative_with_positive() -> None:
    probabilities = np.array([[0.1, 0.7, 0.2], [0.3, 0.5, 0.2], [0.6, 0.1, 0.3], [0.2, 0.6, 0.2]])
    metrics = sentiment_accuracy(probabilities, np.array([2, 0, 2, 1]), "test")
    assert {metric.name: metric.value for metric in metrics} == {
        SST2: 66.67,
        "accuracy of three labels": 25.0,
        "macro recall": 33.33,
    }


def test_calibration_makes_the_labels_of_dev_more_probable_and_changes_no_answer_of_a_member() -> None:
    task = sentiment()
    model = task.network()
    for weight in model.scores():
        weight.assign(weight * 9)
    batch = collate(task.goldens())
    before = np.asarray(model(**batch.inputs))

    def loss() -> float:
        predictions = task.predictions(make_predict(task, model), "dev")["sentiment"]
        return float(-np.log(predictions.probabilities[np.arange(len(predictions.gold)), predictions.gold]).mean())

    unsure = loss()
    task.calibrate(model, make_predict(task, model))
    after = np.asarray(model(**batch.inputs))
    assert loss() <= unsure
    np.testing.assert_allclose(after, before * (after[0, 0, 0] / before[0, 0, 0]), rtol=1e-3)
