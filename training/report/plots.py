"""Plots of confusion, reliability, ladders and attention."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font

from training.data.dataset import Array

OUTLYING = 3.0
FONT = "DejaVu Sans"  # Matplotlib's own
BOXES = "Last Resort High-Efficiency"  # Matplotlib's own, which has a box for every character
CONFUSED_LABELS = 50  # the most frequent, that a confusion matrix shows


def confusion(labels: Sequence[str], counts: Array) -> Figure:
    """Plots a confusion matrix of the first CONFUSED_LABELS. counts: shape [right K, predicted K]."""
    shares = (counts / np.maximum(counts.sum(axis=1, keepdims=True), 1))[:CONFUSED_LABELS, :CONFUSED_LABELS]
    counts = counts[:CONFUSED_LABELS, :CONFUSED_LABELS]
    labels, fonts = drawable(labels[:CONFUSED_LABELS])
    figure = Figure(figsize=(2 + 0.35 * len(labels), 2 + 0.35 * len(labels)), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root shows what is rare
    for row, column in np.argwhere(counts):
        share = shares[row, column]
        axes.text(column, row, f"{100 * share:.0f}", ha="center", va="center", size=7, color=_ink(share))
    axes.set_xticks(range(len(labels)), labels, rotation=90, fontfamily=fonts)
    axes.set_yticks(range(len(labels)), labels, fontfamily=fonts)
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


def epochs(runs: Mapping[str, Sequence[Sequence[float]]], measure: str) -> Figure:
    """Plots the losses and a metric on dev after each epoch, a line for each run.

    An axis shows values up to OUTLYING times the median, so that a run that explodes does not flatten the others.

    Args:
        runs: by name: loss on train, loss on dev or nothing, the metric.
    """
    titles = ["loss on train", "loss on dev", measure]
    shown = [place for place in range(3) if any(len(values[place]) for values in runs.values())]
    figure = Figure(figsize=(2 + 4 * len(shown), 4.5), layout="constrained")
    for column, place in enumerate(shown, start=1):
        axes = figure.add_subplot(1, len(shown), column)
        for name, values in runs.items():
            axes.plot(range(1, len(values[place]) + 1), values[place], label=name, marker=".")
        axes.set(xlabel="epoch", ylabel=titles[place])
        numbers = np.array([value for values in runs.values() for value in values[place]])
        usual = numbers[numbers <= OUTLYING * np.median(numbers)]
        margin = 0.05 * (usual.max() - usual.min()) or 1.0
        axes.set_ylim(usual.min() - margin, usual.max() + margin)
        axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
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


def attention(read: Sequence[str], generated: Sequence[str], weights: Array, axes: Axes) -> None:
    """Plots attention weights, a row per generated symbol, a column per read symbol, shape [generated, read]."""
    axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
    for ticks, (symbols, fonts) in ((axes.set_xticks, drawable(read)), (axes.set_yticks, drawable(generated))):
        ticks(range(len(symbols)), symbols, fontfamily=fonts)
    axes.tick_params(axis="x", rotation=90)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the file's extension: .png, .svg, .pdf."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def drawable(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Returns texts as they can be drawn, and the fonts for that: FONT, and others where it lacks a character.

    A text that has a character of no installed font becomes its number, such as #3 for the third.
    """
    fonts, known = [FONT], _characters(findfont(FONT))
    for character in sorted(set("".join(texts))):
        if character not in known:
            for font in fontManager.ttflist:
                if font.name != BOXES and character in _characters(font.fname):
                    fonts, known = [*fonts, font.name], known | _characters(font.fname)
                    break
    return [text if known.issuperset(text) else f"#{i}" for i, text in enumerate(texts, start=1)], fonts


@cache
def _characters(path: str) -> frozenset[str]:
    """Returns the characters that a font file has."""
    return frozenset(map(chr, get_font(path).get_charmap()))


def _ink(share: float) -> str:
    return "white" if share > 0.4 else "black"
