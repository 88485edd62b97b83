"""The sentiment classifier: that it learns, and what its probabilities are."""

import numpy as np
import pytest

from tests.training.tiny import sentiment, trained
from training.data.dataset import collate
from training.data.sst import Phrase
from training.run.loop import make_predict
from training.tasks.sentiment import LABELS, Sentiment


def words(*grades: tuple[str, int]) -> list[list[Phrase]]:
    """Returns texts of one word with their grades."""
    return [[Phrase((word,), grade)] for word, grade in grades]


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
    task = sentiment(words(("Fine", 3), ("fine", 4), ("fine", 3)))
    (batch,) = task.train_batches(np.random.default_rng(0))
    assert batch.inputs["word_ids"].shape == (1, 1)
    assert batch.targets["class_id"].tolist() == [3]


def test_a_limit_takes_a_random_sample_with_all_grades():
    trees = words(*((f"w{i}", 4 if i < 50 else 0) for i in range(100)))
    learned = []
    for seed in (1, 2):
        batches = list(sentiment(trees, limit=20, seed=seed, word_count=1).train_batches(np.random.default_rng(0)))
        learned.append(sorted(word for batch in batches for word in batch.inputs["word_ids"].ravel().tolist()))
        grades = np.concatenate([batch.targets["class_id"] for batch in batches])
        assert len(grades) == 20
        assert 5 <= (grades == 4).sum() <= 15
    assert learned[0] == learned[1]


def loss(task: Sentiment, logits: list[float], grade: int, corpus: int = 0) -> float:
    def model(training: bool) -> np.ndarray:
        return np.array(logits, np.float32)[None, None]

    targets = {"class_id": np.array([grade], np.int32), "corpus": np.array([corpus], np.int32)}
    return float(task.loss(model, {}, targets, ())[0])


def test_balanced_labels_have_equal_weight_in_the_loss():
    grades = (0, 1, 2, 2, 2, 2, 4, 4)
    task = sentiment(words(*zip("abcdefgh", grades, strict=True)), balanced=True)
    losses = [loss(task, [0.0] * 5, grade) for grade in grades]
    one = 8 / 3 * (np.log(5) + np.log(2))  # of a label that is seen once; the neutral one has no other side
    np.testing.assert_allclose(losses, [one / 2] * 2 + [8 / 3 * np.log(5) / 4] * 4 + [one / 2] * 2, rtol=1e-5)


def test_calibration_makes_the_labels_of_dev_more_probable_and_changes_no_answer_of_a_member():
    task = sentiment()
    model = task.network()
    for weight in model.scores():
        weight.assign(weight * 9)
    batch = collate(task.goldens())
    before = np.asarray(model(**batch.inputs))
    unsure = task.predictions(make_predict(task, model), "dev")["sentiment"].cross_entropy
    task.calibrate(model, make_predict(task, model))
    after = np.asarray(model(**batch.inputs))
    assert task.predictions(make_predict(task, model), "dev")["sentiment"].cross_entropy <= unsure
    np.testing.assert_allclose(after, before * (after[0, 0, 0] / before[0, 0, 0]), rtol=1e-3)


def several() -> Sentiment:
    """Returns a classifier of twenty sentences, and of others that only say which side they are of."""
    sides = words(("dear", 1), ("cheap", 3), ("red", 2), ("blue", 2))
    others = {
        "products": {"train": sides, "dev": [[Phrase(("cheap", "red"), 3)]], "test": []},
        "pros": {"train": words(("light", 3), ("heavy", 1)), "dev": [], "test": []},
    }
    return sentiment(others=others, further={"products": 2.0, "pros": 1.0}, shift=1.0)


def test_a_label_of_three_allows_all_grades_of_its_side():
    task = several()
    shares = np.log([[0.05, 0.15, 0.1, 0.3, 0.4], [0.15, 0.05, 0.1, 0.4, 0.3]])
    first, second = (loss(task, row.tolist(), 3, corpus=1) for row in shares)
    assert first == pytest.approx(second)
    shifted = np.exp(shares[0]) * np.exp(task.tables.shifts[1])
    positive, negative = shifted[3:].sum(), shifted[:2].sum()
    expected = -np.log(positive / shifted.sum()) - np.log(positive / (positive + negative))
    assert first == pytest.approx(2 * expected, rel=1e-5)


def test_all_corpora_are_measured_and_choose_the_epoch():
    task = several()
    metrics = {m.name: m.value for m in task.evaluate(make_predict(task, task.network()), "dev")}
    assert "macro F1, pros" not in metrics
    both = [metrics["macro F1, tiny"], metrics["macro F1, products"]]
    assert metrics[task.chosen_by] == pytest.approx(np.mean(both), abs=0.01)


def test_a_long_text_is_cut_in_train_and_measured_whole_and_texts_of_dev_are_not_learned():
    train = [[Phrase(tuple("abcdef"), 3)], *words(("Cheap", 3))]
    dev = [[Phrase(tuple("ghijkl"), 1)], *words(("cheap", 3))]
    task = sentiment(others={"products": {"train": train, "dev": dev, "test": []}}, longest=3)
    learned = [example.source for example in task.examples("train") if example.targets["corpus"] == 1]
    assert learned == [("a", "e", "f")]
    assert [example.source for example in task.measured("dev")["products"]] == [tuple("ghijkl"), ("cheap",)]
