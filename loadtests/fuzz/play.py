"""Sends cases to a running service, several at a time, and returns the outcome of each."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass

from loadtests.fuzz.cases import Case
from loadtests.wire import Exchange, exchange

AT_A_TIME = 4


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a case. Moments are of the monotonic clock, in seconds."""

    case: Case
    exchange: Exchange
    began: float
    ended: float


async def play(port: int, cases: Iterable[Case], at_a_time: int = AT_A_TIME) -> AsyncGenerator[Outcome, None]:
    """Yields the outcomes as they come."""
    waiting = iter(cases)
    outcomes: asyncio.Queue[Outcome | None] = asyncio.Queue()

    async def send() -> None:
        for case in waiting:
            outcomes.put_nowait(await outcome(port, case))
        outcomes.put_nowait(None)

    async with asyncio.TaskGroup() as group:
        for _ in range(at_a_time):
            group.create_task(send())
        for _ in range(at_a_time):
            while (one := await outcomes.get()) is not None:
                yield one


async def outcome(port: int, case: Case) -> Outcome:
    """Sends one case."""
    began = time.monotonic()
    try:
        seen = await exchange(port, case.pieces, case.answers, seconds=case.seconds)
    except OSError as error:
        seen = Exchange(closed=True, malformed=f"no connection: {error}")
    return Outcome(case, seen, began, time.monotonic())
