"""Recipes, and where training reads and writes.

A recipe holds every setting of a run. `training/recipes/` has one module for each, `tagger_en.py` for
`tagger-en`, which defines `recipe` and says what differs from the defaults, and nothing else. A package in it is a
ladder: `RUNGS` names its modules from the lowest rung up, each of which says what differs from the rung below it.
"""

import importlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from service.errors import ConfigurationError

if TYPE_CHECKING:
    from service.text.vocabulary import Vocabulary
    from training.tasks.base import Task

AnyRecipe = TypeVar("AnyRecipe", bound="Recipe")
RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True, kw_only=True)
class Recipe(ABC):
    """What every run has; a kind of task adds its own settings and says which task it is.

    Attributes:
        name: of the recipe and of the model that it makes.
        description: what the model does, for people.
        language: BCP 47.
        licence: that the model is released under.
        limits: what the model cannot do, for its card.
        seed: of the weights, the order of the examples, and dropout.
        threads: of the arithmetic. One is nearly as fast as two at these sizes, and repeats exactly.
        epochs: passes over the train split.
        batch_tokens: positions in a batch, padding included.
        limit: the number of examples of the train split that are learnt from, all by default; of a text, characters.
        learning_rate: at its highest, of Adam.
        warmup: the share of the run in which it rises from 0.
        schedule: how it falls after that, by the name that training.schedules has for it.
        patience: epochs in a row without a better one after which the run ends early; 0 is never.
        clip_norm: gradients are scaled down to this global norm.
        averaging: decay per step of the moving average of the weights that is exported; 0 is none.
        precision: Keras's name for how numbers are kept and computed. "mixed_bfloat16" keeps weights in 32 bits and
            computes in 16, which is for GPUs: a processor may emulate it.
        teacher: the recipe whose lesson, which `tagwerk-train teach` writes, it learns from, too.
        shipped: whether training exports the model; if not, it is measured on test alone.
        sizes: of the network, and by their type which network it is.
    """

    name: str
    description: str
    language: str
    licence: str
    limits: str
    seed: int = 1
    threads: int = 1
    epochs: int
    batch_tokens: int
    limit: int | None = None
    learning_rate: float
    warmup: float = 0.02
    schedule: str = "cosine"
    patience: int = 0
    clip_norm: float = 5.0
    averaging: float = 0.0
    precision: str = "float32"
    teacher: str | None = None
    shipped: bool = True
    sizes: Any

    @abstractmethod
    def task(self, vocabularies: "Mapping[str, Vocabulary] | None" = None) -> "Task":
        """Reads the corpora and returns the task, ready to train.

        Args:
            vocabularies: of a model that is to be measured, by name; made of the train split where there are none.
        """


def above(
    below: AnyRecipe, name: str, *, network: Any = None, sizes: Mapping[str, Any] | None = None, **changes: Any
) -> AnyRecipe:
    """Returns the recipe of a rung: that of the rung below it, under another name, with what the rung changes.

    Args:
        network: the sizes of another network in the place of the one below.
        sizes: what changes of the sizes of the same network.
    """
    changed = replace(network or below.sizes, **(sizes or {}))
    return replace(below, name=name, sizes=changed, **changes)


@dataclass(frozen=True)
class Rung:
    """A step of a ladder: what it changes, in words, and its recipe."""

    what: str
    recipe: Recipe


def ladder_names() -> list[str]:
    """Returns the names of all ladders: the packages of recipes."""
    return sorted(p.parent.name for p in RECIPES.glob("*/__init__.py"))


def load_ladder(name: str) -> list[Rung]:
    """Returns the rungs of a ladder, the lowest first. Raises ConfigurationError if there is none of that name."""
    if name not in ladder_names():
        raise ConfigurationError(f"no ladder is called {name!r}; there are {', '.join(ladder_names())}")
    package = f"training.recipes.{name}"
    modules = [importlib.import_module(f"{package}.{rung}") for rung in importlib.import_module(package).RUNGS]
    return [Rung((module.__doc__ or "").strip().rstrip("."), module.recipe) for module in modules]


def recipe_names() -> list[str]:
    """Returns the names of all recipes."""
    return sorted(p.stem.replace("_", "-") for p in RECIPES.glob("*.py") if p.stem != "__init__")


def load_recipe(name: str) -> Recipe:
    """Returns the recipe of that name. Raises ConfigurationError if there is none."""
    if name not in recipe_names():
        raise ConfigurationError(f"no recipe is called {name!r}; there are {', '.join(recipe_names())}")
    module = importlib.import_module(f"training.recipes.{name.replace('-', '_')}")
    recipe: Recipe = module.recipe
    return recipe


def runs_folder() -> Path:
    """Returns where checkpoints are kept: `$TAGWERK_RUNS_DIR`, or `runs`."""
    return Path(os.environ.get("TAGWERK_RUNS_DIR") or "runs")


def model_store() -> Path:
    """Returns where model versions are kept: `$TAGWERK_MODEL_STORE`, or `model_store`."""
    return Path(os.environ.get("TAGWERK_MODEL_STORE") or "model_store")
