"""The sentiment classifier: that it learns, and what its probabilities are."""

from dataclasses import replace

import numpy as np
import pytest

from tests.training.tiny import SOURCE, sentences, sentiment, trained
from training.data.dataset import collate
from training.data.sst import Phrase
from training.run.loop import make_predict
from training.tasks.sentiment import LABELS, Sentiment


def test_learns_twenty_sentences_by_heart(tmp_path):
    task = sentiment()
    metrics = task.evaluate(make_predict(task, trained(task, tmp_path)), "dev")
    assert [metric.value for metric in metrics] == [100, 100, 100]


def test_the_probabilities_of_a_label_are_those_of_its_grades():
    task = sentiment()
    model = task.network()
    batch = collate(task.goldens())
    logits = np.asarray(model(**batch.inputs))
    grades = (np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)).mean(axis=0)
    expected = np.stack([grades[:, :2].sum(axis=-1), grades[:, 2], grades[:, 3:].sum(axis=-1)], axis=-1)
    probabilities = task.predict(model, batch.inputs)["probabilities"]
    assert probabilities.shape == (len(task.goldens()), len(LABELS))
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def test_each_phrase_is_learnt_once_in_lower_case_with_its_most_frequent_grade():
    trees = [[Phrase(("Fine",), 3)], [Phrase(("fine",), 4)], [Phrase(("fine",), 3)]]
    task = Sentiment(sentiment().recipe, {"train": trees, "dev": trees, "test": trees}, (SOURCE,))
    (batch,) = task.train_batches(np.random.default_rng(0))
    assert batch.inputs["word_ids"].shape == (1, 1)
    assert batch.targets["class_id"].tolist() == [3]


def test_a_limit_takes_a_random_sample_with_all_grades():
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


def test_balanced_labels_have_equal_weight_in_the_loss():
    trees = [[Phrase((word,), grade)] for word, grade in zip("abcdefgh", (0, 1, 2, 2, 2, 2, 4, 4), strict=True)]
    recipe = replace(sentiment().recipe, balanced=True)
    task = Sentiment(recipe, {"train": trees, "dev": trees, "test": trees}, (SOURCE,))

    def model(training: bool) -> np.ndarray:
        return np.zeros((1, 1, 5), np.float32)

    grades = [tree[0].grade for tree in trees]
    losses = [
        float(task.loss(model, {}, {"class_id": np.array([grade]), "corpus": np.zeros(1, np.int32)}, ())[0])
        for grade in grades
    ]
    one = 8 / 3 * (np.log(5) + np.log(2))  # of a label that is seen once; the neutral one has no other side
    np.testing.assert_allclose(losses, [one / 2] * 2 + [8 / 3 * np.log(5) / 4] * 4 + [one / 2] * 2, rtol=1e-5)


def test_calibration_makes_the_labels_of_dev_more_probable_and_changes_no_answer_of_a_member():
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


def several() -> Sentiment:
    """Returns a classifier of twenty sentences, and of others that only say which side they are of."""
    trees = sentences()
    sides = [[Phrase((word,), grade)] for word, grade in (("dear", 1), ("cheap", 3), ("red", 2), ("blue", 2))]
    pros = [[Phrase(("light",), 3)], [Phrase(("heavy",), 1)]]
    further = {
        "products": {"train": sides, "dev": [[Phrase(("cheap", "red"), 3)]], "test": []},
        "pros": {"train": pros, "dev": [], "test": []},
    }
    recipe = replace(sentiment().recipe, further={"products": 2.0, "pros": 1.0}, shift=1.0)
    return Sentiment(recipe, dict.fromkeys(("train", "dev", "test"), trees), (SOURCE,), further=further)


def loss(task: Sentiment, logits: list[float], grade: int, corpus: int) -> float:
    def model(training: bool) -> np.ndarray:
        return np.array(logits, np.float32)[None, None]

    targets = {"class_id": np.array([grade], np.int32), "corpus": np.array([corpus], np.int32)}
    return float(task.loss(model, {}, targets, ())[0])


def test_a_label_of_three_allows_all_grades_of_its_side():
    task = several()
    shares = np.log([[0.05, 0.15, 0.1, 0.3, 0.4], [0.15, 0.05, 0.1, 0.4, 0.3]])
    first, second = (loss(task, row.tolist(), 3, 1) for row in shares)
    assert first == pytest.approx(second)
    shifted = np.exp(shares[0]) * np.exp(task.tables.shifts[1])
    positive, negative = shifted[3:].sum(), shifted[:2].sum()
    expected = -np.log(positive / shifted.sum()) - np.log(positive / (positive + negative))
    assert first == pytest.approx(2 * expected, rel=1e-5)


def test_all_corpora_are_measured_and_choose_the_epoch():
    task = several()
    metrics = {m.name: m.value for m in task.evaluate(make_predict(task, task.network()), "dev")}
    assert set(metrics) >= {"macro F1, tiny", "macro F1, products", task.chosen_by}
    assert "macro F1, pros" not in metrics
    both = [metrics["macro F1, tiny"], metrics["macro F1, products"]]
    assert metrics[task.chosen_by] == pytest.approx(np.mean(both), abs=0.01)


def test_a_long_text_is_cut_in_train_and_measured_whole():
    trees = [[Phrase(tuple("abcdef"), 3)]]
    further = {"products": {"train": trees, "dev": [[Phrase(tuple("ghijkl"), 1)]], "test": []}}
    recipe = replace(sentiment().recipe, longest=3)
    task = Sentiment(recipe, dict.fromkeys(("train", "dev", "test"), sentences()), (SOURCE,), further=further)
    assert task.examples("train")[-1].source == ("a", "e", "f")
    assert [example.source for example in task.measured("dev")["products"]] == [tuple("ghijkl")]


def test_texts_of_dev_are_left_out_of_train():
    trees = [[Phrase(("red",), 2)], [Phrase(("Cheap",), 3)]]
    further = {"products": {"train": trees, "dev": [[Phrase(("cheap",), 3)]], "test": []}}
    task = Sentiment(
        sentiment().recipe, dict.fromkeys(("train", "dev", "test"), sentences()), (SOURCE,), further=further
    )
    assert [e.source for e in task.examples("train") if e.targets["corpus"] == 1] == [("red",)]
