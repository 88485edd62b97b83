"""Learning rates: where each schedule begins and ends; and the record of measurements on test splits."""

import io
import json
import sys

import numpy as np
import pytest
from rich.console import Console

from service.artifact.manifest import Metric
from service.errors import ConfigurationError
from training.run import readings
from training.run.schedules import SCHEDULES, learning_rate

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", (2, 2, 2, 2, 2)),
        ("cosine", (2, 1 + np.sqrt(0.5), 1, 1 - np.sqrt(0.5), 0)),
        ("exponential", (2, 2 * 0.01**0.25, 0.2, 2 * 0.01**0.75, 0.02)),
        ("staircase", (2, 1, 0.5, 0.25, 0.125)),
        ("plateau", (2, 2, 2, 2, 2)),
    ],
)
def test_each_schedule_lowers_the_rate(schedule, rates):
    given = [learning_rate(2.0, 0.0, schedule, done, []) for done in SHARES]
    np.testing.assert_allclose(given, rates, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_warm_up_raises_the_rate_from_zero(schedule):
    rates = [learning_rate(1.0, 0.1, schedule, done, []) for done in (0.0, 0.05, 0.1)]
    np.testing.assert_allclose(rates, [0, 0.5, 1], atol=1e-12)


def test_a_plateau_is_two_epochs_in_a_row_that_are_no_better():
    epochs = [True, False, True, False, False, False, True, False, False, False, False]
    rates = [learning_rate(1.0, 0.0, "plateau", 0.5, epochs[:done]) for done in range(len(epochs) + 1)]
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ConfigurationError, match=r"no schedule is called 'cosin'; there are constant, cosine"):
        learning_rate(1.0, 0.0, "cosin", 0.5, [])


DEV, TEST = (
    Metric(name="UPOS", value=value, unit="%", split=split) for value, split in ((97.5, "dev"), (96.5, "test"))
)


def test_each_measurement_of_a_test_split_is_a_line_and_others_are_not_recorded(runs, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["tagwerk-train", "evaluate", "my tagger", "--split", "test"])
    said = io.StringIO()
    readings.record("tagger", [DEV], Console(file=said))
    assert (said.getvalue(), (runs / "tagger").exists()) == ("", False)
    for _ in range(2):
        readings.record("tagger", [DEV, TEST], Console(file=said, width=200))
    path = runs / "tagger" / "test-readings.jsonl"
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == second | {"time": first["time"]}
    assert first["command"] == "tagwerk-train evaluate 'my tagger' --split test"
    assert first["metrics"] == {"UPOS": 96.5}
    assert said.getvalue().splitlines() == [
        f"reading {number} of the test split, recorded in {path}" for number in (1, 2)
    ]
