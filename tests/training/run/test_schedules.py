"""Learning rates: where each schedule begins, what it does between, where it ends."""

import numpy as np
import pytest

from service.errors import ConfigurationError
from training.run.schedules import SCHEDULES, learning_rate

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


@pytest.mark.parametrize(
    ("schedule", "rates"),
    [
        ("constant", (2, 2, 2, 2, 2)),
        ("cosine", (2, 1 + np.sqrt(0.5), 1, 1 - np.sqrt(0.5), 0)),
        ("exponential", (2, 2 * 0.01**0.25, 0.2, 2 * 0.01**0.75, 0.02)),
        ("staircase", (2, 1, 0.5, 0.25, 0.125)),
        ("plateau", (2, 2, 2, 2, 2)),
    ],
)
def test_falls_as_its_name_says(schedule: str, rates: tuple[float, ...]) -> None:
    given = [learning_rate(2.0, 0.0, schedule, done, []) for done in SHARES]
    np.testing.assert_allclose(given, rates, atol=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rises_from_nothing_first(schedule: str) -> None:
    rates = [learning_rate(1.0, 0.1, schedule, done, []) for done in (0.0, 0.05, 0.1)]
    np.testing.assert_allclose(rates, [0, 0.5, 1], atol=1e-12)


def test_a_plateau_is_two_epochs_in_a_row_that_are_no_better() -> None:
    epochs = [True, False, True, False, False, False, True, False, False, False, False]
    rates = [learning_rate(1.0, 0.0, "plateau", 0.5, epochs[:done]) for done in range(len(epochs) + 1)]
    assert rates == [1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.125]


def test_a_schedule_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigurationError, match=r"no schedule is called 'cosin'; there are constant, cosine"):
        learning_rate(1.0, 0.0, "cosin", 0.5, [])
