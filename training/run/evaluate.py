"""Evaluation of exported versions."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from service.artifact.manifest import Metric
from service.errors import ConfigurationError
from training.cells.integers import weights_of_bits
from training.data.running_text import WRITTEN
from training.metrics.calibration import calibration_error, chance_calibration_error
from training.metrics.predictions import Predictions, interval
from training.metrics.scores import percentages
from training.report import tables
from training.run import readings
from training.run.loop import make_predict
from training.run.versions import load_endpoint, newest_version, read_version, restore
from training.tasks.base import Predict, ServedTask
from training.tasks.classification import Classification
from training.tasks.tagging import FEATURES, Tagging


def evaluate(
    store: Path, name: str, split: str, console: Console, bits: int | None = None, written: str | None = None
) -> tuple[Metric, ...]:
    """Measures the newest version of a model through its SavedModel; prints tables, and records a test split.

    Args:
        split: "dev" or "test".
        bits: of the weights that states are multiplied by, see `training.cells.integers`; as exported by default.
        written: of a tagger's words, how they are written, a name of `training.data.running_text.WRITTEN`; by default
            as in the treebank. Raises ConfigurationError if the model is no tagger.
    """
    folder = newest_version(store, name)
    manifest, task = read_version(folder)
    if written:
        if not isinstance(task, Tagging):
            raise ConfigurationError(f"--written {written}: {name} is no tagger; right: a tagger, or without --written")
        task = task.written(WRITTEN[written])
    if bits is None:
        predict = load_endpoint(folder, task.endpoint_name)
    else:
        model = restore(task, folder)
        with weights_of_bits(bits):
            model.round_weights()
        predict = make_predict(task, model)
    predictions = task.predictions(predict, split)
    metrics = measure(task, predict, split, predictions)
    title = f"{manifest.name}, version {manifest.version}" + (f", {written}" if written else "")
    tables.show_metrics(console, title, metrics)
    readings.record(manifest.recipe, metrics, console)
    for kind, given in predictions.items():
        low, high = interval(given)
        console.print(f"{kind}: 95 % interval of accuracy {low:.2f} to {high:.2f} %", highlight=False)
    for kind, given in list(predictions.items())[:1]:  # the others have too many labels
        tables.show_labels(console, kind, task.labels[kind], {"": given})
    if isinstance(task, Tagging | Classification):
        for kind, given in predictions.items():
            if kind != FEATURES:
                confused = task.labels[kind], given, task.examples(split)
                tables.show_confusions(console, f"{kind} on {split}", *confused)
    return metrics


def measure(
    task: ServedTask, predict: Predict, split: str, predictions: Mapping[str, Predictions]
) -> tuple[Metric, ...]:
    """Returns the task's metrics of a split, and the calibration errors: of each kind of label, and by chance.

    predictions: of the task for that split.
    """
    errors = {"calibration error": calibration_error, "calibration error by chance": chance_calibration_error}
    calibration = {
        f"{kind}, {name}": round(error(given), 2)
        for kind, given in predictions.items()
        for name, error in errors.items()
    }
    return (*task.evaluate(predict, split), *task.evaluate_text(predict, split), *percentages(calibration, split))
