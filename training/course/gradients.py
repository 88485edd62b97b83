"""The size of gradients over time: of the loss of one character by the states that a language model had before it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from service.errors import ConfigurationError
from training.course import load_ladder, plots
from training.data.dataset import Array
from training.models.language_model import LanguageModel, LanguageModelSizes
from training.report.tables import new_table
from training.run.loop import load_best, train
from training.tasks.base import Task
from training.tasks.language_modelling import LanguageModelling, LanguageModelRecipe

STEPS = 60
ROWS = 64  # characters of dev whose losses are gone back from
READ = 40  # characters before these steps, from which no gradient is taken
SHOWN = (1, 5, 10, 20, 40, 60)  # steps back, in the table


def sizes(task: LanguageModelling, model: LanguageModel) -> Array:
    """Returns the norm of the gradient by the state k steps before the last step's, over that by the last step's.

    A step's state is all that the step before has handed on, of an LSTM h and c. Shape [STEPS + 1, ROWS or a few less].

    Args:
        model: of one layer.
    """
    ids = task.encoded("dev")["characters"]
    width = READ + STEPS + 2
    starts = np.linspace(0, len(ids) - width, ROWS, dtype=int)
    rows = ids[starts[:, None] + np.arange(width)]  # [ROWS, width]
    (cell,), projected = model.cells, model.project()
    state = tuple(ops.zeros((1, ROWS, size)) for size in cell.state_sizes)
    states = []
    with tf.GradientTape() as tape:
        for step in range(width - 1):
            if step == READ:
                tape.watch(state)
            if step >= READ:
                states.append(state)
            state = cell.step(ops.take(projected, rows[None, :, step], axis=0), state)
        logits = model.head(state[0][0])  # [ROWS, V]
        loss = ops.sum(ops.sparse_categorical_crossentropy(rows[:, -1], logits, from_logits=True))
    gradients = [np.concatenate(parts, axis=-1)[0] for parts in tape.gradient(loss, states)]  # each [ROWS, S]
    norms = np.linalg.norm(np.array(gradients[::-1], float), axis=-1)  # [STEPS + 1, ROWS]
    norms = norms[:, norms[0] > 0]  # a loss of a character that is certain has no gradient
    relative: Array = norms / norms[0]
    return relative


def measure(names: Sequence[str], out: Path, console: Console) -> None:
    """Measures rungs, such as "cells/lstm", at the start and trained; prints tables, and writes a plot to `out`.

    At the start these are three seeds, trained the first one, with the lowest of the ladder's rates.

    Raises:
        ConfigurationError: a rung is no language model of one layer.
    """
    found: dict[str, dict[str, Array]] = {"initial weights": {}, "trained": {}}
    for name in names:
        tasks = [_task(name, seed) for seed in (1, 2, 3)]
        train(tasks[0], console)
        cell = name.partition("/")[2]
        found["initial weights"][cell] = np.concatenate([sizes(task, _initial(task)) for task in tasks], axis=1)
        found["trained"][cell] = sizes(tasks[0], load_best(tasks[0]))
    for when, by_name in found.items():
        console.print(_table(when, by_name))
    plots.save(_figure(found), out)


def _task(name: str, seed: int) -> LanguageModelling:
    """Returns the task of a rung with the lowest rate of its ladder. Raises ConfigurationError."""
    ladder_name, _, rung = name.partition("/")
    ladder = load_ladder(ladder_name)
    recipe = ladder.recipe(ladder.rung(rung), seed, ladder.rates[0])
    if (
        not isinstance(recipe, LanguageModelRecipe)
        or not isinstance(recipe.sizes, LanguageModelSizes)
        or recipe.sizes.layers > 1
    ):
        raise ConfigurationError(f"{name} is no language model of one layer; right: cells/lstm, for instance")
    return recipe.task()


def _initial(task: Task) -> keras.Model:
    """Returns the network that a run of the task starts from."""
    keras.utils.set_random_seed(task.recipe.seed)
    return task.network()


def _table(when: str, by_name: Mapping[str, Array]) -> Table:
    table = new_table(
        f"gradient k steps back over that of the last step, {when}", "cell", right=[str(k) for k in SHOWN]
    )
    for name, values in by_name.items():
        table.add_row(name, *(_quantiles(values[k]) for k in SHOWN))
    return table


def _quantiles(values: Array) -> str:
    """Formats the median and the values below which a tenth and nine tenths lie."""
    low, middle, high = np.quantile(values, (0.1, 0.5, 0.9))
    return f"{middle:.2g} ({low:.1g} to {high:.1g})"


def _figure(found: Mapping[str, Mapping[str, Array]]) -> Figure:
    figure = Figure(figsize=(10, 4.5), layout="constrained")
    panels = figure.subplots(1, len(found), sharey=True)
    for axes, (when, by_name) in zip(panels, found.items(), strict=True):
        for name, values in by_name.items():
            axes.plot(np.median(values, axis=1), label=name)
        axes.set(yscale="log", xlabel="steps back", title=when)
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("gradient over that of the last step, median")
    panels[-1].legend(fontsize="small")
    return figure
