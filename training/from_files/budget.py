"""Chooses the number of epochs by the size of the data, so that a run ends in time."""

from dataclasses import dataclass

BUDGET_SECONDS = 20 * 60  # of training, so that all is done within half an hour
QUICK_SECONDS = 90  # so that all is done within three minutes


@dataclass(frozen=True)
class TrainingBudget:
    """The epochs, examples and time of a run.

    Attributes:
        epochs: passes over the train split.
        limit: how many of its examples are used; None for all.
        seconds: the expected time of training, on one core.
    """

    epochs: int
    limit: int | None
    seconds: float


def training_budget(
    examples: int, tokens: int, tokens_per_second: float, *, least: int, most: int, quick: bool
) -> TrainingBudget:
    """Chooses the epochs that fit the time; where `least` of them do not, they are of a part of the examples.

    Args:
        examples: of the train split, in random order or not.
        tokens: of all of them.
        tokens_per_second: the speed of training, on one core.
        least, most: bounds of the number of epochs.
    """
    seconds = QUICK_SECONDS if quick else BUDGET_SECONDS
    possible = seconds * tokens_per_second / tokens
    epochs = min(most, max(least, int(possible)))
    share = min(1.0, possible / epochs)
    limit = int(examples * share) if share < 1 else None
    return TrainingBudget(epochs, limit, epochs * share * tokens / tokens_per_second)
