"""The record of measurements on test splits, which shows how often one was read before a figure was reported."""

import json
import shlex
import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import Console

from service.artifact.manifest import Metric
from training.folders import runs_folder

READINGS = "test-readings.jsonl"  # in the folder of a recipe's runs: an object a line


def record(name: str, metrics: Iterable[Metric], console: Console) -> None:
    """Appends the metrics of the test split to the readings of a recipe or model, and prints how many there are.

    Metrics of other splits are not recorded. A reading has the time, the command, and the metrics by name.
    """
    values = {metric.name: metric.value for metric in metrics if metric.split == "test"}
    if not values:
        return
    path = runs_folder() / name / READINGS
    path.parent.mkdir(parents=True, exist_ok=True)
    reading = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(["tagwerk-train", *sys.argv[1:]]),
        "metrics": values,
    }
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(reading, ensure_ascii=False) + "\n")
    with path.open(encoding="utf-8") as file:
        count = sum(1 for _ in file)
    console.print(f"reading {count} of the test split, recorded in {path}", highlight=False, soft_wrap=True)
