"""Plots of confusion and reliability."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font

from training.data.dataset import Array

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
