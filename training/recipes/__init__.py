"""Recipes of the models that are served, one module each, which defines `recipe`: `tagger_en.py` is `tagger-en`."""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import ConfigurationError

if TYPE_CHECKING:
    from training.tasks.base import Recipe  # imports Keras, which takes seconds


def recipe_names(folder: Path = Path(__file__).parent) -> list[str]:
    """Returns the names of all recipes in a folder."""
    return sorted(path.stem.replace("_", "-") for path in folder.glob("[!_]*.py"))


def load_recipe(name: str) -> "Recipe":
    """Loads a recipe by its name. Raises ConfigurationError if there is none."""
    if name not in recipe_names():
        raise ConfigurationError(f"no recipe is called {name!r}; there are {', '.join(recipe_names())}")
    return load(__name__, name)


def load(package: str, name: str) -> "Recipe":
    """Loads a recipe of a package that has it."""
    recipe: Recipe = importlib.import_module(f"{package}.{name.replace('-', '_')}").recipe
    return recipe
