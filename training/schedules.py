"""Learning rates: what share of the highest one a step learns with.

A schedule is a function of how much of the run is over, from 0 to 1, and of whether each epoch so far was better on dev
than all before it. It keeps nothing between calls, so that a resumed run goes on at the same rate.
"""

import math
from collections.abc import Callable, Sequence

from service.errors import ConfigurationError

FALL = 0.01  # what `exponential` ends at
STAIRS = 5  # of `staircase`, each half as high as the one before
WAIT = 2  # epochs in a row that are no better, after which `plateau` halves

Schedule = Callable[[float, Sequence[bool]], float]


def constant(done: float, better: Sequence[bool]) -> float:
    """Stays at the top."""
    return 1.0


def cosine(done: float, better: Sequence[bool]) -> float:
    """Falls to 0 as half a wave (Loshchilov and Hutter 2017), slowly at first and at the end."""
    return 0.5 * (1 + math.cos(math.pi * done))


def exponential(done: float, better: Sequence[bool]) -> float:
    """Falls by the same factor in the same time, to FALL."""
    return float(FALL**done)


def staircase(done: float, better: Sequence[bool]) -> float:
    """Halves at once, after each of STAIRS equal parts."""
    return float(0.5 ** min(math.floor(done * STAIRS), STAIRS - 1))


def plateau(done: float, better: Sequence[bool]) -> float:
    """Halves whenever WAIT epochs in a row were no better than the best before them."""
    share, waited = 1.0, 0
    for one in better:
        waited = 0 if one else waited + 1
        if waited == WAIT:
            share, waited = share / 2, 0
    return share


SCHEDULES: dict[str, Schedule] = {
    schedule.__name__: schedule for schedule in (constant, cosine, exponential, staircase, plateau)
}


def learning_rate(highest: float, warmup: float, schedule: str, done: float, better: Sequence[bool]) -> float:
    """Returns the learning rate of a step.

    Args:
        highest: the learning rate at its highest.
        warmup: the share of the run in which it rises in a line from 0, before the schedule begins.
        schedule: its name. Raises ConfigurationError if there is none of that name.
        done: the share of the run that is over.
        better: whether each epoch so far was the best until then.
    """
    if schedule not in SCHEDULES:
        raise ConfigurationError(f"no schedule is called {schedule!r}; there are {', '.join(SCHEDULES)}")
    if done < warmup:
        return highest * done / warmup
    return highest * SCHEDULES[schedule]((done - warmup) / (1 - warmup), better)
