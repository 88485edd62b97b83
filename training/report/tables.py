"""Tables of metrics, labels and confusions, as commands print them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from service.artifact.manifest import Metric
from service.errors import quantity
from training.data.dataset import Example
from training.metrics.predictions import Predictions, interval, label_scores

CONFUSIONS = 20
CHANGES = 10  # for better, and for worse
CONTEXT = 5  # words on each side of an example
SHOWN_LABELS = 50
LONGEST_EXAMPLE = 80  # characters


def new_table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    """Returns an empty table. right: further columns, whose cells are aligned to the right."""
    table = Table(*columns, title=title, title_justify="left", box=box.SIMPLE)
    for column in right:
        table.add_column(column, justify="right")
    return table


def show_metrics(console: Console, title: str, metrics: Iterable[Metric]) -> None:
    """Prints metrics."""
    table = new_table(title, "split", "metric", right=["value"])
    for metric in metrics:
        table.add_row(metric.split, metric.name, f"{metric.value:g} {metric.unit}".rstrip())
    console.print(table)


def show_comparison(console: Console, kind: str, found: Mapping[str, Mapping[str, Predictions]]) -> None:
    """Prints the accuracy of each model on each split. found: split -> model -> predictions."""
    models = list(next(iter(found.values())))
    table = new_table(f"{kind}: accuracy, with its 95 % interval", "split", right=models)
    for split, of_split in found.items():
        cells = []
        for predictions in of_split.values():
            low, high = interval(predictions)
            cells.append(f"{100 * predictions.right.mean():.2f} ({low:.2f} to {high:.2f})")
        table.add_row(split, *cells)
    console.print(table)


def show_labels(console: Console, kind: str, labels: Sequence[str], models: Mapping[str, Predictions]) -> None:
    """Prints precision, recall and F1 of each label by the last of the models, and the F1 of the others."""
    *others, own = [label_scores(predictions) for predictions in models.values()]
    table = new_table("", kind, "precision", "recall", "F1", *[f"F1, {name}" for name in models][:-1], "examples")
    for i in sorted(range(len(labels)), key=lambda i: -own[i].support)[:SHOWN_LABELS]:
        figures = (own[i].precision, own[i].recall, own[i].f1, *(column[i].f1 for column in others))
        table.add_row(escape(labels[i]), *(f"{figure:.2f}" for figure in figures), f"{own[i].support:,}")
    console.print(table)
    if len(labels) > SHOWN_LABELS:
        console.print(f"and {quantity(len(labels) - SHOWN_LABELS, 'less frequent label', ',')}", highlight=False)


def show_confusions(
    console: Console, title: str, labels: Sequence[str], own: Predictions, examples: Sequence[Example]
) -> None:
    """Prints which labels are most often taken for which, each with the example of the most confident prediction."""
    wrong = np.flatnonzero(~own.right & (own.gold >= 0))
    pairs = Counter((int(own.gold[i]), int(own.labels[i])) for i in wrong)
    if not pairs:
        return
    table = new_table(f"worst confusions of {title}", "right", "taken for", "times", "such as")
    for (gold, predicted), times in pairs.most_common(CONFUSIONS):
        places = [i for i in wrong if own.gold[i] == gold and own.labels[i] == predicted]
        most_confident = max(places, key=lambda i: own.probabilities[i, predicted])
        cells = (labels[gold], labels[predicted], str(times), _example(own, examples, int(most_confident)))
        table.add_row(*map(escape, cells))
    console.print(table)


def show_changes(
    console: Console,
    kind: str,
    names: Sequence[str],
    found: Sequence[Predictions],
    labels: Sequence[Sequence[str]],
    examples: Sequence[Example],
) -> None:
    """Prints which labels one of two models has right and the other has not, each change with an example.

    Args:
        names, found, labels: of the first and the second model; the second model's changes are shown.
    """
    before, after = found
    changed = {"better": ~before.right & after.right, "worse": before.right & ~after.right}
    counts = ", ".join(f"{rows.sum():,} {what}" for what, rows in changed.items())
    title = f"{kind}: {counts} by {names[1]} than by {names[0]}"
    table = new_table(title, "", *names, "times", "such as")
    for what, rows in changed.items():
        places = np.flatnonzero(rows).tolist()
        pairs = Counter((labels[0][before.labels[i]], labels[1][after.labels[i]]) for i in places)
        for pair, times in pairs.most_common(CHANGES):
            first = next(i for i in places if (labels[0][before.labels[i]], labels[1][after.labels[i]]) == pair)
            table.add_row(what, *map(escape, (*pair, str(times), _example(after, examples, first))))
    console.print(table if table.row_count else title, highlight=False)


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
    table = new_table("features on dev, most errors first")
    for title in ("attribute", "words", "right, %", "most often"):
        table.add_column(title, no_wrap=True)
    table.add_column("such as")
    for _, row in sorted(rows, reverse=True):
        table.add_row(*map(escape, row))
    console.print(table)
    if unknown := int((own.gold < 0).sum()):
        console.print(f"further words with features that no word of train has: {unknown:,}", highlight=False)


def _example(predictions: Predictions, examples: Sequence[Example], item: int) -> str:
    """Returns a text's beginning; or a word in brackets with the words around it."""
    group = int(predictions.groups[item])
    words = list(examples[group].source)
    own = item - int(np.searchsorted(predictions.groups, group))
    if len(predictions.groups) > len(examples):
        words = [*words[max(0, own - CONTEXT) : own], f"[{words[own]}]", *words[own + 1 : own + 1 + CONTEXT]]
    text = " ".join(words)
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[: LONGEST_EXAMPLE - 1]}…"
