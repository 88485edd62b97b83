"""Plots the attention weights of a translator or captioner that was trained here."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.course import plots
from training.course.tasks.captioning import Captioning
from training.course.tasks.translation import Translation
from training.data.dataset import Array

COLUMNS = 3
INCHES = 0.2  # of a subword
SCENES = 3
PANEL = 1.05  # inches
ORANGE = (1.0, 0.65, 0.0)


def draw_translations(task: Translation, model: keras.Model, texts: Sequence[str], out: Path) -> None:
    """Plots for each text the weights of each generated subword, a row, on each that was read, a column."""
    attended = [task.attend(model, text) for text in texts]
    columns, rows = min(COLUMNS, len(texts)), -(-len(texts) // COLUMNS)
    width = 1 + INCHES * max(len(read) for read, _, _ in attended)
    height = 1 + INCHES * max(len(generated) for _, generated, _ in attended)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    for i, (read, generated, weights) in enumerate(attended, start=1):
        axes = figure.add_subplot(rows, columns, i)
        axes.imshow(weights, cmap="Blues", vmin=0, vmax=1)
        for set_ticks, symbols in ((axes.set_xticks, read), (axes.set_yticks, generated)):
            set_ticks(range(len(symbols)), symbols)
        axes.tick_params(axis="x", rotation=90)
    plots.save(figure, out)


def draw_captions(task: Captioning, model: keras.Model, out: Path) -> None:
    """Plots scenes of dev, and beside each a panel per generated word with the weights over the scene.

    The scenes are the first of dev with the most digits: these have the longest captions.
    """
    most = max(len(scene.digits) for scene in task.splits["dev"])
    scenes = [scene for scene in task.splits["dev"] if len(scene.digits) == most][:SCENES]
    word_ids, weights = (np.asarray(output) for output in model.attend(np.stack([scene.image for scene in scenes])))
    captions = [task.caption(ids) for ids in word_ids]
    columns = 1 + max(map(len, captions))
    figure = Figure(figsize=(PANEL * columns, 1.2 * PANEL * len(scenes)), layout="constrained")
    panels = figure.subplots(len(scenes), columns, squeeze=False)
    for scene, words, of_scene, axes in zip(scenes, captions, weights, panels, strict=True):
        _draw_row(scene.image, words, of_scene, axes)
    plots.save(figure, out)


def _draw_row(image: Array, words: Sequence[str], weights: Array, panels: Sequence[Axes]) -> None:
    """Draws a scene, and over it the attention weights of each word. weights: shape [steps, cells]."""
    side = math.isqrt(weights.shape[1])
    for axes in panels:
        axes.set_axis_off()
    for column, (axes, title) in enumerate(zip(panels, ["", *words], strict=False)):
        shown = axes.imshow(image, cmap="gray", vmin=0, vmax=1)
        if column:
            own = weights[column - 1].reshape(side, side)
            share = 0.8 * own / own.max()
            axes.imshow(np.full((side, side, 3), ORANGE), alpha=share, extent=shown.get_extent())
        axes.set_title(title, size=9)
