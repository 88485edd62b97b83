"""Chooses the number of epochs by the size of the data, so that a run ends in time, and says how long it takes.

All times are those of one core of the machine that `docs/results.md` was measured on, of the whole command.
"""

from dataclasses import dataclass

from rich.console import Console

from service.errors import quantity
from training.tasks.base import Recipe

BUDGET_SECONDS = 40 * 60
QUICK_SECONDS = 150  # so that a somewhat slower core is done within three minutes
FIXED_SECONDS = 25  # to import, to trace the network, to export and check it


@dataclass(frozen=True)
class Speed:
    """How fast a kind of model is made, on one core.

    Attributes:
        trained: tokens per second of an epoch, with its evaluation on dev.
        finished: tokens per second of all that follows the last epoch: the evaluation, the simple models.
    """

    trained: float
    finished: float

    def seconds(self, tokens: float, epochs: int) -> float:
        """Returns the time of a run on so many tokens of the train split."""
        return FIXED_SECONDS + tokens * (epochs / self.trained + 1 / self.finished)


def training_budget(
    examples: int, tokens: int, speed: Speed, *, least: int, most: int, quick: bool
) -> tuple[int, int | None]:
    """Chooses the number of epochs that fits the time. If even `least` epochs take longer, fewer examples are used.

    Args:
        examples: number of examples of the train split.
        tokens: number of tokens of these examples.
        least, most: bounds of the number of epochs.

    Returns:
        The number of epochs, and the number of examples to use; None for all examples.
    """
    seconds = QUICK_SECONDS if quick else BUDGET_SECONDS
    possible = (seconds - FIXED_SECONDS) / tokens
    epochs = min(most, max(least, int((possible - 1 / speed.finished) * speed.trained)))
    share = possible / (epochs / speed.trained + 1 / speed.finished)
    return epochs, int(examples * share) if share < 1 else None


def show_budget(console: Console, unit: str, tokens: int, examples: int, recipe: Recipe, speed: Speed) -> None:
    """Prints what the run is going to do, and how long that takes. tokens: of all examples, which are called `unit`."""
    used = min(examples, recipe.limit or examples) / examples
    minutes = round(speed.seconds(tokens * used, recipe.epochs) / 60)
    part = f" of {recipe.limit:,} of its examples" if recipe.limit else ""
    about = f"about {quantity(minutes, 'minute')}" if minutes else "less than a minute"
    line = f"{recipe.name}: {tokens:,} {unit}, {quantity(recipe.epochs, 'epoch')}{part}, {about} on one core"
    console.print(line, highlight=False, soft_wrap=True)
