"""Plots of confusion, reliability, ladders and attention."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.data.dataset import Array


def confusion(labels: Sequence[str], counts: Array) -> Figure:
    """Plots a confusion matrix. counts: shape [right K, predicted K]."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(2 + 0.35 * len(labels), 2 + 0.35 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root shows what is rare
    for row, column in np.argwhere(counts):
        share = shares[row, column]
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", size=7, color=_ink(share))
    axes.set_xticks(range(len(labels)), labels, rotation=90)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="given", ylabel="right", title="percent of each row")
    return figure


def ladder(rungs: Sequence[str], values: Sequence[Sequence[float]], measure: str) -> Figure:
    """Plots the metric of each rung: a line through the means, and a mark per seed if there are several."""
    figure = Figure(figsize=(2 + 0.7 * len(rungs), 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([float(np.mean(seeds)) for seeds in values], color="C0", marker="o")
    for i, seeds in enumerate(values):
        if len(seeds) > 1:
            axes.plot([i] * len(seeds), seeds, "_", color="C1", markersize=14)
        axes.annotate(
            f"{np.mean(seeds):#.4g}",
            (i, float(np.max(seeds))),
            (0, 8),
            textcoords="offset points",
            ha="center",
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )
    axes.set_xticks(range(len(rungs)), rungs, rotation=30, ha="right")
    axes.set_ylabel(measure)
    axes.margins(x=0.1, y=0.15)
    axes.grid(axis="y", alpha=0.3)
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


def attention(read: Sequence[str], spelled: Sequence[str], weights: Array, axes: Axes) -> None:
    """Plots attention weights, a row per spelled character, a column per read symbol, shape [spelled, read]."""
    axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(len(read)), read, rotation=90)
    axes.set_yticks(range(len(spelled)), spelled)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the file's extension: .png, .svg, .pdf."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def _ink(share: float) -> str:
    return "white" if share > 0.4 else "black"
