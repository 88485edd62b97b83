"""Waits for what comes true in a while."""

import asyncio
import time
from collections.abc import Callable

import pytest


def wait_until(condition: Callable[[], object], seconds: float = 120, what: str = "it") -> None:
    """Waits for what other processes or threads do."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} never came true"
        time.sleep(0.1)


async def until(condition: Callable[[], object]) -> None:
    """Waits for what the same event loop does."""
    for i in range(2000):
        if condition():
            return
        await asyncio.sleep(0 if i < 200 else 0.002)
    pytest.fail("never came true")


async def iterations(count: int = 20) -> None:
    """Lets the event loop run some iterations."""
    for _ in range(count):
        await asyncio.sleep(0)
