"""The record of measurements on test splits."""

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from service.artifact.manifest import Metric
from training.run import readings

DEV, TEST = (
    Metric(name="UPOS", value=value, unit="%", split=split) for value, split in ((97.5, "dev"), (96.5, "test"))
)


def test_each_measurement_of_a_test_split_is_a_line(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["tagwerk-train", "evaluate", "my tagger", "--split", "test"])
    said = io.StringIO()
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


def test_other_splits_are_not_recorded(runs: Path) -> None:
    said = io.StringIO()
    readings.record("tagger", [DEV], Console(file=said))
    assert not (runs / "tagger").exists()
    assert said.getvalue() == ""
