"""Work in slices: a generator that yields wherever it may be interrupted, and returns its result.

An event loop does long work a slice at a time, and serves other requests in between. From one `yield` to the next, work
takes a millisecond at most.
"""

import time
from collections.abc import Generator
from typing import TypeVar

T = TypeVar("T")
Sliced = Generator[None, None, T]
TEXTS_AT_ONCE = 4  # short ones, of which a slice splits so many at least
SENTENCES_AT_ONCE = 8  # the same of what is done for sentences
DROPPED_AT_ONCE = 256


def finish(work: Sliced[T]) -> T:
    """Does work in one go; returns its result."""
    try:
        while True:
            next(work)
    except StopIteration as done:
        result: T = done.value
        return result


def drop(items: list[T]) -> Sliced[None]:
    """Empties a list whose items are of no more use: to free tens of thousands of arrays at once takes long."""
    while items:
        del items[-DROPPED_AT_ONCE:]
        yield


def advance(work: Sliced[T], seconds: float) -> tuple[T] | None:
    """Does a slice of work, of about that many seconds; returns a tuple of its result, None before its end."""
    end = time.monotonic() + seconds
    try:
        while True:
            next(work)
            if time.monotonic() >= end:
                return None
    except StopIteration as done:
        return (done.value,)
