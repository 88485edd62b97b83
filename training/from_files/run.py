"""Trains a task on a user's files, compares it with simple models if it is new, and exports it."""

import json
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from service.artifact.manifest import Metric
from service.text.lemmatizer import LEMMA
from training.folders import runs_folder
from training.from_files.options import Options
from training.metrics.predictions import Predictions, interval
from training.metrics.scores import percent, percentages
from training.report import tables
from training.run import baselines, readings
from training.run.checkpoint import Checkpoints
from training.run.evaluate import measure
from training.run.export import export
from training.run.loop import load_final, train
from training.run.versions import commands_of, version_folder
from training.tasks.base import ServedTask
from training.tasks.classification import Classification
from training.tasks.tagging import FEATURES, Tagging

SPLITS = ("test", "dev")


def make(task: ServedTask, options: Options, store: Path, console: Console) -> None:
    """Trains, measures and exports a model, a new one or one that goes on from a version.

    A run of other data or settings under the same name is discarded; an interrupted one is resumed.
    """
    Checkpoints(runs_folder(), task).discard_others()
    train(task, console)
    model, predict = load_final(task)
    new = not options.base  # a version keeps its tokenizer and its lemmas
    if new and isinstance(task, Tagging):
        task.learn_exceptions(predict)
        task.learn_lemma_weights(predict)
    if new and task.segmenter is None:  # a teacher's text was split by it
        task.learn_segmenter()
    found = {split: task.predictions(predict, split) for split in SPLITS}
    metrics = [metric for split in SPLITS for metric in measure(task, predict, split, found[split])]
    if new and isinstance(task, Tagging | Classification):
        metrics += compare(task, found, options.seed, console)
    before = commands_of(version_folder(store, options.base)) if options.base else ()
    folder = export(task, model, metrics, store, (*before, options.command))
    tables.show_metrics(console, str(folder), metrics)
    readings.record(task.recipe.name, metrics, console)
    console.print(f"written: {folder}, {how_it_serves(store, task.recipe.name)}", highlight=False, soft_wrap=True)


def how_it_serves(store: Path, name: str) -> str:
    """Returns how a new version serves: at once, unless the serving config in the store names another."""
    try:
        kept = json.loads((store / "serving.json").read_text(encoding="utf-8"))["models"][name]["version"]
    except (OSError, ValueError, LookupError, TypeError):  # none is named
        return f'served as "model": "{name}"'
    return f"not served, since version {kept} was chosen: tagwerk models use {name} follows the newest again"


def compare(
    task: Tagging | Classification, found: Mapping[str, Mapping[str, Predictions]], seed: int, console: Console
) -> list[Metric]:
    """Compares the first kind of label with what simple models reach on the same splits; prints and returns that."""
    kind = next(iter(found["dev"]))
    head = kind if isinstance(task, Tagging) else "class_id"
    guesses = baselines.fit(task.examples("train"), head, isinstance(task, Tagging), seed)
    models: dict[str, dict[str, Predictions]] = {}
    for split in SPLITS:
        own = found[split][kind]
        examples, count = task.examples(split), own.probabilities.shape[1]
        guessed = baselines.predictions_of(guesses, examples, own.gold, count, own.groups)
        models[split] = guessed | {"this model": own}
    labels = task.labels[kind]
    tables.show_comparison(console, kind, models)
    tables.show_labels(console, f"{kind}, test", labels, models["test"])
    tables.show_confusions(console, f"{kind} on dev", labels, models["dev"]["this model"], task.examples("dev"))
    if FEATURES in found["dev"]:
        tables.show_features(console, task.labels[FEATURES], found["dev"][FEATURES], task.examples("dev"))
    if LEMMA in found["dev"]:
        confused = task.labels[LEMMA], found["dev"][LEMMA], task.examples("dev")
        tables.show_confusions(console, "lemma rules on dev", *confused)
    return [metric for split in SPLITS for metric in _metrics(kind, models[split], split)]


def _metrics(kind: str, models: Mapping[str, Predictions], split: str) -> tuple[Metric, ...]:
    """Returns the accuracy of the simple models, and the interval of the own one."""
    *simple, (_, own) = models.items()
    figures = {f"{kind}, {name}": percent(predictions.right) for name, predictions in simple}
    for end, value in zip(("lower", "upper"), interval(own), strict=True):
        figures[f"{kind}, {end} end of the 95 % interval"] = round(value, 2)
    return percentages(figures, split)
