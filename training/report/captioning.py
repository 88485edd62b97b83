"""Plots the attention weights of a captioner at each word."""

import math
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from training.data.dataset import Array
from training.data.digit_scenes import Scene
from training.report import plots
from training.tasks.captioning import Captioning

SCENES = 3
PANEL = 1.05  # inches
ORANGE = (1.0, 0.65, 0.0)


def draw(task: Captioning, model: keras.Model, out: Path) -> Path:
    """Plots scenes of dev, beside each a panel per generated word, and returns the path.

    The scenes are the first of dev with as many digits as there can be, since they have the longest captions.
    """
    most = max(len(scene.digits) for scene in task.splits["dev"])
    scenes = [scene for scene in task.splits["dev"] if len(scene.digits) == most][:SCENES]
    word_ids, weights = (np.asarray(output) for output in model.attend(np.stack([scene.image for scene in scenes])))
    captions = [task.caption(ids) for ids in word_ids]
    columns = 1 + max(map(len, captions))
    figure = Figure(figsize=(PANEL * columns, 1.2 * PANEL * len(scenes)), layout="constrained")
    panels = figure.subplots(len(scenes), columns, squeeze=False)
    for scene, words, weights_of_scene, axes in zip(scenes, captions, weights, panels, strict=True):
        _draw_row(scene, words, weights_of_scene, axes)
    plots.save(figure, out)
    return out


def _draw_row(scene: Scene, words: Sequence[str], weights: Array, panels: Sequence[Axes]) -> None:
    """Draws a scene, and over it the attention weights of each word. weights: shape [steps, cells]."""
    side = math.isqrt(weights.shape[1])
    for axes in panels:
        axes.set_axis_off()
    for column, (axes, title) in enumerate(zip(panels, ["", *words], strict=False)):
        shown = axes.imshow(scene.image, cmap="gray", vmin=0, vmax=1)
        if column:
            own = weights[column - 1].reshape(side, side)
            share = 0.8 * own / own.max()
            axes.imshow(np.full((side, side, 3), ORANGE), alpha=share, extent=shown.get_extent())
        axes.set_title(title, size=9)
