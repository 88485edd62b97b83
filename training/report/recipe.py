"""Shows a recipe: all of its settings, and the weights of its network."""

import math
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import keras
from rich.console import Console
from rich.table import Column, Table

from training.tasks.base import Task

TEXT = ("name", "description", "limits", "licence")  # said in words, not settings of the run


def show(task: Task, console: Console, note: str = "") -> None:
    """Prints the settings of a task's recipe, those that differ from the defaults marked, and its network's weights.

    Args:
        note: on the network.
    """
    recipe, model = task.recipe, task.network()
    console.print(f"{recipe.name}: {recipe.description}", highlight=False)
    settings = Table("setting", "value", "")
    for name, value, changed in _settings(recipe):
        settings.add_row(name, value, "*" if changed else "")
    console.print(settings)
    console.print("* differs from the default\n", highlight=False)
    console.print(f"{type(model).__name__}{note}", highlight=False)
    weights = Table("weight", "shape", Column("numbers", justify="right"))
    for weight in model.weights:
        weights.add_row(weight.path, " x ".join(map(str, weight.shape)), f"{_size(weight):,}")
    weights.add_row("in all", "", f"{sum(map(_size, model.weights)):,}")
    console.print(weights)


def _settings(settings: Any, prefix: str = "") -> Iterator[tuple[str, str, bool]]:
    """Yields each setting's name, its value, and whether that differs from the default; those of a part by "part."."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from _settings(value, f"{prefix}{field.name}.")
        elif field.name not in TEXT:
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            shown = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            yield prefix + field.name, shown or "none", default is not MISSING and value != default


def _size(weight: keras.Variable) -> int:
    return math.prod(weight.shape)
