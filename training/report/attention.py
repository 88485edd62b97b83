"""Plots the attention weights of each step of a decoder."""

from collections.abc import Sequence
from pathlib import Path

import keras
from matplotlib.figure import Figure

from training.report import plots
from training.tasks.base import Task

COLUMNS = 3
INCHES = 0.2  # of a symbol


def draw(task: Task, model: keras.Model, texts: Sequence[str], out: Path) -> Path:
    """Plots the attention of a network for a few texts and returns the path.

    Args:
        texts: in the form that `task.attend` reads.
    """
    attended = [task.attend(model, text) for text in texts]
    columns, rows = min(COLUMNS, len(texts)), -(-len(texts) // COLUMNS)
    width = 1 + INCHES * max(len(one.read) for one in attended)
    height = 1 + INCHES * max(len(one.generated) for one in attended)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    for i, one in enumerate(attended, start=1):
        plots.attention(one.read, one.generated, one.weights, figure.add_subplot(rows, columns, i))
    plots.save(figure, out)
    return out
