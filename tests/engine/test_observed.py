"""What a version has read and given is counted by kind and value, beside its reference."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from service.artifact.manifest import CONFIDENCE_BINS, ModelVersion, Reference
from service.engine.observed import MOST_CELLS, MOST_LABELS, Observed
from service.telemetry.metrics import Metrics
from service.types import Outputs
from tests.http.scene import HEADS, classifier, tagger

OBSERVED, SHARE = "tagwerk_model_observed_total", "tagwerk_model_reference_share"
WORDS = np.array([[2, 1, 0], [1, 2, 2]], np.int32)  # [B, T]: two unknown, one cell of padding
CHARACTERS = np.array([[[2, 3], [1, 0], [0, 0]], [[4, 0], [5, 6], [7, 0]]], np.int32)  # [B, T, C]


def series(metrics: Metrics, name: str) -> dict[str, dict[str, float]]:
    """Returns the values of a metric that are not 0, by kind and value."""
    found: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for sample in (sample for family in metrics.registry.collect() for sample in family.samples):
        if sample.name == name and sample.value:
            found[sample.labels["kind"]][sample.labels["value"]] = sample.value
    return found


def of_tagger(probabilities: list[float]) -> Outputs:
    labels = np.array([0, 1, 0, 0, 1], np.int32)
    return Outputs({"upos_id": labels, "upos_probability": np.array(probabilities, np.float32)}, {})


FIRST, SECOND = HEADS["upos"][:2]
CONFIDENT = [1.0, 0.95, 0.92, 0.45, 0.0]


@pytest.mark.parametrize(
    ("version", "outputs", "expected"),
    [
        (
            tagger,
            of_tagger(CONFIDENT),
            {
                "word": {"known": 6, "unknown": 4},
                "character": {"known": 12, "unknown": 2},
                "confidence": {"0.9": 6, "0.4": 2, "0.0": 2},
                "label": {FIRST: 6, SECOND: 4},
            },
        ),
        (
            classifier,
            Outputs({}, {"probabilities": np.array([[0.25, 0.75], [0.92, 0.08]], np.float32)}),
            {"word": {"known": 6, "unknown": 4}, "confidence": {"0.7": 2, "0.9": 2}, "label": {"bad": 2, "good": 2}},
        ),
    ],
)
def test_batches_are_counted_without_their_padding_at_the_flush(
    version: Callable[[], ModelVersion], outputs: Outputs, expected: dict[str, Any]
) -> None:
    metrics = Metrics()
    observed = Observed(version(), metrics)
    for _ in range(2):
        observed.add({"word_ids": WORDS, "char_ids": CHARACTERS}, outputs, WORDS.size)
    assert not series(metrics, OBSERVED)
    metrics.flush()
    metrics.flush()
    assert series(metrics, OBSERVED) == expected
    assert not series(metrics, SHARE), "the version has no reference"


def test_a_reference_gives_the_shares_of_the_same_values() -> None:
    metrics, version = Metrics(), tagger()
    reference = Reference(
        items=4,
        unknown={"words": 0.25, "characters": 0.0},
        labels={"upos": {FIRST: 3, SECOND: 1}, "xpos": {}},
        confidence={"upos": (*[0] * (CONFIDENCE_BINS - 3), 1, 2, 1)},
    )
    Observed(replace(version, reference=reference), metrics)
    assert series(metrics, SHARE) == {
        "word": {"known": 0.75, "unknown": 0.25},
        "character": {"known": 1.0},
        "confidence": {"0.8": 0.25, "0.9": 0.75},
        "label": {FIRST: 0.75, SECOND: 0.25},
    }


def test_the_series_of_labels_are_bounded() -> None:
    metrics, version = Metrics(), classifier()
    names = tuple(f"label {i}" for i in range(3 * MOST_LABELS))
    manifest = version.manifest.model_copy(update={"labels": {"kind": names}})
    reference = Reference(items=2, unknown={}, labels={"kind": {names[0]: 1, names[-1]: 1}}, confidence={})
    observed = Observed(replace(version, manifest=manifest, reference=reference), metrics)
    observed.add({"word_ids": WORDS}, Outputs({}, {"probabilities": np.eye(len(names), dtype=np.float32)}), 6)
    metrics.flush()
    assert series(metrics, OBSERVED)["label"] == dict.fromkeys(names[:MOST_LABELS], 1) | {"others": 2 * MOST_LABELS}
    assert series(metrics, SHARE) == {"label": {names[0]: 0.5, "others": 0.5}}


def test_what_waits_to_be_counted_is_bounded() -> None:
    observed = Observed(tagger(), Metrics())
    for _ in range(2 * MOST_CELLS // WORDS.size):
        observed.add({"word_ids": WORDS, "char_ids": CHARACTERS}, of_tagger(CONFIDENT), WORDS.size)
        assert len(observed._waiting) * WORDS.size <= MOST_CELLS
