"""Simple models on the corpus of a recipe, with which its network is compared."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console

from service.artifact.manifest import Metric
from service.errors import ConfigurationError
from training.data.dataset import Example
from training.metrics.predictions import Predictions, interval
from training.metrics.scores import percent
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
    metrics = tuple(
        Metric(name=f"{kind}, {what}", value=value, unit="%", split=split)
        for kind, models in found.items()
        for what, value in _figures(models).items()
    )
    show_metrics(console, f"simple models on the corpus of {name}", metrics)
    readings.record(name, metrics, console)
    return metrics


def _of_tags(task: Tagging, split: str) -> dict[str, dict[str, Predictions]]:
    """Returns the predictions for each column of tags, by model."""
    train, examples = task.examples("train"), task.examples(split)
    sources = [example.source for example in examples]
    groups = np.repeat(np.arange(len(examples)), [len(example) for example in examples])
    found = {}
    for head, column in COLUMNS.items():
        gold = np.concatenate([example.targets[head] for example in examples])
        guesses, count = fit(train, head, words=True, seed=task.recipe.seed), len(task.labels[head])
        found[column] = {
            name: Predictions.certain(gold, guess(sources), count, groups) for name, guess in guesses.items()
        }
    return found


def _of_sides(task: Sentiment, split: str) -> dict[str, Predictions]:
    """Returns the predictions whether texts that are not neutral are positive, by model."""

    def sided(split: str) -> list[Example]:
        sides = ((example, task.side(example)) for example in task.examples(split))
        return [replace(example, targets={"side": np.array(side)}) for example, side in sides if side >= 0]

    examples = sided(split)
    sources = [example.source for example in examples]
    gold = np.array([example.targets["side"] for example in examples])
    guesses = fit(sided("train"), "side", words=False, seed=task.recipe.seed)
    groups = np.arange(len(gold))
    return {name: Predictions.certain(gold, guess(sources), 2, groups) for name, guess in guesses.items()}


def _figures(models: Mapping[str, Predictions]) -> dict[str, float]:
    """Returns the accuracy of each model, and its 95 % interval."""
    figures: dict[str, float] = {}
    for name, predictions in models.items():
        low, high = interval(predictions)
        figures |= {name: percent(predictions.right), f"{name}, from": round(low, 2), f"{name}, to": round(high, 2)}
    return figures
