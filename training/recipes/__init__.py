"""Recipes, one module each: `tagger_en.py` is `tagger-en`. Ladders of them are in `ladders/`.

A module defines `recipe` and says what differs from the defaults; some define another one that recipes derive from.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import ConfigurationError

if TYPE_CHECKING:
    from training.recipes.ladders import Ladder
    from training.tasks.recipe import Recipe  # imports Keras, which takes seconds

RECIPES = Path(__file__).parent
LADDERS = RECIPES / "ladders"


def ladder_names() -> list[str]:
    """Returns the names of all ladders."""
    return sorted(p.stem for p in LADDERS.glob("*.py") if p.stem != "__init__")


def load_ladder(name: str) -> "Ladder":
    """Loads a ladder by its name. Raises ConfigurationError if there is none."""
    if name not in ladder_names():
        raise ConfigurationError(f"no ladder is called {name!r}; there are {', '.join(ladder_names())}")
    ladder: Ladder = importlib.import_module(f"training.recipes.ladders.{name}").LADDER
    return ladder


def recipe_names() -> list[str]:
    """Returns the names of all recipes."""
    return sorted(p.stem.replace("_", "-") for p in RECIPES.glob("*.py") if p.stem != "__init__")


def load_recipe(name: str) -> "Recipe":
    """Loads a recipe by its name. Raises ConfigurationError if there is none."""
    if name not in recipe_names():
        raise ConfigurationError(f"no recipe is called {name!r}; there are {', '.join(recipe_names())}")
    module = importlib.import_module(f"training.recipes.{name.replace('-', '_')}")
    recipe: Recipe = module.recipe
    return recipe


def load_any_recipe(name: str) -> "Recipe":
    """Loads a recipe, or that of a rung, "tagging/lstm", by its name. Raises ConfigurationError if there is none."""
    ladder, _, rung = name.rpartition("/")
    return load_ladder(ladder).rung(rung).recipe if ladder else load_recipe(name)
