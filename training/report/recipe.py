"""Shows a recipe: all of its settings, and the weights of its network."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

import keras
from rich.console import Console
from rich.table import Column, Table

from training.tasks.base import Recipe, Task

TEXT = ("name", "description", "limits", "licence")  # said in words, not settings of the run


def show(task: Task, console: Console, note: str = "") -> None:
    """Prints the settings of a task's recipe, with a mark at each changed default, and its network's weights.

    Args:
        note: on the network.
    """
    recipe, model = task.recipe, task.network()
    console.print(f"{recipe.name}: {recipe.description}", highlight=False)
    settings = Table("setting", "value", "")
    for name, value, default in _settings(recipe):
        settings.add_row(name, value, "*" if default not in (None, value) else "")
    console.print(settings)
    console.print("* differs from the default\n", highlight=False)
    console.print(f"{type(model).__name__}{note}", highlight=False)
    weights = Table("weight", "shape", Column("numbers", justify="right"))
    for weight in model.weights:
        weights.add_row(weight.path, " x ".join(map(str, weight.shape)), f"{_size(weight):,}")
    weights.add_row("in all", "", f"{sum(map(_size, model.weights)):,}")
    console.print(weights)


def fingerprint(recipe: Recipe) -> str:
    """Returns a short text that differs where two recipes of one kind train differently.

    A setting that has its default does not count, so that a new one changes no fingerprint.
    """
    changed = [f"{name}={value}" for name, value, default in _settings(recipe) if value != default]
    kinds = [type(recipe).__name__, type(recipe.sizes).__name__]
    return hashlib.sha256("\n".join([*kinds, *changed]).encode()).hexdigest()[:16]


def _settings(settings: Any, prefix: str = "") -> Iterator[tuple[str, str, str | None]]:
    """Yields each setting's name, value and default (None without one). Settings of a part begin with "part."."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from _settings(value, f"{prefix}{field.name}.")
        elif field.name not in TEXT:
            default = field.default_factory() if field.default_factory is not MISSING else field.default
            yield prefix + field.name, _shown(value), None if default is MISSING else _shown(default)


def _shown(value: Any) -> str:
    return (", ".join(map(str, value)) if isinstance(value, tuple) else str(value)) or "none"


def _size(weight: keras.Variable) -> int:
    return math.prod(weight.shape)
