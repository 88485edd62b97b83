"""Chooses the number of epochs by the size of the data, so that a run ends in time, and says how long it takes.

All times are processor times of the whole command, on one core of a machine that runs nothing else. Programs on the
other cores make it a third slower.
"""

from dataclasses import dataclass

from rich.console import Console

from service.errors import quantity
from training.tasks.base import Recipe

BUDGET_SECONDS = 60 * 60
QUICK_SECONDS = 180
START_SECONDS, END_SECONDS = 22, 20  # to import and to trace the network; to export and to check it


@dataclass(frozen=True)
class Speed:
    """How fast a kind of model is made, on one core.

    Attributes:
        trained: tokens per second of an epoch, with its evaluation on dev.
        finished: tokens per second of all that follows the last epoch: the evaluation, the simple models. What precedes
            the first one, such as the counting of pairs of words, is included.
    """

    trained: float
    finished: float

    def seconds(self, tokens: float, epochs: int) -> float:
        """Returns the time of a run on so many tokens of the train split."""
        return START_SECONDS + tokens * epochs / self.trained + self.end_seconds(tokens)

    def end_seconds(self, tokens: float) -> float:
        """Returns the time after the last epoch."""
        return END_SECONDS + tokens / self.finished


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
    possible = (seconds - START_SECONDS - END_SECONDS) / tokens
    epochs = min(most, max(least, int((possible - 1 / speed.finished) * speed.trained)))
    share = possible / (epochs / speed.trained + 1 / speed.finished)
    return epochs, int(examples * share) if share < 1 else None


def show_budget(console: Console, unit: str, tokens: int, examples: int, recipe: Recipe, speed: Speed) -> None:
    """Prints what the run is going to do, and how long that takes. tokens: of all examples, which are called `unit`."""
    used = min(examples, recipe.limit or examples) / examples
    minutes = round(speed.seconds(tokens * used, recipe.epochs) / 60)
    end = round(speed.end_seconds(tokens * used) / 60)
    part = f" of {recipe.limit:,} of its examples" if recipe.limit else ""
    about = f"about {quantity(minutes, 'minute')} on one core" + (f", {end} after the last epoch" if end else "")
    line = f"{recipe.name}: {tokens:,} {unit}, {quantity(recipe.epochs, 'epoch')}{part}, {about}"
    console.print(line, highlight=False, soft_wrap=True)
