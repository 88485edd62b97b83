"""Plots of a ladder: its rungs, and the epochs of its runs."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

OUTLYING = 3.0
COLOURS = 10  # of the cycle, which begins again behind them


def ladder(rungs: Sequence[str], values: Sequence[Sequence[float]], measure: str) -> Figure:
    """Plots the metric of each rung: a line through the means, and a mark per seed if there are several."""
    figure = Figure(figsize=(2 + 0.7 * len(rungs), 4.5), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([float(np.mean(seeds)) for seeds in values], color="C0", marker="o")
    for i, seeds in enumerate(values):
        if len(seeds) > 1:
            axes.plot([i] * len(seeds), seeds, "_", color="C1", markersize=14)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        top = (i, float(np.max(seeds)))
        axes.annotate(f"{np.mean(seeds):#.4g}", top, (0, 8), textcoords="offset points", ha="center", bbox=box)
    axes.set_xticks(range(len(rungs)), rungs, rotation=30, ha="right")
    axes.set_ylabel(measure)
    axes.set_xlim(-0.7, len(rungs) - 0.3)  # room for the figure of the first and of the last
    axes.margins(y=0.15)
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
        for i, (name, values) in enumerate(runs.items()):
            style = "-" if i < COLOURS else "--"
            axes.plot(range(1, len(values[place]) + 1), values[place], style, color=f"C{i}", label=name, marker=".")
        axes.set(xlabel="epoch", ylabel=titles[place])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        numbers = np.array([value for values in runs.values() for value in values[place]])
        usual = numbers[numbers <= OUTLYING * np.median(numbers)]
        margin = 0.05 * (usual.max() - usual.min()) or 1.0
        axes.set_ylim(usual.min() - margin, usual.max() + margin)
        axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Writes a figure in the format of the file's extension: .png, .svg, .pdf."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
