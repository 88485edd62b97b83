"""Ladders: series of recipes, each of which changes one thing of another. One module each, which defines `LADDER`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import training.course.cells  # noqa: F401 (names the cells of the rungs)
from service.errors import ConfigurationError
from training.tasks.base import Recipe
from training.tasks.recipe import derive

RATES = (1e-3, 2e-3, 4e-3)


@dataclass(frozen=True)
class Rung:
    """One recipe of a ladder.

    Attributes:
        name: without that of the ladder.
        change: what it changes of the rung below it, in words.
        recipe: what it trains; of a shipped model, what that was trained with.
        below: the rung that it is compared with; None for the lowest one.
        model: the name of a shipped model, which is measured as it is in the model store, and not trained again.
    """

    name: str
    change: str
    recipe: Recipe
    below: "Rung | None" = field(default=None, repr=False)
    model: str | None = None

    def then(
        self, name: str, change: str, *, network: Any = None, sizes: Mapping[str, Any] | None = None, **changes: Any
    ) -> "Rung":
        """Returns a rung above this one. Arguments as of `derive`."""
        ladder = self.recipe.name.removesuffix(f"-{self.name}")
        recipe = derive(self.recipe, f"{ladder}-{name}", network=network, sizes=sizes, **changes)
        return Rung(name, change, recipe, self)

    def shipped(self, recipe: Recipe) -> "Rung":
        """Returns the rung of a shipped model above this one."""
        return Rung("shipped", "The model that is shipped", recipe, self, recipe.name)


@dataclass(frozen=True)
class Ladder:
    """Rungs in the order in which they are shown, and the rules by which each of them is trained.

    Attributes:
        rungs: each behind the one that it is compared with.
        seeds: how many runs a rung has.
        rates: the learning rates that the first seed of each rung tries; the one that is best on dev is kept for the
            others.
        mark: behind the names of what is written; of a shortened ladder, how it is.
    """

    rungs: tuple[Rung, ...]
    seeds: int = 3
    rates: tuple[float, ...] = RATES
    mark: str = ""

    def recipe(self, rung: Rung, seed: int, rate: float) -> Recipe:
        """Returns the recipe of one run of a rung, whose name, and with it its folder, states its seed and its rate."""
        name = f"{rung.recipe.name}-seed{seed}-rate{rate:g}"
        return replace(rung.recipe, name=name, seed=seed, learning_rate=rate)

    def shortened(self, epochs: int | None, limit: int | None) -> "Ladder":
        """Returns the ladder with at most so many epochs and training examples, as its mark and names of recipes state.

        Shipped models, which have learned from all, are left out of one with fewer epochs or examples.
        """
        marks = [f"-{name}{most}" for name, most in (("epochs", epochs), ("limit", limit)) if most]
        rungs = tuple(_shortened(rung, epochs, limit) for rung in self.rungs if not (marks and rung.model))
        return replace(self, rungs=rungs, mark="".join(marks))

    def rung(self, name: str) -> Rung:
        """Returns a rung by its name. Raises ConfigurationError if there is none."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise ConfigurationError(f"no rung is called {name!r}; there are {', '.join(r.name for r in self.rungs)}")


def _shortened(rung: Rung, epochs: int | None, limit: int | None) -> Rung:
    recipe, marks = rung.recipe, ""
    if epochs and epochs < recipe.epochs:
        recipe, marks = replace(recipe, epochs=epochs), f"-epochs{epochs}"
    if limit and (recipe.limit is None or limit < recipe.limit):
        recipe, marks = replace(recipe, limit=limit), f"{marks}-limit{limit}"
    return replace(rung, recipe=replace(recipe, name=recipe.name + marks))
