"""Prints the data and the expected duration of a run, and afterwards the scores of its model."""

from collections import Counter
from collections.abc import Mapping, Sequence, Sized

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from training.data.dataset import Example
from training.from_files.budget import Speed
from training.metrics.predictions import Predictions, interval, label_scores
from training.tasks.base import Recipe

CONFUSIONS = 20
CONTEXT = 5  # words on each side of an example
SHOWN_LABELS = 50
LONGEST_EXAMPLE = 80  # characters


def show_splits(console: Console, unit: str, splits: Mapping[str, Sized], left_out: Mapping[str, int]) -> None:
    """Prints the sizes of the splits, and what is left out of them because another has it."""
    sizes = ", ".join(f"{len(splits[name]):,} {name}" for name in ("train", "dev", "test"))
    console.print(f"{unit}: {sizes}", highlight=False)
    for name, count in left_out.items():
        if count:
            other = "dev or test have" if name == "train" else "test has"
            console.print(f"left out of {name}: {count:,} {unit} that {other} as well", highlight=False)


def show_budget(console: Console, unit: str, tokens: int, examples: int, recipe: Recipe, speed: Speed) -> None:
    """Prints what the run is going to do, and how long that takes. tokens: of all examples, which are called `unit`."""
    used = min(examples, recipe.limit or examples) / examples
    seconds = speed.seconds(tokens * used, recipe.epochs)
    part = f" of {recipe.limit:,} of its examples" if recipe.limit else ""
    line = f"{recipe.name}: {tokens:,} {unit}, {recipe.epochs} epochs{part}, {_about(seconds)} on one core"
    console.print(line, highlight=False, soft_wrap=True)


def _about(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"about {minutes} minute{'s' * (minutes > 1)}" if minutes else "less than a minute"


def show_comparison(console: Console, kind: str, found: Mapping[str, Mapping[str, Predictions]]) -> None:
    """Prints the accuracy of each model on each split. found: split -> model -> predictions."""
    table = Table("split", title=f"{kind}: accuracy, with its 95 % interval", title_justify="left", box=box.SIMPLE)
    for name in next(iter(found.values())):
        table.add_column(name, justify="right")
    for split, models in found.items():
        cells = []
        for predictions in models.values():
            low, high = interval(predictions)
            cells.append(f"{100 * predictions.right.mean():.2f} ({low:.2f} to {high:.2f})")
        table.add_row(split, *cells)
    console.print(table)


def show_labels(console: Console, kind: str, labels: Sequence[str], models: Mapping[str, Predictions]) -> None:
    """Prints precision, recall and F1 of each label by the last of the models, and the F1 of the others."""
    *others, (_, own) = models.items()
    table = Table(kind, "precision", "recall", "F1", *(f"F1, {name}" for name, _ in others), "examples", box=box.SIMPLE)
    columns = [label_scores(predictions) for _, predictions in others]
    scores = label_scores(own)
    for i in sorted(range(len(labels)), key=lambda i: -scores[i].support)[:SHOWN_LABELS]:
        figures = (scores[i].precision, scores[i].recall, scores[i].f1, *(column[i].f1 for column in columns))
        table.add_row(escape(labels[i]), *(f"{figure:.2f}" for figure in figures), f"{scores[i].support:,}")
    console.print(table)
    if len(labels) > SHOWN_LABELS:
        console.print(f"and {len(labels) - SHOWN_LABELS:,} less frequent labels", highlight=False)


def show_confusions(
    console: Console, kind: str, labels: Sequence[str], own: Predictions, examples: Sequence[Example]
) -> None:
    """Prints which labels are most often taken for which, each with the example of the most confident prediction."""
    wrong = np.flatnonzero(~own.right & (own.gold >= 0))
    pairs = Counter((int(own.gold[i]), int(own.labels[i])) for i in wrong)
    if not pairs:
        return
    table = Table(
        "right",
        "taken for",
        "times",
        "such as",
        title=f"worst confusions of {kind} on dev",
        title_justify="left",
        box=box.SIMPLE,
    )
    for (gold, predicted), times in pairs.most_common(CONFUSIONS):
        places = [i for i in wrong if own.gold[i] == gold and own.labels[i] == predicted]
        most_confident = max(places, key=lambda i: own.probabilities[i, predicted])
        cells = (labels[gold], labels[predicted], str(times), _example(own, examples, int(most_confident)))
        table.add_row(*map(escape, cells))
    console.print(table)


def show_features(console: Console, labels: Sequence[str], own: Predictions, examples: Sequence[Example]) -> None:
    """Prints for each attribute of features how many words have it wrong, and which values are taken for which.

    labels: features as in CoNLL-U, such as "Case=Nom|Number=Sing". The words of an attribute are those whose right or
    predicted features name it.
    """
    features = [dict(one.split("=", 1) for one in label.split("|") if "=" in one) for label in labels]
    known = np.flatnonzero(own.gold >= 0)
    rows: list[tuple[int, tuple[str, ...]]] = []
    for attribute in sorted({name for one in features for name in one}):
        values = np.array([one.get(attribute, "none") for one in features])  # [K]
        right, given = values[own.gold[known]], values[own.labels[known]]
        words, wrong = int(((right != "none") | (given != "none")).sum()), known[right != given]
        worst, example = "", ""
        if len(wrong):
            pairs = list(zip(values[own.gold[wrong]], values[own.labels[wrong]], strict=True))
            (pair, times), *_ = Counter(pairs).most_common(1)
            worst = f"{pair[1]} for {pair[0]}: {times:,}"
            example = _example(own, examples, int(wrong[pairs.index(pair)]))
        share = f"{100 * (1 - len(wrong) / words):.2f}" if words else ""
        rows.append((len(wrong), (attribute, f"{words:,}", share, worst, example)))
    if not rows:
        return
    table = Table(title="features on dev, those that are wrong most often first", title_justify="left", box=box.SIMPLE)
    for title in ("attribute", "words", "right, %", "most often"):
        table.add_column(title, no_wrap=True)
    table.add_column("such as")
    for _, row in sorted(rows, reverse=True):
        table.add_row(*map(escape, row))
    console.print(table)
    if unknown := int((own.gold < 0).sum()):
        console.print(f"{unknown:,} more words have features that no word of train has", highlight=False)


def _example(predictions: Predictions, examples: Sequence[Example], item: int) -> str:
    """Returns a text's beginning; or a word in brackets with the words around it."""
    group = int(predictions.groups[item])
    words = list(examples[group].source)
    own = item - int(np.searchsorted(predictions.groups, group))
    if len(predictions.groups) > len(examples):
        words = [*words[max(0, own - CONTEXT) : own], f"[{words[own]}]", *words[own + 1 : own + 1 + CONTEXT]]
    text = " ".join(words)
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[: LONGEST_EXAMPLE - 1]}…"
