"""Simple models on the corpus of a recipe, with which its network is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console

from service.artifact.manifest import Metric
from service.errors import ConfigurationError
from training.data.dataset import Array, Example
from training.metrics.predictions import Predictions, interval
from training.metrics.scores import percent, percentages
from training.models import linear
from training.models.linear import Guess
from training.report.tables import show_metrics
from training.run import readings
from training.tasks.base import Task
from training.tasks.sentiment import Sentiment
from training.tasks.tagging import Tagging

COLUMNS = {"upos": "UPOS", "xpos": "XPOS"}  # a linear model of the hundreds of feature labels takes too long


def fit(examples: Sequence[Example], head: str, words: bool, seed: int) -> dict[str, Guess]:
    """Trains the simple models of a tagger or, unless it labels words, of a classifier.

    Args:
        head: the target that has the labels.
    """
    sources = [example.source for example in examples]
    labels = np.concatenate([np.atleast_1d(example.targets[head]) for example in examples])
    if words:
        return {
            "most frequent tag": linear.most_frequent_tag(sources, labels),
            "linear model": linear.linear_tagger(sources, labels, seed),
        }
    return {
        "most frequent label": linear.most_frequent_label(labels),
        "linear model": linear.linear_classifier(sources, labels, seed),
    }


def predictions_of(
    guesses: Mapping[str, Guess], examples: Sequence[Example], gold: Array, count: int, groups: Array
) -> dict[str, Predictions]:
    """Returns the predictions of simple models for examples; gold, count, groups: see `Predictions.certain`."""
    sources = [example.source for example in examples]
    return {name: Predictions.certain(gold, guess(sources), count, groups) for name, guess in guesses.items()}


def evaluate(task: Task, split: str, console: Console) -> tuple[Metric, ...]:
    """Trains the simple models on a task's train split, measures them on another one; prints and returns that.

    Raises:
        ConfigurationError: if the task is not tagging or sentiment.
    """
    name = task.recipe.name
    if isinstance(task, Tagging):
        found = _of_tags(task, split)
    elif isinstance(task, Sentiment):
        found = {task.polarity: _of_sides(task, split)}
    else:
        raise ConfigurationError(f"{name} has no simple models; right: a tagger or a classifier of sentiment")
    figures: dict[str, float] = {}
    for kind, models in found.items():
        for model, predictions in models.items():
            low, high = interval(predictions)
            what = f"{kind}, {model}"
            figures |= {what: percent(predictions.right), f"{what}, from": round(low, 2), f"{what}, to": round(high, 2)}
    metrics = percentages(figures, split)
    show_metrics(console, f"simple models on the corpus of {name}", metrics)
    readings.record(name, metrics, console)
    return metrics


def _of_tags(task: Tagging, split: str) -> dict[str, dict[str, Predictions]]:
    """Returns the predictions for each column of tags, by model."""
    train, examples = task.examples("train"), task.examples(split)
    groups = np.repeat(np.arange(len(examples)), [len(example) for example in examples])
    found = {}
    for head, column in COLUMNS.items():
        gold = np.concatenate([example.targets[head] for example in examples])
        guesses = fit(train, head, words=True, seed=task.recipe.seed)
        found[column] = predictions_of(guesses, examples, gold, len(task.labels[head]), groups)
    return found


def _of_sides(task: Sentiment, split: str) -> dict[str, Predictions]:
    """Returns the predictions whether texts that are not neutral are positive, by model."""

    def sided(split: str) -> list[Example]:
        sides = ((example, task.side(example)) for example in task.examples(split))
        return [replace(example, targets={"side": np.array(side)}) for example, side in sides if side >= 0]

    examples = sided(split)
    gold = np.array([example.targets["side"] for example in examples])
    guesses = fit(sided("train"), "side", words=False, seed=task.recipe.seed)
    return predictions_of(guesses, examples, gold, 2, np.arange(len(gold)))
