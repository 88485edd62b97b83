"""Metrics by hand."""

import numpy as np

from training.metrics.scores import tagging_accuracy


def test_tagging_accuracy_of_all_known_and_unknown_words() -> None:
    right = {"UPOS": np.array([True, True, False, True]), "XPOS": np.array([True, False, False, True])}
    metrics = tagging_accuracy(right, np.array([True, True, True, False]), "dev")
    values = {metric.name: metric.value for metric in metrics}
    assert values["UPOS"] == 75
    assert values["XPOS"] == 50
    assert values["AllTags"] == 50
    assert values["UPOS, known words"] == 66.67
    assert values["UPOS, unknown words"] == 100
    assert {(metric.unit, metric.split) for metric in metrics} == {("%", "dev")}
