"""The report of a model of files: simple models, confusions, the budget of a run, and whether a version serves."""

import io

import numpy as np
import pytest
from rich.console import Console

from training.data.dataset import Example
from training.from_files.budget import BUDGET_SECONDS, QUICK_SECONDS, Speed, training_budget
from training.from_files.run import how_it_serves
from training.metrics.predictions import Predictions
from training.models import linear
from training.report.tables import show_changes, show_comparison, show_confusions, show_features, show_labels

SENTENCES = [("the", "dog", "runs"), ("the", "run", "ends"), ("a", "walk", "ends")]
TAGS = np.array([0, 1, 2, 0, 1, 2, 0, 1, 2])


def test_a_word_has_its_most_frequent_tag_and_a_new_one_that_of_rare_words():
    guess = linear.most_frequent_tag([*SENTENCES, ("the", "the")], np.array([*TAGS, 0, 2]))
    assert guess([("The", "ends", "new")]).tolist() == [0, 2, 1]  # once: a, dog, runs, run, walk


def test_a_linear_tagger_reads_neighbours_and_affixes():
    guess = linear.linear_tagger(SENTENCES * 5, np.tile(TAGS, 5), seed=1)
    assert guess([("the", "jogs", "ends"), ("a", "dog", "jogs")]).tolist() == [0, 1, 2, 0, 1, 2]


def test_simple_models_learn_nothing_from_words_without_a_tag():
    untagged = SENTENCES + [("the", "hat", "ends")] * 4, np.array([*TAGS, *[-1, -1, -1] * 4])
    for guess in (linear.most_frequent_tag(*untagged), linear.linear_tagger(*untagged, seed=1)):
        assert set(guess([("the", "hat", "sits")]).tolist()) <= {0, 1, 2}


def test_a_linear_classifier_learns_words_that_separate_the_labels():
    texts = [("a", "fine", str(i)) for i in range(10)] + [("a", "bad", str(i)) for i in range(10)]
    guess = linear.linear_classifier(texts, np.repeat([0, 1], 10), seed=1)
    assert guess([("fine", "thing"), ("bad", "thing")]).tolist() == [0, 1]
    assert linear.most_frequent_label(np.array([2, 0, 2]))(texts[:3]).tolist() == [2, 2, 2]


def printed(show: object, *arguments: object) -> str:
    said = io.StringIO()
    show(Console(file=said, width=200), *arguments)  # type: ignore[operator]
    return said.getvalue()


def test_confusions_come_with_the_most_confident_example():
    examples = [Example(("the", "dog", "runs"), {}), Example(("it", "runs"), {})]
    probabilities = np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.9, 0.1], [0.95, 0.05]])
    own = Predictions(np.array([0, 1, 1, 0, 1]), probabilities, np.array([0, 0, 0, 1, 1]))
    said = printed(show_confusions, "upos", ["NOUN", "VERB"], own, examples)
    assert "it [runs]" in said
    assert "the dog [runs]" not in said
    assert ["VERB", "NOUN", "2"] in [line.split()[:3] for line in said.splitlines()]
    assert "60.00" in printed(show_comparison, "upos", {"dev": {"this model": own}})
    row = next(
        line for line in printed(show_labels, "upos", ["NOUN", "VERB"], {"own": own}).splitlines() if "VERB" in line
    )
    assert row.split() == ["VERB", "100.00", "33.33", "50.00", "3"]


def test_features_are_counted_by_attribute():
    labels = ["_", "Case=Nom|Number=Sing", "Case=Acc|Number=Sing", "Case=Nom|Number=Plur|Gender=Fem"]
    examples = [Example(("der", "Hund", "bellt"), {}), Example(("die", "Hunde", "laut"), {})]
    given = np.array([2, 1, 0, 1, 3, 1])
    own = Predictions.certain(np.array([1, 1, 0, 3, 3, -1]), given, 4, np.array([0, 0, 0, 1, 1, 1]))
    lines = printed(show_features, labels, own, examples).splitlines()
    rows = [line.split() for line in lines if line.strip().startswith(("Case", "Number", "Gender"))]
    assert rows == [
        ["Number", "4", "75.00", *"Sing for Plur: 1 [die] Hunde laut".split()],
        ["Gender", "2", "50.00", *"none for Fem: 1 [die] Hunde laut".split()],
        ["Case", "4", "75.00", *"Acc for Nom: 1 [der] Hund bellt".split()],
    ]
    assert "further words with features that no word of train has: 1" in lines
    assert printed(show_features, ["_"], Predictions.certain(given * 0, given * 0, 1, given), examples) == ""


@pytest.mark.parametrize("quick", [False, True])
def test_epochs_are_as_many_as_the_time_allows(quick):
    speed, seconds = Speed(trained=1000, finished=1000), QUICK_SECONDS if quick else BUDGET_SECONDS
    assert training_budget(1000, 10_000, speed, least=2, most=10, quick=quick) == (10, None)
    assert training_budget(1000, 100, speed, least=2, most=10, quick=quick) == (10, None)
    middling = 30_000 if quick else 600_000
    epochs, limit = training_budget(1000, middling, speed, least=2, most=10, quick=quick)
    assert limit is None
    assert speed.seconds(middling, epochs) <= seconds < speed.seconds(middling, epochs + 1)
    epochs, limit = training_budget(10**6, 10_000_000, speed, least=2, most=10, quick=quick)
    assert epochs == 2
    assert limit is not None
    assert speed.seconds(10 * limit, epochs) == pytest.approx(seconds, abs=0.1)


CHOSEN = '{"models": {"topics": {"version": "4"}}}'


@pytest.mark.parametrize("content", [None, "{", "{}", '{"models": {"topics": {"canary": null}}}', CHOSEN])
def test_a_new_version_serves_unless_another_was_chosen(tmp_path, content):
    if content is not None:
        (tmp_path / "serving.json").write_text(content)
    not_served = "not served, since version 4 was chosen: tagwerk models use topics follows the newest again"
    assert how_it_serves(tmp_path, "topics") == (not_served if content is CHOSEN else 'served as "model": "topics"')


def test_changes_for_better_and_worse_have_examples():
    groups = np.repeat([0, 1, 2], 3)
    one, other = (Predictions.certain(TAGS, np.array(labels), 3, groups) for labels in ([*TAGS[:8], 0], [1, *TAGS[1:]]))
    examples = [Example(words, {}) for words in SENTENCES]
    labels = ("DET", "NOUN", "VERB")
    said = printed(show_changes, "upos", ["m/1", "m/2"], [one, other], [labels, labels], examples)
    lines = [line.split() for line in said.splitlines()]
    assert "upos: 1 better, 1 worse by m/2 than by m/1".split() in lines
    assert ["better", "DET", "VERB", "1", "a", "walk", "[ends]"] in lines
    assert ["worse", "DET", "NOUN", "1", "[the]", "dog", "runs"] in lines
