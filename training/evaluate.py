"""Measures what was trained: a network before it is exported, and an exported version, with the same code."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from service import artifact
from service.artifact import Metric
from service.errors import ArtifactError
from training import plots
from training.answers import (
    Answers,
    calibration_error,
    confusion,
    interval,
    label_scores,
    least_calibration_error,
    reliability,
)
from training.config import load_recipe
from training.export import load_endpoint
from training.tasks.base import Task


def evaluate(store: Path, name: str, split: str, console: Console, out: Path) -> tuple[Metric, ...]:
    """Measures the newest version of a model, through its SavedModel alone, and says where it is right and how sure.

    Args:
        split: "dev" or "test".
        out: folder of the plots.
    """
    folder = newest_version(store, name)
    manifest, task = read_version(folder)
    predict = load_endpoint(folder, task.endpoint_name)
    answers = task.answers(predict, split)
    metrics = (*task.evaluate(predict, split), *task.evaluate_text(predict, split), *calibration(answers, split))
    show(console, f"{manifest.name}, version {manifest.version}", metrics)
    for kind, given in answers.items():
        low, high = interval(given)
        console.print(f"{kind}: 95 % interval of accuracy {low:.2f} to {high:.2f} %", highlight=False)
        drawn = plots.reliability(*reliability(given), f"{manifest.name} {manifest.version}, {kind}, {split}")
        plots.save(drawn, out / f"{kind}-reliability.svg")
    for kind, given in list(answers.items())[:1]:  # the further ones have too many labels to be listed
        show_labels(console, kind, task.labels[kind], given)
        plots.save(plots.confusion(task.labels[kind], confusion(given)), out / f"{kind}-confusion.svg")
    if answers:
        console.print(f"plots: {out}", highlight=False, soft_wrap=True)
    return metrics


def read_version(folder: Path) -> tuple[artifact.Manifest, Task]:
    """Returns the manifest of a version, and its task. Raises ArtifactError if the two do not fit."""
    manifest = artifact.read_manifest(folder)
    artifact.verify_files(folder, manifest)
    task = load_recipe(manifest.recipe).task(artifact.read_vocabularies(folder, manifest))
    if manifest.labels != task.labels:
        raise ArtifactError(f"{folder} was made from other data or by another recipe than {manifest.recipe} is now")
    return manifest, task


def calibration(answers: Mapping[str, Answers], split: str) -> tuple[Metric, ...]:
    """Returns the expected calibration error of each kind of label, and what of it is owed to the size of the split."""
    measures = {"calibration error": calibration_error, "calibration error by chance": least_calibration_error}
    return tuple(
        Metric(name=f"{kind}, {name}", value=round(measure(given), 2), unit="%", split=split)
        for kind, given in answers.items()
        for name, measure in measures.items()
    )


def newest_version(store: Path, name: str) -> Path:
    """Returns the folder of the highest version. Raises ArtifactError if there is none."""
    versions = [path for path in (store / name).glob("*") if path.name.isdecimal()]
    if not versions:
        raise ArtifactError(f"no version of {name!r} in {store}")
    return max(versions, key=lambda path: int(path.name))


def show(console: Console, title: str, metrics: Iterable[Metric]) -> None:
    """Prints metrics as a table."""
    table = Table("split", "metric", title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("value", justify="right")
    for metric in metrics:
        table.add_row(metric.split, metric.name, f"{metric.value:g} {metric.unit}".rstrip())
    console.print(table)


def show_labels(console: Console, kind: str, labels: Sequence[str], answers: Answers) -> None:
    """Prints how well each label is found, and what it is taken for most often."""
    counts = confusion(answers)
    table = Table(kind, "precision", "recall", "F1", "words", "taken for", box=box.SIMPLE)
    for row, (label, score) in enumerate(zip(labels, label_scores(answers), strict=True)):
        wrong = np.where(np.arange(len(labels)) == row, 0, counts[row])
        worst = f"{labels[int(wrong.argmax())]} ({wrong.max()})" if wrong.any() else ""
        figures = (f"{x:.2f}" for x in (score.precision, score.recall, score.f1))
        table.add_row(label, *figures, f"{score.support:,}", worst)
    console.print(table)
