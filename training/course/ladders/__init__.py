"""Ladders: series of recipes that each change one thing of another recipe. A module each, which defines `LADDER`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from service.errors import ConfigurationError
from training.course import cells as _cells  # noqa: F401 (names the cells of the rungs)
from training.tasks.base import Recipe
from training.tasks.recipe import derive

RATES = (1e-3, 2e-3, 4e-3)


@dataclass(frozen=True)
class Rung:
    """One recipe of a ladder.

    Attributes:
        name: of the rung alone, without the ladder's name.
        change: says in words what differs from the rung below.
        recipe: of its runs; of a shipped model, one that has the corpus on which it is measured.
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
        rungs: each behind the rung that it is compared with.
        seeds: number of runs of a rung.
        rates: the learning rates that the first seed of each rung tries. The other seeds take the rate that is best on
            dev.
    """

    rungs: tuple[Rung, ...]
    seeds: int = 3
    rates: tuple[float, ...] = RATES

    def recipe(self, rung: Rung, seed: int, rate: float) -> Recipe:
        """Returns the recipe of one run of a rung, whose name, and with it its folder, states its seed and its rate."""
        name = f"{rung.recipe.name}-seed{seed}-rate{rate:g}"
        return replace(rung.recipe, name=name, seed=seed, learning_rate=rate)

    def rung(self, name: str) -> Rung:
        """Returns a rung by its name. Raises ConfigurationError if there is none."""
        for rung in self.rungs:
            if rung.name == name:
                return rung
        raise ConfigurationError(f"no rung is called {name!r}; there are {', '.join(r.name for r in self.rungs)}")
