"""Recipes, one module each: `tagger_en.py` is `tagger-en`.

A module defines `recipe` and says what differs from the defaults, and nothing else. A package is a ladder: `RUNGS`
names its modules from the lowest rung up, each of which says what differs from the rung below it.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import ConfigurationError

if TYPE_CHECKING:
    from training.tasks.base import Recipe  # imports Keras, which takes seconds

RECIPES = Path(__file__).parent


@dataclass(frozen=True)
class Rung:
    """One recipe of a ladder, and in words what it changes."""

    change: str
    recipe: "Recipe"


def ladder_names() -> list[str]:
    """Returns the names of all ladders: the packages in this folder."""
    return sorted(p.parent.name for p in RECIPES.glob("*/__init__.py"))


def load_ladder(name: str) -> list[Rung]:
    """Loads the rungs of a ladder, the simplest first. Raises ConfigurationError if there is none of that name."""
    if name not in ladder_names():
        raise ConfigurationError(f"no ladder is called {name!r}; there are {', '.join(ladder_names())}")
    package = f"training.recipes.{name}"
    modules = [importlib.import_module(f"{package}.{rung}") for rung in importlib.import_module(package).RUNGS]
    return [Rung((module.__doc__ or "").strip().rstrip("."), module.recipe) for module in modules]


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


def rung_names() -> list[str]:
    """Returns the names of the rungs of all ladders: "tagging/lstm"."""
    return [
        f"{name}/{rung}"
        for name in ladder_names()
        for rung in importlib.import_module(f"training.recipes.{name}").RUNGS
    ]


def load_any_recipe(name: str) -> "Recipe":
    """Loads a recipe, or that of a rung, "tagging/lstm", by its name. Raises ConfigurationError if there is none."""
    if "/" not in name:
        return load_recipe(name)
    if name not in rung_names():
        raise ConfigurationError(f"no rung is called {name!r}; there are {', '.join(rung_names())}")
    recipe: Recipe = importlib.import_module(f"training.recipes.{name.replace('/', '.')}").recipe
    return recipe
