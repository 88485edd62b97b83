"""Learning rate schedules.

A schedule is a function of the progress of the run, from 0 to 1, and of whether each epoch so far was the best on dev
until then. It returns a share of the highest rate, and has no state, so a resumed run continues with the same rate.
"""

import math
from collections.abc import Callable, Sequence

from service.errors import ConfigurationError

FALL = 0.01  # the last share of `exponential`
STAIRS = 5  # steps of `staircase`
WAIT = 2  # epochs without improvement after which `plateau` halves

Schedule = Callable[[float, Sequence[bool]], float]


def constant(done: float, better: Sequence[bool]) -> float:
    """Stays at 1."""
    return 1.0


def cosine(done: float, better: Sequence[bool]) -> float:
    """Falls to 0 along half a cosine wave (Loshchilov and Hutter 2017)."""
    return 0.5 * (1 + math.cos(math.pi * done))


def exponential(done: float, better: Sequence[bool]) -> float:
    """Falls exponentially to FALL."""
    return float(FALL**done)


def staircase(done: float, better: Sequence[bool]) -> float:
    """Halves after each of STAIRS equal parts of the run."""
    return float(0.5 ** min(math.floor(done * STAIRS), STAIRS - 1))


def plateau(done: float, better: Sequence[bool]) -> float:
    """Halves after WAIT epochs in a row without improvement."""
    share, waited = 1.0, 0
    for improved in better:
        waited = 0 if improved else waited + 1
        if waited == WAIT:
            share, waited = share / 2, 0
    return share


SCHEDULES: dict[str, Schedule] = {
    schedule.__name__: schedule for schedule in (constant, cosine, exponential, staircase, plateau)
}


def learning_rate(highest: float, warmup: float, schedule: str, done: float, better: Sequence[bool]) -> float:
    """Returns the learning rate of a step.

    Args:
        highest: the highest learning rate.
        warmup: the share of the run over which it rises linearly from 0, before the schedule starts.
        schedule: the name of the schedule.
        done: the progress of the run, 0 to 1.
        better: whether each epoch so far was the best until then.

    Raises:
        ConfigurationError: there is no schedule of that name.
    """
    if schedule not in SCHEDULES:
        raise ConfigurationError(f"no schedule is called {schedule!r}; there are {', '.join(SCHEDULES)}")
    if done < warmup:
        return highest * done / warmup
    return highest * SCHEDULES[schedule]((done - warmup) / (1 - warmup), better)
