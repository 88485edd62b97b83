"""Evaluation of exported versions, and the tables of their metrics."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from service.artifact.manifest import Metric
from service.text.lemmatizer import LEMMA
from training.cells.integers import weights_of_bits
from training.metrics.calibration import calibration_error, chance_calibration_error, reliability
from training.metrics.predictions import Predictions, confusion, interval, label_scores
from training.report import plots
from training.run import readings
from training.run.loop import make_predict
from training.run.versions import load_endpoint, newest_version, read_version, restore
from training.tasks.base import Predict, ServedTask

CONFUSED = 20  # pairs of lemma rules that are shown


def evaluate(
    store: Path, name: str, split: str, console: Console, out: Path, bits: int | None = None
) -> tuple[Metric, ...]:
    """Measures the newest version of a model through its SavedModel; prints tables, writes plots, records a test split.

    Args:
        split: "dev" or "test".
        out: folder of the plots.
        bits: of the weights that states are multiplied by, see `training.cells.integers`; as exported by default.
    """
    folder = newest_version(store, name)
    manifest, task = read_version(folder)
    if bits is None:
        predict = load_endpoint(folder, task.endpoint_name)
    else:
        model = restore(task, folder)
        with weights_of_bits(bits):
            model.round_weights()
        predict = make_predict(task, model)
    predictions = task.predictions(predict, split)
    metrics = measure(task, predict, split, predictions)
    show(console, f"{manifest.name}, version {manifest.version}", metrics)
    readings.record(manifest.recipe, metrics, console)
    for kind, given in predictions.items():
        low, high = interval(given)
        console.print(f"{kind}: 95 % interval of accuracy {low:.2f} to {high:.2f} %", highlight=False)
        drawn = plots.reliability(*reliability(given), f"{manifest.name} {manifest.version}, {kind}, {split}")
        plots.save(drawn, out / f"{kind}-reliability.svg")
    for kind, given in list(predictions.items())[:1]:  # the others have too many labels
        show_labels(console, kind, task.labels[kind], given)
        plots.save(plots.confusion(task.labels[kind], confusion(given)), out / f"{kind}-confusion.svg")
    if LEMMA in predictions:
        show_confused(console, "lemma rule", task.labels[LEMMA], predictions[LEMMA])
    if predictions:
        console.print(f"plots: {out}", highlight=False, soft_wrap=True)
    return metrics


def measure(
    task: ServedTask, predict: Predict, split: str, predictions: Mapping[str, Predictions]
) -> tuple[Metric, ...]:
    """Returns all metrics of a split. predictions: those that the task gives for it.

    Beside the task's own they are the calibration error of each kind of label, and its expectation by chance.
    """
    errors = {"calibration error": calibration_error, "calibration error by chance": chance_calibration_error}
    calibration = (
        Metric(name=f"{kind}, {name}", value=round(error(given), 2), unit="%", split=split)
        for kind, given in predictions.items()
        for name, error in errors.items()
    )
    return (*task.evaluate(predict, split), *task.evaluate_text(predict, split), *calibration)


def show(console: Console, title: str, metrics: Iterable[Metric]) -> None:
    """Prints metrics as a table."""
    table = Table("split", "metric", title=title, title_justify="left", box=box.SIMPLE)
    table.add_column("value", justify="right")
    for metric in metrics:
        table.add_row(metric.split, metric.name, f"{metric.value:g} {metric.unit}".rstrip())
    console.print(table)


def show_confused(console: Console, kind: str, labels: Sequence[str], predictions: Predictions) -> None:
    """Prints the most frequent wrong predictions of labels that are too many for a table of all."""
    counts = confusion(predictions)
    np.fill_diagonal(counts, 0)
    table = Table(kind, "taken for", "words", box=box.SIMPLE)
    for place in np.argsort(-counts, axis=None, kind="stable")[:CONFUSED]:
        right, predicted = np.unravel_index(place, counts.shape)
        if counts[right, predicted]:
            table.add_row(labels[right], labels[predicted], str(counts[right, predicted]))
    console.print(table)


def show_labels(console: Console, kind: str, labels: Sequence[str], predictions: Predictions) -> None:
    """Prints the scores of each label and its most frequent wrong prediction."""
    counts = confusion(predictions)
    table = Table(kind, "precision", "recall", "F1", "words", "taken for", box=box.SIMPLE)
    for row, (label, score) in enumerate(zip(labels, label_scores(predictions), strict=True)):
        wrong = np.where(np.arange(len(labels)) == row, 0, counts[row])
        worst = f"{labels[int(wrong.argmax())]} ({wrong.max()})" if wrong.any() else ""
        figures = (f"{x:.2f}" for x in (score.precision, score.recall, score.f1))
        table.add_row(label, *figures, f"{score.support:,}", worst)
    console.print(table)
