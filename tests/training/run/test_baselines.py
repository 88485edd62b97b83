"""Simple models on the corpus of a recipe."""

import io

import pytest
from rich.console import Console

from service.errors import ConfigurationError
from tests.training import tiny
from training.run import baselines
from training.run.readings import READINGS


def test_a_tagger_is_compared_in_each_column_of_tags(runs):
    metrics = {metric.name: metric.value for metric in baselines.evaluate(tiny.tagging(), "dev", Console(quiet=True))}
    for column in ("UPOS", "XPOS"):
        for model in ("most frequent tag", "linear model"):
            assert metrics[f"{column}, {model}"] == 100, "each word has one tag"
            assert metrics[f"{column}, {model}, from"] <= 100 <= metrics[f"{column}, {model}, to"]


def test_a_classifier_is_compared_on_texts_that_are_not_neutral(runs):
    said = io.StringIO()
    metrics = baselines.evaluate(tiny.sentiment(), "test", Console(file=said, width=120))
    values = {metric.name: metric.value for metric in metrics}
    assert {metric.split for metric in metrics} == {"test"}
    assert values["SST-2 accuracy, most frequent label"] == 50
    assert values["SST-2 accuracy, linear model"] == 50, "no weights of words and pairs separate what is negated"
    assert "reading 1 of the test split" in said.getvalue()
    assert (runs / "sentiment-tiny" / READINGS).exists()


def test_a_language_model_has_no_simple_models():
    with pytest.raises(ConfigurationError, match="lm-tiny has no simple models; right: a tagger or a classifier"):
        baselines.evaluate(tiny.language_model(), "dev", Console(quiet=True))
