"""Recipes of the models that are served.

A module defines `recipe`: `tagger_en.py` is `tagger-en`. `_taught_taggers.py` has the recipes of TAUGHT.
"""

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from service.errors import ConfigurationError

if TYPE_CHECKING:
    from training.recipes._taught_taggers import TaughtTaggingRecipe
    from training.tasks.base import Recipe  # imports Keras, which takes seconds

FOLDER = Path(__file__).parent
TAUGHT = tuple(f"tagger-{language}" for language in ("da", "de", "es", "nl", "pt", "sv"))


def recipe_names(folder: Path = FOLDER) -> list[str]:
    """Returns the names of all recipes in a folder."""
    names = [path.stem.replace("_", "-") for path in folder.glob("[!_]*.py")]
    return sorted([*names, *TAUGHT] if folder == FOLDER else names)


def load_recipe(name: str) -> "Recipe":
    """Loads a recipe by its name. Raises ConfigurationError if there is none."""
    if name not in recipe_names():
        raise ConfigurationError(f"no recipe is called {name!r}; there are {', '.join(recipe_names())}")
    return load(__name__, name)


def load(package: str, name: str) -> "Recipe":
    """Loads a recipe of a package that has it."""
    if name in TAUGHT:
        taught: dict[str, Recipe] = importlib.import_module(f"{__name__}._taught_taggers").RECIPES
        return taught[name]
    recipe: Recipe = importlib.import_module(f"{package}.{name.replace('-', '_')}").recipe
    return recipe


def taught_on(corpus: str) -> "TaughtTaggingRecipe":
    """Returns the recipe of a treebank that the multilingual teacher is tuned on."""
    found: dict[str, TaughtTaggingRecipe] = importlib.import_module(f"{__name__}._taught_taggers").BY_CORPUS
    return found[corpus]
