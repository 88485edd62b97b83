"""The course: ladders of recipes, research cells, translation and captions. None of its models is served.

It imports the rest of `training`, and the command line alone imports it.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import ConfigurationError
from training import recipes as served

if TYPE_CHECKING:  # Keras takes seconds to import
    from training.course.ladders import Ladder
    from training.tasks.base import Recipe

FOLDER = Path(__file__).parent


def ladder_names() -> list[str]:
    """Returns the names of all ladders: `ladders/tagging.py` is `tagging`."""
    return sorted(path.stem for path in (FOLDER / "ladders").glob("[!_]*.py"))


def load_ladder(name: str) -> "Ladder":
    """Loads a ladder by its name. Raises ConfigurationError if there is none."""
    if name not in ladder_names():
        raise ConfigurationError(f"no ladder is called {name!r}; there are {', '.join(ladder_names())}")
    ladder: Ladder = importlib.import_module(f"{__name__}.ladders.{name}").LADDER
    return ladder


def recipe_names() -> list[str]:
    """Returns the names of all recipes, of the course and of served models."""
    return sorted([*served.recipe_names(FOLDER / "recipes"), *served.recipe_names()])


def load_recipe(name: str) -> "Recipe":
    """Loads a recipe by its name, or a rung's by "tagging/lstm" or by its recipe's name, "tagging-lstm".

    Raises ConfigurationError if there is none.
    """
    if name in recipe_names():
        package = served.__name__ if name in served.recipe_names() else f"{__name__}.recipes"
        return served.load(package, name)
    ladder, slash, rung = name.partition("/" if "/" in name else "-")
    if slash == "/" or ladder in ladder_names():
        return load_ladder(ladder).rung(rung).recipe
    raise ConfigurationError(f"no recipe is called {name!r}; there are {', '.join(recipe_names())}")
