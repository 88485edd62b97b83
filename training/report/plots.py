"""Plots of confusion and reliability."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, get_font

from training.data.dataset import Array

FONT = "DejaVu Sans"  # Matplotlib's own
CONFUSED_LABELS = 50  # the most frequent, that a confusion matrix shows


def confusion(labels: Sequence[str], counts: Array) -> Figure:
    """Plots a confusion matrix of the first CONFUSED_LABELS. counts: shape [right K, predicted K]."""
    shares = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))[:CONFUSED_LABELS, :CONFUSED_LABELS]
    counts = counts[:CONFUSED_LABELS, :CONFUSED_LABELS]
    labels = drawable(labels[:CONFUSED_LABELS])
    figure = Figure(figsize=(2 + 0.35 * len(labels), 2 + 0.35 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root shows what is rare
    for row, column in np.argwhere(counts):
        share = shares[row, column]
        axes.text(
            column,
            row,
            f"{100 * share:.0f}",
            ha="center",
            va="center",
            size=7,
            color="white" if share > 0.4 else "black",
        )
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontfamily=FONT)
    axes.set_yticks(range(len(labels)), labels, fontfamily=FONT)
    axes.set(xlabel="given", ylabel="right", title="percent of each row")
    return figure


def reliability(confidence: Array, accuracy: Array, share: Array, title: str) -> Figure:
    """Plots accuracy by confidence in bins. share: of the items in each bin; all of shape [bins]."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color="grey", linestyle=":")
    filled = share > 0
    axes.plot(confidence[filled], accuracy[filled], color="C0")
    axes.scatter(confidence[filled], accuracy[filled], s=10 + 600 * share[filled], color="C0", alpha=0.5)
    axes.set(xlabel="confidence", ylabel="share that is right", title=title, xlim=(0, 1), ylim=(0, 1))
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the file's extension: .png, .svg, .pdf."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def drawable(texts: Sequence[str]) -> list[str]:
    """Returns texts as FONT can draw them: one with a character that it lacks becomes its number, such as #3."""
    known = _characters()
    return [text if known.issuperset(text) else f"#{i}" for i, text in enumerate(texts, start=1)]


@cache
def _characters() -> frozenset[str]:
    """Returns the characters that FONT has."""
    return frozenset(map(chr, get_font(findfont(FONT)).get_charmap()))
