"""What a version says that its model makes of its dev split, which texts are compared with while it is served."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from service.artifact.manifest import CONFIDENCE_BINS, Reference
from service.text.vocabulary import PAD, UNK
from training.data.dataset import Array
from training.metrics.predictions import Predictions
from training.run.export import reference


def made_of(
    encoded: dict[str, list[int]], predicted: dict[str, list[list[float]]], labels: dict[str, Any]
) -> Reference:
    """Returns the reference of a task with these inputs, predictions and labels."""

    def predict(inputs: Any) -> dict[str, Array]:
        raise AssertionError("the predictions are given")

    def predictions(given: Any, split: str) -> dict[str, Predictions]:
        assert (given, split) == (predict, "test")
        rows = {kind: np.array(of_kind, np.float32) for kind, of_kind in predicted.items()}
        return {kind: Predictions(np.zeros(len(own), int), own, np.arange(len(own))) for kind, own in rows.items()}

    arrays = {name: np.array(ids, np.int32) for name, ids in encoded.items()}
    task: Any = SimpleNamespace(
        reference_split="test", labels=labels, encoded={"test": arrays}.__getitem__, predictions=predictions
    )
    return reference(task, predict)


def test_a_reference_counts_the_most_probable_labels_their_probabilities_and_the_unknown_words():
    rows = [[0.62, 0.38, 0.0], [0.0, 0.0, 1.0], [0.41, 0.2, 0.39], [0.97, 0.02, 0.01]]
    words, characters = [2, UNK, 3, UNK, 4, UNK, PAD, PAD], [2, 3, UNK, PAD]
    found = made_of(
        {"words": words, "characters": characters, "all known": [2, PAD]},
        {"upos": rows, "feats": rows[:1]},
        {"upos": ("NOUN", "VERB", "ADV"), "feats": ("_", "Number=Sing", "Tense=Pres"), "of nothing": ("a",)},
    )
    assert found.items == 4, "words, and neither their ids nor their labels"
    assert found.unknown == {"words": 0.5, "characters": 0.333333, "all known": 0.0}
    assert found.labels == {"upos": {"NOUN": 3, "ADV": 1}, "feats": {"_": 1}}, (
        "a label that is never the best is left out"
    )
    assert found.confidence.keys() == {"upos", "feats"}
    upos = {place: count for place, count in enumerate(found.confidence["upos"]) if count}
    assert upos == {8: 1, 12: 1, CONFIDENCE_BINS - 1: 2}, "0.41, 0.62, and both 0.97 and 1"
    assert (len(found.confidence["upos"]), sum(found.confidence["feats"])) == (CONFIDENCE_BINS, 1)


def test_a_reference_without_labels_counts_what_is_read():
    found = made_of({"characters": [2, UNK, 3, 4]}, {}, {})
    assert found == Reference(items=4, unknown={"characters": 0.25}, labels={}, confidence={})
