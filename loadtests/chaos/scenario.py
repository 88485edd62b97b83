"""The definition of a scenario."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from loadtests.chaos.request_counts import RequestCounts
from loadtests.chaos.service_under_test import ServiceUnderTest

Statuses = frozenset[int]


class Impossible(Exception):  # noqa: N818 (it is no error)
    """This machine lacks what a scenario needs."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A way to break the service, and what its clients may see meanwhile. Well-formed clients run beside it."""

    name: str
    required: str
    run: Callable[
        [ServiceUnderTest, RequestCounts], Awaitable[str]
    ]  # returns what it saw; raises AssertionError, Impossible
    allowed: Statuses = frozenset({200})
    may_lose: int = 0  # requests whose connection may end without an answer
    deadline_seconds: float | None = None  # that the well-behaved clients set


def check(holds: object, otherwise: str) -> None:
    """Raises AssertionError, unlike `assert` also where Python optimises."""
    if not holds:
        raise AssertionError(otherwise)
